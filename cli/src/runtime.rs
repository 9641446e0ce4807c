//! Thread pools, and the engine that runs on one.

use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;

use ruvector_flight_server::config::{ENGINE_THREADS_MAX, STACK_BYTES};
use ruvector_sql::{Engine, EngineConfig};
use thread_priority::{ThreadPriority, ThreadPriorityValue, set_current_thread_priority};
use tokio::runtime::{Builder, Runtime};

/// Priority of the engine's threads, from 0 to 99: a nice value of 5 on Linux. A thread that serves sockets or checks a password
/// has three times its share of a core.
const ENGINE_PRIORITY: u8 = 37;

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
/// among the threads, and others are still answered. Threads that serve sockets and check passwords come first.
pub(crate) fn engine_runtime(statements: usize) -> Result<Runtime, String> {
    let cores = available_parallelism().map_or(1, usize::from);
    runtime(
        Builder::new_multi_thread()
            .worker_threads(cores + statements.min(ENGINE_THREADS_MAX))
            .thread_name("ruvector-engine")
            .on_thread_start(lower_priority)
            .thread_stack_size(STACK_BYTES),
    )
}

/// Gives the thread the priority of an engine's thread, unless the system refuses.
fn lower_priority() {
    let lowered = ThreadPriorityValue::try_from(ENGINE_PRIORITY)
        .map(|priority| set_current_thread_priority(ThreadPriority::Crossplatform(priority)));
    if !matches!(lowered, Ok(Ok(()))) {
        tracing::debug!("the priority of a thread of the engine stays as it is");
    }
}

pub(crate) fn runtime(builder: &mut Builder) -> Result<Runtime, String> {
    builder.enable_all().build().map_err(|e| format!("cannot start threads: {e}"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The nice value of the thread: field 19 of `stat` (proc_pid_stat(5)).
    fn nice() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let fields = stat.rsplit(')').next().unwrap();
        fields.split_whitespace().nth(16).unwrap().parse().unwrap()
    }

    #[test]
    fn threads_of_the_engine_have_a_lower_priority() {
        let runtime = engine_runtime(1).unwrap();
        let of_engine = runtime.block_on(async { tokio::spawn(async { nice() }).await }).unwrap();
        assert_eq!(of_engine.max(nice()), of_engine);
        assert!(of_engine >= 5, "{of_engine}");
    }
}
