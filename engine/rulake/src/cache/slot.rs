//! The place of an entry in the cache, from the first request for the entry on.
//!
//! An entry is made by a task of its own, for all waiters. A waiter that gives up, or is cancelled, costs the other waiters
//! nothing. A client that comes back later finds the work further on.

use std::sync::{Arc, Weak};

use datafusion::execution::TaskContext;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use super::work::Work;
use super::{Cache, CollectionKey, Entry, EntryKey};
use crate::error::{Error, ErrorKind, Result};
use crate::lake::Pinned;

#[derive(Debug)]
pub(super) enum Slot {
    Ready(Arc<Entry>),
    Making(Making),
}

/// An entry that is being made. Each clone outside the slot stands for a waiter.
#[derive(Clone, Debug)]
pub(super) struct Making {
    /// The collection that it was asked for first.
    collection: CollectionKey,
    outcome: Shared<BoxFuture<'static, Outcome>>,
    waiting: Arc<()>,
}

type Outcome = std::result::Result<Arc<Entry>, (ErrorKind, String)>;

impl Slot {
    pub(super) fn ready(&self) -> Option<&Arc<Entry>> {
        match self {
            Self::Ready(entry) => Some(entry),
            Self::Making(_) => None,
        }
    }

    pub(super) fn is_made_for(&self, collection: &CollectionKey) -> bool {
        matches!(self, Self::Making(making) if making.collection == *collection)
    }

    fn is_made_by(&self, task: &Weak<()>) -> bool {
        matches!(self, Self::Making(making) if std::ptr::eq(Arc::as_ptr(&making.waiting), task.as_ptr()))
    }
}

impl Making {
    /// Starts to make the entry.
    pub(super) fn start(
        cache: &Arc<Cache>,
        pinned: &Arc<Pinned>,
        key: &EntryKey,
        epoch: u64,
        context: &Arc<TaskContext>,
        work: Arc<Work>,
    ) -> Self {
        let waiting = Arc::new(());
        let place = Place { cache: Arc::clone(cache), key: key.clone(), task: Arc::downgrade(&waiting) };
        let (pinned, context) = (Arc::clone(pinned), Arc::clone(context));
        let collection = pinned.key().clone();
        let task = tokio::spawn(async move {
            let made = tokio::select! {
                made = place.cache.make(&pinned, &place.key, &context, &work) => made,
                stopped = work.stopped() => Err(stopped),
                () = place.abandoned() => Err(Error::new(ErrorKind::Cancelled, "all callers that waited for the index are gone")),
            };
            let made = made.inspect(|entry| place.fill(&pinned, entry, epoch));
            made.map_err(|e| (e.kind(), e.to_string()))
        });
        let outcome = async {
            task.await.unwrap_or_else(|e| Err((ErrorKind::Internal, format!("making an index stopped: reason {e}"))))
        };
        Self { collection, outcome: outcome.boxed().shared(), waiting }
    }

    /// Waits for the entry. If making it fails, every waiter gets the error.
    pub(super) async fn wait(self) -> Result<Arc<Entry>> {
        self.outcome.clone().await.map_err(|(kind, message)| Error::new(kind, message))
    }
}

/// The slot of a task that makes an entry: empty again if the task ends without one, however it ends.
struct Place {
    cache: Arc<Cache>,
    key: EntryKey,
    task: Weak<()>,
}

impl Place {
    /// Puts the entry into its slot, unless it was forgotten while it was made. The waiters get the entry in either case.
    fn fill(&self, pinned: &Pinned, entry: &Arc<Entry>, epoch: u64) {
        if let Some(slot) =
            self.cache.state.lock().entries.get_mut(&self.key).filter(|slot| slot.is_made_by(&self.task))
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
            // The slot itself holds one.
            alone = if self.task.strong_count() <= 1 { alone + 1 } else { 0 };
            if alone == TICKS {
                self.empty(&mut state.entries);
            }
        }
    }

    fn empty(&self, entries: &mut std::collections::HashMap<EntryKey, Slot>) {
        if entries.get(&self.key).is_some_and(|slot| slot.is_made_by(&self.task)) {
            entries.remove(&self.key);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.empty(&mut self.cache.state.lock().entries);
    }
}
