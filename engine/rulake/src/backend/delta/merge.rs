//! MERGE on a Delta table, by the Delta library's own operation.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::Expr;
use datafusion::prelude::{SessionContext, lit};
use deltalake::DeltaTableError;
use deltalake::delta_datafusion::create_session;
use deltalake::operations::merge::{InsertBuilder, MergeBuilder, UpdateBuilder};

use super::DeltaBackend;
use super::dml::{Assignment, recordable};
use super::layout::writer_properties;
use crate::error::{Error, Result, from_datafusion, from_delta};

/// The qualifier of the table's columns in the expressions of a [`Merge`].
pub const TARGET: &str = "target";
/// The qualifier of the source's columns in the expressions of a [`Merge`].
pub const SOURCE: &str = "source";

/// What a MERGE does. Its expressions are deterministic and free of subqueries; columns of the table are those of the stored
/// schema.
#[derive(Clone, Debug)]
pub struct Merge {
    /// The columns of the source; their names are distinct.
    pub schema: SchemaRef,
    /// Its rows, in these columns.
    pub source: Vec<RecordBatch>,
    /// When a row of the source and one of the table match.
    pub on: Expr,
    /// In the order of the statement: the first whose predicate holds is done.
    pub clauses: Vec<MergeClause>,
    /// Read all files of the table, whatever their statistics say of the keys of the source.
    pub whole_target: bool,
}

/// `WHEN ... [AND predicate] THEN action`.
#[derive(Clone, Debug)]
pub struct MergeClause {
    /// Which rows it is about.
    pub rows: MergeRows,
    /// Which of them.
    pub predicate: Option<Expr>,
    /// What is done to them.
    pub action: MergeAction,
}

/// The rows that a clause is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeRows {
    /// Rows of the table with a row of the source.
    Matched,
    /// Rows of the source without a row of the table.
    OnlyInSource,
    /// Rows of the table without a row of the source.
    OnlyInTarget,
}

/// What a clause does.
#[derive(Clone, Debug)]
pub enum MergeAction {
    /// Sets columns of the row of the table.
    Update(Vec<Assignment>),
    /// Deletes the row of the table.
    Delete,
    /// Inserts a row with these values, and NULL in other columns.
    Insert(Vec<Assignment>),
}

impl DeltaBackend {
    /// Merges rows into a table, in one transaction, and returns how many were inserted, updated and deleted.
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput` if rows do not fit, or several rows of the source match one row to be changed;
    /// `NotSupported` for a condition that the log cannot hold; `Unavailable` if a concurrent writer won. Nothing is changed
    /// on error.
    pub async fn merge(&self, collection: &str, merge: Merge) -> Result<u64> {
        let _shared = self.lock(collection).read_owned().await;
        let snapshot = self.delta_snapshot(collection).await?;
        let context: SessionContext = create_session().into();
        let source = MemTable::try_new(Arc::clone(&merge.schema), vec![conformed(&merge)?]).map_err(from_datafusion)?;
        let source = context.read_table(Arc::new(source)).map_err(from_datafusion)?;
        let mut builder = snapshot
            .table()
            .clone()
            .merge(source, recordable(merge.on)?)
            .with_writer_properties(writer_properties(snapshot.stored_schema()))
            .with_source_alias(SOURCE)
            .with_target_alias(TARGET);
        if merge.whole_target {
            // A clause that does nothing, but that is about all rows of the table.
            builder = builder.when_not_matched_by_source_delete(|d| d.predicate(lit(false))).map_err(from_delta)?;
        }
        for clause in merge.clauses {
            builder = with_clause(builder, clause)?;
        }
        let (_, metrics) = builder.await.map_err(refused)?;
        let changed =
            metrics.num_target_rows_inserted + metrics.num_target_rows_updated + metrics.num_target_rows_deleted;
        Ok(changed as u64)
    }
}

fn conformed(merge: &Merge) -> Result<Vec<RecordBatch>> {
    let conform = |batch: &RecordBatch| {
        let columns = batch.columns().iter().zip(merge.schema.fields());
        let columns = columns.map(|(column, field)| cast(column, field.data_type())).collect::<Result<Vec<_>, _>>();
        columns.and_then(|columns| RecordBatch::try_new(Arc::clone(&merge.schema), columns))
    };
    let batches = merge.source.iter().filter(|batch| batch.num_rows() > 0).map(conform);
    batches
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| Error::invalid_input("rows to be merged do not fit").with("reason", e))
}

fn with_clause(builder: MergeBuilder, clause: MergeClause) -> Result<MergeBuilder> {
    let predicate = clause.predicate.map(recordable).transpose()?;
    let updated = |assignments: Vec<Assignment>, predicate: Option<Expr>| {
        move |mut update: UpdateBuilder| {
            if let Some(predicate) = predicate {
                update = update.predicate(predicate);
            }
            assignments.into_iter().fold(update, |update, (column, value)| update.update(target(column), value))
        }
    };
    let built = match (clause.rows, clause.action) {
        (MergeRows::Matched, MergeAction::Update(assignments)) => {
            builder.when_matched_update(updated(assignments, predicate))
        }
        (MergeRows::OnlyInTarget, MergeAction::Update(assignments)) => {
            builder.when_not_matched_by_source_update(updated(assignments, predicate))
        }
        (MergeRows::Matched, MergeAction::Delete) => builder.when_matched_delete(|delete| match predicate {
            Some(predicate) => delete.predicate(predicate),
            None => delete,
        }),
        (MergeRows::OnlyInTarget, MergeAction::Delete) => {
            builder.when_not_matched_by_source_delete(|delete| match predicate {
                Some(predicate) => delete.predicate(predicate),
                None => delete,
            })
        }
        (MergeRows::OnlyInSource, MergeAction::Insert(values)) => {
            builder.when_not_matched_insert(move |mut insert: InsertBuilder| {
                if let Some(predicate) = predicate {
                    insert = insert.predicate(predicate);
                }
                values.into_iter().fold(insert, |insert, (column, value)| insert.set(target(column), value))
            })
        }
        (rows, action) => {
            return Err(Error::invalid_input("a clause of MERGE cannot do this to these rows")
                .with("rows", format!("{rows:?}"))
                .with("action", format!("{action:?}")));
        }
    };
    built.map_err(from_delta)
}

fn target(column: String) -> datafusion::common::Column {
    datafusion::common::Column::new(Some(TARGET), column)
}

fn refused(error: DeltaTableError) -> Error {
    let text = error.to_string();
    // The library has no errors of its own for these; it passes on the text.
    if text.contains("matched a target row with multiple source rows") {
        return Error::invalid_input("MERGE: several rows of the source match one row of the table")
            .with("expected", "at most one for each row that is updated or deleted");
    }
    match text.split_once("Arrow error: ") {
        Some((_, reason)) => Error::invalid_input("MERGE: a value cannot be computed").with("reason", reason),
        None => from_delta(error),
    }
}
