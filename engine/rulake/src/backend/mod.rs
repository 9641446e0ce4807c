//! The backends that come with the crate, and layers around any backend.
//!
//! Each implements [`Backend`](crate::contract::Backend). `parquet` is the reader that those over files share.

pub mod delta;
pub mod fs;
pub mod hive;
pub mod index;
pub mod keyed;
pub mod layer;
pub mod local;
pub mod object_store;
mod parquet;

pub use delta::{DeltaBackend, RemoteDeltaBackend};
pub use fs::FsBackend;
pub use index::IndexBackend;
pub use keyed::{KeyedBackend, KeyedSource};
pub use local::LocalBackend;
pub use object_store::{ObjectStoreBackend, open_store, redact_option};
