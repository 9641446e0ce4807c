//! A statement as logs and `system.queries` show it: its text without secrets.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};
use ruvector_rulake::backend::redact_option;

/// The text in the place of a secret.
const HIDDEN: &str = "***";
/// The end of a text that was cut.
const CUT: &str = "...";
/// Bytes of a statement that are looked at, for each character that may be shown: a long one is not taken apart for nothing.
pub(crate) const LOOK_AHEAD: usize = 8;
/// Words by which a name before a value is that of a secret.
const SECRET_WORDS: [&str; 7] = ["password", "passwd", "secret", "token", "credential", "identified", "access_key"];

/// The text of a statement without secrets: values of options and settings whose names sound secret, and URLs with a user or
/// parameters, are `***`. At most `chars_max` characters, and `...` if it goes on.
pub fn redact_sql(sql: &str, chars_max: usize) -> String {
    let looked_at = &sql[..boundary(sql, chars_max.saturating_mul(LOOK_AHEAD))];
    let (tokens, whole) = tokens(looked_at);
    let mut offsets = Offsets::new(looked_at);
    let mut out = String::with_capacity(looked_at.len());
    let mut end = 0;
    for (token, is_secret) in tokens.iter().zip(are_secret(&tokens)) {
        let start = offsets.of(token.span.start);
        out.push_str(&looked_at[end.min(start)..start]);
        end = offsets.of(token.span.end).max(start);
        match (is_secret, &token.token) {
            (true, Token::Word(_) | Token::Number(..)) => out.push_str(HIDDEN),
            (true, _) => {
                out.push('\'');
                out.push_str(HIDDEN);
                out.push('\'');
            }
            (false, _) => out.push_str(&looked_at[start..end]),
        }
    }
    match whole {
        true => out.push_str(&looked_at[end..]),
        // What is no token, as a text without its end, may be a secret.
        false => out.push_str(HIDDEN),
    }
    match out.char_indices().nth(chars_max) {
        Some((cut, _)) => out.truncate(cut),
        None if looked_at.len() == sql.len() => return out,
        None => {}
    }
    out.push_str(CUT);
    out
}

/// The tokens of a text without space and comments, and true if the whole text is tokens.
pub(crate) fn tokens(sql: &str) -> (Vec<TokenWithSpan>, bool) {
    let mut tokens = Vec::new();
    let whole = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location_into_buf(&mut tokens).is_ok();
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
    (tokens, whole)
}

/// One flag for each of `tokens`: true if the token may be a secret.
fn are_secret(tokens: &[TokenWithSpan]) -> Vec<bool> {
    // The name that a value may follow, and whether something like `=` stands between them.
    let mut name = String::new();
    let mut assigned = false;
    let mut options_depth = 0_usize;
    let mut is_key = false;
    let mut flags = Vec::with_capacity(tokens.len());
    for (i, TokenWithSpan { token, .. }) in tokens.iter().enumerate() {
        let previous = i.checked_sub(1).map(|previous| &tokens[previous].token);
        flags.push(match token {
            Token::LParen => {
                let of_options =
                    matches!(previous, Some(Token::Word(word)) if word.value.eq_ignore_ascii_case("options"));
                if of_options || options_depth > 0 {
                    options_depth += 1;
                    is_key = true;
                }
                false
            }
            Token::RParen => {
                options_depth = options_depth.saturating_sub(1);
                name.clear();
                false
            }
            Token::Comma => {
                is_key = options_depth > 0;
                name.clear();
                assigned = false;
                false
            }
            Token::Period => {
                is_key = options_depth > 0;
                false
            }
            Token::Eq | Token::RArrow | Token::Colon | Token::Assignment => {
                assigned = true;
                false
            }
            Token::Word(word) if word.quote_style.is_none() && matches!(&*word.value.to_uppercase(), "TO" | "BY") => {
                assigned = true;
                false
            }
            _ if options_depth > 0 && is_key => {
                name = text(token).unwrap_or_default().to_owned();
                is_key = false;
                false
            }
            Token::Word(word) if options_depth == 0 && !(assigned || word.quote_style.is_some()) => {
                name.clone_from(&word.value);
                false
            }
            token => {
                let value = text(token).unwrap_or_default();
                let is_secret = match options_depth > 0 {
                    true => redact_option(&name, value) == HIDDEN,
                    false => sounds_secret(&name),
                };
                // In options all is hidden up to the comma: what stands there wrongly may be a part of a secret.
                if options_depth == 0 {
                    name.clear();
                    assigned = false;
                }
                is_secret || is_telling_url(value)
            }
        });
    }
    flags
}

