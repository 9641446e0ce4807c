//! The two statements, which neither DataFusion nor its parser knows.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::catalog::backend::CreateBackend;
use ruvector_udfs::error::{Error, Result};

/// A statement about a backend.
pub(crate) enum BackendStatement {
    Create(CreateBackend),
    Drop { name: String, if_exists: bool },
}

/// Parses `sql` if it is one of the statements.
///
/// # Errors
/// `InvalidInput` if it begins as one and does not go on as one. Values of options are not in the message.
pub(crate) fn parse(sql: &str) -> Result<Option<BackendStatement>> {
    // Most statements are none of these, and some are long: they are not taken apart for nothing.
    if !sql.as_bytes().windows(BACKEND.len()).any(|word| word.eq_ignore_ascii_case(BACKEND.as_bytes())) {
        return Ok(None);
    }
    let dialect = GenericDialect {};
    // What is no SQL at all is for the parser of all other statements to refuse.
    let Ok(parser) = Parser::new(&dialect).try_with_sql(sql) else { return Ok(None) };
    let mut text = Text(parser);
    let create = text.0.parse_keyword(Keyword::CREATE);
    if !(create || text.0.parse_keyword(Keyword::DROP)) || !text.word(BACKEND) {
        return Ok(None);
    }
    let statement = if create { text.create()? } else { text.drop()? };
    text.end()?;
    Ok(Some(statement))
}

const BACKEND: &str = "backend";

/// The rest of the statement's text.
struct Text<'a>(Parser<'a>);

impl Text<'_> {
    fn create(&mut self) -> Result<BackendStatement> {
        let if_not_exists = self.0.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
        let name = self.identifier("the name of a backend")?;
        if !self.word("type") {
            return Err(self.expected("TYPE kind"));
        }
        let kind = self.identifier("a kind of backend")?;
        let options = if self.word("options") { self.options()? } else { Vec::new() };
        Ok(BackendStatement::Create(CreateBackend { name, if_not_exists, kind, options }))
    }

    fn drop(&mut self) -> Result<BackendStatement> {
        let if_exists = self.0.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
        Ok(BackendStatement::Drop { name: self.identifier("the name of a backend")?, if_exists })
    }

    fn options(&mut self) -> Result<Vec<(String, String)>> {
        let mut options: Vec<(String, String)> = Vec::new();
        if !self.0.consume_token(&Token::LParen) {
            return Err(self.expected("( after OPTIONS"));
        }
        if self.0.consume_token(&Token::RParen) {
            return Ok(options);
        }
        loop {
            let key = self.identifier("the name of an option")?.to_lowercase();
            let value = self.value(&key)?;
            if options.iter().any(|(known, _)| *known == key) {
                return Err(Error::invalid_input(format!("option {key} is given twice")));
            }
            let last = self.0.consume_token(&Token::RParen);
            if !last && !self.0.consume_token(&Token::Comma) {
                return Err(Error::invalid_input(format!("expected , or ) after the value of option {key}")));
            }
            options.push((key, value));
            if last {
                return Ok(options);
            }
        }
    }

    fn value(&mut self, key: &str) -> Result<String> {
        let sign = if self.0.consume_token(&Token::Minus) { "-" } else { "" };
        match self.0.next_token().token {
            Token::SingleQuotedString(text) if sign.is_empty() => Ok(text),
            Token::Number(digits, _) => Ok(format!("{sign}{digits}")),
            Token::Word(word) if sign.is_empty() && matches!(word.keyword, Keyword::TRUE | Keyword::FALSE) => {
                Ok(word.value.to_lowercase())
            }
            // What stands there may be a part of a secret.
            _ => Err(Error::invalid_input(format!("option {key}: expected a 'string', a number, true or false"))),
        }
    }

    fn word(&mut self, expected: &str) -> bool {
        let token = self.0.peek_token().token;
        let found = matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected));
        if found {
            self.0.advance_token();
        }
        found
    }

    /// A word, folded unless it is quoted.
    fn identifier(&mut self, what: &str) -> Result<String> {
        match self.0.peek_token().token {
            Token::Word(word) => {
                self.0.advance_token();
                Ok(if word.quote_style.is_some() { word.value } else { word.value.to_ascii_lowercase() })
            }
            _ => Err(self.expected(what)),
        }
    }

    fn end(&mut self) -> Result<()> {
        while self.0.consume_token(&Token::SemiColon) {}
        match self.0.peek_token().token {
            Token::EOF => Ok(()),
            _ => Err(self.expected("the end of the statement")),
        }
    }

    fn expected(&self, what: &str) -> Error {
        Error::invalid_input(format!("SQL cannot be parsed: expected {what}, got {}", self.0.peek_token()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(sql: &str) -> CreateBackend {
        match parse(sql).unwrap() {
            Some(BackendStatement::Create(create)) => create,
            _ => panic!("{sql} creates no backend"),
        }
    }

    #[test]
    fn names_are_folded_and_values_are_not() {
        let create = created(
            "-- a lake\ncreate backend IF NOT EXISTS Lake TYPE Parquet OPTIONS (Path '/It''s', n 5, m -1, b TRUE);",
        );
        assert_eq!((create.name.as_str(), create.kind.as_str(), create.if_not_exists), ("lake", "parquet", true));
        let expected = [("path", "/It's"), ("n", "5"), ("m", "-1"), ("b", "true")];
        assert_eq!(create.options, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert_eq!(created("CREATE BACKEND \"Lake\" TYPE memory").name, "Lake");
        let drop = parse("DROP BACKEND IF EXISTS Lake").unwrap();
        assert!(matches!(drop, Some(BackendStatement::Drop { name, if_exists: true }) if name == "lake"));
    }

    #[test]
    fn other_statements_are_left_alone() {
        for sql in ["SELECT 'create backend'", "CREATE TABLE backend (id BIGINT)", "DROP TABLE backend", "backend '"] {
            assert!(parse(sql).unwrap().is_none(), "{sql}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_values() {
        for (sql, part) in [
            ("CREATE BACKEND", "expected the name of a backend, got EOF"),
            ("CREATE BACKEND lake", "expected TYPE kind"),
            ("CREATE BACKEND lake TYPE", "expected a kind of backend"),
            ("CREATE BACKEND lake TYPE memory OPTIONS", "expected ( after OPTIONS"),
            ("CREATE BACKEND lake TYPE memory OPTIONS (path)", "option path: expected a 'string'"),
            ("CREATE BACKEND lake TYPE memory OPTIONS (path = 'x')", "option path: expected a 'string'"),
            ("CREATE BACKEND lake TYPE memory OPTIONS (key 'hush' 'hush')", "after the value of option key"),
            ("CREATE BACKEND lake TYPE memory OPTIONS (key \"hush\")", "option key: expected a 'string'"),
            ("CREATE BACKEND lake TYPE memory OPTIONS (a 'x', A 'y')", "option a is given twice"),
            ("CREATE BACKEND lake TYPE memory; SELECT 1", "expected the end of the statement"),
            ("DROP BACKEND lake, pond", "expected the end of the statement"),
        ] {
            let message = parse(sql).err().unwrap().to_string();
            assert!(message.contains(part) && !message.contains("hush"), "{sql}: {message}");
        }
    }
}
