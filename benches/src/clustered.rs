//! Clustered Gaussian vectors: cluster centres uniform in `[-2, 2]^dim`, coordinates normal around them.

/// Row-major vectors of one dimension.
#[derive(Debug)]
pub struct Clustered {
    /// Coordinates per vector.
    pub dim: usize,
    /// `[num_vectors, dim]`.
    pub values: Vec<f32>,
}

const CLUSTERS: usize = 100;
const SIGMA: f64 = 0.6;

/// Returns `num_vectors` vectors around 100 centres. Vectors and queries of one data set share `centre_seed`.
pub fn clustered(num_vectors: usize, dim: usize, centre_seed: u64, seed: u64) -> Clustered {
    let mut centres = Random(centre_seed);
    let centres: Vec<f64> = (0..CLUSTERS * dim).map(|_| 4.0 * centres.uniform() - 2.0).collect();
    let mut random = Random(seed);
    let mut values = Vec::with_capacity(num_vectors * dim);
    for i in 0..num_vectors {
        let centre = &centres[(i % CLUSTERS) * dim..][..dim];
        values.extend(centre.iter().map(|c| {
            #[expect(clippy::cast_possible_truncation, reason = "vectors are Float32")]
            let value = (c + SIGMA * random.normal()) as f32;
            value
        }));
    }
    Clustered { dim, values }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Box and Muller's transform.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
