//! The command line: `ruvector serve` and `ruvector sql`.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use ruvector_embed::EmbedderOptions;
use ruvector_udfs::{Engine, EngineConfig};
use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::EnvFilter;

use crate::config::{IO_THREADS, LISTEN, STACK_BYTES};
use crate::server::{bind, serve_on};
use crate::shell::{self, Format, Source, Target};

/// Nearest-neighbour questions in SQL, over vectors that stay where they are.
#[derive(Parser)]
#[command(name = "ruvector", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve tables over Arrow Flight SQL.
    Serve(ServeArgs),
    /// Run SQL: from -c, from a file, or in an interactive shell.
    Sql(SqlArgs),
}

#[derive(Args)]
struct ServeArgs {
    #[command(flatten)]
    engine: EngineArgs,
    /// HOST:PORT to listen on; port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = LISTEN)]
    listen: String,
    /// Listen on an address that other machines can reach, although everybody who reaches it may do everything.
    #[arg(long)]
    insecure_allow_remote: bool,
}

#[derive(Args)]
struct SqlArgs {
    #[command(flatten)]
    engine: EngineArgs,
    /// Statements to run, separated by `;`.
    #[arg(short, long, value_name = "SQL", conflicts_with = "file")]
    command: Option<String>,
    /// A file of statements to run; `-` reads standard input.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A server to run them on, as grpc://HOST:PORT, instead of in this process.
    #[arg(long, value_name = "URL", conflicts_with_all = ["data", "model_dir", "models_dir", "onnxruntime"])]
    remote: Option<String>,
    /// How rows are printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Args)]
struct EngineArgs {
    /// Folder of the tables. Without it they live in a temporary folder and end with the process.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder of the embedding model itself (`model.onnx`, `tokenizer.json`).
    #[arg(long, value_name = "DIR")]
    model_dir: Option<PathBuf>,
    /// Folder of embedding models by name [default: $RUVECTOR_MODELS_DIR].
    #[arg(long, value_name = "DIR")]
    models_dir: Option<PathBuf>,
    /// The ONNX Runtime library [default: $ORT_DYLIB_PATH].
    #[arg(long, value_name = "FILE")]
    onnxruntime: Option<PathBuf>,
}

impl EngineArgs {
    fn config(self) -> EngineConfig {
        let Self { data, model_dir, models_dir, onnxruntime } = self;
        let embed = EmbedderOptions { model_dir, models_dir, onnxruntime, ..EmbedderOptions::default() };
        EngineConfig { data_dir: data, embed }
    }
}

/// Runs the `ruvector` command with these arguments; the first is the name it was called by.
///
/// It builds its own runtimes, so it must not be called from within one.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    ExitCode::from(exit_code(args))
}

/// As [`run`], with the exit code as a number: 0, 1 if something failed, 2 if the arguments are wrong.
pub fn exit_code(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` come this way too. There is nobody to tell if the terminal is gone.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(1);
        }
    };
    let done = match cli.command {
        Command::Serve(args) => run_serve(args),
        Command::Sql(args) => run_sql(args),
    };
    match done {
        Ok(()) => 0,
        Err(message) => {
            let _ = writeln!(io::stderr(), "error: {message}");
            1
        }
    }
}

fn run_serve(args: ServeArgs) -> Result<(), String> {
    log_to_stderr("warn,ruvector_flight_server=info,ruvector_udfs=info,ruvector_rulake=info");
    let engine_runtime = engine_runtime()?;
    let io_runtime = runtime(Builder::new_multi_thread().worker_threads(IO_THREADS).thread_name("ruvector-io"))?;
    let served = io_runtime.block_on(async {
        let stop = stop_signal().map_err(|e| format!("cannot wait for signals: {e}"))?;
        let listener = bind(&args.listen, args.insecure_allow_remote).await.map_err(|e| e.to_string())?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        let config = args.engine.config();
        match &config.data_dir {
            Some(data_dir) => tracing::info!(data = %data_dir.display(), "opening"),
            None => tracing::warn!("no --data: tables end with this server"),
        }
        let engine = open(&engine_runtime, config).await?;
        announce(&format!("ruvector listening on grpc://{address}"));
        serve_on(listener, engine, engine_runtime.handle().clone(), stop).await.map_err(|e| e.to_string())
    });
    // What was cut off after the drain must not keep the process alive.
    engine_runtime.shutdown_background();
    served
}

fn run_sql(args: SqlArgs) -> Result<(), String> {
    log_to_stderr("error");
    let runtime = engine_runtime()?;
    let source = match (args.command, args.file) {
        (Some(sql), _) => Source::Text(sql),
        (None, Some(path)) => Source::Text(shell::read_file(&path)?),
        (None, None) => Source::Terminal,
    };
    let target = match args.remote {
        Some(url) => runtime.block_on(Target::connect(&url))?,
        None => Target::embedded(runtime.block_on(open(&runtime, args.engine.config()))?),
    };
    let done = shell::run(&runtime, target, source, args.format);
    // A statement that was interrupted may still be on its way to the next point where it can stop.
    runtime.shutdown_background();
    done
}

async fn open(runtime: &Runtime, config: EngineConfig) -> Result<Arc<Engine>, String> {
    let opened = runtime.spawn(Engine::open(config)).await;
    opened.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
}

/// The runtime on which SQL is planned and run.
fn engine_runtime() -> Result<Runtime, String> {
    runtime(Builder::new_multi_thread().thread_name("ruvector-engine").thread_stack_size(STACK_BYTES))
}

fn runtime(builder: &mut Builder) -> Result<Runtime, String> {
    builder.enable_all().build().map_err(|e| format!("cannot start threads: {e}"))
}

/// Prints the one line on standard output that says where the server is: scripts wait for it.
fn announce(line: &str) {
    let mut out = io::stdout().lock();
    // A closed standard output is no reason not to serve.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Logs to standard error what `$RUVECTOR_LOG` asks for, or `default`.
fn log_to_stderr(default: &str) {
    let filter = EnvFilter::try_from_env("RUVECTOR_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    // It fails if somebody set a logger already, as a program that embeds this one may have.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .try_init();
}

/// Resolves at the first SIGTERM or SIGINT. The handlers are in place when this returns.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Resolves at the first Ctrl-C. The handler is in place when this returns.
#[cfg(windows)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_arguments_exit_with_2_and_help_with_0() {
        let code = |args: &[&str]| exit_code(args.iter().map(OsString::from));
        assert_eq!(code(&["ruvector", "sql", "-c", "SELECT 1", "-f", "x"]), 2);
        assert_eq!(code(&["ruvector", "sql", "--remote", "grpc://h:1", "--data", "d"]), 2);
        assert_eq!(code(&["ruvector", "--help"]), 0);
    }
}
