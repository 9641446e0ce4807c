//! INSERT, UPDATE, DELETE, MERGE and TRUNCATE.
//!
//! UPDATE, DELETE and MERGE become a query of this session that yields the addresses of the rows to change, and their new
//! values ([`change`], [`merge`]); the table's files are rewritten from it. So a condition means here whatever it means in a
//! SELECT. INSERT is a query whose rows are appended.

mod assignments;
mod change;
mod insert;
mod merge;

use std::sync::Arc;
use std::time::Duration;

use datafusion::datasource::source_as_provider;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{DmlStatement, LogicalPlan, WriteOp};
use ruvector_rulake::backend::delta::{ChangeKind, DeltaSnapshot, RowChanges};

pub(crate) use assignments::check_assignments;
use assignments::deletes;

use crate::limits::stop::start;
use crate::plan::snapshot::{Retry, verified_stream};
use crate::state::EngineState;
use ruvector_udfs::collection::CollectionTable;
use ruvector_udfs::error::{Error, ErrorKind, Result};

/// Attempts at a change before it gives way to writers of other processes. A bound.
const ATTEMPTS: u64 = 50;

/// Milliseconds that a change waits longer before each attempt: writers of two processes come to the commit in turns then.
const BACKOFF_MS: u64 = 2;

/// Runs a data change and returns the number of rows that it changed. `retry` plans the statement once more, for when
/// another writer was faster.
pub(crate) async fn execute(
    engine: &EngineState,
    state: &SessionState,
    dml: DmlStatement,
    retry: &Retry,
) -> Result<u64> {
    let table = engine.main_table(&dml.table_name)?;
    match &dml.op {
        WriteOp::Insert(op) => insert::execute(engine, state, &table, *op, &dml.input).await,
        WriteOp::Delete | WriteOp::Update | WriteOp::MergeInto(_) => {
            change_rows(engine, state, &table, dml, retry).await
        }
        WriteOp::Truncate => Ok(engine.main().truncate(&table).await?),
        other => Err(Error::not_supported(format!("{} is not supported", other.name()))),
    }
}

/// A change of rows as a query.
struct ChangeQuery {
    kind: ChangeKind,
    /// The condition, for the log.
    condition: Option<String>,
    /// Columns that get values, by position.
    columns: Vec<usize>,
    /// Yields what [`RowChanges`] says; `None` deletes all rows.
    plan: Option<LogicalPlan>,
}

/// Computes a change from the newest state of its table and commits it. Changes of one table take turns, so that none of
/// this process is in the way of another; if a writer of another process is, the change is computed once more.
async fn change_rows(
    engine: &EngineState,
    state: &SessionState,
    table: &str,
    mut dml: DmlStatement,
    retry: &Retry,
) -> Result<u64> {
    let main = engine.main();
    let mut lock = main.lock_for_change(table).await;
    // The Delta library fails an append that meets the commit of a change: appends of this process wait.
    lock.alone().await;
    for attempt in 0..ATTEMPTS {
        let newest = main.delta_snapshot(table).await?;
        if !is_over(&dml, &newest)? {
            dml = planned_again(retry).await?;
            continue;
        }
        let query = match &dml.op {
            WriteOp::Delete => change::delete(&dml)?,
            WriteOp::Update if deletes(retry.statement()) => change::delete(&dml)?,
            WriteOp::Update => change::update(&dml, retry.statement())?,
            _ => merge::merge(&dml)?,
        };
        let Some(plan) = query.plan else {
            return Ok(main.delete_all(&lock, &newest, query.condition).await?);
        };
        let physical = state.create_physical_plan(&plan).await?;
        let rows = verified_stream(start(physical, state.task_ctx())?, &plan)?;
        let changes = RowChanges { kind: query.kind, predicate: query.condition, columns: query.columns, rows };
        match main.change(&lock, &newest, &state.task_ctx(), changes).await {
            Err(e) if e.kind() == ruvector_rulake::ErrorKind::GenerationGone => {
                tracing::debug!(table, reason = %e, "a change is computed again");
                tokio::time::sleep(Duration::from_millis(BACKOFF_MS * attempt)).await;
            }
            done => return Ok(done?),
        }
    }
    Err(Error::new(
        ErrorKind::Unavailable,
        format!("table {table} is changed by others all the time: no change of {ATTEMPTS} attempts was in time"),
    ))
}

/// Returns true if the statement was planned over the state `newest`.
fn is_over(dml: &DmlStatement, newest: &Arc<DeltaSnapshot>) -> Result<bool> {
    let target = target_of(dml)?;
    Ok(target.snapshot().generation() == ruvector_rulake::Snapshot::generation(newest.as_ref()))
}

/// The table that a statement changes.
fn target_of(dml: &DmlStatement) -> Result<CollectionTable> {
    let provider = source_as_provider(&dml.target)?;
    match provider.downcast_ref::<CollectionTable>() {
        Some(table) => Ok(table.clone()),
        None => Err(Error::not_supported(format!("table {} cannot be changed by SQL", dml.table_name))),
    }
}

async fn planned_again(retry: &Retry) -> Result<DmlStatement> {
    match retry.plan().await? {
        LogicalPlan::Dml(dml) => Ok(dml),
        other => {
            Err(Error::new(ErrorKind::Internal, format!("expected the plan of a change, got {}", other.display())))
        }
    }
}
