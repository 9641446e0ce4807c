//! The cost of SQL: a prepared `knn()` and a batch beside the bare index, and exact and indexed search over Parquet beside
//! DuckDB, in one run. Answers are checked before anything is timed.

mod duckdb;
mod in_memory;
mod over_parquet;

use std::path::PathBuf;

use ruvector_bench_service::{Failure, Report, SEED};

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mut out, mut python) = (PathBuf::from("benches/out"), None);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--out" => out = PathBuf::from(value),
            "--python" => python = Some(PathBuf::from(value)),
            other => {
                return Err(format!("usage: [--out folder] [--python an interpreter with duckdb], got {other}").into());
            }
        }
    }
    eprintln!("seed {SEED}");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut report = Report::default();
    runtime.block_on(async {
        in_memory::run(&mut report).await?;
        over_parquet::run(python.as_deref(), &mut report).await
    })?;
    report.write(&out, "sql")
}
