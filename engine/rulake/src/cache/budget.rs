//! Limits of the cache: the entries in memory go in; the least recently used entries are evicted until the rest fits
//! or none can be evicted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{CacheState, EntryKey, Slot};

/// Limits of the cache: memory and number of entries. `None` is no limit.
///
/// The least recently used entries are evicted first. Entries that a search uses, entries of collections that are kept, and
/// the newest entry stay; they may exceed the budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of memory.
    pub bytes: Option<usize>,
    /// Number of entries.
    pub entries: Option<usize>,
}

impl Budget {
    /// Evicts entries other than `newest` until the rest fits, and returns how many were evicted.
    pub(super) fn enforce(&self, state: &mut CacheState, newest: &EntryKey) -> u64 {
        if self.bytes.is_none() && self.entries.is_none() {
            return 0;
        }
        let mut evicted = 0;
        while self.is_exceeded(state) {
            let Some(key) = least_recently_used(state, newest) else { break };
            state.entries.remove(&key);
            for pointers in state.pointers.values_mut() {
                pointers.retain(|_, known| *known != key);
            }
            evicted += 1;
        }
        evicted
    }

    fn is_exceeded(&self, state: &CacheState) -> bool {
        let entries = || state.entries.values().filter_map(Slot::ready);
        self.entries.is_some_and(|most| entries().count() > most)
            || self.bytes.is_some_and(|most| entries().map(|entry| entry.memory_bytes()).sum::<usize>() > most)
    }
}

/// The entry to evict next, if one can be.
fn least_recently_used(state: &CacheState, newest: &EntryKey) -> Option<EntryKey> {
    let evictable = state.entries.iter().filter_map(|(key, slot)| {
        let entry = slot.ready()?;
        let used_by_a_search = Arc::strong_count(entry) > 1;
        let kept = || state.owners(key).iter().any(|owner| state.kept.contains(owner));
        (key != newest && !used_by_a_search && !kept()).then(|| (entry.used.load(Ordering::Relaxed), key))
    });
    evictable.min_by_key(|(used, _)| *used).map(|(_, key)| key.clone())
}
