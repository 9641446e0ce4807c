//! Scans of four-bit rows by every kernel against the definition: the same survivors with the same bits.

use proptest::prelude::*;

use super::{Kernels, QueryTerms, RowPass, Survivors, assert_same_survivors, available, scalar};
use crate::test_data::Random;

/// Codes are 32 bytes for each 64 dimensions.
const CODE_BYTES: [usize; 8] = [32, 64, 96, 128, 160, 192, 768, 8192];

#[test]
fn rows_agree_with_scalar() {
    for code_bytes in CODE_BYTES {
        for num_slots in [0, 1, 3, 4, 5, 15, 16, 17, 40] {
            let seed = (code_bytes * 100 + num_slots) as u64;
            Rows::random(&mut Random::new(seed), code_bytes, num_slots).assert_agree(&format!("seed {seed}"));
        }
    }
}

#[test]
fn the_definition_multiplies_codes_with_the_query() {
    let mut rows = Rows::random(&mut Random::new(3), 96, 20);
    rows.terms = QueryTerms { step: 1.0, ..QueryTerms::default() };
    rows.threshold = f32::INFINITY;
    for slot in 0..rows.num_rows() {
        rows.set_factors(slot, [0.0, 1.0, 0.0]);
    }
    let sum = |&slot: &u32| -> f32 {
        let codes = rows.codes(slot as usize);
        let product = |(i, &code): (usize, &u8)| {
            i32::from(code & 0x0F) * i32::from(rows.low[i]) + i32::from(code >> 4) * i32::from(rows.high[i])
        };
        codes.iter().enumerate().map(product).sum::<i32>() as f32
    };
    let expected: Vec<f32> = rows.slots.iter().map(sum).collect();
    let survivors = rows.scan(&scalar::KERNELS);
    assert_eq!((&survivors.slots, &survivors.estimates), (&rows.slots, &expected));
}

#[test]
fn the_largest_sums_do_not_overflow() {
    for code_bytes in CODE_BYTES {
        for value in [-128, -127, 127] {
            let mut rows = Rows::random(&mut Random::new(1), code_bytes, 5);
            rows.terms = QueryTerms { step: 1.0, ..QueryTerms::default() };
            rows.threshold = f32::INFINITY;
            (rows.low, rows.high) = (vec![value; code_bytes], vec![value; code_bytes]);
            rows.bytes.fill(0xFF);
            (0..rows.num_rows()).for_each(|slot| rows.set_factors(slot, [0.0, 1.0, 0.0]));
            let expected = (2 * 15 * i32::from(value) * code_bytes as i32) as f32;
            for kernels in available() {
                assert_eq!(rows.scan(kernels).estimates, vec![expected; 5], "{} bytes {code_bytes}", kernels.name);
            }
        }
    }
}

#[test]
fn factors_of_any_size_agree_with_scalar() {
    let extremes = [0.0, -0.0, 1e-45, 1e20, f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    let mut random = Random::new(6);
    for round in 0..100 {
        let mut rows = Rows::random(&mut random, 64, 30);
        for slot in 0..rows.num_rows() {
            let mut factor = || if random.below(3) == 0 { extremes[random.below(9)] } else { random.gaussian() };
            let factors = [factor(), factor(), factor()];
            rows.set_factors(slot, factors);
        }
        rows.threshold = [rows.threshold, f32::INFINITY, f32::NEG_INFINITY, f32::MAX][round % 4];
        rows.assert_agree(&format!("round {round}"));
    }
}

#[test]
fn what_cannot_be_bounded_survives() {
    for factors in [[0.0, 0.0, f32::NAN], [f32::NAN, 0.0, 1.0], [0.0, 0.0, f32::INFINITY]] {
        let mut rows = Rows::random(&mut Random::new(2), 64, 9);
        rows.slots = (0..9).collect();
        rows.terms.error_scale = 1.0;
        rows.set_factors(5, factors);
        rows.threshold = f32::NEG_INFINITY;
        for kernels in available() {
            assert_eq!(rows.scan(kernels).slots, [5], "{} {factors:?}", kernels.name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn all_rows_agree_with_scalar(seed: u64, lines in 1_usize..40, num_slots in 0_usize..70) {
        Rows::random(&mut Random::new(seed), 32 * lines, num_slots).assert_agree(&format!("seed {seed}"));
    }
}

/// Rows and a query.
struct Rows {
    bytes: Vec<u8>,
    slots: Vec<u32>,
    low: Vec<i8>,
    high: Vec<i8>,
    terms: QueryTerms,
    threshold: f32,
}

impl Rows {
    /// A threshold that about half of them pass.
    fn random(random: &mut Random, code_bytes: usize, num_slots: usize) -> Self {
        let num_rows = num_slots + 5;
        let mut signed = || (0..code_bytes).map(|_| random.next_u64() as i8).collect::<Vec<i8>>();
        let (low, high) = (signed(), signed());
        let mut rows = Self {
            bytes: (0..num_rows * (code_bytes + 12)).map(|_| random.next_u64() as u8).collect(),
            slots: (0..num_slots).map(|_| random.below(num_rows) as u32).collect(),
            low,
            high,
            terms: QueryTerms {
                step: 1e-4,
                smallest_product: -0.5,
                add: random.gaussian(),
                add_scale: random.uniform(),
                error_scale: 0.3,
                table_error: 0.1,
                rounding: 1e-3,
                rounding_share: 1e-6,
            },
            threshold: random.gaussian(),
        };
        for slot in 0..num_rows {
            rows.set_factors(slot, [random.gaussian(), random.gaussian(), random.uniform()]);
        }
        rows
    }

    fn row_bytes(&self) -> usize {
        self.low.len() + 12
    }

    fn num_rows(&self) -> usize {
        self.bytes.len() / self.row_bytes()
    }

    fn codes(&self, slot: usize) -> &[u8] {
        &self.bytes[slot * self.row_bytes()..][..self.low.len()]
    }

    fn set_factors(&mut self, slot: usize, factors: [f32; 3]) {
        let start = slot * self.row_bytes() + self.low.len();
        for (i, factor) in factors.iter().enumerate() {
            self.bytes[start + 4 * i..][..4].copy_from_slice(&factor.to_le_bytes());
        }
    }

    fn scan(&self, kernels: &Kernels) -> Survivors {
        let mut survivors = Survivors::default();
        (kernels.scan_rows)(&mut RowPass {
            rows: &self.bytes,
            slots: &self.slots,
            low: &self.low,
            high: &self.high,
            terms: self.terms,
            threshold: self.threshold,
            survivors: &mut survivors,
        });
        survivors
    }

    fn assert_agree(&self, what: &str) {
        let expected = self.scan(&scalar::KERNELS);
        for kernels in available() {
            let got = self.scan(kernels);
            let what = format!("{} bytes {}, {} slots, {what}", kernels.name, self.low.len(), self.slots.len());
            assert_same_survivors(&got, &expected, &what);
        }
    }
}
