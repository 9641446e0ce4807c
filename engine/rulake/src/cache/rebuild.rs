//! Replacement of an entry by a new build: the old entry answers until the new one is ready.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::execution::TaskContext;

use super::{Cache, CollectionKey, Entry, EntryKey, Pinned, Slot};
use crate::error::Result;
use crate::index_spec::IndexSpec;

impl Cache {
    /// Builds the entry over `pinned` from all its vectors, and replaces the entry that is there.
    ///
    /// # Errors
    /// Errors of a first build; the old entry stays then.
    pub(crate) async fn rebuild(
        &self,
        pinned: &Pinned,
        spec: &IndexSpec,
        context: &Arc<TaskContext>,
    ) -> Result<Arc<Entry>> {
        let key = EntryKey { witness: spec.witness(pinned.snapshot().as_ref())?, spec: spec.clone() };
        let (epoch, control) = {
            let mut state = self.state.lock();
            (state.epoch_of(pinned.key()), state.begin_build(pinned.key(), spec))
        };
        let entry = tokio::select! {
            built = self.build_entry(pinned, &key, context, &control) => Arc::new(built?),
            cancelled = control.cancelled() => return Err(cancelled),
        };
        self.save_beside(pinned, spec, &entry).await;
        let before = self.state.lock().entries.insert(key.clone(), Slot::Ready(Arc::clone(&entry)));
        if let Some(before) = before.as_ref().and_then(Slot::ready) {
            before.forgotten.store(true, Ordering::Release);
        }
        self.use_for(pinned, &key, &entry, epoch);
        Ok(entry)
    }

    /// Forgets the entry that a collection uses by this specification, unless others share it.
    pub(crate) fn forget_spec(&self, collection: &CollectionKey, spec: &IndexSpec) {
        let mut state = self.state.lock();
        if let Some(key) = state.pointers.get_mut(collection).and_then(|pointers| pointers.remove(spec)) {
            state.release(&key);
        }
    }
}
