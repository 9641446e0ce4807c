//! The backends that an engine has: those that SQL declared, those that the program added, and `main`.
//!
//! The lake answers from them; here is how each was made.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use ruvector_rulake::{Backend, LocalBackend, RuLake};

use super::BackendDefinition;
use ruvector_udfs::error::Result;

/// A backend, and how it was made.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) backend: Arc<dyn Backend>,
    /// Definition of the backend; `None` if a program added it.
    pub(crate) definition: Option<BackendDefinition>,
    /// The same backend, if SQL made it to be filled by the program.
    pub(crate) memory: Option<Arc<LocalBackend>>,
}

impl Registered {
    pub(crate) fn new(backend: Arc<dyn Backend>, definition: Option<BackendDefinition>) -> Self {
        Self { backend, definition, memory: None }
    }
}

/// The backends of an engine, by name.
#[derive(Debug)]
pub(crate) struct Backends {
    lake: Arc<RuLake>,
    made: RwLock<BTreeMap<String, Registered>>,
}

impl Backends {
    pub(crate) fn new(lake: Arc<RuLake>) -> Self {
        Self { lake, made: RwLock::default() }
    }

    /// Adds a backend.
    ///
    /// # Errors
    /// `AlreadyExists` if there is one of that name; `NotSupported` for a consistency that it cannot have.
    pub(crate) fn add(&self, registered: Registered) -> Result<()> {
        let name = registered.backend.id().to_owned();
        let consistency = registered.definition.as_ref().map(BackendDefinition::consistency).transpose()?.flatten();
        self.lake.register_backend(Arc::clone(&registered.backend))?;
        if let Err(e) = self.lake.set_consistency(&name, None, consistency) {
            self.lake.remove_backend(&name)?;
            return Err(e.into());
        }
        self.made.write().insert(name, registered);
        Ok(())
    }

    pub(crate) fn remove(&self, name: &str) {
        self.made.write().remove(name);
        // It may be gone already: that is what is wanted.
        let _ = self.lake.remove_backend(name);
    }

    pub(crate) fn find(&self, name: &str) -> Option<Registered> {
        self.made.read().get(name).cloned()
    }

    /// All of them, sorted by name.
    pub(crate) fn list(&self) -> Vec<Registered> {
        self.made.read().values().cloned().collect()
    }
}
