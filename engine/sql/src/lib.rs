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
mod state;
mod statements;
mod system;
mod text;

pub use catalog::backend::{BackendDefinition, BackendKind};
pub use engine::register::register_all;
pub use engine::session::Session;
pub use engine::{Engine, EngineConfig, IngestMode};
pub use plan::parameters::{Prepared, check_number};
pub use running::Stop;
pub use running::answer::Answer;
pub use running::own_question::{OWN_QUESTION, is_own_question};
pub use running::turns::Turn;
pub use ruvector_udfs::error::{Error, ErrorKind, Result};
pub use ruvector_udfs::role::Role;
pub use ruvector_udfs::{error, settings};
pub use text::redact::{shown_sql, statement_kind};
pub use text::split as script;
