//! Locks of the writers of a table within this process. Conflicts with other processes are found at the commit.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// The locks of a table. Readers need none: they pin a version.
#[derive(Clone, Debug, Default)]
pub(in crate::backend::delta) struct TableLocks {
    /// Shared by all writers of rows; creating and dropping the table are alone.
    pub(in crate::backend::delta) table: Arc<RwLock<()>>,
    /// Held by the one UPDATE, DELETE or MERGE that is running.
    changes: Arc<Mutex<()>>,
}

/// The right to change rows of a table.
#[derive(Debug)]
pub struct ChangeLock {
    locks: TableLocks,
    _turn: OwnedMutexGuard<()>,
    table: Option<TableGuard>,
}

#[derive(Debug)]
#[expect(dead_code, reason = "guards are held for their Drop")]
enum TableGuard {
    Shared(OwnedRwLockReadGuard<()>),
    Alone(OwnedRwLockWriteGuard<()>),
}

impl ChangeLock {
    pub(super) async fn new(locks: TableLocks) -> Self {
        let turn = Arc::clone(&locks.changes).lock_owned().await;
        let shared = Arc::clone(&locks.table).read_owned().await;
        Self { locks, _turn: turn, table: Some(TableGuard::Shared(shared)) }
    }

    /// Waits for the other writers of this process, and excludes them. For a change that is computed again because another
    /// writer committed first.
    pub async fn alone(&mut self) {
        if !matches!(self.table, Some(TableGuard::Alone(_))) {
            self.table = None;
            self.table = Some(TableGuard::Alone(Arc::clone(&self.locks.table).write_owned().await));
        }
    }
}
