//! The place of an error in a statement: a message and the statement in, the message with the marked line out.

use console::measure_text_width;

/// Characters of the line that are shown before and after the place.
const CHARS_BEFORE: usize = 50;
const CHARS_AFTER: usize = 25;

/// `message`; where it says `line N, column M`, also that line of `sql` with a mark below the place.
pub(super) fn with_caret(message: &str, sql: &str) -> String {
    let shown = place(message).and_then(|(line, column)| {
        let text: Vec<char> = sql.lines().nth(line.checked_sub(1)?)?.chars().map(printable).collect();
        let at = column.checked_sub(1).filter(|at| *at <= text.len())?;
        let (start, end) = (at.saturating_sub(CHARS_BEFORE), text.len().min(at + CHARS_AFTER));
        let part = |from: usize, to: usize| text[from..to].iter().collect::<String>();
        let before = format!("LINE {line}: {}{}", if start > 0 { "..." } else { "" }, part(start, at));
        let after = format!("{}{}", part(at, end), if end < text.len() { "..." } else { "" });
        Some(format!("{message}\n{before}{after}\n{}^", " ".repeat(measure_text_width(&before))))
    });
    shown.unwrap_or_else(|| message.to_owned())
}

/// Returns a character that takes one place on a terminal: `c`, or a space for a control character.
fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

/// The place that a message names, both numbers from 1: `at Line: 1, Column: 8`, `at line 2, column 14`.
fn place(message: &str) -> Option<(usize, usize)> {
    let lower = message.to_ascii_lowercase();
    lower.match_indices("line").find_map(|(at, word)| {
        let (line, rest) = number(&lower[at + word.len()..])?;
        let (column, _) = number(rest.strip_prefix(',')?.trim_start().strip_prefix("column")?)?;
        Some((line, column))
    })
}

/// The number at the beginning of a text, after space and a colon, and what follows it.
fn number(text: &str) -> Option<(usize, &str)> {
    let text = text.trim_start_matches([':', ' ']);
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_an_error_is_marked() {
        assert_eq!(
            with_caret("Expected: an expression, found: FROM at Line: 2, Column: 3", "SELECT\n  FROM t"),
            "Expected: an expression, found: FROM at Line: 2, Column: 3\nLINE 2:   FROM t\n          ^"
        );
        let knn = "knn() argument query at line 1, column 8: no";
        assert_eq!(with_caret(knn, "SELÄCT\tx"), format!("{knn}\nLINE 1: SELÄCT x\n               ^"));
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let sql = format!("SELECT {}bad{}", "a, ".repeat(100), ", b".repeat(100));
        let shown = with_caret("no at line 1, column 308", &sql);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1].find("bad"), lines[2].find('^'));
        assert!(lines[1].starts_with("LINE 1: ...") && lines[1].ends_with("..."), "{shown}");
        assert!(lines[1].len() < 100, "{shown}");
    }

    #[test]
    fn a_place_that_is_not_there_is_not_marked() {
        for message in ["no", "on the line", "line 5, column 1", "line 1, column 100", "line 0, column 0"] {
            assert_eq!(with_caret(message, "SELECT 1"), message);
        }
    }
}
