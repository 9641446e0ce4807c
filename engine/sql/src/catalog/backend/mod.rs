//! Backends that SQL declared, and their file. `statements/create_backend` makes and drops them.
//!
//! A backend is opened and listed before it is kept, so what is in the catalog has worked once. One that cannot be opened
//! when the engine starts does not stop it: its tables are unavailable until it can.

mod catalog;
mod definition;
mod registered;
mod unopened;

use std::path::Path;
use std::sync::Arc;

use ruvector_rulake::{Backend, LocalBackend};

use crate::catalog::index::IndexCatalog;
use ruvector_udfs::error::Result;

pub(crate) use catalog::BackendCatalog;
pub(crate) use definition::CreateBackend;
pub use definition::{BackendDefinition, BackendKind};
pub(crate) use registered::{Backends, Registered};
pub(crate) use unopened::UnopenedBackend;

/// Completes the drops of backends that were cut short.
///
/// # Errors
/// `Unavailable` if a catalog cannot be written.
pub(crate) fn finish_drops(declared: &BackendCatalog, indexes: &IndexCatalog) -> ruvector_rulake::Result<()> {
    for name in declared.dropped() {
        indexes.remove_backend(&name)?;
        declared.finish_drop(&name)?;
    }
    Ok(())
}

/// Opens what was declared. What cannot be opened is there too, and is tried again on use.
pub(crate) fn reopen(catalog: &BackendCatalog) -> Vec<Registered> {
    let open = |definition: BackendDefinition| {
        open(definition.clone(), catalog.index_root()).unwrap_or_else(|e| {
            tracing::warn!(backend = definition.name, reason = %e, "backend cannot be opened; it is tried again on use");
            let unopened = UnopenedBackend::new(definition.clone(), catalog.index_root().to_owned());
            Registered::new(Arc::new(unopened), Some(definition))
        })
    };
    catalog.list().into_iter().map(open).collect()
}

/// Opens a backend as its definition says.
pub(crate) fn open(definition: BackendDefinition, index_root: &Path) -> Result<Registered> {
    if definition.kind == BackendKind::Memory {
        let memory = Arc::new(LocalBackend::new(&definition.name));
        let backend = Arc::clone(&memory) as Arc<dyn Backend>;
        return Ok(Registered { backend, definition: Some(definition), memory: Some(memory) });
    }
    Ok(Registered::new(definition.open(index_root)?, Some(definition)))
}
