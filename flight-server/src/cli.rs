//! The command line: `ruvector serve`, `ruvector sql`, `ruvector bundle` and `ruvector user`.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;

use clap::{Args, Parser, Subcommand};
use ruvector_embed::EmbedderOptions;
use ruvector_udfs::{Engine, EngineConfig};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{MissedTickBehavior, interval};
use tracing_subscriber::filter::FilterExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, filter};

use crate::config::{
    self, Config, ENGINE_THREADS_MAX, Flags, GIVE_BACK_INTERVAL, IO_THREADS, STACK_BYTES, Setup, Sources,
};
use crate::memory;
use crate::server::{bind_for, serve_on};
use crate::shell::{self, BundleAction, Format, Remote, RemoteArgs, Source, Target};
use crate::user::{self, UserArgs};

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
    Sql(Box<SqlArgs>),
    /// Publish the state of a table, and hold it against what is cached elsewhere.
    ///
    /// A bundle is a file, table.rulake.json, that names a state of a table and is sealed by a witness. Exit codes: 0 done,
    /// 1 failed, 2 wrong arguments, 3 there is no bundle, 4 the bundle or an index file was changed or is damaged, 5 the
    /// table is in another state.
    #[command(subcommand)]
    Bundle(BundleAction),
    /// Make lines for the file of users (--auth-users).
    User(UserArgs),
}

#[derive(Args)]
struct ServeArgs {
    #[command(flatten)]
    flags: Flags,
    /// Check the settings and the files that they name, print the settings that would be used, and exit: 0, or 1 if
    /// something is wrong.
    #[arg(long)]
    check_config: bool,
}

#[derive(Args)]
struct SqlArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Statements to run, separated by `;`.
    #[arg(short, long, value_name = "SQL", conflicts_with = "file")]
    command: Option<String>,
    /// A file of statements to run; `-` reads standard input.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How rows are printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Where statements run: in this process, or on a server.
#[derive(Args, Clone)]
pub(crate) struct PlaceArgs {
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    remote: RemoteArgs,
}

impl PlaceArgs {
    /// Whether they name a server.
    pub(crate) fn is_remote(&self) -> bool {
        self.remote.is_some()
    }

    /// Opens the engine, or connects to the server.
    pub(crate) fn target(self, runtime: &Runtime) -> Result<Target, String> {
        Ok(match Remote::from_args(self.remote)? {
            Some(remote) => runtime.block_on(Target::connect(remote))?,
            None => {
                let config = self.engine.config();
                config::check_folder("--data", config.data_dir.as_deref()).map_err(|e| e.to_string())?;
                if let Some(path) = new_folder(&config) {
                    let _ = writeln!(io::stderr(), "new database in {}", path.display());
                }
                Target::embedded(runtime.block_on(open(runtime, config))?)
            }
        })
    }
}

#[derive(Args, Clone)]
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
        EngineConfig { data_dir: data, embed, ..EngineConfig::default() }
    }
}

/// Runs the `ruvector` command with these arguments; the first is the name it was called by.
///
/// It builds its own runtimes, so it must not be called from within one. A server calls `give_back_memory` every second: it asks
/// the allocator to give freed memory back to the system.
pub fn run(args: impl IntoIterator<Item = OsString>, give_back_memory: fn()) -> ExitCode {
    ExitCode::from(exit_code(args, give_back_memory))
}

