//! The schema `main`: Delta tables of the data folder, external tables and index tables, under one set of names.
//!
//! Readers see one [`Backend`]: a call goes to the index, the external table or the Delta table of that name, and a list has all
//! names. A statement that makes, replaces or drops a table claims its name first, so no two tables get one name, of whatever
//! kinds. [`MainSchema::create`] decides what a table that is there means for a CREATE.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::execution::runtime_env::RuntimeEnv;
use parking_lot::Mutex;
use ruvector_rulake::{AsOf, Backend, Commit, DeltaBackend, Error as LakeError, ErrorKind as LakeErrorKind, Snapshot};
use tokio::sync::Notify;

use crate::catalog::external::ExternalTables;
use crate::catalog::index::IndexCatalog;
use crate::catalog::index_table::IndexTables;
use crate::catalog::owner::Owner;
use ruvector_udfs::error::{Error, ErrorKind, Result};
use ruvector_udfs::names::MAIN;

/// The tables of `main`.
#[derive(Debug)]
pub(crate) struct MainSchema {
    delta: Arc<DeltaBackend>,
    external: ExternalTables,
    index_tables: IndexTables,
    claims: NameClaims,
}

/// Kind of a table of `main`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableKind {
    /// A Delta table of the data folder.
    Delta,
    /// A table over files of others.
    External,
    /// An index that is a table.
    Index,
}

/// A statement that makes a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CreateRequest<'a> {
    pub(crate) table: &'a str,
    pub(crate) kind: TableKind,
    pub(crate) if_not_exists: bool,
    pub(crate) or_replace: bool,
}

/// The right to make a table, for as long as this is held.
#[derive(Debug)]
pub(crate) struct Creation<'a> {
    /// True if the table takes the place of one of its kind.
    pub(crate) replaces: bool,
    _claim: NameClaim<'a>,
}

impl MainSchema {
    /// The tables of `delta`, and those that the catalogs of `owner` have. None of them is opened.
    ///
    /// # Errors
    /// `Corrupt` if a catalog is damaged; `Unavailable` if it cannot be read.
    pub(crate) fn open(delta: DeltaBackend, owner: &Arc<Owner>, runtime: Arc<RuntimeEnv>) -> Result<Self> {
        Ok(Self {
            delta: Arc::new(delta),
            external: ExternalTables::open(owner, runtime)?,
            index_tables: IndexTables::open(owner)?,
            claims: NameClaims::default(),
        })
    }

    /// The Delta tables of the data folder.
    pub(crate) fn delta(&self) -> &DeltaBackend {
        &self.delta
    }

    pub(crate) fn external(&self) -> &ExternalTables {
        &self.external
    }

    pub(crate) fn index_tables(&self) -> &IndexTables {
        &self.index_tables
    }

    /// Completes or undoes creations and drops of tables that were cut short.
    pub(crate) fn recover(&self, indexes: &IndexCatalog) {
        // The write of the index catalog decides about the drop of a table that has indexes.
        self.delta.recover(|table| indexes.of_table(MAIN, table).is_empty());
        self.external.remove_files_of_dropped();
    }

    /// Forgets indexes of tables whose drop was cut short, so that no later table of that name gets them.
    ///
    /// # Errors
    /// `Unavailable` if the catalog of indexes cannot be written.
    pub(crate) fn forget_indexes_of_dropped(&self, indexes: &IndexCatalog) -> ruvector_rulake::Result<()> {
        for index in indexes.list().into_iter().filter(|index| index.backend == MAIN) {
            let table = index.table.as_str();
            if self.declared_kind(table).is_none() && self.delta.is_absent(table) {
                tracing::warn!(index = %index.name, table, "the table of an index is gone: it is declared no more");
                indexes.remove_table(MAIN, table)?;
            }
        }
        Ok(())
    }

    /// Returns the kind of a table that a catalog has. Delta tables are in none: they are folders.
    pub(crate) fn declared_kind(&self, table: &str) -> Option<TableKind> {
        if self.external.find(table).is_some() {
            return Some(TableKind::External);
        }
        self.index_tables.contains(table).then_some(TableKind::Index)
    }

    /// Returns the kind of the table of that name.
    ///
    /// # Errors
    /// `Unavailable` if the data folder cannot be read.
    pub(crate) async fn kind_of(&self, table: &str) -> Result<Option<TableKind>> {
        if let Some(kind) = self.declared_kind(table) {
            return Ok(Some(kind));
        }
        let is_delta = self.delta.list().await?.iter().any(|known| known == table);
        Ok(is_delta.then_some(TableKind::Delta))
    }

