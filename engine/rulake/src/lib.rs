//! ruLake: answers from compressed indexes over vectors that stay where they are.
//!
//! It is a library that pins a state of a collection, builds an index over one of its vector columns once, seals the
//! index with a witness of what it was built from, and hands it out for as long as the witness holds.
//! It is not a store of record (vectors belong to a [`Backend`]) and it knows no SQL.

#![forbid(unsafe_code)]

/// What went wrong; one error type with the index engine below.
pub mod error;

/// Where a row lies inside one generation of a collection.
pub mod address;

/// The token of a collection's state, and the witness that seals what was built from it.
pub mod witness;

/// `table.rulake.json`: the sidecar that names a collection's state.
pub mod bundle;

/// Values of one type as values of a column, exactly or not at all.
pub mod assign;

pub mod failpoint;

/// Which columns hold vectors, and what a vector must look like.
pub mod vectors;

/// Where vectors come from.
pub mod backend;

mod read;

/// Exact search without an index.
pub mod exact;

/// Indexes over pinned states, built once and shared.
pub mod cache;

/// How old an answer may be.
pub mod consistency;

/// Backends, the states that answers come from, and the operations over them.
pub mod lake;

/// What every backend must do, for those who write one.
pub mod conformance;

pub use address::RowAddress;
pub use backend::{
    AsOf, Backend, Commit, DeltaBackend, FsBackend, IndexBackend, KeyedBackend, KeyedSource, LocalBackend,
    ObjectStoreBackend, OwnIndex, Part, RemoteDeltaBackend, ScanRequest, Snapshot, VectorRequest, VectorStream,
    VectorWindow,
};
pub use bundle::Bundle;
pub use cache::{CacheStats, CachedEntry, CollectionKey, Entry, IndexKind, IndexSpec, MakingEntry, cpu_bound};
pub use consistency::Consistency;
pub use error::{Error, ErrorKind, Result};
pub use lake::{
    FederatedAnswer, FederatedOptions, HitSource, LakeHit, LakeSession, Pinned, RefreshResult, RuLake, RuLakeBuilder,
    SearchOptions,
};
pub use witness::Generation;
