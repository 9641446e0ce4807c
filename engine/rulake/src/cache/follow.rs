//! Following a collection: the entry of an older state becomes that of a newer one, at the cost of the difference.
//!
//! Parts that both states have keep their codes, less the rows deleted since. The vectors of new parts are read. A vector
//! whose bytes were those of a row of a removed part was moved: it keeps its code. Other new vectors are encoded, and the
//! remaining old ones are removed. The answers are those of an index built from all vectors.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::execution::TaskContext;
use roaring::RoaringBitmap;
use ruvector_rabitq::{Dim, VectorBatch, VectorIndex};

use super::build::{Made, Vectors};
use super::progress::BuildControl;
use super::provenance::Provenance;
use crate::address::RowAddress;
use crate::blocking::cpu_bound;
use crate::contract::{Part, Snapshot};
use crate::error::{Error, Result};
use crate::index_spec::IndexSpec;
use crate::scan::{VectorFold, fold_vectors};

/// Bound on the growth and on the shrinkage of an index since its lists were built, as a factor of its vectors then. An
/// index beyond the bound is rebuilt. So is an index with more changes than it had vectors.
const GROWTH_MAX: usize = 2;

/// Difference between the index of one state and the index of another.
#[derive(Debug)]
pub(super) struct IndexDiff {
    /// The ids, in the older index, of vectors that are gone.
    removed: Vec<u64>,
    /// Address of row 0 in the newer state, for each part of the older state; `None` if the part is gone.
    kept: Vec<Option<u64>>,
    /// The new ids of vectors that were moved, by their old ones.
    moved: HashMap<u64, u64>,
    added: Vectors,
    dim: Dim,
}

/// Finds the difference between the state of `index` and `snapshot`; `None` if a rebuild is better.
pub(super) async fn changes(
    index: &dyn VectorIndex,
    before: &Provenance,
    snapshot: &dyn Snapshot,
    spec: &IndexSpec,
    context: &Arc<TaskContext>,
    control: &BuildControl,
) -> Result<Option<Made<IndexDiff>>> {
    let started = Instant::now();
    let (dim, now) = (index.dim(), snapshot.parts());
    let diff = PartDiff::of(&before.parts, &now);
    let kept: HashSet<usize> = diff.kept.iter().copied().flatten().collect();
    let added: Vec<usize> = (0..now.len()).filter(|part| !kept.contains(part)).collect();
    let originals = index.vectors();
    if originals.is_none() && added.len() == now.len() {
        return Ok(None);
    }
    let ids = index.ids();
    let left = diff.left(&ids);
    let by_bytes = originals.map(|values| cpu_bound(|| ByBytes::new(values, dim.get(), &left)));
    let moves = Moves { ids: &ids, left: by_bytes, moved: HashMap::new(), added: Vectors::default() };
    let place = |moves: &mut Moves<'_>, address, vector: &[f32]| {
        control.read_row();
        moves.place(address, vector);
    };
    let folded = VectorFold { column: &spec.column, dim, parts: Some(&added), allowed: None };
    let moves = fold_vectors(snapshot, folded, context, moves, place).await?;
    snapshot.verify().await?;
    let Moves { moved, added, .. } = moves;
    let mut removed: Vec<u64> = left.iter().map(|row| ids[*row as usize]).collect();
    removed.retain(|id| !moved.contains_key(id));
    removed.extend(ids.iter().filter(|id| diff.deletes(RowAddress::from(**id))));
    let len = ids.len() - removed.len() + added.addresses.len();
    // A few vectors are built in no time, and have no lists that could be of the wrong size.
    let built_len = before.built_len;
    if len > built_len.saturating_mul(GROWTH_MAX)
        || len.saturating_mul(GROWTH_MAX) < built_len
        || before.changed + removed.len() + added.addresses.len() > built_len
    {
        return Ok(None);
    }
    let kept = diff.kept.iter().map(|part| part.map(RowAddress::base).transpose()).collect::<Result<_>>()?;
    let change = IndexDiff { removed, kept, moved, added, dim };
    Ok(Some(Made { value: change, reading: started.elapsed(), encoding: Duration::ZERO }))
}

impl IndexDiff {
    /// Number of vectors that are not as they were.
    pub(super) fn len(&self) -> usize {
        self.removed.len() + self.added.addresses.len()
    }

    /// Applies the difference. On error the index is of neither state.
    pub(super) fn apply(self, index: &mut dyn VectorIndex) -> Result<()> {
        cpu_bound(|| {
            index.remove(&self.removed);
            let renumbered = index.ids().into_iter().map(|id| {
                let base = self.kept.get(RowAddress::from(id).file()).copied().flatten();
                match base {
                    Some(base) => Some(base + u64::from(RowAddress::from(id).row())),
                    None => self.moved.get(&id).copied(),
                }
            });
            let ids: Option<Vec<u64>> = renumbered.collect();
            index.renumber(ids.ok_or_else(|| Error::internal("a vector of an older state was lost"))?)?;
            index.add_batch(&self.added.addresses, VectorBatch::new(self.dim, &self.added.values)?)?;
            // Vectors were compared, moved and copied, which may lie in a file.
            index.verify()
        })
    }
}

