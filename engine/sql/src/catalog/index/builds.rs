//! Builds of indexes: at once for a caller that waits, or in a task of its own for a caller that does not.

use std::sync::Arc;

use datafusion::execution::TaskContext;
use parking_lot::Mutex;
use ruvector_rulake::{CollectionKey, Consistency, ErrorKind, IndexSpec, Result, RuLake};
use tokio::task::AbortHandle;

use crate::catalog::index::IndexCatalog;
use ruvector_udfs::declared_index::DeclaredIndex;

/// Attempts at a build that ends because the table changes, or because another task ends the build. A bound.
const TRIES: usize = 5;

/// Indexes that callers wait for: of `CREATE INDEX`, which is declared once it is built, and of `REINDEX`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Awaited(Arc<Mutex<Vec<DeclaredIndex>>>);

impl Awaited {
    /// Returns true if the index file of a specification is wanted: by a declared index, or by one that is declared once it is
    /// built. The file of a dropped index is not wanted, although its build may still be running.
    pub(crate) fn want_file(&self, indexes: &IndexCatalog, collection: &CollectionKey, spec: &IndexSpec) -> bool {
        let (backend, table) = collection;
        indexes.of_table(backend, table).iter().any(|index| index.spec == *spec)
            || self.0.lock().iter().any(|index| {
                (&index.backend, &index.table, &index.spec) == (backend, table, spec) && !index.status.is_dropped()
            })
    }
}

/// The builds of an engine.
#[derive(Debug)]
pub(crate) struct Builds {
    lake: Arc<RuLake>,
    indexes: Arc<IndexCatalog>,
    /// Builds that no caller waits for.
    tasks: Mutex<Vec<(DeclaredIndex, AbortHandle)>>,
    awaited: Awaited,
}

impl Builds {
    /// The files of the indexes in `awaited` are those that `lake` wants beside those of declared indexes.
    pub(crate) fn new(lake: Arc<RuLake>, indexes: Arc<IndexCatalog>, awaited: Awaited) -> Self {
        Self { lake, indexes, tasks: Mutex::default(), awaited }
    }

    /// Starts the builds that did not come to their end in an earlier life of the engine.
    pub(crate) fn resume(&self, context: &Arc<TaskContext>) {
        for index in self.indexes.list().into_iter().filter(|index| !index.status.is_built()) {
            self.start(index, false, context);
        }
    }

    /// Builds a declared index in a task of its own; with `anew`, even if its entry exists already.
    pub(crate) fn start(&self, index: DeclaredIndex, anew: bool, context: &Arc<TaskContext>) {
        index.status.set_building();
        let (lake, indexes) = (Arc::clone(&self.lake), Arc::clone(&self.indexes));
        let (context, building) = (Arc::clone(context), index.clone());
        let task = tokio::spawn(async move {
            let built = match build(&lake, &building, anew, &context).await {
                Ok(()) => indexes.set_built(&building),
                built => built,
            };
            if let Err(e) = built
                && !building.status.is_dropped()
            {
                tracing::warn!(index = building.name, reason = %e, "index is not built; exact search answers");
                building.status.set_failed(e.to_string());
            }
        });
        let mut tasks = self.tasks.lock();
        tasks.retain(|(_, task)| !task.is_finished());
        tasks.push((index, task.abort_handle()));
    }

    /// Builds an index, and returns when it is there; with `anew`, builds it even if its entry exists already.
    ///
    /// # Errors
    /// As [`RuLake::entry`]; `GenerationGone` if the table changes during each attempt.
    pub(crate) async fn wait_for(&self, index: &DeclaredIndex, anew: bool, context: &Arc<TaskContext>) -> Result<()> {
        self.awaited.0.lock().push(index.clone());
        let _shown = Shown { index, awaited: &self.awaited };
        build(&self.lake, index, anew, context).await
    }

    /// The indexes whose builds callers wait for.
    pub(crate) fn awaited(&self) -> Vec<DeclaredIndex> {
        self.awaited.0.lock().clone()
    }

    /// Ends the build of an index, as soon as that is possible.
    pub(crate) fn stop(&self, index: &DeclaredIndex) {
        self.tasks.lock().retain(|(building, task)| {
            if building.is(index) {
                task.abort();
            }
            !building.is(index)
        });
        self.lake.cancel_build(&index.backend, &index.table, &index.spec);
    }
}

impl Drop for Builds {
    fn drop(&mut self) {
        // Who waits for the entry all the same, in a query, makes it.
        for (index, task) in self.tasks.get_mut().drain(..).filter(|(_, task)| !task.is_finished()) {
            task.abort();
            self.lake.cancel_build(&index.backend, &index.table, &index.spec);
        }
    }
}

/// Keeps an index among the awaited ones for as long as a caller waits for it.
struct Shown<'a> {
    index: &'a DeclaredIndex,
    awaited: &'a Awaited,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.awaited.0.lock().retain(|known| !known.is(self.index));
    }
}

async fn build(lake: &RuLake, index: &DeclaredIndex, anew: bool, context: &Arc<TaskContext>) -> Result<()> {
    let mut tries = 0;
    loop {
        tries += 1;
        let fresh = lake.backend(&index.backend)?.has_generations().then_some(Consistency::Fresh);
        let pinned = lake.pin(&index.backend, &index.table, fresh).await?;
        let made = match anew {
            true => lake.rebuild_entry(&pinned, &index.spec, context).await,
            false => lake.entry(&pinned, &index.spec, context).await,
        };
        match made {
            Err(e)
                if matches!(e.kind(), ErrorKind::GenerationGone | ErrorKind::Cancelled)
                    && tries < TRIES
                    && !index.status.is_dropped() =>
            {
                lake.unpin(&index.backend, &index.table)?;
            }
            made => return made.map(|_| ()),
        }
    }
}
