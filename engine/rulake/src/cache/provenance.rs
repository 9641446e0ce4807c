//! Provenance of an entry: the state that it was built from. It is stored as attributes of the index file, and read from them.

use roaring::RoaringBitmap;
use ruvector_rabitq::{Attributes, VectorIndex};
use serde::{Deserialize, Serialize};

use crate::contract::{Part, Snapshot};
use crate::error::{Error, ErrorKind, Result};
use crate::index_spec::IndexSpec;
use crate::witness::{Generation, witness};

const WITNESS: &str = "witness";
const COLUMN: &str = "column";
const DATA_REF: &str = "data_ref";
const GENERATION: &str = "generation";
const PARTS: &str = "parts";
const BUILT_LEN: &str = "built_len";
const CHANGED: &str = "changed";

/// The state that an entry was built from, with its witness and its parts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Provenance {
    pub(crate) witness: String,
    pub(crate) data_ref: String,
    pub(crate) generation: Generation,
    pub(crate) parts: Vec<Part>,
    /// Number of vectors at the last build from all of them.
    pub(crate) built_len: usize,
    /// Number of vectors added and removed since.
    pub(crate) changed: usize,
}

/// A part in an index file: deleted rows as runs `[first, count]`.
#[derive(Serialize, Deserialize)]
struct StoredPart {
    id: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    deleted: Vec<(u32, u32)>,
}

impl Provenance {
    /// The provenance of an entry over `snapshot`.
    pub(super) fn of(snapshot: &dyn Snapshot, witness: &str, built_len: usize) -> Self {
        Self {
            witness: witness.to_owned(),
            data_ref: snapshot.data_ref().to_owned(),
            generation: snapshot.generation().clone(),
            parts: snapshot.parts(),
            built_len,
            changed: 0,
        }
    }

    /// The provenance as attributes of an index file.
    ///
    /// # Errors
    /// `Internal` only.
    pub(super) fn to_attributes(&self, column: &str) -> Result<Attributes> {
        let parts: Vec<StoredPart> =
            self.parts.iter().map(|part| StoredPart { id: part.id.clone(), deleted: runs(&part.deleted) }).collect();
        let unserialized = |e| Error::internal("seal of an index does not serialise").with("reason", e);
        Ok(Attributes::from([
            (WITNESS.to_owned(), self.witness.clone()),
            (COLUMN.to_owned(), column.to_owned()),
            (DATA_REF.to_owned(), self.data_ref.clone()),
            (GENERATION.to_owned(), serde_json::to_string(&self.generation).map_err(unserialized)?),
            (PARTS.to_owned(), serde_json::to_string(&parts).map_err(unserialized)?),
            (BUILT_LEN.to_owned(), self.built_len.to_string()),
            (CHANGED.to_owned(), self.changed.to_string()),
        ]))
    }

    /// Reads the provenance and the specification of an index from its attributes.
    ///
    /// # Errors
    /// `Corrupt` if attributes are missing or malformed; `WitnessMismatch` if the witness is not that of the other attributes.
    pub(super) fn of_index(index: &dyn VectorIndex) -> Result<(Self, IndexSpec)> {
        let attribute = |name: &'static str| {
            let found = index.attributes().get(name);
            found.ok_or_else(|| Error::corrupt("index file does not say what it was built from").with("missing", name))
        };
        let malformed = |name: &'static str| {
            move |e| {
                Error::corrupt("index file is sealed with words that make no sense")
                    .with("word", name)
                    .with("reason", e)
            }
        };
        let generation: Generation = serde_json::from_str(attribute(GENERATION)?).map_err(malformed(GENERATION))?;
        let parts: Vec<StoredPart> = serde_json::from_str(attribute(PARTS)?).map_err(malformed(PARTS))?;
        let built_len: usize = serde_json::from_str(attribute(BUILT_LEN)?).map_err(malformed(BUILT_LEN))?;
        let changed: usize = serde_json::from_str(attribute(CHANGED)?).map_err(malformed(CHANGED))?;
        let parts = parts.into_iter().map(|part| Part { id: part.id, deleted: from_runs(&part.deleted) }).collect();
        let params = index.build_params();
        let spec = IndexSpec {
            metric: index.metric(),
            kind: index.kind(),
            seed: params.seed,
            rerank_factor: params.rerank_factor,
            nlist: params.nlist,
            nprobe: params.nprobe,
            ..IndexSpec::new(attribute(COLUMN)?.clone())
        };
        let data_ref = attribute(DATA_REF)?.clone();
        let expected = witness(&data_ref, index.dim().get(), spec.seed, spec.rerank_factor, &generation);
        let got = attribute(WITNESS)?;
        if *got != expected {
            return Err(Error::new(ErrorKind::WitnessMismatch, "index file was changed after it was sealed")
                .with("expected", expected)
                .with("got", got));
        }
        Ok((Self { witness: expected, data_ref, generation, parts, built_len, changed }, spec))
    }
}

fn runs(rows: &RoaringBitmap) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for row in rows {
        match runs.last_mut() {
            Some((first, count)) if *first + *count == row => *count += 1,
            _ => runs.push((row, 1)),
        }
    }
    runs
}

fn from_runs(runs: &[(u32, u32)]) -> RoaringBitmap {
    let mut rows = RoaringBitmap::new();
    for (first, count) in runs {
        rows.insert_range(*first..first.saturating_add(*count));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deleted_rows_are_kept_as_runs() {
        let rows: RoaringBitmap = [3, 4, 5, 9, 4_000_000].into_iter().collect();
        assert_eq!(runs(&rows), [(3, 3), (9, 1), (4_000_000, 1)]);
        assert_eq!(from_runs(&runs(&rows)), rows);
    }
}
