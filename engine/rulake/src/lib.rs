//! ruLake: answers from compressed indexes over vectors that stay where they are.
//!
//! It is a library that pins a state of a collection, builds an index over one of its vector columns once, seals the
//! index with a witness of what it was built from, and hands it out for as long as the witness holds.
//! It is not a store of record (vectors belong to a [`Backend`]) and it knows no SQL.

#![forbid(unsafe_code)]

pub mod error;

pub mod address;

pub mod witness;

pub mod bundle;

pub mod assign;

pub mod failpoint;

pub mod vectors;

pub mod backend;

mod read;

pub mod exact;

pub mod operator;

pub mod cache;

pub mod consistency;

pub mod lake;

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
