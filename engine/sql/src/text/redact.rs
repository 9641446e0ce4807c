//! A statement as a log may show it: its kind, and its text without secrets.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};
use ruvector_rulake::backend::shown_value;

/// The text in the place of a secret.
const HIDDEN: &str = "***";
/// The end of a text that was cut.
const CUT: &str = "...";
/// Bytes of a statement that are looked at, for each character that may be shown: a long one is not taken apart for nothing.
pub(crate) const LOOK_AHEAD: usize = 8;
/// Words by which a name before a value is that of a secret.
const SECRET_WORDS: [&str; 7] = ["password", "passwd", "secret", "token", "credential", "identified", "access_key"];
/// Kinds of statements by their first words; of several that fit, the first.
const KINDS: [(&str, &[&str]); 26] = [
    ("ingest", &["INGEST"]),
    ("query", &["SELECT"]),
    ("query", &["WITH"]),
    ("query", &["VALUES"]),
    ("explain", &["EXPLAIN"]),
    ("show", &["SHOW"]),
    ("show", &["DESCRIBE"]),
    ("set", &["SET"]),
    ("reset", &["RESET"]),
    ("insert", &["INSERT"]),
    ("update", &["UPDATE"]),
    ("delete", &["DELETE"]),
    ("merge", &["MERGE"]),
    ("truncate", &["TRUNCATE"]),
    ("create table", &["CREATE", "TABLE"]),
    ("create external table", &["CREATE", "EXTERNAL"]),
    ("create external table", &["CREATE", "UNBOUNDED"]),
    ("create index", &["CREATE", "INDEX"]),
    ("create index", &["CREATE", "UNIQUE"]),
    ("create backend", &["CREATE", "BACKEND"]),
    ("drop table", &["DROP", "TABLE"]),
    ("drop index", &["DROP", "INDEX"]),
    ("drop backend", &["DROP", "BACKEND"]),
    ("reindex", &["REINDEX"]),
    ("copy", &["COPY"]),
    ("kill", &["KILL"]),
];

/// The kind of a statement by its first words, as `query` or `create table`; `other` if it is none that ruvector has.
pub fn statement_kind(sql: &str) -> &'static str {
    // Nearly every statement: not worth taking apart.
    if sql.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("SELECT ")) {
        return "query";
    }
    let (tokens, _) = tokens(&sql[..boundary(sql, 1 << 10)]);
    let words = tokens.iter().map(|token| &token.token).skip_while(|token| matches!(token, Token::LParen));
    let words = words.map_while(|token| match token {
        Token::Word(word) => Some(word.value.to_uppercase()),
        _ => None,
    });
    let words: Vec<String> = words.filter(|word| !matches!(word.as_str(), "OR" | "REPLACE")).take(2).collect();
    let fits =
        |first: &[&str]| first.len() <= words.len() && first.iter().zip(&words).all(|(first, word)| first == word);
    KINDS.iter().find(|(_, first)| fits(first)).map_or("other", |(kind, _)| kind)
}

/// The text of a statement without secrets: values of options and settings whose names sound secret, and URLs with a user or
/// parameters, are `***`. At most `chars_max` characters, and `...` if it goes on.
pub fn shown_sql(sql: &str, chars_max: usize) -> String {
    let looked_at = &sql[..boundary(sql, chars_max.saturating_mul(LOOK_AHEAD))];
    let (tokens, whole) = tokens(looked_at);
    let mut offsets = Offsets::new(looked_at);
    let mut out = String::with_capacity(looked_at.len());
    let mut end = 0;
    for (token, hidden) in tokens.iter().zip(hidden(&tokens)) {
        let start = offsets.of(token.span.start);
        out.push_str(&looked_at[end.min(start)..start]);
        end = offsets.of(token.span.end).max(start);
        match (hidden, &token.token) {
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

/// The tokens of a text that mean something, and whether that is all of it.
fn tokens(sql: &str) -> (Vec<TokenWithSpan>, bool) {
    let mut tokens = Vec::new();
    let whole = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location_into_buf(&mut tokens).is_ok();
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
    (tokens, whole)
}

/// One flag for each of `tokens`: true if the token may not be shown.
fn hidden(tokens: &[TokenWithSpan]) -> Vec<bool> {
    // The name that a value may follow, and whether something like `=` stands between them.
    let mut name = String::new();
    let mut assigned = false;
    let mut options_depth = 0_usize;
    let mut is_key = false;
    let mut hidden = Vec::with_capacity(tokens.len());
    for (i, TokenWithSpan { token, .. }) in tokens.iter().enumerate() {
        let previous = i.checked_sub(1).map(|previous| &tokens[previous].token);
        hidden.push(match token {
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
                    true => shown_value(&name, value) == HIDDEN,
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
    hidden
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
            assert_eq!(shown_sql(sql, 1000), shown);
        }
    }

    #[test]
    fn long_statements_are_cut() {
        assert_eq!(shown_sql("SELECT 'äöü', 2", 10), "SELECT 'äö...");
        assert_eq!(shown_sql("SELECT 1", 8), "SELECT 1");
        let long = format!("INSERT INTO t VALUES {}", "(1, 'some text'), ".repeat(10_000));
        let shown = shown_sql(&long, 1000);
        assert_eq!(shown.chars().count(), 1003);
        assert!(long.starts_with(shown.trim_end_matches("...")));
        let long = format!("INSERT INTO t VALUES ('{}')", "x".repeat(100_000));
        assert_eq!(shown_sql(&long, 1000), "INSERT INTO t VALUES (***...");
    }

    #[test]
    fn statements_have_kinds() {
        for (sql, kind) in [
            ("SELECT 1", "query"),
            ("-- a\n(select 1)", "query"),
            ("WITH a AS (SELECT 1) SELECT 1", "query"),
            ("create or replace table t (id BIGINT)", "create table"),
            ("CREATE OR REPLACE INDEX i ON t (v)", "create index"),
            ("CREATE BACKEND b TYPE memory", "create backend"),
            ("EXPLAIN ANALYZE INSERT INTO t VALUES (1)", "explain"),
            ("hunter2", "other"),
            ("", "other"),
            ("CREATE", "other"),
        ] {
            assert_eq!(statement_kind(sql), kind, "{sql}");
        }
    }
}
