//! The inner loops on made-up data, for benchmarks. No part of the API: it is compiled with the feature `bench` only.

use std::rc::Rc;

use crate::code::{Centroids, block_bytes};
use crate::kernel::{
    self, BLOCK_LEN, BlockRun, Kernels, Layout, QueryPass, QueryTerms, RowPass, Survivors, TABLE_LEN, code_bytes,
};
use crate::memory::{LINE_BYTES, Line, bytes_mut};
use crate::number::to_u32;
use crate::random::SplitMix64;

/// One inner loop of one kernel, with what it works on.
pub struct Loop<'a> {
    /// Name of the operation.
    pub name: &'static str,
    /// Bytes it reads, of those that do not stay in the nearest cache.
    pub bytes: usize,
    /// Vectors it goes through.
    pub num_vectors: usize,
    run: Box<dyn Fn(f32) -> u64 + 'a>,
}

impl Loop<'_> {
    /// Goes through the data once; a scan rules out everything.
    pub fn run(&self) -> u64 {
        (self.run)(f32::NEG_INFINITY)
    }

    /// Goes through the data once, and returns a number made of all results: every kernel makes the same.
    pub fn checksum(&self) -> u64 {
        (self.run)(f32::INFINITY)
    }
}

impl std::fmt::Debug for Loop<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Loop").field(&self.name).finish()
    }
}

/// Data for all loops: vectors of one dimension.
#[derive(Debug)]
pub struct Data {
    padded_dim: usize,
    num_vectors: usize,
    blocks: Vec<Line>,
    tables: Vec<u8>,
    rows: Vec<u8>,
    slots: Vec<u32>,
    low: Vec<i8>,
    high: Vec<i8>,
    vectors: Vec<f32>,
    centroids: Centroids,
}

/// Queries that share a pass.
const QUERIES: usize = 8;

/// Vectors of four bits and of floats, and centroids, are fewer, by this factor.
const FEWER: usize = 16;

impl Data {
    /// About `bytes` of codes of `padded_dim` coordinates, a multiple of 64.
    pub fn new(padded_dim: usize, bytes: usize, seed: u64) -> Self {
        let mut words = SplitMix64::new(seed);
        let mut random = |len: usize| -> Vec<u8> {
            (0..len.div_ceil(8)).flat_map(|_| words.next_u64().to_le_bytes()).take(len).collect()
        };
        let block = block_bytes(padded_dim);
        let num_blocks = (bytes / block).max(1);
        let mut blocks = vec![Line::ZERO; num_blocks * block / LINE_BYTES];
        let factor = |(i, bytes): (usize, &mut [u8; 4])| *bytes = (i as f32).to_le_bytes();
        for block in bytes_mut(&mut blocks).chunks_exact_mut(block) {
            let (codes, factors) = block.split_at_mut(code_bytes(padded_dim));
            codes.copy_from_slice(&random(codes.len()));
            factors.as_chunks_mut().0.iter_mut().enumerate().for_each(factor);
        }
        let num_vectors = num_blocks * BLOCK_LEN;
        let num_rows = (num_vectors / FEWER).max(1);
        let row = padded_dim / 2 + 3 * size_of::<f32>();
        let mut rows = random(num_rows * row);
        for row in rows.chunks_exact_mut(row) {
            row[padded_dim / 2..].as_chunks_mut().0.iter_mut().enumerate().for_each(factor);
        }
        let signed = |bytes: Vec<u8>| -> Vec<i8> { bytes.into_iter().map(|byte| (byte >> 1) as i8 - 64).collect() };
        Self {
            padded_dim,
            num_vectors,
            blocks,
            tables: random(QUERIES * code_bytes(padded_dim)),
            rows,
            slots: (0..to_u32(num_rows)).collect(),
            low: signed(random(padded_dim / 2)),
            high: signed(random(padded_dim / 2)),
            vectors: random(num_rows * padded_dim).into_iter().map(f32::from).collect(),
            centroids: Centroids::new(padded_dim, 1.0, signed(random(num_rows.min(4096) * padded_dim))),
        }
    }

