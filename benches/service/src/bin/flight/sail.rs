//! Search without an index, and a scan, beside Sail: another server over DataFusion that speaks Flight SQL.

use std::path::Path;
use std::process::Command;

use ruvector_bench_service::{Failure, Report, SEED, data};
use ruvector_sql::EngineConfig;
use serde::Deserialize;

use crate::served::Served;
use crate::throughput::DIM;

const ROWS: usize = 100_000;
const ROUNDS: usize = 7;
const PEER: &str = include_str!("sail_peer.py");

/// The finding of the peer's script for one question.
#[derive(Deserialize)]
struct Found {
    question: String,
    equal: bool,
    ours: f64,
    theirs: f64,
}

pub(crate) fn run(python: Option<&Path>, report: &mut Report) -> Result<(), Failure> {
    let Some(python) = python else {
        eprintln!("without --python there is no Sail to compare with");
        return Ok(());
    };
    eprintln!("beside Sail: {ROWS} vectors of {DIM} in Parquet");
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("docs.parquet");
    data::write_parquet(&path, &data::rows(SEED, 0, ROWS, DIM)?, None)?;
    let (engine, served) = Served::engine(EngineConfig::default())?;
    let runtime = tokio::runtime::Runtime::new()?;
    let create = format!("CREATE EXTERNAL TABLE docs STORED AS PARQUET LOCATION '{}'", path.display());
    runtime.block_on(engine.execute(&engine.session(), &create, &[]))?;
    let output = Command::new(python)
        .arg("-c")
        .arg(PEER)
        .arg(served.address.replace("http://", "grpc://"))
        .arg(&path)
        .arg(ROUNDS.to_string())
        .output()?;
    if !output.status.success() {
        return Err(format!("the peer failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Found { question, equal, ours, theirs } = serde_json::from_slice(line)?;
        if !equal {
            return Err(format!("ruvector and Sail answer differently: {question}").into());
        }
        report.target(
            &format!("{question} ({ROWS} x {DIM}) over Flight SQL, beside Sail"),
            "faster",
            format!("{:.1}x ({:.1} ms, Sail {:.1} ms)", theirs / ours, ours * 1e3, theirs * 1e3),
            ours < theirs,
        );
    }
    Ok(())
}
