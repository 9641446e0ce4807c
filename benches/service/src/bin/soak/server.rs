//! `ruvector serve` as a process of its own, so that its memory is its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use ruvector_bench_service::Failure;
use tempfile::TempDir;

pub(crate) struct Server {
    pub(crate) address: String,
    process: Child,
    /// Held for its `Drop`.
    _data: TempDir,
}

impl Server {
    /// Starts it over a folder of its own, as a user would: with the settings that it has by default.
    pub(crate) fn start(ruvector: &Path) -> Result<Self, Failure> {
        let data = tempfile::tempdir()?;
        let mut process = Command::new(ruvector)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data.path())
            .env("RUVECTOR_LOG", "error,ruvector::audit=off")
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{}: {e}", ruvector.display()))?;
        let out = process.stdout.take().ok_or("no standard output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let address = line.trim().rsplit("grpc://").next().filter(|_| line.contains("grpc://"));
        let address = format!("http://{}", address.ok_or_else(|| format!("the server said {line:?}"))?);
        Ok(Self { address, process, _data: data })
    }

    /// The memory that it has now.
    pub(crate) fn memory_mebibytes(&mut self) -> Result<f64, Failure> {
        if let Some(status) = self.process.try_wait()? {
            return Err(format!("the server ended: {status}").into());
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kibibytes / 1024.0)
    }

    /// Ends it as an operator does, and waits for it.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        Command::new("kill").arg(self.process.id().to_string()).status()?;
        let status = self.process.wait()?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("the server ended with {status}").into()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended, or the run failed.
        let _ = self.process.kill();
    }
}
