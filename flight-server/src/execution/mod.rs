//! The execution of statements: sessions, admission, threads, and the record of each statement that ended.
//!
//! A call comes in with its authenticated caller. `sessions` finds its session, `places` admits its statement, `executor` runs
//! it on the threads of the engine, `audit` and `metrics` note its end.

pub(crate) mod audit;
pub(crate) mod executor;
pub(crate) mod metrics;
pub(crate) mod places;
pub(crate) mod pulse;
pub(crate) mod scrape;
pub(crate) mod session_option;
pub(crate) mod sessions;
pub(crate) mod state;

mod hidden_paths;
