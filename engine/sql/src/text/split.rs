//! Splitting of a text into SQL statements.
//!
//! It knows the places where a `;` ends no statement: quotes, identifiers in double quotes, both kinds of comment (block comments
//! nest) and dollar quotes. It knows no other SQL: the engine parses.

/// The statements of `text`, without their `;`. Pieces of only space and comments are left out.
pub fn statements(text: &str) -> Vec<&str> {
    let (mut statements, rest) = complete_statements(text);
    if !is_blank(rest) {
        statements.push(rest.trim());
    }
    statements
}

/// The statements of `text` that end with `;`, and what follows the last of them.
pub fn complete_statements(text: &str) -> (Vec<&str>, &str) {
    let mut statements = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        if *byte == b';' {
            let statement = &text[start..at];
            if !is_blank(statement) {
                statements.push(statement.trim());
            }
            start = at + 1;
        }
        at = token_end(text, at);
    }
    (statements, &text[start..])
}

/// The first word of `sql` after space and comments; empty if there is none.
pub(crate) fn first_word(sql: &str) -> &str {
    let rest = without_leading_comments(sql);
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    &rest[..end]
}

/// The part of `sql` after the space and comments that it begins with.
pub fn without_leading_comments(sql: &str) -> &str {
    let mut at = 0;
    while at < sql.len() {
        let rest = &sql[at..];
        if !(rest.starts_with("--") || rest.starts_with("/*") || rest.starts_with(char::is_whitespace)) {
            return rest;
        }
        at = token_end(sql, at);
    }
    ""
}

/// Returns true if `text` is only space and comments.
pub fn is_blank(text: &str) -> bool {
    without_leading_comments(text).is_empty()
}

/// The end of the quote, comment or character that begins at `start`. An open quote or comment ends with the text.
fn token_end(text: &str, start: usize) -> usize {
    let rest = &text[start..];
    let length = match rest.as_bytes() {
        [quote @ (b'\'' | b'"'), ..] => {
            // A doubled quote inside ends this token and begins another at once: the same places stay hidden.
            rest[1..].find(char::from(*quote)).map(|end| end + 2)
        }
        [b'-', b'-', ..] => rest.find('\n').map(|end| end + 1),
        [b'/', b'*', ..] => block_comment_length(rest.as_bytes()),
        [b'$', ..] => match dollar_tag(rest) {
            Some(tag) => rest[tag.len()..].find(tag).map(|end| end + 2 * tag.len()),
            None => Some(1),
        },
        _ => rest.chars().next().map(char::len_utf8),
    };
    start + length.unwrap_or(rest.len())
}

fn block_comment_length(text: &[u8]) -> Option<usize> {
    let mut depth = 0;
    let mut at = 0;
    while at + 1 < text.len() {
        match &text[at..at + 2] {
            b"/*" => {
                depth += 1;
                at += 2;
            }
            b"*/" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => at += 1,
        }
    }
    None
}

/// The `$$` or `$tag$` at the beginning of `text`; a parameter like `$1` is none.
fn dollar_tag(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 1;
    let name = &text[1..end];
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_numeric());
    is_name.then(|| &text[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons() {
        assert_eq!(statements("SELECT 1; SELECT 2"), ["SELECT 1", "SELECT 2"]);
        assert_eq!(statements(" SELECT 1 ;;\n; "), ["SELECT 1"]);
        assert_eq!(statements(""), [""; 0]);
        assert_eq!(statements("-- nothing\n/* here */"), [""; 0]);
    }

    #[test]
    fn a_semicolon_can_be_hidden() {
        for hidden in [
            "SELECT 'a;b'",
            "SELECT 'it''s; one'",
            "SELECT \"a;b\" FROM t",
            "SELECT 1 -- one; two",
            "SELECT /* a; /* b; */ c; */ 1",
            "SELECT $$a;b$$, $x$c;$$d;$x$",
            "SELECT 'ä;ö'",
        ] {
            assert_eq!(statements(hidden), [hidden]);
            assert_eq!(complete_statements(hidden), (vec![], hidden));
        }
    }

    #[test]
    fn parameters_are_no_dollar_quotes() {
        assert_eq!(statements("SELECT $1; SELECT $2"), ["SELECT $1", "SELECT $2"]);
    }

    #[test]
    fn an_open_quote_hides_the_rest() {
        assert_eq!(complete_statements("SELECT 1; SELECT 'a; b"), (vec!["SELECT 1"], " SELECT 'a; b"));
        assert_eq!(complete_statements("SELECT /* a; b"), (vec![], "SELECT /* a; b"));
    }

    #[test]
    fn the_first_word_stands_after_comments() {
        assert_eq!(first_word("  -- a\n/* b */ SET x = 1"), "SET");
        assert_eq!(first_word("select 1"), "select");
        assert_eq!(first_word("(SELECT 1)"), "");
        assert_eq!(first_word("-- only this"), "");
    }
}
