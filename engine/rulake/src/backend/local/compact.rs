//! Compaction of in-memory batches: the batches of a state and added rows go in, the batches of the next state come out.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::batch::Batch;
use crate::address::RowAddress;
use crate::error::Result;

/// Bound on the rows of a merged batch, and so on the rows that one write copies.
const MERGED_ROWS_MAX: usize = 65_536;
/// Number of deleted rows below which a batch is not rewritten.
const DELETED_ROWS_MIN: usize = 1024;

/// Adjacent batches that become one, if there are several or `rewrite` is set.
#[derive(Debug)]
struct Group {
    batches: Vec<Batch>,
    num_live: usize,
    rewrite: bool,
}

/// Returns the batches of the next state, from the batches of the state before and the rows that it adds.
///
/// As in a log-structured merge tree, new rows are merged with the batches before them while those are at most twice as
/// large. So a row is copied a logarithmic number of times, and the number of batches is logarithmic. A batch with more
/// deleted rows than live ones is rewritten. Other batches stay as they are, so that indexes over them can follow.
pub(super) fn compact(before: Vec<Batch>, added: Option<RecordBatch>, schema: &SchemaRef) -> Result<Vec<Batch>> {
    let mut groups: Vec<Group> = Vec::with_capacity(before.len() + 1);
    let added = added.map(Batch::new).transpose()?;
    let kept = before.into_iter().map(|batch| {
        let sparse = batch.num_deleted() > batch.num_live() && batch.num_deleted() >= DELETED_ROWS_MIN;
        (batch, sparse, sparse)
    });
    for (batch, rewrite, fresh) in kept.chain(added.map(|batch| (batch, false, true))) {
        if batch.num_live() == 0 {
            continue;
        }
        groups.push(Group { num_live: batch.num_live(), batches: vec![batch], rewrite });
        let mut fresh = fresh || groups.len() > 1 && groups[groups.len() - 2].is_fresh();
        while fresh
            && let [.., left, right] = groups.as_slice()
            && left.takes(right)
        {
            let right = groups.pop().expect("there are two");
            let left = groups.last_mut().expect("there are two");
            left.num_live += right.num_live;
            left.batches.extend(right.batches);
            fresh = true;
        }
    }
    let mut compacted = Vec::with_capacity(groups.len());
    for group in groups {
        compacted.extend(group.into_batches(schema));
    }
    RowAddress::base(compacted.len())?;
    Ok(compacted)
}

impl Group {
    /// Returns true if its rows are written again in any case.
    fn is_fresh(&self) -> bool {
        self.rewrite || self.batches.len() > 1
    }

    fn takes(&self, next: &Self) -> bool {
        self.num_live <= 2 * next.num_live && self.num_live + next.num_live <= MERGED_ROWS_MAX
    }

    fn into_batches(self, schema: &SchemaRef) -> Vec<Batch> {
        if !self.is_fresh() {
            return self.batches;
        }
        // Strings of more than 2 GiB do not fit in one batch: such batches stay apart.
        Batch::merged(&self.batches, schema).map_or(self.batches, |merged| vec![merged])
    }
}
