//! Progress and cancellation of an index build.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use tokio::sync::Notify;

use super::{Cache, CollectionKey, State};
use crate::error::{Error, ErrorKind};
use crate::index_spec::IndexSpec;

/// An entry that is being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MakingEntry {
    /// The collection that it was asked for first.
    pub collection: CollectionKey,
    /// Column, metric, kind and parameters.
    pub spec: IndexSpec,
    /// Rows whose vectors were read and checked so far.
    pub rows_read: usize,
    /// Vectors that were encoded so far.
    pub vectors_done: usize,
    /// The number of vectors to encode, if it is known. Until all rows are read it is the backend's row count.
    pub vectors_total: Option<usize>,
}

/// Progress and cancellation of one build; other tasks read the progress.
#[derive(Debug)]
pub(super) struct Work {
    collection: CollectionKey,
    spec: IndexSpec,
    rows_read: AtomicUsize,
    vectors_done: AtomicUsize,
    /// [`UNKNOWN`] until the build sets it.
    vectors_total: AtomicUsize,
    stopped: AtomicBool,
    stop: Notify,
}

const UNKNOWN: usize = usize::MAX;

impl Work {
    pub(super) fn read_row(&self) {
        self.rows_read.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn expect(&self, vectors: Option<usize>) {
        self.vectors_total.store(vectors.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    /// Takes note of what a build says of itself, and tells it whether to go on.
    pub(super) fn encoded(&self, vectors: usize) -> ControlFlow<()> {
        self.vectors_done.fetch_max(vectors, Ordering::Relaxed);
        match self.stopped.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// Waits until a caller cancels the build, and returns the error that the build fails with.
    pub(super) async fn stopped(&self) -> Error {
        // One permit is kept: it does not matter who comes first.
        self.stop.notified().await;
        Error::new(ErrorKind::Cancelled, "the index is not wanted any more")
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.stop.notify_one();
    }

    fn look(&self) -> MakingEntry {
        let total = self.vectors_total.load(Ordering::Relaxed);
        MakingEntry {
            collection: self.collection.clone(),
            spec: self.spec.clone(),
            rows_read: self.rows_read.load(Ordering::Relaxed),
            vectors_done: self.vectors_done.load(Ordering::Relaxed),
            vectors_total: (total != UNKNOWN).then_some(total),
        }
    }
}

impl State {
    /// Notes that an entry is being made. The entry is listed until the work is dropped.
    pub(super) fn begin(&mut self, collection: &CollectionKey, spec: &IndexSpec) -> Arc<Work> {
        let work = Arc::new(Work {
            collection: collection.clone(),
            spec: spec.clone(),
            rows_read: AtomicUsize::new(0),
            vectors_done: AtomicUsize::new(0),
            vectors_total: AtomicUsize::new(UNKNOWN),
            stopped: AtomicBool::new(false),
            stop: Notify::new(),
        });
        self.works.retain(|known| known.strong_count() > 0);
        self.works.push(Arc::downgrade(&work));
        work
    }
}

impl Cache {
    /// The entries that are being made.
    pub(crate) fn making(&self) -> Vec<MakingEntry> {
        let works: Vec<Weak<Work>> = self.state.lock().works.clone();
        works.iter().filter_map(Weak::upgrade).map(|work| work.look()).collect()
    }

    /// Ends the making of an entry. Its waiters get `Cancelled`, and may ask again.
    pub(crate) fn stop_making(&self, collection: &CollectionKey, spec: &IndexSpec) {
        let mut state = self.state.lock();
        state.entries.retain(|key, slot| !(key.spec == *spec && slot.is_made_for(collection)));
        for work in state.works.iter().filter_map(Weak::upgrade) {
            if work.collection == *collection && work.spec == *spec {
                work.stop();
            }
        }
    }
}