    /// The loops of the kernel of this name.
    ///
    /// # Panics
    /// If this CPU has no such kernel.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a checksum is made of the last bits")]
    pub fn loops(&self, kernel: &str) -> Vec<Loop<'_>> {
        let kernels = *kernel::available().iter().find(|kernels| kernels.name == kernel).expect("a kernel of this CPU");
        let codes = Rc::new(self.codes_in(kernels.layout));
        let same_codes = Rc::clone(&codes);
        let num_rows = self.slots.len();
        let float_bytes = self.vectors.len() * size_of::<f32>();
        let query = &self.vectors[..self.padded_dim];
        let (first, nlist) = (&self.low, self.centroids.nlist());
        let point: Vec<i8> = first.iter().chain(&self.high).copied().collect();
        let point_again = point.clone();
        let fine: Vec<i16> = point.iter().map(|&value| 200 * i16::from(value)).collect();
        let window = 1 << self.padded_dim.ilog2();
        vec![
            Loop {
                name: "1-bit scan, one query",
                bytes: size_of_val(self.blocks.as_slice()),
                num_vectors: self.num_vectors,
                run: Box::new(move |threshold| self.scan(kernels, &codes, 1, threshold)),
            },
            Loop {
                name: "1-bit scan, 8 queries",
                bytes: size_of_val(self.blocks.as_slice()),
                num_vectors: self.num_vectors,
                run: Box::new(move |threshold| self.scan(kernels, &same_codes, QUERIES, threshold)),
            },
            Loop {
                name: "4-bit rows",
                bytes: self.rows.len(),
                num_vectors: num_rows,
                run: Box::new(move |threshold| self.scan_rows(kernels, threshold)),
            },
            Loop {
                name: "squared L2 of floats",
                bytes: float_bytes,
                num_vectors: num_rows,
                run: Box::new(move |_| self.floats(|row| (kernels.l2_squared)(query, row))),
            },
            Loop {
                name: "inner product of floats",
                bytes: float_bytes,
                num_vectors: num_rows,
                run: Box::new(move |_| self.floats(|row| (kernels.dot)(query, row))),
            },
            Loop {
                name: "nearest centroid of a point",
                bytes: nlist * self.padded_dim,
                num_vectors: nlist,
                run: Box::new(move |_| {
                    let nearest = self.centroids.nearest_of(kernels, &point_again);
                    sum_of_bits(nearest.iter().map(|nearest| nearest.centroid))
                }),
            },
            Loop {
                name: "product with each centroid",
                bytes: nlist * self.padded_dim,
                num_vectors: nlist,
                run: Box::new(move |_| {
                    let rows = self.centroids.rows().chunks_exact(self.padded_dim);
                    sum_of_bits(rows.map(|row| (kernels.dot_i16_i8)(&fine, row) as u32))
                }),
            },
            Loop {
                name: "Hadamard transform of a window",
                bytes: window * size_of::<f32>(),
                num_vectors: 1,
                run: Box::new(move |threshold| {
                    let mut values = query[..window].to_vec();
                    (kernels.hadamard)(&mut values);
                    let looked_at = if threshold == f32::INFINITY { window } else { 1 };
                    sum_of_bits(values[..looked_at].iter().map(|value| value.to_bits()))
                }),
            },
            Loop {
                name: "tables of a query",
                bytes: self.padded_dim * size_of::<f32>(),
                num_vectors: 1,
                run: Box::new(move |threshold| {
                    let mut tables = vec![0; code_bytes(self.padded_dim)];
                    (kernels.fill_tables)(query, Layout::Lanes, 0.2, &mut tables);
                    // To look at all of them takes longer than to write them.
                    let looked_at = if threshold == f32::INFINITY { tables.len() } else { 1 };
                    sum_of_bits(tables[..looked_at].iter().map(|&entry| entry.into()))
                }),
            },
            Loop {
                name: "scores of centroids",
                bytes: nlist * self.padded_dim,
                num_vectors: nlist,
                run: Box::new(move |_| {
                    sum_of_bits(self.centroids.scores(kernels, &point).iter().map(|&score| score.cast_unsigned()))
                }),
            },
        ]
    }

    /// The blocks and the tables as a kernel wants them.
    fn codes_in(&self, layout: Layout) -> (Vec<Line>, Vec<u8>) {
        let (mut blocks, mut buffer) = (self.blocks.clone(), Vec::new());
        let len = code_bytes(self.padded_dim);
        for block in bytes_mut(&mut blocks).chunks_exact_mut(block_bytes(self.padded_dim)) {
            Layout::Lanes.convert(layout, &mut block[..len], &mut buffer);
        }
        let mut tables = vec![0; self.tables.len()];
        for (tables, from) in tables.chunks_exact_mut(len).zip(self.tables.chunks_exact(len)) {
            for group in 0..len / TABLE_LEN {
                let table = &from[Layout::Lanes.table(group)..][..TABLE_LEN];
                tables[layout.table(group)..][..TABLE_LEN].copy_from_slice(table);
            }
        }
        (blocks, tables)
    }

    fn scan(
        &self,
        kernels: &Kernels,
        (lines, tables): &(Vec<Line>, Vec<u8>),
        num_queries: usize,
        threshold: f32,
    ) -> u64 {
        let (padded_dim, num_vectors) = (self.padded_dim, self.num_vectors);
        let run = BlockRun { lines, padded_dim, num_vectors, first_slot: 0 };
        let mut survivors: Vec<Survivors> = (0..num_queries).map(|_| Survivors::default()).collect();
        let mut passes: Vec<QueryPass<'_>> = survivors
            .iter_mut()
            .zip(tables.chunks_exact(code_bytes(self.padded_dim)))
            .map(|(survivors, tables)| QueryPass { tables, terms: TERMS, threshold, masks: None, survivors })
            .collect();
        (kernels.scan)(&run, &mut passes);
        sum_of_bits(survivors.iter().flat_map(|survivors| &survivors.estimates).map(|estimate| estimate.to_bits()))
    }

    fn scan_rows(&self, kernels: &Kernels, threshold: f32) -> u64 {
        let mut survivors = Survivors::default();
        (kernels.scan_rows)(&mut RowPass {
            rows: &self.rows,
            slots: &self.slots,
            low: &self.low,
            high: &self.high,
            terms: TERMS,
            threshold,
            survivors: &mut survivors,
        });
        sum_of_bits(survivors.estimates.iter().map(|estimate| estimate.to_bits()))
    }

    fn floats(&self, distance: impl Fn(&[f32]) -> f32) -> u64 {
        sum_of_bits(self.vectors.chunks_exact(self.padded_dim).map(|row| distance(row).to_bits()))
    }
}

const TERMS: QueryTerms = QueryTerms {
    step: 1.0,
    smallest_product: 0.5,
    add: 1.0,
    add_scale: 1.0,
    error_scale: 1.0,
    table_error: 1.0,
    rounding: 0.0,
    rounding_share: 0.0,
};

fn sum_of_bits(bits: impl Iterator<Item = u32>) -> u64 {
    bits.fold(0, |sum, bits| sum.wrapping_mul(31).wrapping_add(bits.into()))
}
