//! Everything SQL: the engine, `knn()`, distances, `embed()`, index DDL and catalogs.
//!
//! [`Engine`] is the one way in: the Flight server, the shell, the Python package and the tests all call
//! [`Engine::execute`]. It knows SQL and DataFusion; it knows no wire protocol.

#![forbid(unsafe_code)]

/// Errors: a kind to act on, and a message to read.
pub mod error;
/// The settings `ruvector.*` of a session.
pub mod settings;

mod aggregate;
mod catalog;
mod collection;
mod declared_index;
mod documentation;
mod engine;
mod functions;
mod index_status;
mod knn;
mod limits;
mod lookup;
mod names;
mod plan;
pub mod reference;
mod role;
mod rules;
mod scalar;
mod statements;
mod system;
mod text;

pub use catalog::backend::{BackendDefinition, BackendKind};
pub use engine::answer::Answer;
pub use engine::own_question::{OWN_QUESTION, is_own_question};
pub use engine::register::register_all;
pub use engine::running::Stop;
pub use engine::session::Session;
pub use engine::{Engine, EngineConfig, IngestMode, Prepared};
pub use error::{Error, ErrorKind, Result};
pub use plan::parameters::check_number;
pub use role::Role;
pub use text::redact::{shown_sql, statement_kind};
pub use text::split as script;
