//! Scans of 1-bit blocks by every kernel against the definition: the same survivors with the same bits.

use proptest::prelude::*;

use super::pass::block_bytes;
use super::{
    BLOCK_LEN, BlockRun, GROUP_DIMS, Kernels, Layout, QueryPass, QueryTerms, Survivors, TABLE_LEN,
    assert_same_survivors, available, code_bytes, scalar,
};
use crate::memory::{LINE_BYTES, Line, bytes_mut, floats_mut};
use crate::test_data::Random;

/// Sums of 16 bits are moved to 32 bits every 1024 dimensions, by some kernels.
const PADDED_DIMS: [usize; 9] = [64, 128, 192, 960, 1024, 1088, 2048, 2112, 4096];

#[test]
fn scans_agree_with_scalar() {
    for padded_dim in PADDED_DIMS {
        for num_vectors in [1, 31, 32, 33, 100, 160] {
            let seed = (padded_dim * 1000 + num_vectors) as u64;
            let mut random = Random::new(seed);
            let codes = Codes::random(&mut random, padded_dim, num_vectors);
            let queries: Vec<Query> = (0..3).map(|_| Query::random(&mut random, &codes)).collect();
            assert_scans_agree(&codes, &queries, &format!("seed {seed}"));
        }
    }
}

#[test]
fn any_number_of_queries_agrees_with_scalar() {
    for num_queries in 0..=17 {
        let mut random = Random::new(num_queries);
        let codes = Codes::random(&mut random, 192, 70);
        let queries: Vec<Query> = (0..num_queries).map(|_| Query::random(&mut random, &codes)).collect();
        assert_scans_agree(&codes, &queries, &format!("{num_queries} queries"));
    }
}

#[test]
fn the_largest_sums_do_not_overflow() {
    for padded_dim in PADDED_DIMS.into_iter().chain([16_384]) {
        let mut codes = Codes::random(&mut Random::new(1), padded_dim, 45);
        let ones = QueryTerms { step: 1.0, ..QueryTerms::default() };
        for block in 0..codes.num_blocks() {
            codes.block_mut(block)[..code_bytes(padded_dim)].fill(0xFF);
            codes.factors_mut(block).fill(1.0);
        }
        let tables = vec![0xFF; code_bytes(padded_dim)];
        let query = Query { tables, terms: ones, threshold: f32::INFINITY, masks: None, start: 0 };
        let expected = (255 * padded_dim / GROUP_DIMS) as f32;
        for kernels in available() {
            let survivors = &codes.scan(kernels, std::slice::from_ref(&query))[0];
            assert!(
                survivors.slots.iter().copied().eq(FIRST_SLOT..FIRST_SLOT + 45),
                "{} dim {padded_dim}",
                kernels.name
            );
            let all = |sums: &[f32]| sums.iter().all(|&sum| sum == expected);
            assert!(all(&survivors.estimates) && all(&survivors.bounds), "{} dim {padded_dim}", kernels.name);
        }
    }
}

