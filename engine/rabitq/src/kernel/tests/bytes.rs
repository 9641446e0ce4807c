//! Integer kernels against the definition: products of integers, scores of centroids and the nearest centroid.

use proptest::prelude::*;

use super::{CENTROID_LANES, Nearest, available, scalar};
use crate::memory::{LINE_BYTES, Line};
use crate::test_data::Random;

#[test]
fn products_of_integers_agree_with_scalar() {
    let mut random = Random::new(9);
    for len in (0..20).map(|chunks| 64 * chunks).chain([4096, 4160, 16_384]) {
        let a: Vec<i16> = (0..len).map(|_| random.next_u64() as i16).collect();
        let b: Vec<i8> = (0..len + 1).map(|_| random.next_u64() as i8).collect();
        let expected: i64 = a.iter().zip(&b[1..]).map(|(&a, &b)| i64::from(a) * i64::from(b)).sum();
        for kernels in available() {
            assert_eq!((kernels.dot_i16_i8)(&a, &b[1..]), expected, "{} length {len}", kernels.name);
        }
    }
}

#[test]
fn the_largest_products_of_integers_do_not_overflow() {
    for (a, b) in [(i16::MAX, 127), (i16::MAX, -128), (i16::MIN, 127)] {
        let len = 16_384;
        let expected = i64::from(a) * i64::from(b) * len as i64;
        for kernels in available() {
            let name = kernels.name;
            assert_eq!((kernels.dot_i16_i8)(&vec![a; len], &vec![b; len]), expected, "{name}: {a} times {b}");
        }
    }
}

#[test]
fn scores_agree_with_scalar() {
    for padded_dim in [64, 128, 192, 1024] {
        for nlist in [1, 15, 16, 17, 32, 33, 50] {
            for num_points in 1..=20 {
                let seed = (padded_dim * 10_000 + nlist * 100 + num_points) as u64;
                Lists::random(seed, padded_dim, nlist).assert_agree(seed, num_points);
            }
        }
    }
}

