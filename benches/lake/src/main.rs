//! ruLake beside the index that it caches, in one run: what a hit costs, how many clients it serves, what priming is made
//! of, how fast a restart is, and what following costs. Answers are checked before anything is timed.

mod data;
mod hits;
mod million;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use report::Report;

/// Whatever goes wrong ends the run.
type Failure = Box<dyn std::error::Error + Send + Sync>;

const SEED: u64 = 20_261;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mut out, mut rows) = (PathBuf::from("benches/out"), 1_000_000);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--out" => out = PathBuf::from(value),
            "--rows" => rows = value.parse()?,
            other => return Err(format!("usage: [--out folder] [--rows number of vectors], got {other}").into()),
        }
    }
    eprintln!("seed {SEED}");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut report = Report::default();
    hits::run(&runtime, &mut report)?;
    million::run(&runtime, rows, &mut report)?;
    report.write(&out)
}

/// The middle of some times.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The middle of some numbers.
fn median_of(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
