//! The common part of the benches of the service: data, and the report of targets.

use std::time::Duration;

/// Vectors around centres, the same for the same seed on every machine.
pub mod data;
/// The table, and the file of targets.
pub mod report;

pub use report::Report;

/// The allocator of the server, which runs in the benches' own processes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Whatever goes wrong ends the run.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Seed of all data.
pub const SEED: u64 = 20_261;

/// The middle of some times.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The middle of some numbers.
pub fn median_of(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
