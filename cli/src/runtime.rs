//! Thread pools, and the engine that runs on one.

use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;

use ruvector_flight_server::config::{ENGINE_THREADS_MAX, STACK_BYTES};
use ruvector_sql::{Engine, EngineConfig};
use tokio::runtime::{Builder, Runtime};

/// The folder of tables that does not exist yet.
pub(crate) fn new_folder(config: &EngineConfig) -> Option<&Path> {
    config.data_dir.as_deref().filter(|path| !path.exists())
}

pub(crate) async fn open(runtime: &Runtime, config: EngineConfig) -> Result<Arc<Engine>, String> {
    let opened = runtime.spawn(Engine::open(config)).await;
    opened.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
}

/// The runtime on which SQL is planned and run: a thread for each of `statements` that may run at the same time, and one for
/// each core. A statement may keep its thread busy for long, as a planner does; the operating system then shares the cores
/// among the threads, and others are still answered.
pub(crate) fn engine_runtime(statements: usize) -> Result<Runtime, String> {
    let cores = available_parallelism().map_or(1, usize::from);
    runtime(
        Builder::new_multi_thread()
            .worker_threads(cores + statements.min(ENGINE_THREADS_MAX))
            .thread_name("ruvector-engine")
            .thread_stack_size(STACK_BYTES),
    )
}

pub(crate) fn runtime(builder: &mut Builder) -> Result<Runtime, String> {
    builder.enable_all().build().map_err(|e| format!("cannot start threads: {e}"))
}
