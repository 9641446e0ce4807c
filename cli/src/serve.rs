//! `ruvector serve`: the Flight SQL server, until a signal stops it.

use std::io::{self, Write};

use clap::Args;
use ruvector_flight_server::config::{Flags, GIVE_BACK_INTERVAL, IO_THREADS, STACK_BYTES, Sources};
use ruvector_flight_server::{Setup, bind_for, serve_on};
use tokio::runtime::Builder;
use tokio::time::{MissedTickBehavior, interval};

use crate::logging::log_to_stderr;
use crate::runtime::{engine_runtime, new_folder, open, runtime};

/// Arguments of `ruvector serve`.
#[derive(Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    flags: Flags,
    /// Check the settings and the files that they name, print the settings that would be used, and exit: 0, or 1 if
    /// something is wrong.
    #[arg(long)]
    check_config: bool,
}

/// Runs the command. `give_back_memory` is called every second: it asks the allocator to give freed memory back to the system.
pub(crate) fn run(args: ServeArgs, give_back_memory: fn()) -> Result<(), String> {
    log_to_stderr(
        "warn,ruvector_cli=info,ruvector_flight_server=info,ruvector_sql=info,ruvector_udfs=info,ruvector_rulake=info,ruvector::audit=info",
    );
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
        let config = setup.config.engine_config();
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

/// Prints the one line on standard output that says where the server is: scripts wait for it.
fn announce(line: &str) {
    let mut out = io::stdout().lock();
    // A closed standard output is no reason not to serve.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
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
