//! Seeded vectors, made by additions and multiplications only, so that they are the same on every machine.

use ruvector_rabitq::{Dim, VectorBatch};

/// SplitMix64 by Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Around zero, nearly normal.
    pub(crate) fn number(&mut self) -> f32 {
        (0..4).map(|_| (self.next_u64() >> 40) as f32 / (1 << 23) as f32 - 1.0).sum()
    }
}

/// Vectors around a centre for each hundred of them, row-major.
#[expect(clippy::cast_possible_truncation, reason = "a remainder is below a number of centres")]
pub(crate) fn clustered(seed: u64, num_vectors: usize, dim: usize) -> Vec<f32> {
    let mut random = Random::new(seed);
    let num_centres = num_vectors / 100 + 1;
    let centres: Vec<f32> = (0..num_centres * dim).map(|_| 1.0 + random.number()).collect();
    let mut values = Vec::with_capacity(num_vectors * dim);
    for _ in 0..num_vectors {
        let centre = (random.next_u64() % num_centres as u64) as usize;
        values.extend(centres[centre * dim..][..dim].iter().map(|value| value + 0.5 * random.number()));
    }
    values
}

pub(crate) fn batch(dim: usize, values: &[f32]) -> VectorBatch<'_> {
    VectorBatch::new(Dim::new(dim).unwrap(), values).unwrap()
}
