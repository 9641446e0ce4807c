//! Stand-in for a backend that could not be opened when the engine started. Takes calls of [`Backend`], opens the backend at the
//! first call that succeeds, and passes them on to it.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use ruvector_rulake::{AsOf, Backend, Commit, Error, Result, Snapshot};

use super::BackendDefinition;

/// A backend that could not be opened when the engine started: every use tries again.
#[derive(Debug)]
pub(crate) struct UnopenedBackend {
    definition: BackendDefinition,
    index_root: PathBuf,
    opened: OnceLock<Arc<dyn Backend>>,
}

impl UnopenedBackend {
    pub(crate) fn new(definition: BackendDefinition, index_root: PathBuf) -> Self {
        Self { definition, index_root, opened: OnceLock::new() }
    }

    fn backend(&self) -> Result<&Arc<dyn Backend>> {
        if let Some(backend) = self.opened.get() {
            return Ok(backend);
        }
        let backend = self.definition.open(&self.index_root).map_err(|e| {
            Error::unavailable("backend cannot be opened").with("backend", &self.definition.name).with("reason", e)
        })?;
        Ok(self.opened.get_or_init(|| backend))
    }
}

#[async_trait]
impl Backend for UnopenedBackend {
    fn id(&self) -> &str {
        &self.definition.name
    }

    async fn list(&self) -> Result<Vec<String>> {
        self.backend()?.list().await
    }

    async fn snapshot(&self, collection: &str) -> Result<Arc<dyn Snapshot>> {
        self.backend()?.snapshot(collection).await
    }

    async fn snapshot_as_of(&self, collection: &str, as_of: AsOf) -> Result<(u64, Arc<dyn Snapshot>)> {
        self.backend()?.snapshot_as_of(collection, as_of).await
    }

    async fn history(&self, collection: &str) -> Result<Vec<Commit>> {
        self.backend()?.history(collection).await
    }

    fn has_generations(&self) -> bool {
        self.opened.get().is_none_or(|backend| backend.has_generations())
    }
}
