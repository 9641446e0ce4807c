//! `ruvector sql`: statements from the command line, a file, or a person.

/// Rows as a table, CSV or JSON.
mod output;
/// The server that statements run on, and how to sign in there.
mod remote;
/// The interactive loop.
mod repl;
/// Rows as a table that a person reads.
mod table;
/// Where statements run: in this process or on a server.
mod target;

use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

pub(crate) use output::Format;
pub(crate) use remote::{Remote, RemoteArgs, ask_password};
pub(crate) use target::Target;

use crate::script;
use output::Shown;

/// Where statements come from.
pub(crate) enum Source {
    Text(String),
    /// A person at a terminal, or whatever is piped in.
    Terminal,
}

/// Runs all statements of `source`.
///
/// # Errors
/// The first error, where statements come as text; a person sees errors and goes on.
pub(crate) fn run(runtime: &Runtime, target: Target, source: Source, format: Format) -> Result<(), String> {
    let console = Builder::new_current_thread().enable_all().build();
    let console = console.map_err(|e| format!("cannot wait for Ctrl-C: {e}"))?;
    let shell = Shell { runtime, console, target, format };
    match source {
        Source::Text(sql) => shell.run_script(&sql),
        Source::Terminal if io::stdin().is_terminal() => repl::run(shell),
        Source::Terminal => shell.run_script(&read_stdin()?),
    }
}

/// The text of `path`; of standard input if it is `-`.
pub(crate) fn read_file(path: &Path) -> Result<String, String> {
    if path == Path::new("-") {
        return read_stdin();
    }
    fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

fn read_stdin() -> Result<String, String> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(|e| format!("cannot read standard input: {e}"))?;
    Ok(text)
}

struct Shell<'a> {
    /// Where statements run.
    runtime: &'a Runtime,
    /// Where the shell waits for them, and for Ctrl-C: a statement may keep all threads of the other one busy.
    console: Runtime,
    target: Target,
    format: Format,
}

impl Shell<'_> {
    fn run_script(&self, sql: &str) -> Result<(), String> {
        for statement in script::statements(sql) {
            let (shown, _) = self.run_one(statement.to_owned())?;
            match (self.format, shown) {
                // Standard output holds nothing but rows, for a program to read.
                (Format::Csv | Format::Json, _) => {}
                (Format::Table, Shown::OutputClosed) => {}
                (Format::Table, shown) => output::print_line(&shown.to_string())?,
            }
        }
        Ok(())
    }

    /// Runs one statement, prints its rows, and says how long it took.
    fn run_one(&self, sql: String) -> Result<(Shown, Duration), String> {
        let start = Instant::now();
        let (target, format) = (self.target.clone(), self.format);
        // On the runtime's own threads, which have the stack that planning needs.
        let statement = self.runtime.spawn(async move { output::print(target.execute(&sql).await?, format).await });
        let shown = self.console.block_on(unless_interrupted(statement))?;
        Ok((shown, start.elapsed()))
    }
}

/// What `statement` returns, unless Ctrl-C comes first: that stops it, and not the shell.
async fn unless_interrupted<T>(mut statement: JoinHandle<Result<T, String>>) -> Result<T, String> {
    tokio::select! {
        done = &mut statement => done.map_err(|e| format!("the statement failed unexpectedly: {e}"))?,
        _ = tokio::signal::ctrl_c() => {
            statement.abort();
            Err("interrupted".to_owned())
        }
    }
}
