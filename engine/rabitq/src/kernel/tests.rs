//! Every function of every kernel that this CPU can run, against the definition: the same bits.

use super::choose::choose;
use super::*;

mod bytes;
mod floats;
mod rows;
mod scans;

#[test]
fn a_kernel_can_be_forced() {
    for kernels in available() {
        assert_eq!(choose(Some(kernels.name)).name, kernels.name);
    }
    let fastest = available().last().unwrap().name;
    for ignored in [None, Some(""), Some("mmx"), Some("AVX2")] {
        assert_eq!(choose(ignored).name, fastest);
    }
    assert!(cpu_features().available.contains(&cpu_features().kernel));
    assert_eq!(cpu_features().available[0], "scalar");
}

/// The same vectors, with the same bits of estimates and bounds.
fn assert_same_survivors(got: &Survivors, expected: &Survivors, what: &str) {
    assert_eq!(got.slots, expected.slots, "{what}");
    let same = |a: &[f32], b: &[f32]| a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| bits(a) == bits(b));
    assert!(same(&got.bounds, &expected.bounds), "{what}: {:?} is not {:?}", got.bounds, expected.bounds);
    assert!(same(&got.estimates, &expected.estimates), "{what}");
}

/// The bits of a float; one number for all that is not a number, whose bits no operation promises.
fn bits(value: f32) -> u32 {
    if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() }
}
