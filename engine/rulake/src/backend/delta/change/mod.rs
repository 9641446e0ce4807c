//! UPDATE, DELETE and MERGE on a Delta table: deleted, changed and new rows go in; one transaction comes out.
//!
//! The rows to change are found and computed by a plan of the caller, over one pinned state, and arrive sorted by their
//! addresses. Each file that has one of them is read and written once more, without the rows that go and with the new
//! values in place ([`rewrite`]); other files stay. Memory holds a batch of each side.

mod delete;
mod lock;
mod rewrite;

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use deltalake::DeltaTableError;
use deltalake::datafile::writer::{DeltaWriter, WriterConfig};
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, PROTOCOL, TransactionError};
use deltalake::kernel::{Action, Add, EagerSnapshot};
use deltalake::operations::write::WriterStatsConfig;
use deltalake::protocol::DeltaOperation;
use object_store::ObjectStoreExt;

use super::layout::writer_properties;
use super::{DeltaBackend, DeltaSnapshot};
use crate::error::{Error, ErrorKind, Result, from_delta};

pub use lock::ChangeLock;
pub(super) use lock::TableLocks;

use rewrite::Rewrite;

/// Bytes of a data file, about, as the Delta library has them by default.
const FILE_BYTES: NonZeroU64 = NonZeroU64::new(100 << 20).expect("the size is not zero");

/// The statement that changes rows, as the log names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// DELETE.
    Delete,
    /// UPDATE.
    Update,
    /// MERGE.
    Merge,
}

/// Changes of the rows of one state of a table.
pub struct RowChanges {
    /// The statement.
    pub kind: ChangeKind,
    /// The condition as text, for the log.
    pub predicate: Option<String>,
    /// Columns of the table that get values, by their positions in its schema.
    pub columns: Vec<usize>,
    /// One row for each row to change, sorted by address, new rows last. The first column is the address (`UInt64`, NULL for
    /// a new row), the second says whether the row is deleted (`Boolean`); the values of `columns` follow, as the table's
    /// logical schema has them.
    pub rows: SendableRecordBatchStream,
}

impl fmt::Debug for RowChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowChanges").field("kind", &self.kind).field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl DeltaBackend {
    /// Locks the rows of a table for a change. Changes of one table are serialized in this process. Rows can still be
    /// appended during a change, unless [`ChangeLock::alone`] is asked for.
    pub async fn lock_for_change(&self, collection: &str) -> ChangeLock {
        ChangeLock::new(self.locks(collection)).await
    }

    /// Applies `changes`, which were computed from `snapshot`, and returns how many rows were deleted, updated and inserted.
    ///
    /// # Errors
    /// `InvalidInput` for values that do not fit a column, or if a row is changed twice; `NotSupported` for a table with
    /// declarations that would not be kept; `GenerationGone` if another writer changed the table so that the changes have to
    /// be computed again. Nothing is changed on error.
    pub async fn change(
        &self,
        _lock: &ChangeLock,
        snapshot: &DeltaSnapshot,
        context: &Arc<TaskContext>,
        changes: RowChanges,
    ) -> Result<u64> {
        let state = snapshot.table().snapshot().map_err(from_delta)?.snapshot();
        check_changeable(state, changes.kind)?;
        let (kind, predicate) = (changes.kind, changes.predicate.clone());
        let mut rewrite = Rewrite::new(snapshot, context, changes, writer(snapshot, state)?)?;
        if let Err(e) = rewrite.run().await {
            rewrite.abandon().await;
            return Err(e);
        }
        let done = rewrite.finish().await?;
        if done.removed.is_empty() && done.added.is_empty() {
            return Ok(done.num_changed);
        }
        let added: Vec<Add> = done.added.clone();
        let committed = commit(snapshot, state, kind, predicate, &done.removed, done.added).await;
        if committed.is_err() {
            remove_files(snapshot, &added).await;
        }
        committed.map(|()| done.num_changed)
    }

    /// Deletes all rows of a table in one transaction, and returns their number.
    ///
    /// # Errors
    /// `NotFound`; else as [`DeltaBackend::change`].
    pub async fn truncate(&self, collection: &str) -> Result<u64> {
        let lock = self.lock_for_change(collection).await;
        let snapshot = self.delta_snapshot(collection).await?;
        self.delete_all(&lock, &snapshot, None).await
    }

    /// Deletes all rows of the state `snapshot` in one transaction, and returns their number.
    ///
    /// # Errors
    /// As [`DeltaBackend::change`].
    pub async fn delete_all(
        &self,
        _lock: &ChangeLock,
        snapshot: &DeltaSnapshot,
        predicate: Option<String>,
    ) -> Result<u64> {
        let state = snapshot.table().snapshot().map_err(from_delta)?.snapshot();
        check_changeable(state, ChangeKind::Delete)?;
        let num_rows = snapshot.count_rows().await?;
        let all: Vec<usize> = (0..snapshot.num_files()).collect();
        if !all.is_empty() {
            commit(snapshot, state, ChangeKind::Delete, predicate, &all, Vec::new()).await?;
        }
        Ok(num_rows)
    }
}

