//! The process that the threads of this module run in. A forked child has none of them, and locks that they held stay held.

use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::prelude::*;

use crate::error;

/// The process that used this module first; 0 until then.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// Notes that this process uses the module, and checks that it was not forked from one that did before.
///
/// # Errors
/// `Unavailable` in such a child: a lock or a thread of its parent would be waited for without end.
pub(crate) fn check(py: Python<'_>) -> PyResult<()> {
    let this = std::process::id();
    match OWNER.compare_exchange(0, this, Ordering::Relaxed, Ordering::Relaxed) {
        Err(owner) if owner != this => Err(error::unavailable(
            py,
            &format!(
                "process {this} was forked from process {owner}, which uses ruvector, and has none of its threads: start it \
                 with multiprocessing's method 'spawn' or 'forkserver', or fork before the first use"
            ),
        )),
        _ => Ok(()),
    }
}

/// True if this process was forked from one that used the module.
pub(crate) fn is_forked() -> bool {
    let owner = OWNER.load(Ordering::Relaxed);
    owner != 0 && owner != std::process::id()
}

/// Drops `value`, unless this process is a forked child: there its files belong to the parent, and threads that it would wait
/// for are not there.
#[cfg(feature = "sql")]
pub(crate) fn discard<T>(value: T) {
    match is_forked() {
        true => std::mem::forget(value),
        false => drop(value),
    }
}
