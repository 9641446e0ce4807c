//! The server's counters and histograms, for Prometheus.
//!
//! They are updated as events happen. The current state (statements that run, bytes of the cache) is read when a scrape asks
//! for it.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

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

    /// Counts a caller that was not let in.
    pub(crate) fn sign_in_refused(&self) {
        self.sign_ins_refused.inc();
    }

    /// Adds the counters to a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let Metrics { statements, seconds, rows, sign_ins_refused } = self;
        registry.register("statements", "Statements that ended, by kind and outcome", statements.clone());
        let help = "Time from the beginning of a statement to its last row";
        registry.register_with_unit("statement", help, Unit::Seconds, seconds.clone());
        registry.register("rows", "Rows that statements handed out or changed", rows.clone());
        registry.register("sign_ins_refused", "Calls and sign-ins that were refused", sign_ins_refused.clone());
    }
}
