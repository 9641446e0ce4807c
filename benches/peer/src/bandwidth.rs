//! The rate at which one core reads memory: the ceiling of every scan.

use std::hint::black_box;
use std::time::Instant;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Words of one step: eight cache lines, so that enough loads are under way at once.
const STEP: usize = 64;

/// Returns the bytes per second at which this thread reads a buffer of `num_bytes`: the best of `passes` passes.
///
/// The buffer is written before it is read, so every page of it is real.
#[pyfunction]
#[pyo3(signature = (num_bytes, passes = 5))]
pub fn read_bandwidth(py: Python<'_>, num_bytes: usize, passes: usize) -> PyResult<f64> {
    let num_words = num_bytes / size_of::<u64>() / STEP * STEP;
    if num_words == 0 || passes == 0 {
        return Err(PyValueError::new_err("read_bandwidth: num_bytes is at least 512, passes at least 1"));
    }
    Ok(py.detach(|| best_of(&vec![1; num_words], passes)))
}

#[expect(clippy::cast_precision_loss, reason = "buffers are far below 2^53 bytes")]
fn best_of(words: &[u64], passes: usize) -> f64 {
    (0..passes)
        .map(|_| {
            let start = Instant::now();
            let total = sum(black_box(words));
            let seconds = start.elapsed().as_secs_f64();
            assert_eq!(total, words.len() as u64, "every word is 1");
            size_of_val(words) as f64 / seconds
        })
        .fold(0.0, f64::max)
}

/// Adds all words with the widest loads there are.
fn sum(words: &[u64]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: AVX-512F was detected.
            return unsafe { sum_avx512(words) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: AVX2 was detected.
            return unsafe { sum_avx2(words) };
        }
    }
    sum_lanes(words)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn sum_avx512(words: &[u64]) -> u64 {
    sum_lanes(words)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn sum_avx2(words: &[u64]) -> u64 {
    sum_lanes(words)
}

/// One sum per word of a step: independent of each other, so the compiler makes vectors of them.
#[inline(always)]
fn sum_lanes(words: &[u64]) -> u64 {
    let mut lanes = [0_u64; STEP];
    for step in words.chunks_exact(STEP) {
        for (lane, word) in lanes.iter_mut().zip(step) {
            *lane = lane.wrapping_add(*word);
        }
    }
    lanes.iter().sum()
}
