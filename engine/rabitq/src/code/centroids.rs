//! The centroids of the lists, in 8-bit integers. Rotated vectors go in; the nearest centroid of a vector, or the `nprobe`
//! nearest lists of a query, come out. Both are found by integer products, which are the same on every machine.

use crate::kernel::{self, CENTROID_LANES, Nearest, TO_INTEGER};
use crate::memory::{LINE_BYTES, Line, bytes_mut, prefetch};
use crate::metric::Metric;

/// Added to a coordinate of a centroid: kernels multiply unsigned bytes with signed ones.
const OFFSET: i16 = 128;

/// The centroids of the lists: vectors of integers in -127..=127, times one step. Which of them is near is decided by
/// products of integers, so it is the same on every machine; and a list is as good around a rounded centroid as around
/// the mean of its vectors.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Centroids {
    padded_dim: usize,
    step: f32,
    /// Row-major `[nlist, padded_dim]`.
    rows: Vec<i8>,
    /// The squared norm of each row, as a distance.
    squared_norms: Vec<f32>,
    /// The same rows for the kernels: blocks of 16, in each block a line for 4 coordinates, each plus [`OFFSET`].
    blocks: Vec<Line>,
    /// For each lane of the blocks the squared norm of its row; the largest number where there is none.
    norms: Vec<i32>,
}

/// Norm of an absent centroid. Its bytes are zero, so its score by this norm is the same number. The score of a centroid that
/// is there is at most 1.33e9, a bound for [`MAX_DIM`](crate::vector::MAX_DIM).
const ABSENT: i32 = i32::MAX;

impl Centroids {
    /// Takes the rows: `[nlist, padded_dim]`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "squared norms are f32, and a coordinate plus the offset is in 1..=255"
    )]
    pub(crate) fn new(padded_dim: usize, step: f32, rows: Vec<i8>) -> Self {
        let quads = padded_dim / 4;
        let nlist = rows.len() / padded_dim;
        // A single one is the nearest to everything: there is nothing to score.
        let num_blocks = if nlist > 1 { nlist.div_ceil(CENTROID_LANES) } else { 0 };
        let mut blocks = vec![Line::ZERO; num_blocks * quads];
        let mut norms = vec![ABSENT; num_blocks * CENTROID_LANES];
        let squared_step = f64::from(step) * f64::from(step);
        let mut squared_norms = Vec::with_capacity(nlist);
        for (centroid, row) in rows.chunks_exact(padded_dim).enumerate() {
            let norm = row.iter().map(|&value| i32::from(value) * i32::from(value)).sum();
            squared_norms.push((f64::from(norm) * squared_step) as f32);
            if num_blocks == 0 {
                break;
            }
            norms[centroid] = norm;
            let block = &mut blocks[centroid / CENTROID_LANES * quads..][..quads];
            let lane = centroid % CENTROID_LANES * 4;
            for (line, values) in bytes_mut(block).chunks_exact_mut(LINE_BYTES).zip(row.as_chunks::<4>().0) {
                line[lane..lane + 4].copy_from_slice(&values.map(|value| (i16::from(value) + OFFSET) as u8));
            }
        }
        Self { padded_dim, step, rows, squared_norms, blocks, norms }
    }

    /// One centroid at the given place, or as near to it as 8 bits are.
    pub(crate) fn single(centroid: &[f32]) -> Self {
        let step = widest_step(centroid);
        let mut row = vec![0; centroid.len()];
        quantize(centroid, step, &mut row);
        Self::new(centroid.len(), step, row)
    }

    pub(crate) fn nlist(&self) -> usize {
        self.squared_norms.len()
    }

    pub(crate) fn step(&self) -> f32 {
        self.step
    }

    pub(crate) fn rows(&self) -> &[i8] {
        &self.rows
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.rows.capacity()
            + self.squared_norms.capacity() * size_of::<f32>()
            + self.blocks.capacity() * LINE_BYTES
            + self.norms.capacity() * size_of::<i32>()
    }

    pub(super) fn squared_norm(&self, list: usize) -> f32 {
        self.squared_norms[list]
    }

    /// The inner product of a rotated vector, given as integers, with a centroid, in steps of the vector.
    pub(super) fn dot(&self, integers: &[i16], list: usize) -> f64 {
        (kernel::best().dot_i16_i8)(integers, self.row(list)) as f64 * f64::from(self.step)
    }

    /// Writes centroid `list` to `centroid`.
    pub(super) fn copy_to(&self, list: usize, centroid: &mut [f32]) {
        for (value, &integer) in centroid.iter_mut().zip(self.row(list)) {
            *value = f32::from(integer) * self.step;
        }
    }

    /// Asks the CPU to fetch a centroid that will be wanted soon.
    pub(crate) fn prefetch(&self, list: usize) {
        prefetch(self.row(list));
    }

    fn row(&self, list: usize) -> &[i8] {
        &self.rows[list * self.padded_dim..][..self.padded_dim]
    }

    /// Writes the list of each of some rotated vectors, given as integers, to `nearest`.
    pub(crate) fn assign(&self, points: &[i8], nearest: &mut [Nearest]) {
        if self.nlist() == 1 {
            nearest.fill(Nearest { score: 0, centroid: 0 });
            return;
        }
        (kernel::best().nearest_centroids)(points, self.padded_dim, &self.blocks, &self.norms, nearest);
    }

    /// The scores of all centroids for one point.
    #[cfg(feature = "bench")]
    pub(crate) fn scores(&self, kernels: &kernel::Kernels, point: &[i8]) -> Vec<i32> {
        let mut scores = vec![0; self.norms.len()];
        (kernels.centroid_scores)(point, self.padded_dim, &self.blocks, &self.norms, &mut scores);
        scores.truncate(self.nlist());
        scores
    }

    /// The nearest centroid of each of some points.
    #[cfg(feature = "bench")]
    pub(crate) fn nearest_of(&self, kernels: &kernel::Kernels, points: &[i8]) -> Vec<Nearest> {
        let mut nearest = vec![Nearest::NONE; points.len() / self.padded_dim];
        (kernels.nearest_centroids)(points, self.padded_dim, &self.blocks, &self.norms, &mut nearest);
        nearest
    }

    /// Finds the `nprobe` lists nearest to each of some rotated queries, nearest first; ties by number. With the inner
    /// product near means a large product, else a small distance.
    pub(crate) fn nearest_lists(&self, metric: Metric, rotated: &[&[f32]], nprobe: usize, found: &mut NearestLists) {
        let nlist = self.nlist();
        found.per_query = nprobe.min(nlist);
        found.lists.clear();
        if nlist == 1 {
            found.lists.resize(rotated.len() * found.per_query, 0);
            return;
        }
        let NearestLists { points, scores, no_norms, .. } = found;
        let norms = match metric {
            Metric::L2 | Metric::Cosine => &self.norms,
            Metric::InnerProduct => {
                no_norms.resize(self.norms.len(), 0);
                no_norms
            }
        };
        let mut lists = std::mem::take(&mut found.lists);
        for rotated in rotated.chunks(QUERIES_TOGETHER) {
            points.resize(rotated.len() * self.padded_dim, 0);
            for (point, rotated) in points.chunks_exact_mut(self.padded_dim).zip(rotated) {
                // A query may be longer than any centroid. The direction is what counts for products, so nothing is cut
                // off; among distances those to the nearest lists do not differ by what is.
                let step = if metric == Metric::InnerProduct { widest_step(rotated) } else { self.step };
                quantize(rotated, step, point);
            }
            scores.resize(rotated.len() * norms.len(), 0);
            (kernel::best().centroid_scores)(points, self.padded_dim, &self.blocks, norms, scores);
            for scores in scores.chunks_exact(norms.len()) {
                smallest(&scores[..nlist], found.per_query, &mut found.keys);
                lists.extend(found.keys.iter().map(|&key| position(key)));
            }
        }
        found.lists = lists;
    }
}

