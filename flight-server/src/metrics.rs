//! What the server counts, for Prometheus.
//!
//! Counters and histograms are kept as things happen; what is a state of now (statements that run, bytes of the cache) is asked
//! for when somebody scrapes.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

use crate::state::ServerState;

/// Bounds of the buckets for the time of statements, in seconds: a search takes some hundred microseconds, an ingest minutes.
const SECONDS: [f64; 14] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0, 120.0, 600.0];

/// The counters of one server.
pub(crate) struct Metrics {
    statements: Family<Ended, Counter>,
    seconds: Family<Kind, Histogram, fn() -> Histogram>,
    rows: Family<Kind, Counter>,
    sign_ins_refused: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ended {
    kind: &'static str,
    outcome: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            statements: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            rows: Family::default(),
            sign_ins_refused: Counter::default(),
        }
    }
}

impl Metrics {
    /// Counts a statement that has ended. `kind` and `outcome` are few words, and none that a client chose.
    pub(crate) fn statement(&self, kind: &'static str, outcome: &'static str, rows: u64, time: Duration) {
        self.statements.get_or_create(&Ended { kind, outcome }).inc();
        self.seconds.get_or_create(&Kind { kind }).observe(time.as_secs_f64());
        self.rows.get_or_create(&Kind { kind }).inc_by(rows);
    }

    /// Counts somebody who was not let in.
    pub(crate) fn sign_in_refused(&self) {
        self.sign_ins_refused.inc();
    }
}

/// All that is known now, in the text format of OpenMetrics.
///
/// # Errors
/// None that can be expected: the text is written to memory.
pub(crate) fn text(state: &ServerState) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("ruvector");
    let Metrics { statements, seconds, rows, sign_ins_refused } = &*state.metrics;
    registry.register("statements", "Statements that ended, by kind and outcome", statements.clone());
    let help = "Time from the beginning of a statement to its last row";
    registry.register_with_unit("statement", help, Unit::Seconds, seconds.clone());
    registry.register("rows", "Rows that statements handed out or changed", rows.clone());
    registry.register(
        "sign_ins_refused",
        "Calls and sign-ins of somebody who was not let in",
        sign_ins_refused.clone(),
    );
    let mut gauge = |name: &str, help: &str, value: u64| {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    };
    let (running, waiting) = state.work.places().load();
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
