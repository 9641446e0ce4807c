//! The end of declared indexes: their builds are stopped, and what was made for them is discarded.
//!
//! Takes indexes that the catalog has forgotten, or makes it forget those of a table or a backend. Statements decide which.

use std::sync::Arc;

use ruvector_rulake::failpoint::reach;
use ruvector_rulake::{Consistency, ErrorKind, RuLake};

use crate::catalog::index::IndexCatalog;
use crate::catalog::index::builds::Builds;
use ruvector_udfs::declared_index::{DeclaredIndex, IndexDefinition};
use ruvector_udfs::error::Result;

/// Forgets the indexes over a table that is gone, and stops their builds.
pub(crate) fn forget_table(indexes: &IndexCatalog, builds: &Builds, backend: &str, table: &str) -> Result<()> {
    stop(builds, &indexes.remove_table(backend, table)?);
    Ok(())
}

/// Forgets the indexes over the tables of a backend that is gone, and stops their builds.
pub(crate) fn forget_backend(indexes: &IndexCatalog, builds: &Builds, backend: &str) -> Result<()> {
    stop(builds, &indexes.remove_backend(backend)?);
    Ok(())
}

fn stop(builds: &Builds, dropped: &[DeclaredIndex]) {
    for index in dropped {
        index.status.set_dropped();
        builds.stop(index);
    }
}

/// Stops the builds of indexes that are not declared any more, and discards what was made for them, unless another index
/// answers from the same.
pub(crate) async fn retire(
    lake: &RuLake,
    indexes: &IndexCatalog,
    builds: &Builds,
    dropped: Vec<DeclaredIndex>,
) -> Result<()> {
    for index in dropped {
        index.status.set_dropped();
        if !is_shared(indexes, &index) {
            builds.stop(&index);
        }
        // An index file that stays costs room; that the index is dropped stands.
        if let Err(e) = discard(lake, indexes, &index).await {
            tracing::warn!(index = index.name, reason = %e, "the file of a dropped index is left until the next start");
        }
    }
    Ok(())
}

/// Removes the files of indexes whose creation or drop was cut short, in the background: their backends may be slow.
pub(crate) fn discard_undeclared(lake: &Arc<RuLake>, indexes: &Arc<IndexCatalog>) {
    let undeclared = indexes.undeclared();
    if undeclared.is_empty() {
        return;
    }
    let (lake, indexes) = (Arc::clone(lake), Arc::clone(indexes));
    tokio::spawn(async move {
        for index in undeclared {
            // The program may add the backend later, and a later start finds it.
            if lake.backend(&index.backend).is_err() {
                continue;
            }
            if let Err(e) = discard(&lake, &indexes, &index).await {
                tracing::warn!(index = index.name, reason = %e, "the file of an index is left until the next start");
            }
        }
    });
}

/// Discards what was made for an index that is not declared, unless another index answers from the same, and the note of it.
async fn discard(lake: &RuLake, indexes: &IndexCatalog, index: &IndexDefinition) -> ruvector_rulake::Result<()> {
    if !is_shared(indexes, index) {
        match lake.pin(&index.backend, &index.table, Some(Consistency::Stale)).await {
            Ok(pinned) => lake.discard(&pinned, &index.spec).await?,
            // The file went with its table.
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    reach("drop_index.discarded");
    indexes.forget_file(index)
}

/// Returns true if a declared index answers from the same entry and file.
fn is_shared(indexes: &IndexCatalog, index: &IndexDefinition) -> bool {
    indexes.of_table(&index.backend, &index.table).iter().any(|other| other.shares_entry_with(index))
}
