//! ruLake: answers from compressed indexes over vectors that stay where they are.
//!
//! It pins a state of a collection, builds an index over a vector column of that state once, and seals the index with a
//! witness of the state. Searches use the index for as long as the witness holds.
//! It is not a store of record (vectors belong to a [`Backend`]) and it knows no SQL.
//!
//! Layers, each of which uses only those above it in this list: single files (addresses, witnesses, types, files),
//! [`contract`], [`backend`] and [`scan`], [`cache`], [`lake`]. [`conformance`] checks a backend by its contract.

#![forbid(unsafe_code)]

pub mod error;

pub mod address;
pub mod atomic_file;
mod blocking;
pub mod bundle;
pub mod consistency;
pub mod failpoint;
mod id_column;
mod index_spec;
pub mod vector_column;
mod vector_lists;
pub mod vector_type;
pub mod witness;

pub mod assign;

pub mod contract;

pub mod backend;
pub mod scan;

pub mod operator;

pub mod cache;

pub mod lake;

pub mod conformance;

pub use address::RowAddress;
pub use backend::{
    DeltaBackend, FsBackend, IndexBackend, KeyedBackend, KeyedSource, LocalBackend, ObjectStoreBackend,
    RemoteDeltaBackend,
};
pub use blocking::cpu_bound;
pub use bundle::Bundle;
pub use cache::{BuildProgress, CacheStats, CachedEntry, CollectionKey, Entry, HitSource, Pinned};
pub use consistency::Consistency;
pub use contract::{
    AsOf, Backend, Commit, Part, ScanRequest, ServedIndex, Snapshot, VectorRequest, VectorStream, VectorWindow,
};
pub use error::{Error, ErrorKind, Result};
pub use index_spec::IndexSpec;
pub use lake::{
    FederatedAnswer, FederatedOptions, GatherPolicy, Gathered, LakeHit, LakeSession, RefreshResult, RuLake,
    RuLakeBuilder, SearchOptions, gather, merge_nearest,
};
pub use ruvector_rabitq::IndexKind;
pub use scan::exact;
pub use witness::Generation;