    /// Checks that SQL may write rows to a table of that name, which need not exist.
    ///
    /// # Errors
    /// `NotSupported` for an external table and for an index.
    pub(crate) fn check_writable(&self, table: &str) -> Result<()> {
        match self.declared_kind(table) {
            Some(TableKind::External) => Err(is_external(table)),
            Some(TableKind::Index) => Err(Error::not_supported(format!(
                "table {table} is an index: it can be searched and dropped, not written"
            ))),
            Some(TableKind::Delta) | None => Ok(()),
        }
    }

    /// Decides about a statement that makes a table, and claims its name if there is something to make. `None` if a table stays
    /// as it is, for IF NOT EXISTS.
    ///
    /// The decision about a table that is there does not wait for statements that have claimed its name.
    ///
    /// # Errors
    /// `AlreadyExists` if there is a table of that name; `NotSupported` if it cannot be replaced; `Unavailable` if the data
    /// folder cannot be read.
    pub(crate) async fn create(&self, request: &CreateRequest<'_>) -> Result<Option<Creation<'_>>> {
        if let Decision::Keep = decide(request, self.kind_of(request.table).await?)? {
            return Ok(None);
        }
        let claim = self.claim(request.table).await;
        // Another statement may have made or dropped one until then.
        let replaces = match decide(request, self.kind_of(request.table).await?)? {
            Decision::Keep => return Ok(None),
            Decision::Make => false,
            Decision::Replace => true,
        };
        Ok(Some(Creation { replaces, _claim: claim }))
    }

    /// Claims a name, once no other statement has it.
    pub(crate) async fn claim(&self, table: &str) -> NameClaim<'_> {
        self.claims.claim(table).await
    }

    /// The backend that has the rows of a table, and the table's name there.
    fn rows_of(&self, table: &str) -> Result<(Arc<dyn Backend>, String), LakeError> {
        let backend: Arc<dyn Backend> = match self.external.find(table) {
            _ if self.index_tables.contains(table) => Arc::clone(self.index_tables.backend()) as _,
            Some(external) => return external.collection(),
            None => Arc::clone(&self.delta) as _,
        };
        Ok((backend, table.to_owned()))
    }
}

#[async_trait]
impl Backend for MainSchema {
    fn id(&self) -> &str {
        MAIN
    }

    async fn list(&self) -> Result<Vec<String>, LakeError> {
        let mut names = self.delta.list().await?;
        names.extend(self.external.names());
        names.extend(self.index_tables.backend().names());
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    async fn snapshot(&self, collection: &str) -> Result<Arc<dyn Snapshot>, LakeError> {
        let (backend, inner) = self.rows_of(collection)?;
        backend.snapshot(&inner).await.map_err(|e| match e.kind() {
            // The table is there: it is its files that are not.
            LakeErrorKind::NotFound if self.declared_kind(collection) == Some(TableKind::External) => {
                LakeError::unavailable("files of an external table are not there")
                    .with("table", collection)
                    .with("reason", e)
            }
            _ => e,
        })
    }

    async fn snapshot_as_of(&self, collection: &str, as_of: AsOf) -> Result<(u64, Arc<dyn Snapshot>), LakeError> {
        let (backend, inner) = self.rows_of(collection)?;
        backend.snapshot_as_of(&inner, as_of).await
    }

    async fn history(&self, collection: &str) -> Result<Vec<Commit>, LakeError> {
        let (backend, inner) = self.rows_of(collection)?;
        backend.history(&inner).await
    }
}

/// The work of a statement that makes a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    /// Nothing: the table that is there stays.
    Keep,
    /// A table, where there is none.
    Make,
    /// A table in the place of the one that is there.
    Replace,
}

/// Decides about a name by the table that has it. Each statement that makes a table asks here.
fn decide(request: &CreateRequest<'_>, found: Option<TableKind>) -> Result<Decision> {
    let CreateRequest { table, kind, if_not_exists, or_replace } = *request;
    let Some(found) = found else { return Ok(Decision::Make) };
    match (kind, found) {
        (TableKind::Index, TableKind::External) => Err(is_external(table)),
        (TableKind::Delta, TableKind::Delta) if or_replace => Ok(Decision::Replace),
        _ if if_not_exists => Ok(Decision::Keep),
        (TableKind::Index, TableKind::Index) if or_replace => Ok(Decision::Replace),
        (TableKind::Index, TableKind::Delta) if or_replace => {
            // Rows would be lost that are nowhere else.
            Err(Error::not_supported(format!("table {table} holds rows and cannot be replaced by an index: DROP it")))
        }
        (TableKind::Delta, TableKind::Index) if or_replace => {
            Err(Error::not_supported(format!("table {table} is an index and cannot be replaced: DROP it")))
        }
        (TableKind::Delta, TableKind::External) => {
            Err(Error::new(ErrorKind::AlreadyExists, format!("table {table} exists already, as an external table")))
        }
        _ => Err(exists_already(table)),
    }
}

