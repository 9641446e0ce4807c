//! Questions that the shell asks for itself: for completion, progress and its commands.
//!
//! They are marked by a comment at their end, so that the mark goes wherever the text goes: to a server, into tickets, into
//! logs. A mark hides no other statement from the operator: one that reads tables, or changes anything, is no question of the
//! shell.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{ObjectName, Statement, visit_relations};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// The mark, at the end of a statement.
pub const OWN_QUESTION: &str = " /* ruvector shell */";

/// Bytes of a question of the shell, at most. A bound: others are not taken apart.
const BYTES_MAX: usize = 1 << 16;
/// Schemas that tell of the engine.
const TELLING: [&str; 2] = ["information_schema", "system"];

/// Returns true if a statement has the mark and reads only descriptions of tables and of the engine. It is then in neither
/// `system.queries` nor an audit log.
pub fn is_own_question(sql: &str) -> bool {
    sql.len() <= BYTES_MAX && sql.ends_with(OWN_QUESTION) && only_asks(sql).unwrap_or(false)
}

fn only_asks(sql: &str) -> Option<bool> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize().ok()?;
    // SELECT ... INTO makes a table.
    if tokens.iter().any(|token| matches!(token, Token::Word(word) if word.keyword == Keyword::INTO)) {
        return Some(false);
    }
    let statements = Parser::new(&GenericDialect {}).with_tokens(tokens).parse_statements().ok()?;
    let [statement] = statements.as_slice() else { return Some(false) };
    Some(match statement {
        Statement::ExplainTable { .. } => true,
        Statement::Query(_) => {
            let others = visit_relations(statement, |name| match tells_of_engine(name) {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            });
            others.is_continue()
        }
        _ => false,
    })
}

fn tells_of_engine(name: &ObjectName) -> bool {
    let [schema, _] = name.0.as_slice() else { return false };
    schema.as_ident().is_some_and(|schema| TELLING.contains(&schema.value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_questions_about_the_engine_are_the_shells_own() {
        for sql in [
            "SELECT name FROM system.indexes",
            "DESCRIBE docs",
            "SELECT a FROM (SELECT name AS a FROM information_schema.df_settings UNION ALL SELECT * FROM (VALUES ('x')) AS v (a)) AS t",
        ] {
            assert!(is_own_question(&format!("{sql}{OWN_QUESTION}")), "{sql}");
            assert!(!is_own_question(sql), "{sql}");
        }
        for sql in [
            "SELECT * FROM docs",
            "SELECT name FROM system.indexes JOIN docs ON true",
            "SELECT * FROM system.queries WHERE id IN (SELECT id FROM docs)",
            "SELECT * FROM publish_bundle('docs', 'folder')",
            "SELECT name INTO kept FROM system.indexes",
            "DELETE FROM docs",
            "SELECT 1; SELECT 2",
            "no SQL",
        ] {
            assert!(!is_own_question(&format!("{sql}{OWN_QUESTION}")), "{sql}");
        }
    }
}
