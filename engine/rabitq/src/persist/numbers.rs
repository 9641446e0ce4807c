//! Long runs of numbers, nearly all of the bytes of a file: all threads are at them.

use bytemuck::Pod;
use rayon::prelude::*;

use super::format::Section;
use super::sections::{cannot_read, check_sum, count_of, room};
use super::source::Source;
use crate::error::Result;
use crate::index::{Values, roomy};
use crate::memory::on_huge_pages;

/// Numbers that a thread reads at a time: they stay in its cache while their checksum is made.
const PIECE: usize = 1 << 15;
/// Numbers in a share of the work.
const SHARE: usize = 1 << 20;

/// A number as it is in a file.
pub(super) trait LittleEndian: Pod + Send + Sync {
    fn to_native(self) -> Self;
}

impl LittleEndian for f32 {
    fn to_native(self) -> Self {
        Self::from_bits(u32::from_le(self.to_bits()))
    }
}

impl LittleEndian for u64 {
    fn to_native(self) -> Self {
        Self::from_le(self)
    }
}

/// Reads a section of numbers and checks its sum; the length of the file bounds that of the section.
pub(super) fn read<T: LittleEndian>(source: &dyn Source, section: &Section) -> Result<Vec<T>> {
    let count = count_of::<T>(section.len)?;
    // Asked for in a way that may be refused, then taken as zeros that cost nothing until they are written.
    drop(room::<T>(roomy(count))?);
    let mut numbers = on_huge_pages(vec![T::zeroed(); roomy(count)]);
    numbers.truncate(count);
    let shares = numbers.par_chunks_mut(SHARE).enumerate().map(|(share, numbers)| {
        let mut crc = crc32fast::Hasher::new();
        for (piece, numbers) in numbers.chunks_mut(PIECE).enumerate() {
            let at = section.offset + ((share * SHARE + piece * PIECE) * size_of::<T>()) as u64;
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(numbers);
            let end = at + bytes.len() as u64;
            source.read_at(bytes, at).map_err(|source| cannot_read(source, end))?;
            crc.update(bytes);
            if cfg!(target_endian = "big") {
                numbers.iter_mut().for_each(|number| *number = T::to_native(*number));
            }
        }
        Ok(crc)
    });
    check_shares(section, &shares.collect::<Result<Vec<_>>>()?)?;
    Ok(numbers)
}

/// Reads a section of vectors, or leaves it where it is, and checks its sum. Tells whether it is known that no
/// number is above `bound` in magnitude: of those that are left where they are it is seen in the same pass.
pub(super) fn read_or_map(source: &dyn Source, section: &Section, bound: f32) -> Result<(Values, bool)> {
    let Some(mapped) = source.map(section.offset, count_of::<f32>(section.len)?) else {
        return Ok((Values::Owned(read(source, section)?), false));
    };
    let shares = mapped.par_chunks(SHARE).map(|numbers| {
        let (mut crc, mut within) = (crc32fast::Hasher::new(), true);
        for piece in numbers.chunks(PIECE) {
            crc.update(bytemuck::cast_slice(piece));
            within &= piece.iter().fold(true, |all, number| all & (number.abs() <= bound));
        }
        (crc, within)
    });
    let (sums, within): (Vec<_>, Vec<_>) = shares.unzip();
    check_shares(section, &sums)?;
    Ok((mapped, within.into_iter().all(|within| within)))
}

fn check_shares(section: &Section, shares: &[crc32fast::Hasher]) -> Result<()> {
    let mut crc = crc32fast::Hasher::new();
    shares.iter().for_each(|share| crc.combine(share));
    check_sum(section, crc.finalize())
}
