//! The table of the inner loops of one kind of CPU: each kernel makes one, and callers call through it.

use super::layout::Layout;
use super::pass::{BlockRun, QueryPass, RowPass};
use crate::memory::Line;

type CentroidScores = fn(points: &[i8], padded_dim: usize, blocks: &[Line], norms: &[i32], scores: &mut [i32]);
type NearestCentroids = fn(points: &[i8], padded_dim: usize, blocks: &[Line], norms: &[i32], nearest: &mut [Nearest]);

/// The inner loops for one kind of CPU.
pub(crate) struct Kernels {
    pub(crate) name: &'static str,
    /// Layout of the codes and tables that `scan` reads.
    pub(crate) layout: Layout,
    /// The sum of squared differences of two slices of one length.
    pub(crate) l2_squared: fn(&[f32], &[f32]) -> f32,
    /// The sum of products of two slices of one length.
    pub(crate) dot: fn(&[f32], &[f32]) -> f32,
    /// The sum of products of two slices of one length, a multiple of 64.
    pub(crate) dot_i16_i8: fn(&[i16], &[i8]) -> i64,
    /// One pass of some queries over some blocks; see [`scalar::scan`](super::scalar::scan).
    pub(crate) scan: fn(&BlockRun<'_>, &mut [QueryPass<'_>]),
    /// One pass of a query over some rows of four bits; see [`scalar::scan_rows`](super::scalar::scan_rows).
    pub(crate) scan_rows: fn(&mut RowPass<'_>),
    /// Scores all centroids for some points; see [`scalar::centroid_scores`](super::scalar::centroid_scores).
    pub(crate) centroid_scores: CentroidScores,
    /// The nearest centroid of each point; see [`scalar::nearest_centroids`](super::scalar::nearest_centroids).
    pub(crate) nearest_centroids: NearestCentroids,
    /// The fast Hadamard transform; see [`scalar::hadamard`](super::scalar::hadamard).
    pub(crate) hadamard: fn(&mut [f32]),
    /// The lookup tables of a query; see [`scalar::fill_tables`](super::scalar::fill_tables).
    pub(crate) fill_tables: fn(rotated: &[f32], Layout, to_steps: f32, tables: &mut [u8]),
}

impl std::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Kernels").field(&self.name).finish()
    }
}

/// The centroid of smallest score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nearest {
    pub(crate) score: i32,
    pub(crate) centroid: u32,
}

impl Nearest {
    pub(crate) const NONE: Self = Self { score: i32::MAX, centroid: u32::MAX };
}
