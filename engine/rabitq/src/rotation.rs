//! A random rotation that costs O(dim log dim): the padded FHT-Kac rotation.
//!
//! Source: the `FhtKacRotator` of RaBitQ-Library (VectorDB-NTU), after Kac's random walk on the sphere. Four rounds of
//! ```text
//! flip signs by padded_dim random bits
//! normalised fast Hadamard transform of the first (rounds 0, 2) or last (rounds 1, 3) 2^floor(log2 padded_dim) values
//! if that window is not everything: (x, y) -> (x + y, x - y) / sqrt(2) on the two halves
//! ```
//! We differ in: (1) any dimension up to 16384, not 2^6 to 2^11 only; (2) the sign bits come from `SplitMix64` and an
//! explicit seed, so a file stores the seed, not the bits; (3) floats are added in one fixed order, so that the result
//! is the same on every machine.

use crate::kernel;
use crate::random::SplitMix64;

/// Coordinates of a code come in multiples of this, so that kernels have no tail.
pub(crate) const PADDING: usize = 64;

const ROUNDS: usize = 4;

const SIGN_BIT: u32 = 1 << 31;

/// An orthogonal map from `dim` to `padded_dim` coordinates, chosen by a seed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rotation {
    dim: usize,
    padded_dim: usize,
    /// Length of the Hadamard transform: the largest power of two that is not above `padded_dim`.
    window: usize,
    /// `ROUNDS` rows of `padded_dim` masks: the sign bit, or nothing.
    flips: Vec<u32>,
}

/// Returns the smallest multiple of [`PADDING`] that holds `dim` coordinates.
pub(crate) fn padded_dim(dim: usize) -> usize {
    dim.next_multiple_of(PADDING)
}

impl Rotation {
    pub(crate) fn new(dim: usize, seed: u64) -> Self {
        let padded_dim = padded_dim(dim);
        let mut words = SplitMix64::new(seed);
        let flips = (0..ROUNDS * padded_dim / 64)
            .flat_map(|_| {
                let word = words.next_u64();
                (0..64).map(move |bit| if (word >> bit) & 1 == 1 { SIGN_BIT } else { 0 })
            })
            .collect();
        Self { dim, padded_dim, window: 1 << padded_dim.ilog2(), flips }
    }

    pub(crate) fn padded_dim(&self) -> usize {
        self.padded_dim
    }

    /// Bytes held beyond the struct itself.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of_val(self.flips.as_slice())
    }

    /// Rotates the first `dim` of `padded_dim` values in place; what the others hold is lost.
    pub(crate) fn rotate(&self, values: &mut [f32]) {
        assert_eq!(values.len(), self.padded_dim, "a rotation works on `padded_dim` values");
        values[self.dim..].fill(0.0);
        let kernels = kernel::best();
        let scale = 1.0 / (self.window as f32).sqrt();
        let whole = self.window == self.padded_dim;
        for (round, flips) in self.flips.chunks_exact(self.padded_dim).enumerate() {
            for (value, flip) in values.iter_mut().zip(flips) {
                *value = f32::from_bits(value.to_bits() ^ flip);
            }
            let start = if round % 2 == 0 { 0 } else { self.padded_dim - self.window };
            let window = &mut values[start..start + self.window];
            (kernels.hadamard)(window);
            window.iter_mut().for_each(|value| *value *= scale);
            if !whole {
                let (left, right) = values.split_at_mut(self.padded_dim / 2);
                for (x, y) in left.iter_mut().zip(right) {
                    (*x, *y) = (*x + *y, *x - *y);
                }
            }
        }
        if !whole {
            // Each of the four half steps made the vector longer by sqrt(2).
            values.iter_mut().for_each(|value| *value *= 0.25);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::dot_f64;
    use crate::test_data::Random;

    #[test]
    fn hadamard_is_the_matrix_of_signs() {
        let input: Vec<f32> = (0..64).map(|i| (i * i % 17) as f32).collect();
        let mut output = input.clone();
        (kernel::best().hadamard)(&mut output);
        for (row, &got) in output.iter().enumerate() {
            let sign = |column: usize| if (row & column).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
            let expected: f32 = input.iter().enumerate().map(|(column, x)| sign(column) * x).sum();
            assert_eq!(got, expected, "row {row}");
        }
    }

    #[test]
    fn rotation_preserves_norms_and_angles() {
        for dim in [1, 3, 63, 64, 65, 100, 128, 192, 384, 768, 1000, 1536, 16_384] {
            for seed in [0, 42, u64::MAX] {
                let rotation = Rotation::new(dim, seed);
                let mut random = Random::new(seed ^ dim as u64);
                let (a, b) = (random.gaussians(dim), random.gaussians(dim));
                let rotated = [rotated(&rotation, &a), rotated(&rotation, &b)];
                for (before, after) in [
                    (dot_f64(&a, &a), dot_f64(&rotated[0], &rotated[0])),
                    (dot_f64(&a, &b), dot_f64(&rotated[0], &rotated[1])),
                ] {
                    let scale = dot_f64(&a, &a) + dot_f64(&b, &b);
                    assert!((before - after).abs() < 1e-6 * scale, "dim {dim} seed {seed}: {before} became {after}");
                }
            }
        }
    }

    #[test]
    fn one_coordinate_is_spread_over_all() {
        for dim in [64, 384, 1000] {
            let rotation = Rotation::new(dim, 42);
            for axis in [0, dim / 2, dim - 1] {
                let mut input = vec![0.0; dim];
                input[axis] = 1.0;
                let output = rotated(&rotation, &input);
                let l1: f32 = output.iter().map(|x| x.abs()).sum();
                let cosine_to_code = l1 / (rotation.padded_dim() as f32).sqrt();
                assert!(cosine_to_code > 0.6, "dim {dim} axis {axis}: {cosine_to_code}");
            }
        }
    }

    fn rotated(rotation: &Rotation, input: &[f32]) -> Vec<f32> {
        let mut values = input.to_vec();
        values.resize(rotation.padded_dim(), f32::NAN);
        rotation.rotate(&mut values);
        values
    }

    #[test]
    fn bits_of_a_rotation_never_change() {
        let input: Vec<f32> = (0..100).map(|i| (i as f32) / 8.0 - 5.0).collect();
        let rotation = Rotation::new(100, 42);
        let output = rotated(&rotation, &input);
        let bytes: Vec<u8> = output.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(crc32fast::hash(&bytes), 3_840_831_864);
    }
}
