//! Progress and cancellation of an index build.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use tokio::sync::Notify;

use super::{Cache, CacheState, CollectionKey};
use crate::error::{Error, ErrorKind};
use crate::index_spec::IndexSpec;

/// Progress of a build that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildProgress {
    /// Collection of the first caller.
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
pub(super) struct BuildControl {
    collection: CollectionKey,
    spec: IndexSpec,
    rows_read: AtomicUsize,
    vectors_done: AtomicUsize,
    /// [`UNKNOWN`] until the build sets it.
    vectors_total: AtomicUsize,
    is_cancelled: AtomicBool,
    cancel: Notify,
}

const UNKNOWN: usize = usize::MAX;

impl BuildControl {
    pub(super) fn read_row(&self) {
        self.rows_read.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn expect(&self, vectors: Option<usize>) {
        self.vectors_total.store(vectors.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    /// Records the progress of the encoder, and tells it to end if the build was cancelled.
    pub(super) fn encoded(&self, vectors: usize) -> ControlFlow<()> {
        self.vectors_done.fetch_max(vectors, Ordering::Relaxed);
        match self.is_cancelled.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// Waits until a caller cancels the build, and returns the error that the build fails with.
    pub(super) async fn cancelled(&self) -> Error {
        // `Notify` keeps one permit, so a cancellation before this call is not lost.
        self.cancel.notified().await;
        Error::new(ErrorKind::Cancelled, "the index is not wanted any more")
    }

    fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
        self.cancel.notify_one();
    }

    fn progress(&self) -> BuildProgress {
        let total = self.vectors_total.load(Ordering::Relaxed);
        BuildProgress {
            collection: self.collection.clone(),
            spec: self.spec.clone(),
            rows_read: self.rows_read.load(Ordering::Relaxed),
            vectors_done: self.vectors_done.load(Ordering::Relaxed),
            vectors_total: (total != UNKNOWN).then_some(total),
        }
    }
}

impl CacheState {
    /// Registers a build. It is listed until its control is dropped.
    pub(super) fn begin_build(&mut self, collection: &CollectionKey, spec: &IndexSpec) -> Arc<BuildControl> {
        let control = Arc::new(BuildControl {
            collection: collection.clone(),
            spec: spec.clone(),
            rows_read: AtomicUsize::new(0),
            vectors_done: AtomicUsize::new(0),
            vectors_total: AtomicUsize::new(UNKNOWN),
            is_cancelled: AtomicBool::new(false),
            cancel: Notify::new(),
        });
        self.builds.retain(|known| known.strong_count() > 0);
        self.builds.push(Arc::downgrade(&control));
        control
    }
}

impl Cache {
    /// The builds that run.
    pub(crate) fn builds(&self) -> Vec<BuildProgress> {
        let builds: Vec<Weak<BuildControl>> = self.state.lock().builds.clone();
        builds.iter().filter_map(Weak::upgrade).map(|build| build.progress()).collect()
    }

    /// Cancels the build of an entry. Its waiters get `Cancelled`, and may ask again.
    pub(crate) fn cancel_build(&self, collection: &CollectionKey, spec: &IndexSpec) {
        let mut state = self.state.lock();
        state.entries.retain(|key, slot| !(key.spec == *spec && slot.is_built_for(collection)));
        for build in state.builds.iter().filter_map(Weak::upgrade) {
            if build.collection == *collection && build.spec == *spec {
                build.cancel();
            }
        }
    }
}
