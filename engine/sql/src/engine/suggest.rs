//! Hints for names that do not exist: where in the statement a name stands, and which one was probably meant.
//!
//! In: an error and the statement that failed with it. Out: the error with a better message. DataFusion hints at columns and
//! functions itself; this is for tables, relations and indexes. Errors of any other kind pass as they are.

use datafusion::catalog::CatalogProvider;
use datafusion::common::utils::datafusion_strsim::levenshtein;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};

use ruvector_udfs::error::Error;
use ruvector_udfs::names::{CATALOG, MAIN};

/// The schema of the tables that tell of the engine.
const SYSTEM: &str = "system";

/// A name that a statement has and the engine does not.
#[derive(Debug, PartialEq)]
enum Missing<'a> {
    Table { schema: &'a str, name: &'a str },
    Relation(&'a str),
    Index(&'a str),
}

/// The names that exist, besides tables.
pub(crate) struct KnownNames {
    /// Table functions.
    pub(crate) relations: Vec<String>,
    pub(crate) indexes: Vec<String>,
}

/// Returns `error` with the place of a missing name in `sql`, and with the name that is most like it.
pub(crate) fn with_hint(
    error: Error,
    sql: &str,
    catalog: &dyn CatalogProvider,
    known: impl FnOnce() -> KnownNames,
) -> Error {
    let message = error.to_string();
    let (said, end) = without_place(&message);
    let Some(missing) = missing(said) else { return error };
    let (name, alike) = match missing {
        Missing::Table { schema, name } => (name, like_table(schema, name, catalog)),
        Missing::Relation(name) => (name, most_alike(name, &known().relations)),
        Missing::Index(name) => (name, most_alike(name, &known().indexes)),
    };
    let place = place_of(name, sql).map(|at| format!(" (at line {}, column {})", at.line, at.column));
    let place = place.unwrap_or_else(|| message[end..].to_owned());
    let hint = alike.map(|alike| format!("; did you mean {alike}?")).unwrap_or_default();
    error.saying(format!("{said}{place}{hint}"))
}

/// A message up to the place that ends it, and where that begins. A rewritten statement has places of its own.
fn without_place(message: &str) -> (&str, usize) {
    let end = message.rfind(" (at line ").filter(|_| message.ends_with(')')).unwrap_or(message.len());
    (&message[..end], end)
}

/// The name that a message says to be missing.
fn missing(message: &str) -> Option<Missing<'_>> {
    if let Some(name) = message.strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found")) {
        let name = name.strip_prefix(CATALOG).and_then(|rest| rest.strip_prefix('.'))?;
        let (schema, name) = name.split_once('.')?;
        return Some(Missing::Table { schema, name });
    }
    if let Some(name) = message.strip_prefix("table function '").and_then(|rest| rest.strip_suffix("' not found")) {
        return Some(Missing::Relation(name));
    }
    if let Some(name) = message.strip_prefix("no such index: ") {
        let name = name.strip_prefix("index ").unwrap_or(name);
        return Some(Missing::Index(name.split_once('.').map_or(name, |(_, name)| name)));
    }
    let of_backend = message.strip_prefix("no such table: backend ");
    let (schema, name) = of_backend.and_then(|rest| rest.split_once(", table "))?;
    Some(Missing::Table { schema, name })
}

/// The table that was probably meant, as SQL writes it.
fn like_table(schema: &str, name: &str, catalog: &dyn CatalogProvider) -> Option<String> {
    let tables = |schema: &str| catalog.schema(schema).map(|schema| schema.table_names());
    let qualified = |schema: &str, name: String| match schema {
        MAIN => name,
        schema => format!("{}.{name}", written(schema)),
    };
    let Some(names) = tables(schema) else {
        let schemas: Vec<_> = catalog.schema_names();
        return Some(format!("{}.{}", most_alike(schema, &schemas)?, written(name)));
    };
    most_alike(name, &names).map(|name| qualified(schema, name)).or_else(|| {
        let elsewhere = tables(SYSTEM).filter(|_| schema == MAIN)?;
        elsewhere.iter().any(|known| known == name).then(|| qualified(SYSTEM, written(name)))
    })
}

