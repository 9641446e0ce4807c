//! k-means over vectors of small integers.
//!
//! Lloyd's algorithm, "Least squares quantization in PCM", 1982, on a seeded sample. Coordinates are rotated and rounded
//! to 8 bits first: sums of integers are exact, so the centroids do not depend on the machine or the number of threads,
//! and a product of 8-bit integers costs a fraction of one of floats. A list that lost all its points is given half of
//! the largest one, as faiss does.

use rayon::prelude::*;

use super::centroids::{Centroids, quantize};
use super::quantizer::Quantizer;
use crate::error::Result;
use crate::kernel::Nearest;
use crate::number::to_u32;
use crate::random::SplitMix64;
use crate::vector::VectorBatch;

/// Points per list that k-means looks at. More hardly move the centroids.
const POINTS_PER_LIST: usize = 64;

/// Rounds of assigning and averaging.
const ROUNDS: usize = 10;

/// Vectors whose coordinates give the step.
const STEP_SAMPLE: usize = 4096;

/// The step reaches this many times the root mean square of the coordinates: they are nearly normal after the rotation.
const STEP_REACH: f64 = 5.0;

/// Points assigned in one go: the centroids stay in the cache for all of them.
pub(crate) const ASSIGN_CHUNK: usize = 96;

/// Learns `nlist` centroids of `vectors`. `check` is asked before every round whether to go on.
pub(crate) fn train_centroids(
    quantizer: &Quantizer,
    vectors: VectorBatch<'_>,
    nlist: usize,
    seed: u64,
    check: &(dyn Fn() -> Result<()> + Sync),
) -> Result<Centroids> {
    let padded_dim = quantizer.padded_dim();
    let mut random = SplitMix64::new(seed ^ 0x6B6D_6561_6E73);
    let sample = sample(vectors.num_vectors(), nlist * POINTS_PER_LIST, &mut random);
    let step = step(quantizer, vectors, &sample);
    let points = rounded(quantizer, vectors, &sample, step);
    // The sample is in random order: its first points are as good a start as any.
    let mut rows = points[..nlist * padded_dim].to_vec();
    let mut nearest = vec![Nearest::NONE; sample.len()];
    for _ in 0..ROUNDS {
        check()?;
        let centroids = Centroids::new(padded_dim, step, rows);
        assign_all(&centroids, padded_dim, &points, &mut nearest);
        rows = averages(&points, padded_dim, nlist, &nearest);
    }
    Ok(Centroids::new(padded_dim, step, rows))
}

/// Assigns points to their nearest centroids, on all threads.
pub(crate) fn assign_all(centroids: &Centroids, padded_dim: usize, points: &[i8], nearest: &mut [Nearest]) {
    points
        .par_chunks(ASSIGN_CHUNK * padded_dim)
        .zip(nearest.par_chunks_mut(ASSIGN_CHUNK))
        .for_each(|(points, nearest)| centroids.assign(points, nearest));
}

/// `len` different rows, or all of them, in random order.
#[expect(clippy::cast_possible_truncation, reason = "the remainder is below a number of rows")]
fn sample(num_vectors: usize, len: usize, random: &mut SplitMix64) -> Vec<u32> {
    let mut rows: Vec<u32> = (0..to_u32(num_vectors)).collect();
    let len = len.min(num_vectors);
    for i in 0..len {
        let other = i + (random.next_u64() % (num_vectors - i) as u64) as usize;
        rows.swap(i, other);
    }
    rows.truncate(len);
    rows
}

#[expect(clippy::cast_possible_truncation, reason = "a step is an f32")]
fn step(quantizer: &Quantizer, vectors: VectorBatch<'_>, sample: &[u32]) -> f32 {
    let sample = &sample[..sample.len().min(STEP_SAMPLE)];
    let stats: Vec<(f64, f32)> = sample
        .par_iter()
        .map_init(
            || vec![0.0; quantizer.padded_dim()],
            |rotated, &row| {
                quantizer.rotate(vectors.row(row as usize), rotated);
                let widest = rotated.iter().fold(0.0_f32, |widest, value| widest.max(value.abs()));
                (crate::metric::dot_f64(rotated, rotated), widest)
            },
        )
        .collect();
    let squares: f64 = stats.iter().map(|(squares, _)| squares).sum();
    let widest = stats.iter().fold(0.0_f32, |widest, stat| widest.max(stat.1));
    let rms = (squares / (sample.len() * quantizer.padded_dim()).max(1) as f64).sqrt();
    let reach = f64::from(widest).min(STEP_REACH * rms);
    let step = (reach / 127.0) as f32;
    if step.is_normal() { step } else { 1.0 }
}

