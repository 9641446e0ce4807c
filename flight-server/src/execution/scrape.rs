//! The answer to a scrape: the counters, and gauges of the current state.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

use super::state::ServerState;

/// All that is known now, in the text format of OpenMetrics.
///
/// # Errors
/// None that can be expected: the text is written to memory.
pub(crate) fn text(state: &ServerState) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("ruvector");
    state.metrics.register(&mut registry);
    let mut gauge = |name: &str, help: &str, value: u64| {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    };
    let (running, waiting) = state.executor.places().load();
    gauge("statements_running", "Statements that run now", running as u64);
    gauge("statements_waiting", "Statements that wait for their turn now", waiting as u64);
    gauge("sessions", "Sessions that are open now", state.sessions.len() as u64);
    let (reserved, limit) = state.engine.memory();
    gauge("statement_memory_bytes", "Memory that statements hold for rows now", reserved as u64);
    if let Some(limit) = limit {
        gauge("statement_memory_limit_bytes", "Memory that statements may hold for rows", limit as u64);
    }
    let lake = state.engine.lake();
    let entries = lake.cached_entries();
    let bytes: usize = entries.iter().map(|cached| cached.entry.memory_bytes()).sum();
    gauge("cache_entries", "Indexes in memory now", entries.len() as u64);
    gauge("cache_bytes", "Memory of the indexes in memory now", bytes as u64);
    if let Some(bytes) = resident_bytes() {
        gauge("resident_memory_bytes", "Memory of the server's process now", bytes);
    }
    let cache = lake.cache_stats();
    let mut count = |name: &str, help: &str, value: u64| {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        registry.register(name, help, counter);
    };
    count("cache_hits", "Searches that found their index in memory", cache.hits);
    count("cache_misses", "Searches that did not", cache.misses);
    count("cache_primes", "Indexes built from a backend", cache.primes);
    count("cache_loads", "Indexes read from a file", cache.loads);
    count("cache_follows", "Indexes brought to a newer state", cache.follows);
    let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "What runs", build);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

fn resident_bytes() -> Option<u64> {
    let pid = sysinfo::get_current_pid().ok()?;
    let mut system = System::new();
    let memory = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, memory);
    Some(system.process(pid)?.memory())
}
