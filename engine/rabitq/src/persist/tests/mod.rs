//! Tests of index files, and the indexes, files and answers that they share.

use std::io::Cursor;

use super::*;
use crate::error::{Error, ErrorKind};
use crate::index::{BuildParams, Hit, IndexKind, SearchParams, VectorIndex};
use crate::metric::Metric;
use crate::test_data::{Random, clustered};
use crate::vector::{Dim, VectorBatch};

mod damage;
mod files;
mod forgery;
mod lies_of_headers;
mod lies_of_sections;
mod mutations;
mod round_trip;
mod seal;
mod versions;

const SEED: u64 = 5;

/// A kind, and whether the originals are asked for.
const VARIANTS: [(IndexKind, bool); 7] = [
    (IndexKind::FlatF32, true),
    (IndexKind::Rabitq, false),
    (IndexKind::RabitqAsym, false),
    (IndexKind::RabitqAsym, true),
    (IndexKind::RabitqPlus, true),
    (IndexKind::IvfRabitq, false),
    (IndexKind::IvfRabitq, true),
];

/// The order of the ids that an index is built with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum IdOrder {
    None,
    Ascending,
    Shuffled,
}

impl IdOrder {
    const ALL: [Self; 3] = [Self::None, Self::Ascending, Self::Shuffled];

    fn ids(self, num_vectors: usize) -> Option<Vec<u64>> {
        let rows = 0..num_vectors as u64;
        match self {
            Self::None => None,
            Self::Ascending => Some(rows.map(|row| ((row / 50) << 32) | (row * 3)).collect()),
            Self::Shuffled => Some(rows.map(|row| ((row % 2) << 40) | ((1_000_000 - row) << 1)).collect()),
        }
    }
}

fn params(metric: Metric, keep_originals: bool) -> BuildParams {
    BuildParams::new(metric).with_seed(SEED).with_rerank_factor(1).with_originals(keep_originals)
}

fn build(kind: IndexKind, params: &BuildParams, dim: usize, num_vectors: usize, ids: IdOrder) -> Box<dyn VectorIndex> {
    let values = clustered(SEED, num_vectors, dim, 4);
    let vectors = VectorBatch::new(Dim::new(dim).unwrap(), &values).unwrap();
    kind.build(ids.ids(num_vectors).as_deref(), vectors, params, None).unwrap()
}

fn bytes_of(index: &dyn VectorIndex) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    writer::write(index.core(), index.attributes(), &mut file).unwrap();
    file.into_inner()
}

/// Everything an index can be asked for.
fn answers(index: &dyn VectorIndex) -> Vec<Hit> {
    let mut random = Random::new(SEED);
    let filter: roaring::RoaringTreemap = index.ids().into_iter().step_by(3).collect();
    let mut hits = Vec::new();
    for _ in 0..4 {
        let query = random.gaussians(index.dim().get());
        hits.extend(index.search(&query, &SearchParams::new(7)).unwrap());
        hits.extend(index.search(&query, &SearchParams::new(7).with_nprobe(1)).unwrap());
        hits.extend(index.search(&query, &SearchParams::new(7).with_filter(&filter)).unwrap());
        let radius = hits.last().map_or(1.0, |hit| hit.distance);
        hits.extend(index.range_search(&query, radius, None).unwrap());
    }
    hits
}

/// A file of every section that the kind has, short enough to damage in every place.
fn small_file(kind: IndexKind, keep_originals: bool) -> Vec<u8> {
    let params = params(Metric::L2, keep_originals).with_nlist(3);
    let mut index = build(kind, &params, 3, 5, IdOrder::Shuffled);
    index.attributes_mut().insert("witness".to_owned(), "00ff".to_owned());
    index.attributes_mut().insert("x".to_owned(), String::new());
    bytes_of(index.as_ref())
}

fn load_error(bytes: &[u8]) -> Option<Error> {
    load_bytes(bytes).err()
}

fn assert_corrupt(bytes: &[u8], what: &str) {
    match load_error(bytes) {
        None => panic!("{what}: loaded"),
        Some(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}"),
    }
}
