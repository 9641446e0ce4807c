//! Kind and class of a statement by its text, before it is parsed: for logs, metrics and the admission of a server.
//!
//! A text that is no SQL has a kind and a class too. Neither authorizes anything.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::text::redact::{boundary, tokens};
use crate::text::split::first_word;

/// Bytes of a statement in which its kind and the tables of a monitoring query are looked for. A bound: they are at its beginning.
const BYTES_MAX: usize = 1 << 10;
/// Kinds of statements by their first words. The first entry that fits decides.
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
    let (tokens, _) = tokens(&sql[..boundary(sql, BYTES_MAX)]);
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

/// Class of a statement: its treatment by a server before it is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementClass {
    /// `KILL`. It makes room for others, so it does not wait for room.
    Kill,
    /// A query that reads `system.queries`. One may run above the limit, so that a full server can still be inspected.
    Monitoring,
    /// `SET` or `RESET`. It changes its session and reads nothing.
    Setting,
    /// Any other statement.
    Other,
}

/// The class of a statement, by its text.
pub fn statement_class(sql: &str) -> StatementClass {
    let first = first_word(sql);
    if first.eq_ignore_ascii_case("kill") {
        return StatementClass::Kill;
    }
    if first.eq_ignore_ascii_case("set") || first.eq_ignore_ascii_case("reset") {
        return StatementClass::Setting;
    }
    match statement_kind(sql) == "query" && reads_queries(&sql[..boundary(sql, BYTES_MAX)]) {
        true => StatementClass::Monitoring,
        false => StatementClass::Other,
    }
}

/// Returns true if `system.queries` is named outside of texts and comments.
fn reads_queries(sql: &str) -> bool {
    let word = |token: &TokenWithSpan, name: &str| matches!(&token.token, Token::Word(word) if word.value.eq_ignore_ascii_case(name));
    // Most statements have no such letters: they are not taken apart.
    let may = sql.as_bytes().windows("queries".len()).any(|part| part.eq_ignore_ascii_case(b"queries"));
    may && tokens(sql)
        .0
        .windows(3)
        .any(|part| word(&part[0], "system") && matches!(part[1].token, Token::Period) && word(&part[2], "queries"))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn statements_have_classes() {
        use StatementClass::{Kill, Monitoring, Other, Setting};
        for (sql, class) in [
            ("KILL 3", Kill),
            ("/* a */ kill query 3", Kill),
            ("SET a = 1", Setting),
            ("-- a\nRESET a", Setting),
            ("SELECT id FROM system.queries", Monitoring),
            ("select * from \"system\" . QUERIES where state = 'running'", Monitoring),
            ("WITH q AS (SELECT * FROM ruvector.system.queries) SELECT * FROM q", Monitoring),
            ("SELECT 'system.queries'", Other),
            ("SELECT 1 -- system.queries", Other),
            ("SELECT * FROM system.indexes, queries", Other),
            ("DELETE FROM docs WHERE id IN (SELECT id FROM system.queries)", Other),
            ("SELECT 1", Other),
            ("", Other),
        ] {
            assert_eq!(statement_class(sql), class, "{sql}");
        }
    }
}
