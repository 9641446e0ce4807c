//! Dispatch of statements: the text of a statement and the values of its parameters go in, its answer comes out.
//!
//! Every statement is authorized by its tree and, if DataFusion plans it, by its plan ([`crate::statements::authorize`]).

use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::scalar::ScalarValue;

use crate::plan::answer::answers_rows;
use crate::plan::lookup;
use crate::plan::parameters::bind;
use crate::plan::snapshot::Retry;
use crate::running::answer::Answer;
use crate::session::Session;
use crate::state::EngineState;
use crate::statements::authorize::{check_plan, check_statement};
use crate::statements::{
    ParsedStatement, clauses, create_backend, create_external_table, create_index, create_index_table, create_table,
    dml, foreign, parse, query, set,
};
use ruvector_udfs::error::{Error, Result};

/// The kind of answer that the caller of a statement accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Rows or a count, as the statement has it.
    Anything,
    /// Rows. A statement that has none is refused before it does anything.
    Rows,
}

/// The answer of a statement that changes no rows.
const DONE: Answer = Answer::Count(0);

/// Runs one statement. DDL and DML run to their end; a query runs as its rows are pulled.
///
/// # Errors
/// Of every kind; `InvalidInput` if rows are wanted and the statement has none.
pub(crate) async fn execute(
    engine: &EngineState,
    session: &Session,
    sql: &str,
    params: &[ScalarValue],
    wanted: Wanted,
) -> Result<Answer> {
    let parsed = parse(sql, session.dialect())?;
    check_statement(session.role(), &parsed)?;
    if wanted == Wanted::Rows && !matches!(parsed, ParsedStatement::Sql { .. }) {
        return Err(not_a_query());
    }
    let state = session.context().state();
    let (statement, options) = match parsed {
        ParsedStatement::Index(statement) => {
            return create_index::run::execute(engine, &state.task_ctx(), statement).await.map(|()| DONE);
        }
        ParsedStatement::IndexTable(create) => {
            return create_index_table::create(engine, &create).await.map(|()| DONE);
        }
        ParsedStatement::ExternalTable(create) => {
            return create_external_table::create(engine, &create).await.map(|()| DONE);
        }
        ParsedStatement::Backend(statement) => return create_backend::execute(engine, statement).await.map(|()| DONE),
        ParsedStatement::Kill(id) => {
            return Ok(Answer::Count(engine.statements.kill(session.principal(), id)?.into()));
        }
        ParsedStatement::Sql { statement, options } => (statement, options),
    };
    let retry = Retry::new(session.context(), &statement, &options);
    let plan = lookup::plan(options, &state, statement.as_ref().clone()).await?;
    check_plan(session.role(), &plan)?;
    if answers_rows(&plan) {
        return query::execute(session, &state, sql, plan, params, retry).await;
    }
    if wanted == Wanted::Rows {
        return Err(not_a_query());
    }
    match bind(plan, params)? {
        plan if foreign::targets_other_catalog(&state, &plan) => foreign::execute(session.context(), plan).await,
        LogicalPlan::Dml(change) => dml::execute(engine, &state, change, &retry.with(params)).await.map(Answer::Count),
        LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(create)) => {
            clauses::refuse_ignored_of_table(&statement)?;
            let is_declared = create_table::declares_columns(&statement);
            create_table::create_table(engine, &state, create, is_declared).await.map(Answer::Count)
        }
        LogicalPlan::Ddl(DdlStatement::DropTable(drop)) => create_table::drop_table(engine, drop).await.map(|()| DONE),
        LogicalPlan::Ddl(other) => Err(Error::not_supported(format!("{} is not supported", other.name()))),
        plan => set::execute(session, plan).await.map(|()| DONE),
    }
}

/// The error of a caller that wants rows, for a statement that has none.
pub(crate) fn not_a_query() -> Error {
    Error::invalid_input("expected a query, got a statement that answers with a count")
}