#[test]
fn factors_and_terms_of_any_size_agree_with_scalar() {
    let extremes = [0.0, -0.0, 1e-45, 1e20, f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    let mut random = Random::new(6);
    for round in 0..100 {
        let mut codes = Codes::random(&mut random, 128, 64);
        for block in 0..2 {
            for factor in codes.factors_mut(block) {
                if random.below(4) == 0 {
                    *factor = extremes[random.below(extremes.len())];
                }
            }
        }
        let mut query = Query::random(&mut random, &codes);
        let extreme = extremes[random.below(extremes.len())];
        let terms = &mut query.terms;
        for term in [&mut terms.add, &mut terms.add_scale, &mut terms.error_scale, &mut terms.rounding] {
            if random.below(4) == 0 {
                *term = extreme;
            }
        }
        query.threshold = [query.threshold, f32::INFINITY, f32::NEG_INFINITY, f32::MAX][round % 4];
        assert_scans_agree(&codes, &[query], &format!("round {round}"));
    }
}

/// A bound that is not a number rules nothing out, and an error without end keeps its vector whatever the threshold.
#[test]
fn what_cannot_be_bounded_survives() {
    for (error, add) in [(f32::INFINITY, 0.0), (f32::NAN, 0.0), (1.0, f32::NAN)] {
        let mut codes = Codes::random(&mut Random::new(2), 64, 32);
        let factors = codes.factors_mut(0);
        (factors[5], factors[2 * BLOCK_LEN + 5]) = (add, error);
        let mut query = Query::random(&mut Random::new(3), &codes);
        (query.threshold, query.masks) = (f32::NEG_INFINITY, None);
        for kernels in available() {
            let survivors = &codes.scan(kernels, std::slice::from_ref(&query))[0];
            assert_eq!(survivors.slots, [FIRST_SLOT + 5], "{} error {error} add {add}", kernels.name);
        }
    }
}

#[test]
fn masked_and_missing_vectors_never_survive() {
    let codes = Codes::random(&mut Random::new(4), 64, 70);
    let mut query = Query::random(&mut Random::new(5), &codes);
    query.threshold = f32::INFINITY;
    query.masks = Some(vec![0, 0x8000_0001, u32::MAX]);
    for kernels in available() {
        let survivors = &codes.scan(kernels, std::slice::from_ref(&query))[0];
        let slots: Vec<u32> = [32, 63].into_iter().chain(64..70).map(|slot| slot + FIRST_SLOT).collect();
        assert_eq!(survivors.slots, slots, "{}", kernels.name);
    }
}

/// The sums of the definition are what its words say, in both layouts.
#[test]
fn the_definition_adds_what_codes_select() {
    let codes = Codes::random(&mut Random::new(7), 192, 32);
    let mut query = Query::random(&mut Random::new(8), &codes);
    (query.threshold, query.masks, query.start) = (f32::INFINITY, None, 0);
    query.terms = QueryTerms { step: 1.0, ..QueryTerms::default() };
    let mut ones = codes.clone();
    ones.factors_mut(0).fill(1.0);
    let sum = |lane: usize| -> u32 {
        let entry = |group: usize| {
            let (byte, shift) = Layout::Lanes.nibble(group, lane);
            let code = (codes.clone().block_mut(0)[byte] >> shift) & 0x0F;
            u32::from(query.tables[Layout::Lanes.table(group) + usize::from(code)])
        };
        (0..192 / GROUP_DIMS).map(entry).sum()
    };
    let expected: Vec<f32> = (0..BLOCK_LEN).map(|lane| sum(lane) as f32).collect();
    for layout in [Layout::Lanes, Layout::Groups] {
        let lines = ones.lines_in(layout);
        let tables = query.tables_in(layout);
        let mut survivors = Survivors::default();
        let pass = query.pass(&tables, &mut survivors);
        scalar::scan_in_layout(&ones.run(&lines), &mut [pass], layout);
        assert_eq!(survivors.estimates, expected, "{layout:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_scan_agrees_with_scalar(
        seed: u64, lines in 1_usize..20, num_vectors in 1_usize..=160, num_queries in 1_usize..=17,
    ) {
        let mut random = Random::new(seed);
        let codes = Codes::random(&mut random, 64 * lines, num_vectors);
        let queries: Vec<Query> = (0..num_queries).map(|_| Query::random(&mut random, &codes)).collect();
        assert_scans_agree(&codes, &queries, &format!("seed {seed}"));
    }
}

fn assert_scans_agree(codes: &Codes, queries: &[Query], what: &str) {
    let expected = codes.scan(&scalar::KERNELS, queries);
    for kernels in available() {
        for (i, (got, expected)) in codes.scan(kernels, queries).iter().zip(&expected).enumerate() {
            let what =
                format!("{} dim {}, {} vectors, query {i}, {what}", kernels.name, codes.padded_dim, codes.num_vectors);
            assert_same_survivors(got, expected, &what);
        }
    }
}

const FIRST_SLOT: u32 = 1000;

/// Some blocks in the layout of files.
#[derive(Clone)]
struct Codes {
    padded_dim: usize,
    num_vectors: usize,
    lines: Vec<Line>,
}

impl Codes {
    /// Lanes behind the last vector hold numbers too: they must not survive.
    fn random(random: &mut Random, padded_dim: usize, num_vectors: usize) -> Self {
        let len = num_vectors.div_ceil(BLOCK_LEN) * block_bytes(padded_dim) / LINE_BYTES;
        let mut codes = Self { padded_dim, num_vectors, lines: vec![Line([0; LINE_BYTES]); len] };
        for block in 0..codes.num_blocks() {
            codes.block_mut(block).iter_mut().for_each(|byte| *byte = random.next_u64() as u8);
            for (i, factor) in codes.factors_mut(block).iter_mut().enumerate() {
                *factor = if i < 2 * BLOCK_LEN { random.gaussian() } else { random.uniform() };
            }
        }
        codes
    }

    fn num_blocks(&self) -> usize {
        self.num_vectors.div_ceil(BLOCK_LEN)
    }

    fn block_mut(&mut self, block: usize) -> &mut [u8] {
        let len = block_bytes(self.padded_dim);
        &mut bytes_mut(&mut self.lines)[block * len..][..len]
    }

    /// `add`, `rescale` and `error` of 32 vectors each.
    fn factors_mut(&mut self, block: usize) -> &mut [f32] {
        let start = (block * block_bytes(self.padded_dim) + code_bytes(self.padded_dim)) / size_of::<f32>();
        &mut floats_mut(&mut self.lines)[start..][..3 * BLOCK_LEN]
    }

    fn lines_in(&self, layout: Layout) -> Vec<Line> {
        let (mut lines, mut buffer) = (self.lines.clone(), Vec::new());
        for block in bytes_mut(&mut lines).chunks_exact_mut(block_bytes(self.padded_dim)) {
            Layout::Lanes.convert(layout, &mut block[..code_bytes(self.padded_dim)], &mut buffer);
        }
        lines
    }

    fn run<'a>(&self, lines: &'a [Line]) -> BlockRun<'a> {
        BlockRun { lines, padded_dim: self.padded_dim, num_vectors: self.num_vectors, first_slot: FIRST_SLOT }
    }

    /// The survivors of each query.
    fn scan(&self, kernels: &Kernels, queries: &[Query]) -> Vec<Survivors> {
        let lines = self.lines_in(kernels.layout);
        let tables: Vec<Vec<u8>> = queries.iter().map(|query| query.tables_in(kernels.layout)).collect();
        let mut survivors: Vec<Survivors> = queries.iter().map(|_| Survivors::default()).collect();
        let mut passes: Vec<QueryPass<'_>> = queries
            .iter()
            .zip(&tables)
            .zip(&mut survivors)
            .map(|((query, tables), survivors)| query.pass(&tables[query.start..], survivors))
            .collect();
        (kernels.scan)(&self.run(&lines), &mut passes);
        survivors
    }
}