/// Queries whose scores are computed in one go: a whole number of the tiles that kernels make of them.
const QUERIES_TOGETHER: usize = 12;

/// The lists found for some queries, and the memory of finding them.
#[derive(Debug, Default)]
pub(crate) struct NearestLists {
    /// Row-major `[queries, per_query]`.
    lists: Vec<u32>,
    per_query: usize,
    points: Vec<i8>,
    scores: Vec<i32>,
    no_norms: Vec<i32>,
    keys: Vec<i64>,
}

impl NearestLists {
    /// The lists of query `i`, nearest first.
    pub(crate) fn of_query(&self, i: usize) -> &[u32] {
        &self.lists[i * self.per_query..][..self.per_query]
    }
}

/// Scores of which the smallest is found first.
const SCORES_TOGETHER: usize = 8;

/// Writes the `len` smallest scores to `keys`, smallest first, each above its position in one number; ties go to the
/// smaller position. `len` is in `1..=scores.len()`.
#[expect(clippy::cast_possible_truncation, reason = "keys are scores until positions are written below them")]
fn smallest(scores: &[i32], len: usize, keys: &mut Vec<i64>) {
    let least = |scores: &[i32]| scores.iter().fold(i32::MAX, |least, &score| least.min(score));
    keys.clear();
    // As many groups as there are answers hold one each that is not above the last of their minima.
    let mut threshold = i32::MAX;
    if len <= scores.len() / SCORES_TOGETHER {
        keys.extend(scores.chunks(SCORES_TOGETHER).map(|scores| i64::from(least(scores))));
        threshold = *keys.select_nth_unstable(len - 1).1 as i32;
    }
    // Written whether it is kept or not: a branch would be mispredicted.
    keys.resize(scores.len(), 0);
    let mut kept = 0;
    for (position, &score) in scores.iter().enumerate() {
        keys[kept] = (i64::from(score) << 32) | position as i64;
        kept += usize::from(score <= threshold);
    }
    keys.truncate(kept);
    if len < keys.len() {
        keys.select_nth_unstable(len - 1);
        keys.truncate(len);
    }
    keys.sort_unstable();
}

