//! Inverted lists of codes: vectors go in, a [`List`] of codes for each centroid comes out, and the list and slot of each row.

use rayon::prelude::*;

use super::params::{BuildParams, Control};
use crate::code::{
    ASSIGN_CHUNK, Centroids, CodeBlocks, Encoder, Quantizer, Rows, row_bytes, set_lane, train_centroids,
};
use crate::error::Result;
use crate::kernel::{BLOCK_LEN, Nearest};
use crate::memory::Line;
use crate::number::to_u32;
use crate::vector::VectorBatch;

/// Codes in inverted lists: each vector is encoded around the centroid of its list. An index without lists has one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lists {
    pub(crate) quantizer: Quantizer,
    pub(crate) centroids: Centroids,
    pub(crate) lists: Vec<List>,
    /// List and slot of each row, if there is more than one list.
    places: Vec<Place>,
}

/// The vectors of one list: a *slot* is a position in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct List {
    pub(crate) blocks: CodeBlocks,
    /// Codes of four bits, if the index keeps them.
    pub(crate) rows: Option<Rows>,
    /// The row of each slot; nothing if there is one list, whose slots are rows.
    pub(crate) members: Vec<u32>,
    /// No vector is farther from the centroid. It does not shrink when vectors are removed.
    pub(crate) radius: f32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    list: u32,
    slot: u32,
}

impl List {
    /// The row of the vector in `slot`.
    #[inline]
    pub(crate) fn row(&self, slot: usize) -> usize {
        self.members.get(slot).map_or(slot, |&row| row as usize)
    }
}

impl Lists {
    /// Finds `nlist` centroids, and encodes each vector into the list of the nearest, with four-bit rows if asked for.
    pub(crate) fn build(
        params: &BuildParams,
        nlist: usize,
        four_bits: bool,
        vectors: VectorBatch<'_>,
        control: &Control<'_>,
    ) -> Result<Self> {
        let quantizer = Quantizer::train(params.metric, params.seed, vectors);
        let nlist = nlist.clamp(1, vectors.num_vectors().max(1));
        let mut members = vec![Vec::new(); nlist];
        let centroids = if nlist == 1 {
            Centroids::single(&quantizer.centre(vectors))
        } else {
            let centroids = train_centroids(&quantizer, vectors, nlist, params.seed, &|| control.check())?;
            for (row, nearest) in assign(&quantizer, &centroids, vectors, control)?.iter().enumerate() {
                members[nearest.centroid as usize].push(to_u32(row));
            }
            centroids
        };
        let lists = encode(&quantizer, &centroids, members, vectors, four_bits, control)?;
        Ok(Self::from_parts(quantizer, centroids, lists))
    }

    /// Takes the parts that a file held. `members` is empty for a single list.
    pub(crate) fn from_parts(quantizer: Quantizer, centroids: Centroids, lists: Vec<List>) -> Self {
        let mut places = Vec::new();
        if lists.len() > 1 {
            places.resize(lists.iter().map(|list| list.members.len()).sum(), Place::default());
            for (number, list) in lists.iter().enumerate() {
                for (slot, &row) in list.members.iter().enumerate() {
                    places[row as usize] = Place { list: to_u32(number), slot: to_u32(slot) };
                }
            }
        }
        Self { quantizer, centroids, lists, places }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let list_bytes = |list: &List| {
            list.blocks.memory_bytes()
                + list.rows.as_ref().map_or(0, Rows::memory_bytes)
                + list.members.capacity() * size_of::<u32>()
        };
        self.quantizer.memory_bytes()
            + self.centroids.memory_bytes()
            + self.lists.capacity() * size_of::<List>()
            + self.lists.iter().map(list_bytes).sum::<usize>()
            + self.places.capacity() * size_of::<Place>()
    }

    /// The list and slot of a row.
    pub(crate) fn place(&self, row: usize) -> (usize, usize) {
        self.places.get(row).map_or((0, row), |place| (place.list as usize, place.slot as usize))
    }

    /// Appends vectors as rows `first_row..`, each to the list of its nearest centroid.
    pub(crate) fn append(&mut self, first_row: usize, vectors: VectorBatch<'_>) {
        let lists: Vec<usize> = match self.lists.len() {
            1 => vec![0; vectors.num_vectors()],
            _ => {
                let nearest = assign(&self.quantizer, &self.centroids, vectors, &Control::default())
                    .expect("the default control is never cancelled");
                nearest.iter().map(|nearest| nearest.centroid as usize).collect()
            }
        };
        let mut encoder = Encoder::new(&self.quantizer, &self.centroids);
        let mut four_bits = vec![0; row_bytes(self.quantizer.padded_dim())];
        let one = self.lists.len() == 1;
        for ((i, vector), number) in vectors.rows().enumerate().zip(lists) {
            let list = &mut self.lists[number];
            let with_rows = list.rows.is_some();
            let (factors, radius) = encoder.encode(vector, number, with_rows.then_some(&mut four_bits[..]));
            if !one {
                self.places.push(Place { list: to_u32(number), slot: to_u32(list.members.len()) });
                list.members.push(to_u32(first_row + i));
            }
            list.blocks.push(&encoder.nibbles, factors);
            list.radius = list.radius.max(radius);
            if let Some(rows) = &mut list.rows {
                rows.push(&four_bits);
            }
        }
    }

