//! Everything SQL: the engine, `knn()`, distances, `embed()`, index DDL and catalogs.
//!
//! [`Engine`] is the one way in: the Flight server, the shell, the Python package and the tests all call
//! [`Engine::execute`]. It knows SQL and DataFusion; it knows no wire protocol.

#![forbid(unsafe_code)]

/// What went wrong, as a kind to act on and a message to read.
pub mod error;

/// The one way in: sessions, statements and what they answer.
mod answer;
pub mod engine;
mod owner;
mod runtime;
mod session;

/// Roles: who may do what.
mod access;

/// A statement as a log may show it.
mod shown;

/// What is done to a statement before DataFusion plans it.
mod clauses;
mod dialect;
mod statement;
mod tokens;

/// Bounds on the text of statements, on their depth and on the size of their plans.
mod nesting;
mod plan_size;
mod text_size;

/// Where one SQL statement ends and the next begins.
pub mod script;

/// The lake's operations as table functions.
mod lake;

/// Answers over files that others replace.
mod one_state;

/// Plans that are kept from one run of a statement to the next.
mod plan_cache;

/// What is known of parameters before they have values.
mod parameters;

/// `system.queries`, `KILL` and the time that statements may take.
mod queries;

/// Ingests that wait for their client.
mod uploads;

/// Where planning and running operators look whether their statement goes on.
mod planning;
mod stop;

/// Memory of long constants and long rows that operators do not count.
mod pass_through;
mod wide_constants;
mod wide_rows;

/// Rules that mend answers of DataFusion.
mod rules;

/// What other DataFusion programs take.
mod register;

/// Patches of other crates.
mod patched;

/// What a session says of its searches.
pub mod settings;

/// Ranges of DataFusion's settings.
mod setting_ranges;

/// What a statement wishes of the tables it names.
mod wishes;

/// Older states of tables.
mod time_travel;

/// Backends as schemas, collections as tables.
mod catalog;
mod collection;

/// Backends made by SQL.
pub mod backend;

/// Tables over files that others write.
mod external;

/// The schema `system`.
mod system;

/// `knn()`, the relation.
mod knn;

/// Functions over vectors and text.
mod scalar;

/// Sums and means of vectors.
mod aggregate;

/// The SQL reference, made from the code.
pub mod reference;

/// What is in catalogs that a program added.
mod foreign;

/// Statements that change tables.
mod array_sizes;
mod assign;
mod column_types;
mod ddl;
mod dml;

/// Indexes that are tables.
mod index_table;

/// Declared indexes.
pub mod index;

/// Hints at names that were probably meant.
mod suggest;

/// Statements that the shell runs for itself.
mod own_question;

pub use access::Role;
pub use answer::Answer;
pub use backend::{BackendDefinition, BackendKind};
pub use engine::{Engine, EngineConfig, IngestMode, Prepared};
pub use error::{Error, ErrorKind, Result};
pub use own_question::{OWN_QUESTION, is_own_question};
pub use parameters::check_number;
pub use queries::Stop;
pub use register::register_all;
pub use session::Session;
pub use shown::{shown_sql, statement_kind};