/// Refuses changes that would break the properties and constraints of the table.
fn check_changeable(state: &EagerSnapshot, kind: ChangeKind) -> Result<()> {
    let refused = |e: TransactionError| Error::not_supported("change of a table").with("reason", e);
    PROTOCOL.check_append_only(state).map_err(refused)?;
    PROTOCOL.can_write_to(state).map_err(refused)?;
    let declared = |what: &str, name: &str| {
        Error::not_supported(format!("UPDATE, DELETE and MERGE of a table with {what}"))
            .with("declared", name)
            .with("expected", "a table without it, or INSERT")
    };
    let configuration = state.metadata().configuration();
    if configuration.get("delta.enableChangeDataFeed").is_some_and(|value| value == "true") {
        return Err(declared("a change data feed", "delta.enableChangeDataFeed"));
    }
    if kind == ChangeKind::Delete {
        return Ok(());
    }
    if let Some(name) = configuration.keys().find(|name| name.starts_with("delta.constraints.")) {
        return Err(declared("a CHECK constraint", name));
    }
    for field in state.schema().fields() {
        let names = ["delta.invariants", "delta.generationExpression", "delta.identity.start"];
        if let Some(name) = names.iter().find(|name| field.metadata().contains_key(**name)) {
            return Err(declared(&format!("a computed or constrained column {:?}", field.name()), name));
        }
    }
    Ok(())
}

/// A writer of data files of the table.
fn writer(snapshot: &DeltaSnapshot, state: &EagerSnapshot) -> Result<DeltaWriter> {
    let table = snapshot.table();
    let stats = WriterStatsConfig::from_config(state.table_configuration());
    let config = WriterConfig::new(
        Arc::clone(snapshot.stored_schema()),
        state.metadata().partition_columns().to_vec(),
        Some(writer_properties(snapshot.stored_schema())),
        Some(FILE_BYTES),
        None,
        stats.num_indexed_cols,
        stats.stats_columns,
    );
    Ok(DeltaWriter::new(table.log_store().object_store(None), config))
}

/// Commits the files that go, by their ordinals in the snapshot, and those that come.
async fn commit(
    snapshot: &DeltaSnapshot,
    state: &EagerSnapshot,
    kind: ChangeKind,
    predicate: Option<String>,
    removed: &[usize],
    added: Vec<Add>,
) -> Result<()> {
    // The condition is for people. The library would parse it, to tell whether rows that others appended match it.
    let commit_info = operation(kind, predicate).get_commit_info();
    let mut actions = vec![Action::CommitInfo(commit_info)];
    for view in state.log_data() {
        let path = view.object_store_path();
        if snapshot.ordinal(&path).is_some_and(|ordinal| removed.binary_search(&ordinal).is_ok()) {
            actions.push(Action::Remove(view.remove_action(true)));
        }
    }
    if actions.len() != removed.len() + 1 {
        return Err(Error::internal("files to be rewritten are not in the log")
            .with("expected", removed.len())
            .with("got", actions.len() - 1));
    }
    actions.extend(added.into_iter().map(Action::Add));
    let properties = CommitProperties::default().with_metadata([("readVersion".to_owned(), state.version().into())]);
    let committed = CommitBuilder::from(properties)
        .with_actions(actions)
        .build(Some(state), snapshot.table().log_store(), operation(kind, None))
        .await;
    match committed {
        Ok(_) => Ok(()),
        Err(DeltaTableError::Transaction { source: TransactionError::CommitConflict(conflict) }) => {
            Err(Error::new(ErrorKind::GenerationGone, "another writer changed the table").with("reason", conflict))
        }
        Err(e) => Err(from_delta(e)),
    }
}

fn operation(kind: ChangeKind, predicate: Option<String>) -> DeltaOperation {
    match kind {
        ChangeKind::Delete => DeltaOperation::Delete { predicate },
        ChangeKind::Update => DeltaOperation::Update { predicate },
        ChangeKind::Merge => DeltaOperation::Merge {
            predicate: None,
            merge_predicate: predicate,
            matched_predicates: Vec::new(),
            not_matched_predicates: Vec::new(),
            not_matched_by_source_predicates: Vec::new(),
        },
    }
}

/// Removes files that no commit names. Files that cannot be removed are left to `vacuum` of any Delta tool.
async fn remove_files(snapshot: &DeltaSnapshot, files: &[Add]) {
    let store = snapshot.table().log_store().object_store(None);
    for file in files {
        if let Err(e) = store.delete(&file.path.as_str().into()).await {
            tracing::warn!(file = file.path, reason = %e, "a file of a change that failed is left");
        }
    }
}