/// Difference between the parts of an older state and those of a newer one.
struct PartDiff {
    /// Position of each part in the newer state; `None` if the part is gone.
    kept: Vec<Option<usize>>,
    /// Its rows that were deleted since.
    deleted: Vec<RoaringBitmap>,
}

impl PartDiff {
    fn of(before: &[Part], now: &[Part]) -> Self {
        let by_id: HashMap<&str, usize> = now.iter().zip(0..).map(|(part, i)| (part.id.as_str(), i)).collect();
        let mut diff = Self { kept: Vec::with_capacity(before.len()), deleted: Vec::with_capacity(before.len()) };
        for part in before {
            // A part whose deleted rows were restored holds vectors that the index never saw.
            let at = by_id.get(part.id.as_str()).filter(|at| part.deleted.is_subset(&now[**at].deleted));
            diff.kept.push(at.copied());
            diff.deleted.push(at.map_or_else(RoaringBitmap::new, |at| &now[*at].deleted - &part.deleted));
        }
        diff
    }

    /// Returns true if the row was deleted from a part that is kept.
    fn deletes(&self, address: RowAddress) -> bool {
        self.deleted.get(address.file()).is_some_and(|deleted| deleted.contains(address.row()))
    }

    /// The rows of `ids` that are in parts which are gone.
    fn left(&self, ids: &[u64]) -> Vec<u32> {
        let gone = |id: u64| self.kept.get(RowAddress::from(id).file()).copied().flatten().is_none();
        (0..).zip(ids).filter(|(_, id)| gone(**id)).map(|(row, _)| row).collect()
    }
}

/// Sorts the vectors that are read into moved ones and new ones.
struct Moves<'a> {
    ids: &'a [u64],
    left: Option<ByBytes<'a>>,
    moved: HashMap<u64, u64>,
    added: Vectors,
}

impl Moves<'_> {
    fn place(&mut self, address: RowAddress, vector: &[f32]) {
        match self.left.as_mut().and_then(|left| left.take(vector)) {
            Some(row) => _ = self.moved.insert(self.ids[row as usize], address.into()),
            None => {
                self.added.addresses.push(address.into());
                self.added.values.extend_from_slice(vector);
            }
        }
    }
}

/// Vectors of an index, found by their bytes; each is found once.
struct ByBytes<'a> {
    values: &'a [f32],
    dim: usize,
    rows: &'a [u32],
    /// Position in `rows` of the first vector of a checksum, and of the one after each.
    first: HashMap<u32, u32>,
    next: Vec<u32>,
}

/// The end of a chain.
const END: u32 = u32::MAX;

impl<'a> ByBytes<'a> {
    fn new(values: &'a [f32], dim: usize, rows: &'a [u32]) -> Self {
        let mut found =
            Self { values, dim, rows, first: HashMap::with_capacity(rows.len()), next: vec![END; rows.len()] };
        // Last first, so that equal vectors are found in the order of their rows.
        #[expect(clippy::cast_possible_truncation, reason = "the rows of an index are numbered in 32 bits")]
        let num_rows = rows.len() as u32;
        for position in (0..num_rows).rev() {
            let checksum = checksum(found.vector(position));
            if let Some(after) = found.first.insert(checksum, position) {
                found.next[position as usize] = after;
            }
        }
        found
    }

    fn vector(&self, position: u32) -> &'a [f32] {
        &self.values[self.rows[position as usize] as usize * self.dim..][..self.dim]
    }

    /// The row of a vector of the same bytes that was not taken before.
    fn take(&mut self, vector: &[f32]) -> Option<u32> {
        let checksum = checksum(vector);
        let (mut before, mut position) = (END, *self.first.get(&checksum)?);
        while bytemuck::cast_slice::<f32, u8>(self.vector(position)) != bytemuck::cast_slice::<f32, u8>(vector) {
            (before, position) = (position, self.next[position as usize]);
            if position == END {
                return None;
            }
        }
        match (before, self.next[position as usize]) {
            (END, END) => _ = self.first.remove(&checksum),
            (END, after) => _ = self.first.insert(checksum, after),
            (before, after) => self.next[before as usize] = after,
        }
        Some(self.rows[position as usize])
    }
}

fn checksum(vector: &[f32]) -> u32 {
    crc32fast::hash(bytemuck::cast_slice(vector))
}
