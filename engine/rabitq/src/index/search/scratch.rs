//! Buffers of a search: a thread keeps them after a query, and hands them to its next query.

use std::cell::RefCell;

use crate::code::{NearestLists, QueryCode};
use crate::index::candidates::Pending;
use crate::kernel::Survivors;

/// The memory of one query on its way. It is kept for the next query of the thread: to give back and ask for as much with
/// every query makes the system map and clear pages all the time, which threads cannot do side by side.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) code: QueryCode,
    pub(super) lists: NearestLists,
    pub(super) survivors: Survivors,
    /// Buffer for the survivors of a closer look.
    pub(super) closer: Survivors,
    /// Bound and row of what is probably an answer.
    pub(super) likely: Vec<(f32, u32)>,
    pub(super) pending: Pending,
}

/// Queries that go by list together, at most.
pub(super) const MOST_BY_LIST: usize = 512;

/// Bound on the candidates of one query whose memory is kept. A query with more of them is rare: its memory is freed, and the
/// next query allocates its own.
const MOST_KEPT: usize = 4096;

thread_local! {
    static KEPT: RefCell<Vec<Scratch>> = const { RefCell::new(Vec::new()) };
}

impl Scratch {
    /// Memory that an earlier query left, or new.
    pub(super) fn take() -> Self {
        KEPT.with_borrow_mut(Vec::pop).unwrap_or_else(|| Self {
            code: QueryCode::default(),
            lists: NearestLists::default(),
            survivors: Survivors::default(),
            closer: Survivors::default(),
            likely: Vec::new(),
            pending: Pending::new(),
        })
    }

    /// Leaves the memory to a later query.
    pub(super) fn give_back(mut self) {
        self.pending.clear();
        if self.pending.capacity() > MOST_KEPT {
            self.pending = Pending::new();
        }
        KEPT.with_borrow_mut(|kept| {
            if kept.len() < MOST_BY_LIST {
                kept.push(self);
            }
        });
    }
}
