//! Slot of an entry in the cache, and its build in flight: the first caller starts a task, which fills the slot.
//!
//! Builds are single-flight: one task per entry, shared by all waiters. A cancelled waiter does not cancel the build; a later
//! caller joins it. A build without waiters ends after the linger time.

use std::sync::{Arc, Weak};

use datafusion::execution::TaskContext;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use super::progress::BuildControl;
use super::{Cache, CollectionKey, Entry, EntryKey, Pinned};
use crate::error::{Error, ErrorKind, Result};

/// State of an entry that a caller asked for.
#[derive(Debug)]
pub(super) enum Slot {
    Ready(Arc<Entry>),
    InFlight(InFlight),
}

/// A build that runs. Each clone outside the slot stands for a waiter.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    /// Collection of the first caller.
    collection: CollectionKey,
    outcome: Shared<BoxFuture<'static, BuildOutcome>>,
    /// Identity of the build; its strong count is one more than the number of waiters.
    waiters: Arc<()>,
}

type BuildOutcome = std::result::Result<Arc<Entry>, (ErrorKind, String)>;

impl Slot {
    pub(super) fn ready(&self) -> Option<&Arc<Entry>> {
        match self {
            Self::Ready(entry) => Some(entry),
            Self::InFlight(_) => None,
        }
    }

    /// Returns true if the entry is in flight, and the collection was the first to ask for it.
    pub(super) fn is_built_for(&self, collection: &CollectionKey) -> bool {
        matches!(self, Self::InFlight(build) if build.collection == *collection)
    }

    fn is_built_by(&self, task: &Weak<()>) -> bool {
        matches!(self, Self::InFlight(build) if std::ptr::eq(Arc::as_ptr(&build.waiters), task.as_ptr()))
    }
}

impl InFlight {
    /// Starts the task that loads or builds the entry.
    pub(super) fn start(
        cache: &Arc<Cache>,
        pinned: &Arc<Pinned>,
        key: &EntryKey,
        epoch: u64,
        context: &Arc<TaskContext>,
        control: Arc<BuildControl>,
    ) -> Self {
        let waiters = Arc::new(());
        let guard = SlotGuard { cache: Arc::clone(cache), key: key.clone(), task: Arc::downgrade(&waiters) };
        let (pinned, context) = (Arc::clone(pinned), Arc::clone(context));
        let collection = pinned.key().clone();
        let task = tokio::spawn(async move {
            let built = tokio::select! {
                built = guard.cache.load_or_build(&pinned, &guard.key, &context, &control) => built,
                cancelled = control.cancelled() => Err(cancelled),
                () = guard.abandoned() => {
                    Err(Error::new(ErrorKind::Cancelled, "all callers that waited for the index are gone"))
                }
            };
            let built = built.inspect(|entry| guard.fill(&pinned, entry, epoch));
            built.map_err(|e| (e.kind(), e.to_string()))
        });
        let outcome = async {
            task.await.unwrap_or_else(|e| Err((ErrorKind::Internal, format!("making an index stopped: reason {e}"))))
        };
        Self { collection, outcome: outcome.boxed().shared(), waiters }
    }

    /// Waits for the entry. If its build fails, every waiter gets the error.
    pub(super) async fn wait(self) -> Result<Arc<Entry>> {
        self.outcome.clone().await.map_err(|(kind, message)| Error::new(kind, message))
    }
}

/// Guard of the slot of a build. Dropped before it filled the slot, it empties the slot.
struct SlotGuard {
    cache: Arc<Cache>,
    key: EntryKey,
    task: Weak<()>,
}

impl SlotGuard {
    /// Puts the entry into its slot, unless it was forgotten during the build. The waiters get the entry in either case.
    fn fill(&self, pinned: &Pinned, entry: &Arc<Entry>, epoch: u64) {
        if let Some(slot) =
            self.cache.state.lock().entries.get_mut(&self.key).filter(|slot| slot.is_built_by(&self.task))
        {
            *slot = Slot::Ready(Arc::clone(entry));
        }
        self.cache.use_for(pinned, &self.key, entry, epoch);
    }

    /// Completes once the task had no waiter for the linger time; the slot is empty then.
    async fn abandoned(&self) {
        const TICKS: u32 = 60;
        let mut alone = 0;
        while alone < TICKS {
            tokio::time::sleep(self.cache.linger / TICKS).await;
            let mut state = self.cache.state.lock();
            // The slot itself holds one reference.
            alone = if self.task.strong_count() <= 1 { alone + 1 } else { 0 };
            if alone == TICKS {
                self.empty(&mut state.entries);
            }
        }
    }

    fn empty(&self, entries: &mut std::collections::HashMap<EntryKey, Slot>) {
        if entries.get(&self.key).is_some_and(|slot| slot.is_built_by(&self.task)) {
            entries.remove(&self.key);
        }
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        self.empty(&mut self.cache.state.lock().entries);
    }
}