/// The error of a name that a table has.
pub(crate) fn exists_already(table: &str) -> Error {
    Error::new(ErrorKind::AlreadyExists, format!("table {table} exists already"))
}

/// The error of a statement that would change an external table.
fn is_external(table: &str) -> Error {
    Error::not_supported(format!(
        "table {table} is an external table, which SQL reads and does not change: copy it by CREATE TABLE ... AS SELECT"
    ))
}

/// The names under which statements make or drop tables now.
#[derive(Debug, Default)]
struct NameClaims {
    claimed: Mutex<BTreeSet<String>>,
    released: Notify,
}

/// A name of `main` that a statement has for itself until this is dropped.
#[derive(Debug)]
pub(crate) struct NameClaim<'a> {
    claims: &'a NameClaims,
    table: String,
}

impl NameClaims {
    async fn claim(&self, table: &str) -> NameClaim<'_> {
        loop {
            // Before the attempt, so that no release is missed after it.
            let released = self.released.notified();
            if self.claimed.lock().insert(table.to_owned()) {
                return NameClaim { claims: self, table: table.to_owned() };
            }
            released.await;
        }
    }
}

impl Drop for NameClaim<'_> {
    fn drop(&mut self) {
        self.claims.claimed.lock().remove(&self.table);
        self.claims.released.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const KINDS: [TableKind; 3] = [TableKind::Delta, TableKind::External, TableKind::Index];

    /// The decision, or the text of its error.
    fn decided(kind: TableKind, clause: &str, found: Option<TableKind>) -> Result<Decision, String> {
        let request = CreateRequest {
            table: "t",
            kind,
            if_not_exists: clause == "IF NOT EXISTS",
            or_replace: clause == "OR REPLACE",
        };
        decide(&request, found).map_err(|e| e.to_string())
    }

    #[test]
    fn a_table_is_kept_replaced_or_in_the_way() {
        use TableKind::{Delta, External, Index};
        let exists = Err("table t exists already".to_owned());
        for kind in KINDS {
            for clause in ["", "IF NOT EXISTS", "OR REPLACE"] {
                assert_eq!(decided(kind, clause, None), Ok(Decision::Make), "{kind:?} {clause}");
            }
        }
        for (kind, found) in KINDS.into_iter().flat_map(|kind| KINDS.map(|found| (kind, found))) {
            let kept = decided(kind, "IF NOT EXISTS", Some(found));
            match (kind, found) {
                (Index, External) => assert!(kept.is_err_and(|e| e.contains("is an external table"))),
                _ => assert_eq!(kept, Ok(Decision::Keep), "{kind:?} over {found:?}"),
            }
            let plain = decided(kind, "", Some(found));
            match (kind, found) {
                (Index, External) => assert!(plain.is_err_and(|e| e.contains("is an external table"))),
                (Delta, External) => assert!(plain.is_err_and(|e| e.ends_with("as an external table"))),
                _ => assert_eq!(plain, exists, "{kind:?} over {found:?}"),
            }
            let replaced = decided(kind, "OR REPLACE", Some(found));
            match (kind, found) {
                (Delta, Delta) | (Index, Index) => assert_eq!(replaced, Ok(Decision::Replace)),
                (Delta, Index) | (Index, Delta) => assert!(replaced.is_err_and(|e| e.contains("DROP it"))),
                (Index | Delta, External) => assert!(replaced.is_err_and(|e| e.contains("an external table"))),
                (External, _) => assert_eq!(replaced, exists),
            }
        }
    }

    #[tokio::test]
    async fn a_name_is_claimed_by_one_at_a_time() {
        let claims = NameClaims::default();
        let first = claims.claim("a").await;
        let _other = claims.claim("b").await;
        assert!(timeout(Duration::from_millis(10), claims.claim("a")).await.is_err());
        let ((), second) = tokio::join!(
            async {
                tokio::task::yield_now().await;
                drop(first);
            },
            claims.claim("a")
        );
        drop(second);
        assert_eq!(claims.claimed.lock().iter().collect::<Vec<_>>(), ["b"]);
    }
}