/// A query with its tables in the layout of files.
struct Query {
    tables: Vec<u8>,
    terms: QueryTerms,
    threshold: f32,
    masks: Option<Vec<u32>>,
    /// Number of bytes that the tables are off their alignment.
    start: usize,
}

impl Query {
    /// A threshold that about half of the vectors pass; masks for some queries, of which some are empty.
    fn random(random: &mut Random, codes: &Codes) -> Self {
        let num_groups = codes.padded_dim / GROUP_DIMS;
        let largest = (255 * num_groups) as f32;
        let mask = |random: &mut Random| match random.below(4) {
            0 => 0,
            1 => u32::MAX,
            _ => random.next_u64() as u32,
        };
        let masks = (random.below(3) == 0).then(|| (0..codes.num_blocks()).map(|_| mask(random)).collect());
        Self {
            tables: (0..num_groups * TABLE_LEN).map(|_| random.next_u64() as u8).collect(),
            terms: QueryTerms {
                step: 4.0 / largest,
                smallest_product: -2.0,
                add: random.gaussian(),
                add_scale: random.uniform(),
                error_scale: 0.3,
                table_error: 0.1,
                rounding: 1e-3,
                rounding_share: 1e-6,
            },
            threshold: random.gaussian(),
            masks,
            start: random.below(3),
        }
    }

    /// With `start` bytes before them.
    fn tables_in(&self, layout: Layout) -> Vec<u8> {
        let mut tables = vec![0; self.start + self.tables.len()];
        for group in 0..self.tables.len() / TABLE_LEN {
            let table = &self.tables[Layout::Lanes.table(group)..][..TABLE_LEN];
            tables[self.start + layout.table(group)..][..TABLE_LEN].copy_from_slice(table);
        }
        tables
    }

    fn pass<'a>(&'a self, tables: &'a [u8], survivors: &'a mut Survivors) -> QueryPass<'a> {
        let (terms, threshold, masks) = (self.terms, self.threshold, self.masks.as_deref());
        QueryPass { tables, terms, threshold, masks, survivors }
    }
}
