//! Float kernels against the definition, bit by bit: distances, the Hadamard transform and the lookup tables.

use proptest::prelude::*;

use super::{Kernels, Layout, TABLE_LEN, available, bits, code_bytes, scalar};
use crate::test_data::Random;

/// Around every width of a register and of an unrolled step.
const LENGTHS: [usize; 15] = [0, 1, 7, 8, 9, 15, 16, 31, 32, 33, 63, 64, 65, 384, 1000];

/// Values that f32 sums may trip over.
const EXTREMES: [f32; 10] = [0.0, -0.0, 1.0, -1.0, f32::MAX, f32::MIN, 1e-45, -1e-45, f32::MIN_POSITIVE, f32::INFINITY];

#[test]
fn lengths_around_a_register_agree_with_scalar() {
    for len in LENGTHS {
        for start in 0..3 {
            let values = Random::new(len as u64).gaussians(2 * (len + start));
            assert_sums_agree(&values[start..start + len], &values[len + 2 * start..]);
        }
    }
}

#[test]
fn extreme_sums_agree_with_scalar() {
    let mut random = Random::new(1);
    for len in LENGTHS {
        let mut extremes = || -> Vec<f32> { (0..len).map(|_| EXTREMES[random.below(EXTREMES.len())]).collect() };
        assert_sums_agree(&extremes(), &extremes());
        assert_sums_agree(&vec![-0.0; len], &vec![1.0; len]);
    }
}

#[test]
fn the_definition_is_a_sum() {
    let mut random = Random::new(2);
    for len in LENGTHS {
        let (a, b) = (random.gaussians(len), random.gaussians(len));
        let sum = |terms: &dyn Fn(usize) -> f64| (0..len).map(terms).sum::<f64>();
        let difference = |i: usize| f64::from(a[i]) - f64::from(b[i]);
        let expected = sum(&|i| difference(i) * difference(i));
        assert!((f64::from(scalar::l2_squared(&a, &b)) - expected).abs() <= 1e-6 * expected, "length {len}");
        let scale = 1e-5 * (1 + len) as f64;
        let expected = sum(&|i| f64::from(a[i]) * f64::from(b[i]));
        assert!((f64::from(scalar::dot(&a, &b)) - expected).abs() <= scale, "length {len}");
    }
}

#[test]
fn unequal_lengths_are_refused() {
    type Sum = fn(&Kernels, &[f32], &[f32]) -> f32;
    let sums: [Sum; 3] = [
        |kernels, a, b| (kernels.l2_squared)(a, b),
        |kernels, a, b| (kernels.dot)(a, b),
        |kernels, a, b| (kernels.dot_i16_i8)(&vec![1; a.len()], &vec![1; b.len()]) as f32,
    ];
    for kernels in available() {
        for sum in sums {
            let refused = std::panic::catch_unwind(|| sum(kernels, &[1.0; 64], &[1.0; 65])).is_err();
            assert!(refused, "{}", kernels.name);
        }
    }
}

#[test]
fn hadamard_agrees_with_scalar() {
    for len in (6..=14).map(|log| 1 << log) {
        let mut random = Random::new(len as u64);
        let gaussians = random.gaussians(len);
        let extremes: Vec<f32> = (0..len).map(|_| EXTREMES[random.below(EXTREMES.len())]).collect();
        for values in [gaussians, extremes] {
            let mut expected = values.clone();
            scalar::hadamard(&mut expected);
            for kernels in available() {
                // One float off any alignment.
                let mut got = vec![0.0; len + 1];
                got[1..].copy_from_slice(&values);
                (kernels.hadamard)(&mut got[1..]);
                let same = got[1..].iter().zip(&expected).all(|(&a, &b)| bits(a) == bits(b));
                assert!(same, "{} hadamard of {len}", kernels.name);
            }
        }
    }
}

#[test]
fn tables_agree_with_scalar() {
    for padded_dim in [64, 128, 192, 1024, 4096, 16_384] {
        let mut random = Random::new(padded_dim as u64);
        let gaussians = random.gaussians(padded_dim);
        let extremes: Vec<f32> = (0..padded_dim).map(|_| EXTREMES[random.below(EXTREMES.len() - 1)]).collect();
        for (rotated, to_steps) in
            [(&gaussians, 255.0 / 16.0), (&gaussians, 1e30), (&gaussians, 0.0), (&extremes, 1e-37)]
        {
            for layout in [Layout::Groups, Layout::Lanes] {
                let mut expected = vec![0xAA; code_bytes(padded_dim)];
                scalar::fill_tables(rotated, layout, to_steps, &mut expected);
                for kernels in available() {
                    let mut tables = vec![0x55; code_bytes(padded_dim)];
                    (kernels.fill_tables)(rotated, layout, to_steps, &mut tables);
                    assert!(tables == expected, "{} {layout:?} dim {padded_dim}, {to_steps} steps", kernels.name);
                }
            }
        }
    }
}

#[test]
fn a_table_holds_the_sums_of_subsets() {
    let rotated = Random::new(3).gaussians(64);
    let to_steps = 20.0;
    for layout in [Layout::Groups, Layout::Lanes] {
        let mut tables = vec![0; code_bytes(64)];
        scalar::fill_tables(&rotated, layout, to_steps, &mut tables);
        for (group, values) in rotated.as_chunks::<4>().0.iter().enumerate() {
            let table = &tables[layout.table(group)..][..TABLE_LEN];
            let sum = |subset: usize| (0..4).map(|i| if subset >> i & 1 == 1 { values[i] } else { 0.0 }).sum::<f32>();
            let smallest = (0..TABLE_LEN).map(sum).fold(f32::INFINITY, f32::min);
            for (subset, &entry) in table.iter().enumerate() {
                let steps = (sum(subset) - smallest) * to_steps;
                assert!(
                    (f32::from(entry) - steps).abs() <= 0.51,
                    "group {group} subset {subset}: {entry} is not {steps}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_sum_agrees_with_scalar(values in prop::collection::vec(-1e3_f32..1e3, 0..700), start in 0_usize..3) {
        let half = values.len() / 2;
        let start = start.min(half);
        assert_sums_agree(&values[start..half], &values[half + start..2 * half]);
    }

    #[test]
    fn sums_of_any_floats_agree_with_scalar(pairs in prop::collection::vec((any::<f32>(), any::<f32>()), 0..100)) {
        let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
        assert_sums_agree(&a, &b);
    }
}

/// Compares the bits of every kernel with the definition.
fn assert_sums_agree(a: &[f32], b: &[f32]) {
    let (l2_squared, dot) = (scalar::l2_squared(a, b), scalar::dot(a, b));
    for kernels in available() {
        let (name, len) = (kernels.name, a.len());
        for (function, got, expected) in
            [("l2_squared", (kernels.l2_squared)(a, b), l2_squared), ("dot", (kernels.dot)(a, b), dot)]
        {
            assert_eq!(bits(got), bits(expected), "{name} {function} of {len}: {got} is not {expected}");
        }
    }
}