/// As [`run`], with the exit code as a number: 0, 1 if something failed, 2 if the arguments are wrong.
pub fn exit_code(args: impl IntoIterator<Item = OsString>, give_back_memory: fn()) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` come this way too. There is nobody to tell if the terminal is gone.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(1);
        }
    };
    let done = match cli.command {
        Command::Serve(args) => run_serve(args, give_back_memory),
        Command::Sql(args) => run_sql(*args),
        Command::User(args) => user::run(args),
        Command::Bundle(action) => return run_bundle(action),
    };
    match done {
        Ok(()) => 0,
        Err(message) => failed(message, 1),
    }
}

/// Says what failed, and returns the exit code.
fn failed(message: impl Display, exit_code: u8) -> u8 {
    let _ = writeln!(io::stderr(), "error: {message}");
    exit_code
}

fn run_serve(args: ServeArgs, give_back_memory: fn()) -> Result<(), String> {
    log_to_stderr("warn,ruvector_flight_server=info,ruvector_udfs=info,ruvector_rulake=info,ruvector::audit=info");
    let variable = |name: &str| std::env::var_os(name);
    let found = Sources { flags: args.flags, variable: Some(&variable) }.find().map_err(|e| e.to_string())?;
    let effective = found.to_toml();
    let setup = Setup::load(found.config).map_err(|e| e.to_string())?;
    if args.check_config {
        let runtime = runtime(&mut Builder::new_current_thread())?;
        runtime.block_on(setup.addresses()).map_err(|e| e.to_string())?;
        announce(effective.trim_end());
        return Ok(());
    }
    serve(setup, give_back_memory)
}

fn serve(setup: Setup, give_back_memory: fn()) -> Result<(), String> {
    let engine_runtime = engine_runtime(setup.config.server.statements_max)?;
    engine_runtime.spawn(async move {
        let mut ticks = interval(GIVE_BACK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            give_back_memory();
        }
    });
    // Their stacks are as deep as the engine's: a search of an exchange may have to be planned there.
    let io_runtime = runtime(
        Builder::new_multi_thread()
            .worker_threads(IO_THREADS)
            .thread_name("ruvector-io")
            .thread_stack_size(STACK_BYTES),
    )?;
    let served = io_runtime.block_on(async {
        let stop = stop_signal().map_err(|e| format!("cannot wait for signals: {e}"))?;
        let listener = bind_for(&setup).await.map_err(|e| e.to_string())?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        let config = engine_config(&setup.config);
        match &config.data_dir {
            Some(_) if let Some(path) = new_folder(&config) => tracing::info!("new database in {}", path.display()),
            Some(data_dir) => tracing::info!(data = %data_dir.display(), "opening"),
            None => tracing::warn!("no --data: tables end with this server"),
        }
        let engine = open(&engine_runtime, config).await?;
        announce(&format!("ruvector listening on {}://{address}", setup.scheme()));
        serve_on(listener, engine, engine_runtime.handle().clone(), setup, stop).await.map_err(|e| e.to_string())
    });
    // What was cut off after the drain must not keep the process alive.
    engine_runtime.shutdown_background();
    served
}

fn run_sql(args: SqlArgs) -> Result<(), String> {
    log_to_stderr("error");
    let runtime = engine_runtime(0)?;
    let source = match (args.command, args.file) {
        (Some(sql), _) => Source::Text(sql),
        (None, Some(path)) => {
            let (name, text) = shell::read_file(&path)?;
            Source::File(name, text)
        }
        (None, None) => Source::Terminal,
    };
    let target = args.place.target(&runtime)?;
    let done = shell::run(&runtime, target, source, args.format);
    // A statement that was interrupted may still be on its way to the next point where it can stop.
    runtime.shutdown_background();
    done
}

fn run_bundle(action: BundleAction) -> u8 {
    log_to_stderr("error");
    let runtime = match engine_runtime(0) {
        Ok(runtime) => runtime,
        Err(message) => return failed(message, 1),
    };
    let done = shell::run_bundle(action, &runtime);
    runtime.shutdown_background();
    match done {
        Ok(()) => 0,
        Err(error) => failed(&error, error.exit_code()),
    }
}

fn engine_config(config: &Config) -> EngineConfig {
    let config::EngineConfig { data, model_dir, models_dir, models_download, onnxruntime, memory_bytes_max, spill_dir } =
        config.engine.clone();
    let statement_time_max = config.server.statement_time_max;
    let found = EngineArgs { data, model_dir, models_dir, onnxruntime }.config();
    EngineConfig {
        embed: EmbedderOptions {
            offline: !models_download,
            online_hint: (!models_download).then_some("let the server fetch it: engine.models_download = true"),
            ..found.embed
        },
        statement_time_max: (!statement_time_max.is_zero()).then_some(statement_time_max),
        memory_bytes_max: match memory_bytes_max {
            0 => memory::half(),
            bytes => Some(bytes),
        },
        spill_dir,
        ..found
    }
}

/// The folder of tables that does not exist yet.
fn new_folder(config: &EngineConfig) -> Option<&Path> {
    config.data_dir.as_deref().filter(|path| !path.exists())
}

async fn open(runtime: &Runtime, config: EngineConfig) -> Result<Arc<Engine>, String> {
    let opened = runtime.spawn(Engine::open(config)).await;
    opened.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
}

/// The runtime on which SQL is planned and run: a thread for each of `statements` that may run at the same time, and one for
/// each core. A statement may keep its thread busy for long, as a planner does; the operating system then shares the cores
/// among the threads, and others are still answered.
fn engine_runtime(statements: usize) -> Result<Runtime, String> {
    let cores = available_parallelism().map_or(1, usize::from);
    runtime(
        Builder::new_multi_thread()
            .worker_threads(cores + statements.min(ENGINE_THREADS_MAX))
            .thread_name("ruvector-engine")
            .thread_stack_size(STACK_BYTES),
    )
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
    // Below these levels they write whole headers and statements, with the passwords and tokens in them.
    let shown = filter::filter_fn(|metadata| {
        let is_of = |name: &str| metadata.target().split("::").next() == Some(name);
        metadata.level() <= &tracing::Level::INFO || !TELLING.iter().any(|name| is_of(name))
    });
    let lines = tracing_subscriber::fmt::layer().with_ansi(io::stderr().is_terminal()).with_writer(io::stderr);
    let lines = match std::env::var("RUVECTOR_LOG_FORMAT").is_ok_and(|format| format == "json") {
        true => lines.json().flatten_event(true).boxed(),
        false => lines.boxed(),
    };
    // It fails if somebody set a logger already, as a program that embeds this one may have.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter.and(shown))).try_init();
}

/// Libraries whose debugging output has secrets of clients in it.
const TELLING: [&str; 9] =
    ["h2", "hyper", "hyper_util", "tonic", "tower", "rustls", "reqwest", "sqlparser", "datafusion_sql"];

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
        let code = |args: &[&str]| exit_code(args.iter().map(OsString::from), || {});
        assert_eq!(code(&["ruvector", "sql", "-c", "SELECT 1", "-f", "x"]), 2);
        assert_eq!(code(&["ruvector", "sql", "--remote", "grpc://h:1", "--data", "d"]), 2);
        assert_eq!(code(&["ruvector", "sql", "--token", "t"]), 2);
        assert_eq!(code(&["ruvector", "bundle", "show"]), 2);
        assert_eq!(code(&["ruvector", "bundle", "verify", "docs", "dir", "--remote", "grpc://h:1", "--data", "d"]), 2);
        assert_eq!(code(&["ruvector", "--help"]), 0);
    }
}