    /// Forgets `row`; the last row takes its number.
    pub(crate) fn swap_remove(&mut self, row: usize) {
        let (number, slot) = self.place(row);
        let list = &mut self.lists[number];
        list.blocks.swap_remove(slot);
        if let Some(rows) = &mut list.rows {
            rows.swap_remove(slot);
        }
        if self.places.is_empty() {
            return;
        }
        list.members.swap_remove(slot);
        if let Some(&moved) = list.members.get(slot) {
            self.places[moved as usize].slot = to_u32(slot);
        }
        // The last row is now called `row`.
        let place = self.places.swap_remove(row);
        debug_assert_eq!(place.list as usize, number);
        if let Some(&place) = self.places.get(row) {
            self.lists[place.list as usize].members[place.slot as usize] = to_u32(row);
        }
    }
}

/// The nearest centroid of each vector, on all threads.
fn assign(
    quantizer: &Quantizer,
    centroids: &Centroids,
    vectors: VectorBatch<'_>,
    control: &Control<'_>,
) -> Result<Vec<Nearest>> {
    let (dim, padded_dim) = (vectors.dim().get(), quantizer.padded_dim());
    let mut nearest = vec![Nearest::NONE; vectors.num_vectors()];
    vectors.values().par_chunks(ASSIGN_CHUNK * dim).zip(nearest.par_chunks_mut(ASSIGN_CHUNK)).try_for_each_init(
        || (Encoder::new(quantizer, centroids), vec![0; ASSIGN_CHUNK * padded_dim]),
        |(encoder, points), (rows, nearest)| {
            control.check()?;
            let points = &mut points[..nearest.len() * padded_dim];
            for (row, point) in rows.chunks_exact(dim).zip(points.chunks_exact_mut(padded_dim)) {
                encoder.integers(row, point);
            }
            centroids.assign(points, nearest);
            Ok(())
        },
    )?;
    Ok(nearest)
}

/// Encodes the members of all lists, blocks in parallel. A single list without members has all rows.
fn encode(
    quantizer: &Quantizer,
    centroids: &Centroids,
    members: Vec<Vec<u32>>,
    vectors: VectorBatch<'_>,
    four_bits: bool,
    control: &Control<'_>,
) -> Result<Vec<List>> {
    let padded_dim = quantizer.padded_dim();
    let one = members.len() == 1;
    let encode_list = |(number, members): (usize, Vec<u32>)| {
        let len = if one { vectors.num_vectors() } else { members.len() };
        let mut blocks = CodeBlocks::zeroed(padded_dim, len);
        let mut rows = four_bits.then(|| Rows::zeroed(padded_dim, len));
        let row_chunks: Vec<Option<&mut [u8]>> = match &mut rows {
            Some(rows) => rows.blocks_mut().map(Some).collect(),
            None => (0..blocks.num_blocks()).map(|_| None).collect(),
        };
        let chunks: Vec<_> = blocks.blocks_mut().zip(row_chunks).enumerate().collect();
        let encode_block =
            |encoder: &mut Encoder<'_>, (block, (lines, mut rows)): (usize, (&mut [Line], Option<&mut [u8]>))| {
                control.check()?;
                let mut radius = 0.0_f32;
                let slots = block * BLOCK_LEN..len.min((block + 1) * BLOCK_LEN);
                let num_slots = slots.len();
                for (lane, slot) in slots.enumerate() {
                    let row = members.get(slot).map_or(slot, |&row| row as usize);
                    let four_bits = rows.as_deref_mut().map(|rows| {
                        let len = rows.len() / num_slots;
                        &mut rows[lane * len..][..len]
                    });
                    let (factors, distance) = encoder.encode(vectors.row(row), number, four_bits);
                    set_lane(lines, padded_dim, lane, &encoder.nibbles, factors);
                    radius = radius.max(distance);
                }
                control.report(num_slots);
                Ok(radius)
            };
        let radii: Result<Vec<f32>> =
            chunks.into_par_iter().map_init(|| Encoder::new(quantizer, centroids), encode_block).collect();
        Ok(List { radius: radii?.into_iter().fold(0.0, f32::max), blocks, rows, members })
    };
    members.into_par_iter().enumerate().map(encode_list).collect()
}
