//! Data for tests: a seed goes in, numbers and clustered vectors come out, the same on every machine.

use crate::random::SplitMix64;

/// Seeded numbers for tests, made by additions and multiplications only, so that they are the same on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Random(SplitMix64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// In `0..bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next_u64() % bound as u64) as usize
    }

    /// In `0.0..1.0`.
    pub(crate) fn uniform(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / (1 << 24) as f32
    }

    /// Nearly normal: the sum of twelve uniform numbers, less six.
    pub(crate) fn gaussian(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }

    pub(crate) fn gaussians(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.gaussian()).collect()
    }
}

/// Vectors around `num_clusters` centres, row-major `[num_vectors, dim]`, none of them at the origin.
pub(crate) fn clustered(seed: u64, num_vectors: usize, dim: usize, num_clusters: usize) -> Vec<f32> {
    let mut random = Random::new(seed);
    let offset = random.gaussians(dim);
    let centres: Vec<Vec<f32>> = (0..num_clusters).map(|_| random.gaussians(dim)).collect();
    (0..num_vectors)
        .flat_map(|_| {
            let centre = &centres[random.below(num_clusters)];
            let noise = random.gaussians(dim);
            (0..dim).map(|i| offset[i] + centre[i] + 0.6 * noise[i]).collect::<Vec<f32>>()
        })
        .collect()
}