#[test]
fn the_largest_scores_do_not_overflow() {
    let padded_dim = 16_384;
    for nlist in [3, 16, 33] {
        for coordinate in [-127, 0, 127] {
            let lists = Lists::new(padded_dim, vec![coordinate; nlist * padded_dim]);
            for value in [-127_i8, 0, 127] {
                let point = vec![value; padded_dim];
                let product = (i32::from(coordinate) + 128) * i32::from(value) * padded_dim as i32;
                let expected = i32::from(coordinate).pow(2) * padded_dim as i32 - 2 * product;
                for kernels in available() {
                    let mut scores = vec![0; lists.norms.len()];
                    (kernels.centroid_scores)(&point, padded_dim, &lists.blocks, &lists.norms, &mut scores);
                    let what = format!("{}, centroids of {coordinate}, point of {value}", kernels.name);
                    assert!(scores[..nlist].iter().all(|&score| score == expected), "{what}: {}", scores[0]);
                    for num_points in [1, 7] {
                        let mut nearest = vec![Nearest::NONE; num_points];
                        let points = point.repeat(num_points);
                        (kernels.nearest_centroids)(&points, padded_dim, &lists.blocks, &lists.norms, &mut nearest);
                        // All are equally near: the first.
                        assert_eq!(nearest, vec![Nearest { score: expected, centroid: 0 }; num_points], "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn ties_go_to_the_smaller_centroid() {
    let padded_dim = 64;
    let mut random = Random::new(5);
    let (near, far) = (vec![3; padded_dim], vec![-100; padded_dim]);
    for nlist in [2, 17, 40, 64] {
        for _ in 0..20 {
            let equal: Vec<bool> = (0..nlist).map(|_| random.below(4) == 0).collect();
            let rows = equal.iter().flat_map(|&equal| if equal { near.clone() } else { far.clone() }).collect();
            let lists = Lists::new(padded_dim, rows);
            let first = equal.iter().position(|&equal| equal).unwrap_or(0) as u32;
            for kernels in available() {
                let mut nearest = [Nearest::NONE; 8];
                (kernels.nearest_centroids)(&near.repeat(8), padded_dim, &lists.blocks, &lists.norms, &mut nearest);
                let centroids = nearest.map(|nearest| nearest.centroid);
                assert_eq!(centroids, [first; 8], "{} of {nlist}: {equal:?}", kernels.name);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_score_agrees_with_scalar(seed: u64, lines in 1_usize..20, nlist in 1_usize..100, num_points in 1_usize..=20) {
        Lists::random(seed, 64 * lines, nlist).assert_agree(seed, num_points);
    }
}

/// Centroids as kernels read them.
struct Lists {
    padded_dim: usize,
    rows: Vec<i8>,
    blocks: Vec<Line>,
    norms: Vec<i32>,
}

impl Lists {
    fn new(padded_dim: usize, rows: Vec<i8>) -> Self {
        let (quads, nlist) = (padded_dim / 4, rows.len() / padded_dim);
        let num_blocks = nlist.div_ceil(CENTROID_LANES);
        let mut blocks = vec![Line([0; LINE_BYTES]); num_blocks * quads];
        let mut norms = vec![i32::MAX; num_blocks * CENTROID_LANES];
        for (centroid, row) in rows.chunks_exact(padded_dim).enumerate() {
            norms[centroid] = row.iter().map(|&value| i32::from(value) * i32::from(value)).sum();
            for (i, &value) in row.iter().enumerate() {
                let line = &mut blocks[centroid / CENTROID_LANES * quads + i / 4].0;
                line[centroid % CENTROID_LANES * 4 + i % 4] = (i16::from(value) + 128) as u8;
            }
        }
        Self { padded_dim, rows, blocks, norms }
    }

    fn random(seed: u64, padded_dim: usize, nlist: usize) -> Self {
        Self::new(padded_dim, coordinates(seed, nlist * padded_dim))
    }

    /// The scores and the nearest of every kernel are those of the definition, which are those of the formula.
    fn assert_agree(&self, seed: u64, num_points: usize) {
        let nlist = self.rows.len() / self.padded_dim;
        let points = coordinates(seed + 1, num_points * self.padded_dim);
        let mut expected = vec![Nearest::NONE; num_points];
        scalar::nearest_centroids(&points, self.padded_dim, &self.blocks, &self.norms, &mut expected);
        let mut all_scores = Vec::new();
        for (point, expected) in points.chunks_exact(self.padded_dim).zip(&expected) {
            let scores: Vec<i32> = self.rows.chunks_exact(self.padded_dim).map(|row| score(row, point)).collect();
            let nearest = (0..nlist).min_by_key(|&centroid| (scores[centroid], centroid)).unwrap();
            assert_eq!(*expected, Nearest { score: scores[nearest], centroid: nearest as u32 }, "seed {seed}");
            all_scores.extend(scores);
        }
        for kernels in available() {
            let mut got = vec![0; num_points * self.norms.len()];
            (kernels.centroid_scores)(&points, self.padded_dim, &self.blocks, &self.norms, &mut got);
            let got: Vec<i32> = got.chunks(self.norms.len()).flat_map(|scores| &scores[..nlist]).copied().collect();
            assert_eq!(got, all_scores, "{} seed {seed}", kernels.name);
            let mut nearest = vec![Nearest::NONE; num_points];
            (kernels.nearest_centroids)(&points, self.padded_dim, &self.blocks, &self.norms, &mut nearest);
            assert_eq!(nearest, expected, "{} seed {seed}", kernels.name);
        }
    }
}

/// The norm, less twice the product of point and centroid with 128 added to its coordinates.
fn score(row: &[i8], point: &[i8]) -> i32 {
    let term = |(&row, &value): (&i8, &i8)| {
        let (row, value) = (i32::from(row), i32::from(value));
        row * row - 2 * (row + 128) * value
    };
    row.iter().zip(point).map(term).sum()
}

/// Integers in -127..=127.
fn coordinates(seed: u64, len: usize) -> Vec<i8> {
    let mut random = Random::new(seed);
    (0..len).map(|_| (random.below(255) as i16 - 127) as i8).collect()
}
