//! Log lines on standard error.

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::FilterExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, filter};

/// Logs to standard error what `$RUVECTOR_LOG` asks for, or `default`.
pub(crate) fn log_to_stderr(default: &str) {
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
    // It fails if a logger is set already, as by a program that embeds this one.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter.and(shown))).try_init();
}

/// Libraries whose debugging output has secrets of clients in it.
const TELLING: [&str; 9] =
    ["h2", "hyper", "hyper_util", "tonic", "tower", "rustls", "reqwest", "sqlparser", "datafusion_sql"];
