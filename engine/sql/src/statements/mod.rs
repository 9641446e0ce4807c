//! The AST stage: what is done to a statement before DataFusion plans it.
//!
//! `?` becomes `$1, $2, ...`, `<->` an operator with a name; older states of tables become tables ([`crate::text::time_travel`]);
//! statements about indexes are taken out, for DataFusion drops their options, and so are statements about backends, which it
//! does not know; the arguments of `knn()` are made ready ([`crate::plan::knn_arguments`]); clauses that DataFusion parses and then ignores
//! are refused ([`crate::statements::clauses`]).
//!
//! It reads the dialect of the session ([`crate::text::dialect`]). Statements that are ours alone are the same in every one.

pub(crate) mod assign;
pub(crate) mod clauses;
pub(crate) mod column_types;
pub(crate) mod create_backend;
pub(crate) mod create_external_table;
pub(crate) mod create_index;
pub(crate) mod create_index_table;
pub(crate) mod create_table;
pub(crate) mod dml;
pub(crate) mod foreign;

use std::ops::ControlFlow;

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

/// A statement, as far as the AST tells.
pub(crate) enum Parsed {
    Index(IndexStatement),
    IndexTable(Box<CreateExternalTable>),
    Backend(BackendStatement),
    /// `KILL` of the statement of this id.
    Kill(u64),
    /// `CREATE EXTERNAL TABLE`: DataFusion's plan of it has neither its secrets nor its columns as they were written.
    External(Box<CreateExternalTable>),
    Other {
        statement: Box<DfStatement>,
        options: LookupOptions,
    },
}

/// Parses one statement of a session's dialect.
///
/// # Errors
/// `InvalidInput` if it cannot be parsed or is not exactly one; `NotSupported` for clauses that would be ignored.
pub(crate) fn parse(sql: &str, dialect: Dialect) -> Result<Parsed> {
    let grammar = dialect::grammar_of(dialect)?;
    let mut written = tokens::written_for_parser(dialect, sql)?;
    let sql = written.text.as_str();
    if let Some(statement) = create_backend::parse(sql)? {
        return Ok(Parsed::Backend(statement));
    }
    if let Some(statement) = create_index::parse(sql)? {
        return Ok(Parsed::Index(statement));
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
            true => Parsed::IndexTable(Box::new(create)),
            false => Parsed::External(Box::new(create)),
        });
    }
    if let DfStatement::Statement(inner) = &statement
        && let Statement::Kill { modifier, id } = inner.as_ref()
    {
        return match modifier {
            None | Some(KillType::Query) => Ok(Parsed::Kill(*id)),
            Some(other) => {
                Err(Error::not_supported(format!("KILL {other} is not supported: KILL id ends a statement")))
            }
        };
    }
    let mut arguments = KnnArguments::default();
    prepare(grammar.as_ref(), &mut statement, &mut written, &mut arguments)?;
    Ok(Parsed::Other { statement: Box::new(statement), options: arguments.options })
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
