//! The SQL engine: statements, catalogs, plans and limits.
//!
//! [`Engine::execute`] is the one entry: the Flight server, the shell, the Python package and the tests all call it. Functions and
//! search relations come from `ruvector-udfs`. It knows no wire protocol.

#![forbid(unsafe_code)]

mod catalog;
mod engine;
mod functions;
mod limits;
mod plan;
pub mod reference;
mod rules;
mod running;
mod session;
mod state;
mod statements;
mod system;
mod text;

pub use catalog::backend::{BackendDefinition, BackendKind};
pub use engine::Engine;
pub use engine::ingest::IngestMode;
pub use engine::open::EngineConfig;
pub use engine::register::register_all;
pub use plan::parameters::check_number;
pub use plan::prepared::Prepared;
pub use running::answer::Answer;
pub use running::stop::Stop;
pub use running::turns::Turn;
pub use ruvector_udfs::error::{Error, ErrorKind, Result};
pub use ruvector_udfs::role::Role;
pub use ruvector_udfs::{error, settings};
pub use session::Session;
pub use text::kind::{StatementClass, statement_class, statement_kind};
pub use text::own_question::{OWN_QUESTION, is_own_question};
pub use text::redact::redact_sql;
pub use text::split as script;
