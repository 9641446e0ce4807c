//! Statements: [`parse`] makes a [`ParsedStatement`] of a text, [`authorize`] checks it, and [`execute`] runs it. The other modules
//! are the executors, one per statement.
//!
//! The stage of the AST changes a statement before DataFusion plans it. `?` becomes `$1, $2, ...`, `<->` an operator with a name; older states of tables become tables ([`crate::text::time_travel`]);
//! statements about indexes are taken out, for DataFusion drops their options, and so are statements about backends, which it
//! does not know; the arguments of `knn()` are made ready ([`crate::plan::knn_arguments`]); clauses that DataFusion parses and then ignores
//! are refused ([`crate::statements::clauses`]).
//!
//! It reads the dialect of the session ([`crate::text::dialect`]). Statements that are ours alone are the same in every one.

pub(crate) mod assign;
pub(crate) mod authorize;
pub(crate) mod clauses;
pub(crate) mod column_types;
pub(crate) mod create_backend;
pub(crate) mod create_external_table;
pub(crate) mod create_index;
pub(crate) mod create_index_table;
pub(crate) mod create_table;
pub(crate) mod dml;
pub(crate) mod execute;
pub(crate) mod foreign;
pub(crate) mod query;
pub(crate) mod set;

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::config::Dialect;
use datafusion::sql::parser::{CreateExternalTable, DFParserBuilder, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{KillType, Statement, VisitMut};
use datafusion::sql::sqlparser::dialect::Dialect as Grammar;

use crate::limits::plan_size;
use crate::plan::knn_arguments::KnnArguments;
use crate::rules;
use crate::statements::create_backend::BackendStatement;
use crate::statements::create_index::IndexStatement;
use crate::statements::create_index_table::is_index_table;
use crate::statements::dml::check_assignments;
use crate::text::as_of::{self, AsOfClauses};
use crate::text::dialect;
use crate::text::dialect::NumberedParameters;
use crate::text::time_travel;
use crate::text::tokens;
use crate::text::tokens::Edited;
use ruvector_udfs::error::{Error, Result};
use ruvector_udfs::lookup::LookupOptions;

/// A parsed statement.
pub(crate) enum ParsedStatement {
    /// `CREATE INDEX`, `DROP INDEX` or `REINDEX`.
    Index(IndexStatement),
    /// `CREATE EXTERNAL TABLE` over an index file.
    IndexTable(Box<CreateExternalTable>),
    /// `CREATE EXTERNAL TABLE`: DataFusion's plan of it has neither its secrets nor its columns as they were written.
    ExternalTable(Box<CreateExternalTable>),
    /// `CREATE BACKEND` or `DROP BACKEND`.
    Backend(BackendStatement),
    /// `KILL` of the statement of this id.
    Kill(u64),
    /// Any other statement: DataFusion plans it. The options are those of its `knn()` calls.
    Sql { statement: Arc<DfStatement>, options: LookupOptions },
}

/// Parses one statement of a session's dialect.
///
/// # Errors
/// `InvalidInput` if it cannot be parsed or is not exactly one; `NotSupported` for clauses that would be ignored.
pub(crate) fn parse(sql: &str, dialect: Dialect) -> Result<ParsedStatement> {
    let grammar = dialect::grammar_of(dialect)?;
    let mut written = tokens::written_for_parser(dialect, sql)?;
    let sql = written.text.as_str();
    if let Some(statement) = create_backend::parse(sql)? {
        return Ok(ParsedStatement::Backend(statement));
    }
    if let Some(statement) = create_index::parse(sql)? {
        return Ok(ParsedStatement::Index(statement));
    }
    let history = as_of::history_of(sql)?;
    let sql = history.as_deref().unwrap_or(sql);
    let without_clauses = as_of::take_clauses(grammar.as_ref(), sql)?;
    let text = without_clauses.as_deref().unwrap_or(sql);
    let parsed = DFParserBuilder::new(text)
        .with_dialect(grammar.as_ref())
        .build()
        .and_then(|mut parser| parser.parse_statements());
    let mut statements = match (parsed, &without_clauses) {
        (Err(e), Some(_)) => return Err(time_travel::misplaced(e)),
        (parsed, _) => parsed?,
    };
    let mut statement = match (statements.pop_front(), statements.len()) {
        (Some(statement), 0) => statement,
        (None, _) => return Err(Error::invalid_input("expected one statement, got none")),
        (Some(_), more) => {
            return Err(Error::invalid_input(format!("expected one statement, got {}", more + 1)));
        }
    };
    if let DfStatement::CreateExternalTable(create) = statement {
        return Ok(match is_index_table(&create) {
            true => ParsedStatement::IndexTable(Box::new(create)),
            false => ParsedStatement::ExternalTable(Box::new(create)),
        });
    }
    if let DfStatement::Statement(inner) = &statement
        && let Statement::Kill { modifier, id } = inner.as_ref()
    {
        return match modifier {
            None | Some(KillType::Query) => Ok(ParsedStatement::Kill(*id)),
            Some(other) => {
                Err(Error::not_supported(format!("KILL {other} is not supported: KILL id ends a statement")))
            }
        };
    }
    let mut arguments = KnnArguments::default();
    prepare(grammar.as_ref(), &mut statement, &mut written, &mut arguments)?;
    Ok(ParsedStatement::Sql { statement: Arc::new(statement), options: arguments.options })
}

fn prepare(
    grammar: &dyn Grammar,
    statement: &mut DfStatement,
    written: &mut Edited,
    arguments: &mut KnnArguments,
) -> Result<()> {
    match statement {
        DfStatement::Statement(statement) => {
            let ControlFlow::Continue(()) = statement.visit(written);
            dialect::check_setting(statement)?;
            plan_size::check(statement)?;
            rules::values::separate(statement);
            rules::not_exists::rewrite(statement);
            rules::using::rewrite(statement)?;
            rules::any::rewrite(statement);
            rules::grouped::rewrite(statement);
            rules::function_aliases::rewrite(statement);
            NumberedParameters::make(grammar, statement);
            // These two write some of the statement twice, parameters too.
            rules::row_in::rewrite(statement);
            rules::unnest_names::rewrite(statement)?;
            if let ControlFlow::Break(e) = statement.visit(&mut AsOfClauses) {
                return Err(e);
            }
            clauses::refuse_ignored(statement)?;
            check_assignments(statement)?;
            assign::mark_casts(statement);
            match statement.visit(arguments) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(e) => Err(e),
            }
        }
        DfStatement::Explain(explain) => prepare(grammar, &mut explain.statement, written, arguments),
        // It would write anywhere that this process may, files of tables included.
        DfStatement::CopyTo(_) => Err(Error::not_supported("COPY is not supported")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_statement_at_a_time() {
        assert!(parse("", Dialect::Generic).is_err());
        assert!(parse("SELECT 1; SELECT 2", Dialect::Generic).is_err());
        assert!(parse("SELECT 1;", Dialect::Generic).is_ok());
    }
}
