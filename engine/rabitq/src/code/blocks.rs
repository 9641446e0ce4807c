//! Storage of 1-bit codes: [`CodeBlocks`] packs the nibbles and [`Factors`] of vectors into blocks of 32, in the layout of the
//! kernels. Blocks come out as a [`BlockRun`] for scans, and as the bytes of a file.

use super::Factors;
use crate::kernel::{self, BLOCK_LEN, BlockRun, FACTOR_LINES, Layout, code_bytes};
use crate::memory::{LINE_BYTES, Line, bytes, bytes_mut, floats, floats_mut, on_huge_pages};
use crate::number::to_u32;

/// Codes of one bit in blocks of 32 vectors, each block followed by the factors of its vectors. They lie as the kernels
/// of this process want them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CodeBlocks {
    padded_dim: usize,
    num_vectors: usize,
    lines: Vec<Line>,
}

/// Lines of one block.
fn block_lines(padded_dim: usize) -> usize {
    code_bytes(padded_dim) / LINE_BYTES + FACTOR_LINES
}

/// Bytes of one block of 32 vectors, in memory and in files.
pub(crate) fn block_bytes(padded_dim: usize) -> usize {
    block_lines(padded_dim) * LINE_BYTES
}

fn layout() -> Layout {
    kernel::best().layout
}

impl CodeBlocks {
    /// Room for `num_vectors`, all zero.
    pub(crate) fn zeroed(padded_dim: usize, num_vectors: usize) -> Self {
        let len = num_vectors.div_ceil(BLOCK_LEN) * block_lines(padded_dim);
        let mut lines = on_huge_pages(Vec::with_capacity(len));
        lines.resize(len, Line::ZERO);
        Self { padded_dim, num_vectors, lines }
    }

    pub(crate) fn len(&self) -> usize {
        self.num_vectors
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.lines.capacity() * LINE_BYTES
    }

    /// Blocks `blocks` of the list.
    pub(crate) fn run(&self, blocks: std::ops::Range<usize>) -> BlockRun<'_> {
        let lines = block_lines(self.padded_dim);
        let first = blocks.start * BLOCK_LEN;
        BlockRun {
            lines: &self.lines[blocks.start * lines..blocks.end * lines],
            padded_dim: self.padded_dim,
            num_vectors: self.num_vectors.min(blocks.end * BLOCK_LEN) - first,
            first_slot: to_u32(first),
        }
    }

    pub(crate) fn num_blocks(&self) -> usize {
        self.num_vectors.div_ceil(BLOCK_LEN)
    }

    /// The blocks, to be written by several threads.
    pub(crate) fn blocks_mut(&mut self) -> std::slice::ChunksExactMut<'_, Line> {
        self.lines.chunks_exact_mut(block_lines(self.padded_dim))
    }

    /// Appends a vector. `nibbles` has a number below 16 for each group of 4 coordinates.
    pub(crate) fn push(&mut self, nibbles: &[u8], factors: Factors) {
        let lane = self.num_vectors % BLOCK_LEN;
        if lane == 0 {
            self.lines.resize(self.lines.len() + block_lines(self.padded_dim), Line::ZERO);
        }
        let start = self.lines.len() - block_lines(self.padded_dim);
        set_lane(&mut self.lines[start..], self.padded_dim, lane, nibbles, factors);
        self.num_vectors += 1;
    }

    /// Moves the last vector into `slot`, and forgets the one that was there.
    pub(crate) fn swap_remove(&mut self, slot: usize) {
        let last = self.num_vectors - 1;
        let mut nibbles = vec![0; self.padded_dim / 4];
        if slot != last {
            let factors = self.vector(last, &mut nibbles);
            let lines = block_lines(self.padded_dim);
            let block = &mut self.lines[slot / BLOCK_LEN * lines..][..lines];
            set_lane(block, self.padded_dim, slot % BLOCK_LEN, &nibbles, factors);
        }
        nibbles.fill(0);
        let none = Factors { add: 0.0, rescale: 0.0, error: 0.0 };
        let start = self.lines.len() - block_lines(self.padded_dim);
        set_lane(&mut self.lines[start..], self.padded_dim, last % BLOCK_LEN, &nibbles, none);
        self.num_vectors = last;
        self.lines.truncate(self.num_blocks() * block_lines(self.padded_dim));
    }

    /// Reads the vector in `slot`: its bits into `nibbles`, and its factors.
    pub(crate) fn vector(&self, slot: usize, nibbles: &mut [u8]) -> Factors {
        self.nibbles(slot, nibbles);
        self.factors(slot)
    }

    /// The lines of the block of a slot.
    fn block(&self, slot: usize) -> &[Line] {
        let lines = block_lines(self.padded_dim);
        &self.lines[slot / BLOCK_LEN * lines..][..lines]
    }

    /// Reads the bits of the vector in `slot`: a number below 16 for each group of 4 coordinates.
    pub(crate) fn nibbles(&self, slot: usize, nibbles: &mut [u8]) {
        let block = bytes(self.block(slot));
        for (group, nibble) in nibbles.iter_mut().enumerate() {
            let (byte, shift) = layout().nibble(group, slot % BLOCK_LEN);
            *nibble = (block[byte] >> shift) & 0x0F;
        }
    }

    /// Reads the factors of the vector in `slot`.
    pub(crate) fn factors(&self, slot: usize) -> Factors {
        let (block, lane) = (self.block(slot), slot % BLOCK_LEN);
        let factors = &floats(block)[code_bytes(self.padded_dim) / size_of::<f32>()..];
        Factors { add: factors[lane], rescale: factors[BLOCK_LEN + lane], error: factors[2 * BLOCK_LEN + lane] }
    }

    /// The blocks as a file holds them, one after another.
    pub(crate) fn file_blocks(&self) -> impl Iterator<Item = Vec<u8>> {
        let mut buffer = Vec::new();
        self.lines.chunks_exact(block_lines(self.padded_dim)).map(move |block| {
            let mut block = block.to_vec();
            let (codes, factors) = block.split_at_mut(code_bytes(self.padded_dim) / LINE_BYTES);
            layout().convert(Layout::Lanes, bytes_mut(codes), &mut buffer);
            let mut file = bytes(codes).to_vec();
            file.extend(floats(factors).iter().flat_map(|value| value.to_le_bytes()));
            file
        })
    }

    /// The inverse of [`file_blocks`](Self::file_blocks): `file` is as long as the blocks of `num_vectors` are.
    pub(crate) fn from_file(padded_dim: usize, num_vectors: usize, file: &[u8]) -> Self {
        let mut blocks = Self::zeroed(padded_dim, num_vectors);
        bytes_mut(&mut blocks.lines).copy_from_slice(file);
        let mut buffer = Vec::new();
        for block in blocks.blocks_mut() {
            let (codes, factors) = block.split_at_mut(code_bytes(padded_dim) / LINE_BYTES);
            Layout::Lanes.convert(layout(), bytes_mut(codes), &mut buffer);
            for value in floats_mut(factors) {
                *value = f32::from_bits(u32::from_le(value.to_bits()));
            }
        }
        blocks
    }
}

