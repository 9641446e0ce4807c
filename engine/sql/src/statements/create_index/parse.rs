//! `CREATE INDEX`, `DROP INDEX` and `REINDEX`: DataFusion drops the options of the first, and knows no other.

use datafusion::sql::sqlparser::ast::{CreateIndex, Expr as SqlExpr, ObjectName};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use ruvector_udfs::error::{Error, Result};

/// A statement about indexes.
pub(crate) enum IndexStatement {
    Create {
        create: Box<CreateIndex>,
        or_replace: bool,
    },
    Drop {
        names: Vec<ObjectName>,
        if_exists: bool,
    },
    /// `REINDEX INDEX name`, or all indexes of a table.
    Reindex {
        name: ObjectName,
        is_table: bool,
        options: Vec<SqlExpr>,
    },
}

const INDEX: &str = "index";
const REINDEX: &str = "reindex";

/// Parses `sql` if it is one of the statements.
///
/// # Errors
/// `InvalidInput` if it begins as one and does not go on as one.
pub(crate) fn parse(sql: &str) -> Result<Option<IndexStatement>> {
    // Most statements are none of these, and some are long: they are not taken apart for nothing.
    if !sql.as_bytes().windows(INDEX.len()).any(|word| word.eq_ignore_ascii_case(INDEX.as_bytes())) {
        return Ok(None);
    }
    // What is no SQL at all is for the parser of all other statements to refuse.
    let Ok(mut text) = Parser::new(&GenericDialect {}).try_with_sql(sql) else { return Ok(None) };
    let statement = if text.parse_keyword(Keyword::CREATE) {
        create(&mut text)
    } else if text.parse_keywords(&[Keyword::DROP, Keyword::INDEX]) {
        drop_indexes(&mut text).map(Some)
    } else if word(&mut text, REINDEX) {
        reindex(&mut text).map(Some)
    } else {
        return Ok(None);
    };
    match statement
        .and_then(|statement| if statement.is_some() { end(&mut text).map(|()| statement) } else { Ok(None) })
    {
        Ok(statement) => Ok(statement),
        Err(e) => Err(Error::invalid_input(format!("SQL cannot be parsed: {e}"))),
    }
}

/// Parses the text behind CREATE; `None` if it creates no index.
fn create(text: &mut Parser<'_>) -> Result<Option<IndexStatement>, ParserError> {
    let or_replace = text.parse_keywords(&[Keyword::OR, Keyword::REPLACE]);
    let unique = text.parse_keyword(Keyword::UNIQUE);
    if !text.parse_keyword(Keyword::INDEX) {
        return Ok(None);
    }
    let create = Box::new(text.parse_create_index(unique)?);
    Ok(Some(IndexStatement::Create { create, or_replace }))
}

fn drop_indexes(text: &mut Parser<'_>) -> Result<IndexStatement, ParserError> {
    let if_exists = text.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    let names = text.parse_comma_separated(|text| text.parse_object_name(false))?;
    // Nothing depends on an index: both mean the same.
    _ = text.parse_one_of_keywords(&[Keyword::CASCADE, Keyword::RESTRICT]);
    Ok(IndexStatement::Drop { names, if_exists })
}

fn reindex(text: &mut Parser<'_>) -> Result<IndexStatement, ParserError> {
    let is_table = text.parse_one_of_keywords(&[Keyword::TABLE, Keyword::INDEX]) == Some(Keyword::TABLE);
    let name = text.parse_object_name(false)?;
    let mut options = Vec::new();
    if text.parse_keyword(Keyword::WITH) {
        text.expect_token(&Token::LParen)?;
        options = text.parse_comma_separated(Parser::parse_expr)?;
        text.expect_token(&Token::RParen)?;
    }
    Ok(IndexStatement::Reindex { name, is_table, options })
}

fn word(text: &mut Parser<'_>, expected: &str) -> bool {
    let token = text.peek_token().token;
    let found =
        matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected));
    if found {
        text.advance_token();
    }
    found
}

fn end(text: &mut Parser<'_>) -> Result<(), ParserError> {
    while text.consume_token(&Token::SemiColon) {}
    match text.peek_token().token {
        Token::EOF => Ok(()),
        _ => text.expected("the end of the statement", text.peek_token()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_about_indexes_are_known() {
        let create = "-- fast\ncreate or replace index i on t using flat (v) with (seed = 1);";
        assert!(matches!(parse(create).unwrap(), Some(IndexStatement::Create { or_replace: true, .. })));
        let drop = parse("DROP INDEX IF EXISTS a, lake.b CASCADE").unwrap();
        assert!(matches!(drop, Some(IndexStatement::Drop { names, if_exists: true }) if names.len() == 2));
        for (sql, table) in [("REINDEX i", false), ("reindex INDEX i", false), ("REINDEX TABLE i;", true)] {
            let reindex = parse(sql).unwrap();
            assert!(matches!(reindex, Some(IndexStatement::Reindex { is_table, .. }) if is_table == table), "{sql}");
        }
    }

    #[test]
    fn other_statements_are_left_alone() {
        for sql in ["SELECT 'create index'", "CREATE TABLE index_of (id BIGINT)", "DROP TABLE index_of", "index '"] {
            assert!(parse(sql).unwrap().is_none(), "{sql}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (sql, part) in [
            ("CREATE INDEX i", "Expected: ON, found: EOF"),
            ("CREATE INDEX i ON t (v) WITH seed = 1", "Expected: (, found: seed"),
            ("DROP INDEX", "Expected: identifier, found: EOF"),
            ("REINDEX TABLE t, u", "Expected: the end of the statement, found: , at Line: 1, Column: 16"),
            ("REINDEX i; SELECT 1", "Expected: the end of the statement, found: SELECT"),
        ] {
            let message = parse(sql).err().unwrap().to_string();
            assert!(message.contains(part), "{sql}: {message}");
        }
    }
}