fn sounds_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// Returns true if a value is a URL with a user or with parameters, where signatures are.
fn is_telling_url(value: &str) -> bool {
    value.split_once("://").is_some_and(|(_, rest)| rest.contains(['@', '?']))
}

/// The text that a token holds, if it is a name or a value.
fn text(token: &Token) -> Option<&str> {
    match token {
        Token::Word(word) => Some(&word.value),
        Token::Number(text, _)
        | Token::SingleQuotedString(text)
        | Token::DoubleQuotedString(text)
        | Token::TripleSingleQuotedString(text)
        | Token::TripleDoubleQuotedString(text)
        | Token::NationalStringLiteral(text)
        | Token::EscapedStringLiteral(text)
        | Token::UnicodeStringLiteral(text)
        | Token::SingleQuotedRawStringLiteral(text)
        | Token::DoubleQuotedRawStringLiteral(text)
        | Token::SingleQuotedByteStringLiteral(text)
        | Token::DoubleQuotedByteStringLiteral(text)
        | Token::HexStringLiteral(text) => Some(text),
        Token::DollarQuotedString(text) => Some(&text.value),
        _ => None,
    }
}

/// The end of the first `bytes_max` bytes of a text, or a bit less.
pub(crate) fn boundary(text: &str, bytes_max: usize) -> usize {
    let end = bytes_max.min(text.len());
    (0..=end).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0)
}

/// Byte offsets of places in a text. Places must be asked for in the order of the text.
struct Offsets<'a> {
    text: &'a str,
    at: usize,
    line: u64,
    column: u64,
}

impl<'a> Offsets<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, line: 1, column: 1 }
    }

    fn of(&mut self, place: Location) -> usize {
        while (self.line, self.column) < (place.line, place.column)
            && let Some(c) = self.text[self.at..].chars().next()
        {
            self.at += c.len_utf8();
            (self.line, self.column) = if c == '\n' { (self.line + 1, 1) } else { (self.line, self.column + 1) };
        }
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        for (sql, shown) in [
            (
                "CREATE BACKEND s TYPE object_store OPTIONS (url 's3://b/ä', aws_secret_access_key 'hush', region 'eu')",
                "CREATE BACKEND s TYPE object_store OPTIONS (url 's3://b/ä', aws_secret_access_key '***', region 'eu')",
            ),
            (
                "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 's3://b' OPTIONS ('format.quote' '|', 'sas_token' 'hush')",
                "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 's3://b' OPTIONS ('format.quote' '|', 'sas_token' '***')",
            ),
            (
                "create backend s type x options(password hush hush, n 5)",
                "create backend s type x options(password *** ***, n 5)",
            ),
            ("CREATE BACKEND s TYPE x OPTIONS (a.secret $$hush$$)", "CREATE BACKEND s TYPE x OPTIONS (a.secret '***')"),
            ("SET x.password = 'hush'", "SET x.password = '***'"),
            ("SET x.password TO hush", "SET x.password TO ***"),
            ("CREATE USER u PASSWORD 'hu''sh'", "CREATE USER u PASSWORD '***'"),
            ("CREATE USER u IDENTIFIED BY \"hush\"", "CREATE USER u IDENTIFIED BY ***"),
            ("SELECT f(secret => 'hush', 'no')", "SELECT f(secret => '***', 'no')"),
            ("SELECT * FROM x('http://u:hush@h/a', 'https://h/a?sig=hush')", "SELECT * FROM x('***', '***')"),
            ("SELECT 'a\n b', 'ä' -- ?\nFROM t WHERE id = 'x'", "SELECT 'a\n b', 'ä' -- ?\nFROM t WHERE id = 'x'"),
            ("CREATE BACKEND s TYPE x OPTIONS (secret 'hush", "CREATE BACKEND s TYPE x OPTIONS (secret***"),
        ] {
            assert_eq!(redact_sql(sql, 1000), shown);
        }
    }

    #[test]
    fn long_statements_are_cut() {
        assert_eq!(redact_sql("SELECT 'äöü', 2", 10), "SELECT 'äö...");
        assert_eq!(redact_sql("SELECT 1", 8), "SELECT 1");
        let long = format!("INSERT INTO t VALUES {}", "(1, 'some text'), ".repeat(10_000));
        let shown = redact_sql(&long, 1000);
        assert_eq!(shown.chars().count(), 1003);
        assert!(long.starts_with(shown.trim_end_matches("...")));
        let long = format!("INSERT INTO t VALUES ('{}')", "x".repeat(100_000));
        assert_eq!(redact_sql(&long, 1000), "INSERT INTO t VALUES (***...");
    }
}