fn rounded(quantizer: &Quantizer, vectors: VectorBatch<'_>, rows: &[u32], step: f32) -> Vec<i8> {
    let padded_dim = quantizer.padded_dim();
    let mut points = vec![0; rows.len() * padded_dim];
    points.par_chunks_mut(padded_dim).zip(rows).for_each_init(
        || vec![0.0; padded_dim],
        |rotated, (point, &row)| {
            quantizer.rotate(vectors.row(row as usize), rotated);
            quantize(rotated, step, point);
        },
    );
    points
}

/// The mean of the points of each list, rounded.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a sample has fewer than 2^31 points, and the mean of coordinates is in their range"
)]
fn averages(points: &[i8], padded_dim: usize, nlist: usize, nearest: &[Nearest]) -> Vec<i8> {
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); nlist];
    for (point, nearest) in nearest.iter().enumerate() {
        members[nearest.centroid as usize].push(to_u32(point));
    }
    split_for_the_empty(&mut members);
    let mut rows = vec![0; nlist * padded_dim];
    rows.par_chunks_mut(padded_dim).zip(&members).for_each_init(
        || vec![0_i32; padded_dim],
        |sums, (row, members)| {
            sums.fill(0);
            for &point in members {
                let point = &points[point as usize * padded_dim..][..padded_dim];
                sums.iter_mut().zip(point).for_each(|(sum, &value)| *sum += i32::from(value));
            }
            let count = members.len().max(1) as i32;
            for (value, &sum) in row.iter_mut().zip(&*sums) {
                *value = ((2 * sum + count * sum.signum()) / (2 * count)) as i8;
            }
        },
    );
    rows
}

/// Half the members of the largest list, in turn, for each list that has none.
fn split_for_the_empty(members: &mut [Vec<u32>]) {
    for list in 0..members.len() {
        if members[list].is_empty() {
            let largest = (0..members.len()).max_by_key(|&other| (members[other].len(), usize::MAX - other));
            let Some(largest) = largest.filter(|&other| members[other].len() > 1) else { return };
            let all = std::mem::take(&mut members[largest]);
            let (even, odd): (Vec<_>, Vec<_>) = all.into_iter().enumerate().partition(|(i, _)| i % 2 == 0);
            members[largest] = even.into_iter().map(|(_, point)| point).collect();
            members[list] = odd.into_iter().map(|(_, point)| point).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Metric;
    use crate::test_data::clustered;
    use crate::vector::Dim;

    #[test]
    fn centroids_do_not_depend_on_the_number_of_threads() {
        let values = clustered(1, 4000, 65, 10);
        let vectors = VectorBatch::new(Dim::new(65).unwrap(), &values).unwrap();
        let train = |num_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(num_threads).build().unwrap();
            pool.install(|| {
                let quantizer = Quantizer::train(Metric::L2, 42, vectors);
                train_centroids(&quantizer, vectors, 30, 42, &|| Ok(())).unwrap().rows().to_vec()
            })
        };
        assert!(train(1) == train(3));
    }

    #[test]
    fn clusters_are_found() {
        let values = clustered(3, 5000, 32, 8);
        let vectors = VectorBatch::new(Dim::new(32).unwrap(), &values).unwrap();
        let quantizer = Quantizer::train(Metric::L2, 42, vectors);
        let error = |nlist| {
            let centroids = train_centroids(&quantizer, vectors, nlist, 42, &|| Ok(())).unwrap();
            let rows: Vec<u32> = (0..5000).collect();
            let points = rounded(&quantizer, vectors, &rows, centroids.step());
            let mut nearest = vec![Nearest::NONE; 5000];
            assign_all(&centroids, 64, &points, &mut nearest);
            let mut centroid = vec![0.0; 64];
            let mut rotated = vec![0.0; 64];
            let squared: f32 = (0..5000)
                .map(|row| {
                    quantizer.rotate(vectors.row(row), &mut rotated);
                    centroids.copy_to(nearest[row].centroid as usize, &mut centroid);
                    Metric::L2.distance(&rotated, &centroid)
                })
                .sum();
            squared / 5000.0
        };
        // Within a cluster a vector is 0.36 * 32 from its centre.
        let (one, many) = (error(1), error(32));
        assert!(one > 30.0 && many < 1.1 * 0.36 * 32.0, "one centroid {one}, 32 centroids {many}");
    }

    #[test]
    fn equal_vectors_and_many_lists_are_no_trouble() {
        let values = vec![2.5; 100 * 8];
        let vectors = VectorBatch::new(Dim::new(8).unwrap(), &values).unwrap();
        let quantizer = Quantizer::train(Metric::Cosine, 42, vectors);
        let centroids = train_centroids(&quantizer, vectors, 100, 42, &|| Ok(())).unwrap();
        assert_eq!(centroids.nlist(), 100);
    }
}
