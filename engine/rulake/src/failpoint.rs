//! Failpoints: named steps between two changes of files, at which a test ends its process.
//!
//! A process that was started with `RUVECTOR_FAILPOINT=step` aborts when it reaches that step: nothing is cleaned up, as after
//! `kill -9`. Without the variable a step costs one comparison.

use std::sync::OnceLock;

/// The variable that names the step.
pub const VARIABLE: &str = "RUVECTOR_FAILPOINT";

/// Aborts the process if it was started to end at `step`.
pub fn reach(step: &str) {
    static STEP: OnceLock<Option<String>> = OnceLock::new();
    if STEP.get_or_init(|| std::env::var(VARIABLE).ok()).as_deref() == Some(step) {
        std::process::abort();
    }
}