/// The name of `known` that needs the fewest changes, as SQL writes it, if it is about as long as what changes.
fn most_alike(name: &str, known: &[String]) -> Option<String> {
    let lower = name.to_lowercase();
    // Two letters that changed places are two changes.
    let changes_max = (lower.chars().count() / 3).max(2);
    let distances = known.iter().map(|known| (levenshtein(&lower, &known.to_lowercase()), known));
    let (_, nearest) =
        distances.filter(|(changes, known)| *changes <= changes_max && *changes < known.chars().count()).min()?;
    Some(written(nearest))
}

/// A name as SQL reads it again.
fn written(name: &str) -> String {
    let is_plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    match is_plain && !name.starts_with(|c: char| c.is_ascii_digit()) {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// The place of a name in a statement: where a table may stand, else anywhere.
fn place_of(name: &str, sql: &str) -> Option<Location> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().ok()?;
    let tokens: Vec<_> = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    let is_name = |token: &Token| match token {
        Token::Word(word) if word.quote_style.is_some() => word.value == name,
        Token::Word(word) => word.value.eq_ignore_ascii_case(name),
        // `knn('docs', ...)`, perhaps with a schema.
        Token::SingleQuotedString(text) => text.rsplit('.').next().is_some_and(|text| text.eq_ignore_ascii_case(name)),
        _ => false,
    };
    let leads = |token: &Token| match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::FROM
                | Keyword::JOIN
                | Keyword::INTO
                | Keyword::UPDATE
                | Keyword::TABLE
                | Keyword::INDEX
                | Keyword::USING
                | Keyword::DESCRIBE
                | Keyword::EXISTS
                | Keyword::REINDEX
        ),
        Token::Period | Token::Comma | Token::LParen => true,
        _ => false,
    };
    let named = || tokens.iter().enumerate().filter(|(_, token)| is_name(&token.token));
    let led = named().find(|(at, _)| at.checked_sub(1).is_some_and(|before| leads(&tokens[before].token)));
    let (_, token) = led.or_else(|| named().next())?;
    Some(token.span.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_found_where_a_table_may_stand() {
        for (sql, name, column) in [
            ("SELECT * FROM docs JOIN wrods USING (id)", "wrods", 25),
            ("SELECT wrods FROM wrods", "wrods", 19),
            ("SELECT id, _distance FROM knn('wrods', [1.0], 2)", "wrods", 31),
            ("DELETE FROM main.\"Wrods\" WHERE id = 'wrods'", "Wrods", 18),
            ("DROP INDEX IF EXISTS wrods", "wrods", 22),
            ("INSERT INTO WRODS VALUES (1)", "wrods", 13),
        ] {
            assert_eq!(place_of(name, sql).map(|at| (at.line, at.column)), Some((1, column)), "{sql}");
        }
        assert_eq!(place_of("b", "SELECT *\nFROM a,\n  b").map(|at| (at.line, at.column)), Some((3, 3)));
        assert_eq!(place_of("docs", "SELECT 1"), None);
    }

    #[test]
    fn the_name_that_is_most_alike_is_meant() {
        let known = ["words", "Docs", "documents", "a", "my docs"].map(str::to_owned);
        for (name, meant) in [
            ("wrods", Some("words")),
            ("docs", Some("\"Docs\"")),
            ("document", Some("documents")),
            ("my_docs", Some("\"my docs\"")),
            ("pictures", None),
            ("b", None),
        ] {
            assert_eq!(most_alike(name, &known).as_deref(), meant, "{name}");
        }
    }

    #[test]
    fn messages_name_what_is_missing() {
        for (message, expected) in [
            ("table 'ruvector.main.a.b' not found", Some(Missing::Table { schema: "main", name: "a.b" })),
            ("no such table: backend lake, table docs", Some(Missing::Table { schema: "lake", name: "docs" })),
            ("table function 'knnn' not found", Some(Missing::Relation("knnn"))),
            ("no such index: main.docs_vec", Some(Missing::Index("docs_vec"))),
            ("table 'other.main.docs' not found", None),
            ("division by zero", None),
        ] {
            assert_eq!(missing(message), expected, "{message}");
        }
    }
}
