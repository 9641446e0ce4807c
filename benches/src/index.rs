//! `rabitq_plus` against the exact scan of `flat` on the same data in the same run: recall, speed, size.
//!
//! One thread, one query at a time. The ratio is what to look at: absolute figures depend on the machine and its load.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use ruvector_benches::clustered::{Clustered, clustered};
use ruvector_rabitq::{
    BuildParams, Dim, FlatF32Index, Hit, RabitqPlusIndex, Result, SearchParams, VectorBatch, VectorIndex, cpu_features,
};

const K: usize = 10;
const NUM_QUERIES: usize = 200;
const SEED: u64 = 42;

fn main() -> Result<()> {
    println!("kernel {}, k = {K}, {NUM_QUERIES} queries, seed {SEED}, one thread\n", cpu_features().kernel);
    println!("| vectors | dim | index | build | recall@{K} | per query | against flat | bytes per vector |");
    println!("|---:|---:|---|---:|---:|---:|---:|---:|");
    for (num_vectors, dim) in [(20_000, 384), (100_000, 128)] {
        compare(&clustered(num_vectors, dim, SEED, SEED + 1), &clustered(NUM_QUERIES, dim, SEED, SEED + 2))?;
    }
    Ok(())
}

fn compare(vectors: &Clustered, queries: &Clustered) -> Result<()> {
    let dim = Dim::new(vectors.dim)?;
    let batch = VectorBatch::new(dim, &vectors.values)?;
    let params = BuildParams::default();
    let start = Instant::now();
    let flat = FlatF32Index::build(None, batch, &params, None)?;
    let flat_build = start.elapsed();
    let start = Instant::now();
    let plus = RabitqPlusIndex::build(None, batch, &params, None)?;
    let plus_build = start.elapsed();

    let (truth, flat_time) = answers(&flat, queries)?;
    let (found, plus_time) = answers(&plus, queries)?;
    let recall = recall(&truth, &found);
    assert!(recall >= 0.999, "recall@{K} is {recall}: the answers are not worth timing");
    row(&flat, flat_build, 1.0, flat_time, 1.0);
    row(&plus, plus_build, recall, plus_time, flat_time.as_secs_f64() / plus_time.as_secs_f64());
    Ok(())
}

/// The answers, and the best of three passes over the queries.
fn answers(index: &dyn VectorIndex, queries: &Clustered) -> Result<(Vec<Vec<Hit>>, Duration)> {
    let mut best = Duration::MAX;
    let mut answers = Vec::new();
    for _ in 0..3 {
        let start = Instant::now();
        let pass: Result<Vec<_>> =
            queries.values.chunks_exact(queries.dim).map(|query| index.search(query, &SearchParams::new(K))).collect();
        best = best.min(start.elapsed());
        answers = pass?;
    }
    Ok((answers, best))
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn recall(truth: &[Vec<Hit>], found: &[Vec<Hit>]) -> f64 {
    let ids = |hits: &[Hit]| hits.iter().map(|hit| hit.id).collect::<HashSet<_>>();
    let common: usize = truth.iter().zip(found).map(|(a, b)| ids(a).intersection(&ids(b)).count()).sum();
    common as f64 / (truth.len() * K) as f64
}

#[expect(clippy::cast_precision_loss, reason = "sizes are small")]
fn row(index: &dyn VectorIndex, build: Duration, recall: f64, time: Duration, ratio: f64) {
    println!(
        "| {} | {} | {} | {:.2} s | {recall:.4} | {:.0} µs | {ratio:.1} x | {:.0} |",
        index.len(),
        index.dim(),
        index.kind(),
        build.as_secs_f64(),
        time.as_secs_f64() * 1e6 / NUM_QUERIES as f64,
        index.memory_bytes() as f64 / index.len() as f64
    );
}
