//! DuckDB, in a Python of its own that is asked over pipes.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use ruvector_bench_service::Failure;
use serde::Deserialize;
use serde_json::json;

const SCRIPT: &str = include_str!("duckdb_peer.py");

/// A running DuckDB over one Parquet file.
pub(crate) struct DuckDb {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(crate) version: String,
    pub(crate) threads: usize,
}

#[derive(Deserialize)]
struct Started {
    version: String,
    threads: usize,
}

#[derive(Deserialize)]
struct Nearest {
    ids: Vec<i64>,
    seconds: f64,
}

impl DuckDb {
    /// Starts it with as many threads as there are cores.
    pub(crate) fn start(python: &Path, file: &Path) -> Result<Self, Failure> {
        let threads = std::thread::available_parallelism()?.get();
        let mut process = Command::new(python)
            .args(["-c", SCRIPT])
            .arg(file)
            .arg(threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let questions = process.stdin.take().ok_or("no pipe to DuckDB")?;
        let mut answers = BufReader::new(process.stdout.take().ok_or("no pipe from DuckDB")?);
        let Started { version, threads } = read(&mut answers)?;
        Ok(Self { process, questions, answers, version, threads })
    }

    /// The ids of the ten nearest rows, and how long it took as DuckDB's caller sees it.
    pub(crate) fn nearest(&mut self, query: &[f32]) -> Result<(Vec<i64>, Duration), Failure> {
        writeln!(self.questions, "{}", json!(query))?;
        self.questions.flush()?;
        let Nearest { ids, seconds } = read(&mut self.answers)?;
        Ok((ids, Duration::from_secs_f64(seconds)))
    }
}

fn read<T: serde::de::DeserializeOwned>(answers: &mut impl BufRead) -> Result<T, Failure> {
    let mut line = String::new();
    answers.read_line(&mut line)?;
    Ok(serde_json::from_str(&line).map_err(|e| format!("DuckDB answered {line:?}: {e}"))?)
}

impl Drop for DuckDb {
    fn drop(&mut self) {
        // It ends by itself once its pipe is closed; a run that failed does not wait for it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
