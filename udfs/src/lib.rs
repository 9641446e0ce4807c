//! Everything SQL: the engine, `knn()`, distances, `embed()`, index DDL and catalogs.
//!
//! [`Engine`] is the one way in: the Flight server, the shell, the Python package and the tests all call
//! [`Engine::execute`]. It knows SQL and DataFusion; it knows no wire protocol.

/// What went wrong, as a kind to act on and a message to read.
pub mod error;

/// The one way in: sessions, statements and what they answer.
pub mod engine;

pub use engine::{Answer, Engine, EngineConfig, IngestMode, Prepared, Session};
pub use error::{Error, ErrorKind, Result};
