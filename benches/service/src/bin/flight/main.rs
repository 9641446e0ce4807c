//! The cost of the wire: searches over Flight SQL and DoExchange beside the engine and bare gRPC, rows out of memory beside
//! arrow-flight's own encoder and decoder, rows from and into Delta beside the Delta library, and the memory that it takes, in
//! one run. Answers are checked before anything is timed.

mod bare;
mod delta;
mod latency;
mod memory;
mod sail;
mod served;
mod throughput;

use std::path::PathBuf;

use ruvector_bench_service::{Failure, Report, SEED};

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mut out, mut python, mut rows) = (PathBuf::from("benches/out"), None, 1_000_000);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--out" => out = PathBuf::from(value),
            "--python" => python = Some(PathBuf::from(value)),
            "--rows" => rows = value.parse()?,
            other => {
                let usage = "usage: [--out folder] [--rows number of vectors] [--python an interpreter with pysail]";
                return Err(format!("{usage}, got {other}").into());
            }
        }
    }
    eprintln!("seed {SEED}");
    let mut report = Report::default();
    latency::run(&mut report)?;
    throughput::run(rows, &mut report)?;
    delta::run(rows, &mut report)?;
    sail::run(python.as_deref(), &mut report)?;
    report.write(&out, "flight")
}
