//! `memory_bytes` tells what the allocator holds for an index. One test in a process of its own: the allocator counts for
//! all threads.

#![allow(clippy::unwrap_used, reason = "a test that unwraps an error fails with its message")]
#![expect(clippy::cast_possible_truncation, reason = "a remainder is below a number of rows")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use ruvector_rabitq::{BuildParams, IndexKind, Metric, VectorIndex};

mod data;

use data::{Random, batch, clustered};

/// Largest difference of `memory_bytes` from the allocated bytes.
const TOLERANCE: f64 = 0.05;

#[global_allocator]
static COUNTING: Counting = Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

#[test]
fn memory_bytes_is_what_the_allocator_holds() {
    // Threads and their queues are made before anything is counted.
    rayon::broadcast(|_| ());
    for kind in IndexKind::ALL {
        for keep_originals in [true, false] {
            for metric in [Metric::L2, Metric::Cosine] {
                // The first is as many as a map of 16,384 places takes, when 600 are added.
                for (dim, num_vectors) in [(16, 13_700), (200, 1500)] {
                    for order in [Order::Rows, Order::Ascending, Order::Any] {
                        let what = format!("{kind} originals {keep_originals} {metric} dim {dim} ids {order:?}");
                        let params = BuildParams::new(metric).with_originals(keep_originals);
                        follow(kind, &params, dim, num_vectors, order, &what);
                    }
                }
            }
        }
    }
}

/// Which ids.
#[derive(Clone, Copy, Debug)]
enum Order {
    Rows,
    Ascending,
    Any,
}

impl Order {
    fn ids(self, num_vectors: usize) -> Option<Vec<u64>> {
        let rows = 0..num_vectors as u64;
        match self {
            Self::Rows => None,
            Self::Ascending => Some(rows.map(|row| 3 * row).collect()),
            Self::Any => Some(rows.map(|row| 3 * (row ^ 5)).collect()),
        }
    }
}

/// Builds an index, adds to it and removes from it, and compares after each.
fn follow(kind: IndexKind, params: &BuildParams, dim: usize, num_vectors: usize, order: Order, what: &str) {
    let values = clustered(1, num_vectors, dim);
    let before = HELD.load(Ordering::SeqCst);
    let build = || {
        let ids = order.ids(num_vectors);
        kind.build(ids.as_deref(), batch(dim, &values), params, None).unwrap()
    };
    let mut index = build();
    let compare = |index: &dyn VectorIndex, step: &str| {
        let (told, held) = (index.memory_bytes() as f64, (HELD.load(Ordering::SeqCst) - before) as f64);
        let ratio = told / held;
        assert!((ratio - 1.0).abs() <= TOLERANCE, "{what}, {step}: told {told}, held {held}, ratio {ratio:.3}");
    };
    compare(index.as_ref(), "built");

    let mut next_id = 1_000_000;
    let mut add = |index: &mut dyn VectorIndex, num_vectors: usize| {
        let ids: Vec<u64> = (next_id..next_id + num_vectors as u64).collect();
        next_id += num_vectors as u64;
        index.add_batch(&ids, batch(dim, &values[..num_vectors * dim])).unwrap();
    };
    for _ in 0..5 {
        add(index.as_mut(), 100);
    }
    (0..100).for_each(|_| add(index.as_mut(), 1));
    compare(index.as_ref(), "after adding");

    let mut random = Random::new(2);
    remove(index.as_mut(), 2 * num_vectors / 3, &mut random);
    compare(index.as_ref(), "after removing");

    // As many come as go: the place of what is gone is used again, or counted.
    for _ in 0..4 {
        add(index.as_mut(), num_vectors / 5);
        remove(index.as_mut(), num_vectors / 5, &mut random);
        compare(index.as_ref(), "after coming and going");
    }
    let len = index.len();
    remove(index.as_mut(), len - len / 20, &mut random);
    compare(index.as_ref(), "after removing nearly all");
}

/// Removes so many at random.
fn remove(index: &mut dyn VectorIndex, num_vectors: usize, random: &mut Random) {
    let mut ids = index.ids();
    for i in (1..ids.len()).rev() {
        ids.swap(i, (random.next_u64() % (i as u64 + 1)) as usize);
    }
    ids.truncate(num_vectors);
    assert_eq!(index.remove(&ids), ids.len());
}

/// The allocator of the system, counting bytes.
struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::SeqCst);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::SeqCst);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        HELD.fetch_add(new_size, Ordering::SeqCst);
        HELD.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(pointer, layout, new_size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}