/// The position that [`smallest`] wrote to a key.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is the lower half of the key")]
#[inline]
fn position(key: i64) -> u32 {
    key as u32
}

/// The step that fits the widest coordinate into 127; 1 if that is no normal number, whose inverse is finite.
pub(super) fn widest_step(values: &[f32]) -> f32 {
    let widest = values.iter().fold(0.0_f32, |widest, value| widest.max(value.abs()));
    let step = widest / 127.0;
    if step.is_normal() { step } else { 1.0 }
}

/// Rounds to whole steps in -127..=127, half to even; what is not a number becomes 0.
#[expect(clippy::cast_possible_truncation, reason = "the integer is in the last eight bits")]
pub(crate) fn quantize(values: &[f32], step: f32, integers: &mut [i8]) {
    let scale = 1.0 / step;
    for (integer, &value) in integers.iter_mut().zip(values) {
        *integer = ((value * scale).clamp(-127.0, 127.0) + TO_INTEGER).to_bits() as i8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data::Random;

    #[test]
    fn nearest_lists_are_those_of_brute_force() {
        let mut random = Random::new(2);
        let (padded_dim, nlist) = (64, 37);
        let values: Vec<f32> = (0..nlist).flat_map(|_| random.gaussians(padded_dim)).collect();
        let step = widest_step(&values);
        let mut rows = vec![0; values.len()];
        quantize(&values, step, &mut rows);
        let centroids = Centroids::new(padded_dim, step, rows.clone());
        for metric in Metric::ALL {
            let query = random.gaussians(padded_dim);
            let mut expected: Vec<(f32, u32)> = (0..nlist as u32)
                .map(|list| {
                    let row: Vec<f32> =
                        rows[list as usize * padded_dim..][..padded_dim].iter().map(|&x| f32::from(x) * step).collect();
                    let metric = if metric == Metric::Cosine { Metric::L2 } else { metric };
                    (metric.distance(&query, &row), list)
                })
                .collect();
            expected.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut found = NearestLists::default();
            centroids.nearest_lists(metric, &[&query], 10, &mut found);
            let lists = found.of_query(0);
            // Rounding may swap neighbours, not more.
            let worst = expected[11].0;
            assert_eq!(lists[0], expected[0].1, "{metric}");
            assert!(
                lists.iter().all(|list| expected.iter().any(|&(d, other)| other == *list && d <= worst)),
                "{metric}"
            );
        }
    }

    /// Any number of queries, more lists than are looked at together, and scores that are equal.
    #[test]
    fn many_queries_find_what_each_finds() {
        let mut random = Random::new(3);
        let padded_dim = 64;
        for nlist in [1, 16, 17, 500] {
            let rows: Vec<i8> = (0..nlist * padded_dim).map(|_| random.below(3) as i8 - 1).collect();
            let centroids = Centroids::new(padded_dim, 1.0, rows.clone());
            let queries: Vec<Vec<f32>> = (0..27)
                .map(|_| {
                    (0..padded_dim)
                        .map(|i| if i < 3 { random.below(3) as f32 - 1.0 } else { 0.0 })
                        .collect::<Vec<f32>>()
                })
                .collect();
            let rotated: Vec<&[f32]> = queries.iter().map(Vec::as_slice).collect();
            for nprobe in [1, 2, 15, 31, 32, 499, 1000] {
                let mut found = NearestLists::default();
                centroids.nearest_lists(Metric::L2, &rotated, nprobe, &mut found);
                for (i, query) in queries.iter().enumerate() {
                    let distance = |list: u32| {
                        let row = &rows[list as usize * padded_dim..][..padded_dim];
                        row.iter().zip(query).map(|(&a, &b)| (f32::from(a) - b).powi(2)).sum::<f32>()
                    };
                    let mut expected: Vec<u32> = (0..nlist as u32).collect();
                    expected.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)).then(a.cmp(&b)));
                    expected.truncate(nprobe);
                    assert_eq!(found.of_query(i), expected, "query {i} of {nlist} lists, nprobe {nprobe}");
                }
            }
        }
    }

    /// In the largest dimension a centroid that is there scores up to 1.3e9.
    #[test]
    fn an_absent_centroid_is_never_the_nearest() {
        let padded_dim = crate::vector::MAX_DIM;
        let centroids = Centroids::new(padded_dim, 1.0, vec![127; 3 * padded_dim]);
        let mut nearest = [Nearest::NONE; 7];
        centroids.assign(&vec![-127; 7 * padded_dim], &mut nearest);
        assert!(nearest.iter().all(|nearest| nearest.centroid == 0), "{nearest:?}");
    }

    #[test]
    fn integers_are_rounded_and_kept_in_range() {
        let mut integers = [0; 7];
        quantize(&[0.49, -0.5, 1.5, 1e9, -1e9, f32::NAN, 126.6], 1.0, &mut integers);
        assert_eq!(integers, [0, 0, 2, 127, -127, 0, 127]);
    }
}
