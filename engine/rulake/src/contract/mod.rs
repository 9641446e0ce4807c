//! The contract of a backend: all that its author implements, and the types of its arguments and answers.
//!
//! A [`Backend`] lists collections and pins their states; a [`Snapshot`] is one state, made of [`Part`]s, and is read by scans,
//! by streams of vectors and by takes of rows. Nothing here knows a backend, the cache or the lake.

mod backend;
mod name;
mod scan_request;
mod served_index;
mod snapshot;
mod vector_stream;

pub use backend::{AsOf, Backend, Commit};
pub use name::is_name;
pub(crate) use name::{NameRule, check_name};
pub use scan_request::ScanRequest;
pub use served_index::ServedIndex;
pub use snapshot::{INDEX_DIR, Part, Snapshot};
pub(crate) use vector_stream::scan_vectors;
pub use vector_stream::{VectorRequest, VectorStream, VectorWindow};