/// Writes one vector into its lane of a block.
pub(crate) fn set_lane(block: &mut [Line], padded_dim: usize, lane: usize, nibbles: &[u8], factors: Factors) {
    let layout = layout();
    let codes = bytes_mut(block);
    for (group, &nibble) in nibbles.iter().enumerate() {
        let (byte, shift) = layout.nibble(group, lane);
        codes[byte] = (codes[byte] & !(0x0F << shift)) | (nibble << shift);
    }
    let lanes = &mut floats_mut(block)[code_bytes(padded_dim) / size_of::<f32>()..];
    (lanes[lane], lanes[BLOCK_LEN + lane], lanes[2 * BLOCK_LEN + lane]) = (factors.add, factors.rescale, factors.error);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data::Random;

    fn vector(i: usize) -> (Vec<u8>, Factors) {
        let mut random = Random::new(i as u64);
        let nibbles = (0..32).map(|_| random.below(16) as u8).collect();
        (nibbles, Factors { add: i as f32, rescale: -1.0, error: 0.5 })
    }

    fn read(blocks: &CodeBlocks) -> Vec<(Vec<u8>, Factors)> {
        (0..blocks.len())
            .map(|slot| {
                let mut nibbles = vec![0; 32];
                let factors = blocks.vector(slot, &mut nibbles);
                (nibbles, factors)
            })
            .collect()
    }

    #[test]
    fn vectors_come_and_go_as_in_a_list() {
        let mut random = Random::new(5);
        let mut blocks = CodeBlocks::zeroed(128, 0);
        let mut list = Vec::new();
        for i in 0..300 {
            if list.is_empty() || random.below(3) > 0 {
                list.push(vector(i));
                let (nibbles, factors) = vector(i);
                blocks.push(&nibbles, factors);
            } else {
                let slot = random.below(list.len());
                list.swap_remove(slot);
                blocks.swap_remove(slot);
            }
            assert_eq!(blocks.len(), list.len());
        }
        assert_eq!(read(&blocks), list);
        let file: Vec<u8> = blocks.file_blocks().flatten().collect();
        assert_eq!(file.len(), blocks.num_blocks() * block_bytes(128));
        assert_eq!(read(&CodeBlocks::from_file(128, blocks.len(), &file)), list);
    }
}
