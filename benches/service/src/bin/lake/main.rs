//! ruLake beside the index that it caches, in one run: what a hit costs, how many clients it serves, what priming is made
//! of, how fast a restart is, and what following costs. Answers are checked before anything is timed.

mod hits;
mod million;

use std::path::PathBuf;

use ruvector_bench_service::{Failure, Report, SEED};

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
    report.write(&out, "lake")
}
