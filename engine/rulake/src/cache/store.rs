//! Index files: derived data beside a collection, sealed by the witness of what they were built from.
//!
//! A file is read only if it is whole and its witness is the one asked for; anything else is rebuilt, never trusted.

use std::path::PathBuf;

use ruvector_rabitq::VectorIndex;

use super::IndexSpec;
use crate::backend::Snapshot;
use crate::error::{Error, Result};

const WITNESS: &str = "witness";
const COLUMN: &str = "column";
const DATA_REF: &str = "data_ref";
const GENERATION: &str = "generation";

/// One file per column, kind and parameters: a newer state replaces the file of an older one.
fn path(snapshot: &dyn Snapshot, spec: &IndexSpec) -> Option<PathBuf> {
    let column: String = spec.column.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    // Columns that differ in other characters only would share a name; the number keeps them apart.
    let number = crc32fast::hash(spec.column.as_bytes());
    let mut name =
        format!("{column}-{number:08x}.{}.{}.seed{}.rerank{}", spec.kind, spec.metric, spec.seed, spec.rerank_factor);
    for (option, value) in [("nlist", spec.nlist), ("nprobe", spec.nprobe)] {
        if let Some(value) = value {
            name.push_str(&format!(".{option}{value}"));
        }
    }
    Some(snapshot.index_dir()?.join(name + ".rbpx"))
}

/// Reads the index file, if there is one that is whole and sealed by `witness`.
pub(super) async fn load(snapshot: &dyn Snapshot, spec: &IndexSpec, witness: &str) -> Option<Box<dyn VectorIndex>> {
    let path = path(snapshot, spec).filter(|path| path.exists())?;
    let read = {
        let path = path.clone();
        tokio::task::spawn_blocking(move || ruvector_rabitq::persist::load_any(&path)).await
    };
    let index = match read {
        Ok(Ok(index)) => index,
        Ok(Err(e)) => {
            tracing::warn!(path = %path.display(), reason = %e, "index file is not usable; it is rebuilt");
            return None;
        }
        Err(_) => return None,
    };
    let sealed = |key, value: &str| index.attributes().get(key).is_some_and(|found| found == value);
    let same = sealed(WITNESS, witness) && sealed(COLUMN, &spec.column) && index.metric() == spec.metric;
    same.then_some(index)
}

/// Writes the index file, if the backend has a place for it, and returns the index.
///
/// A folder that cannot be written costs the next start a build, not this search its answer.
pub(super) async fn save(
    snapshot: &dyn Snapshot,
    spec: &IndexSpec,
    witness: &str,
    mut index: Box<dyn VectorIndex>,
) -> Result<Box<dyn VectorIndex>> {
    index.attributes_mut().extend([
        (WITNESS.to_owned(), witness.to_owned()),
        (COLUMN.to_owned(), spec.column.clone()),
        (DATA_REF.to_owned(), snapshot.data_ref().to_owned()),
        (GENERATION.to_owned(), snapshot.generation().to_string()),
    ]);
    let Some(path) = path(snapshot, spec) else { return Ok(index) };
    let write = move || {
        let folder = path.parent().expect("an index file has a folder");
        let written = std::fs::create_dir_all(folder)
            .map_err(|e| Error::unavailable("index folder cannot be made").with("reason", e))
            .and_then(|()| index.save(&path));
        if let Err(e) = written {
            tracing::warn!(path = %path.display(), reason = %e, "index file is not written");
        }
        index
    };
    tokio::task::spawn_blocking(write).await.map_err(|e| Error::internal("index writer stopped").with("reason", e))
}
