//! The vectors of a file: nearly all of its bytes, read by all threads, each straight to its place.

use std::fs::File;

use rayon::prelude::*;

use super::format::Section;
use super::reader::{cannot_read, check_sum, room};
use crate::error::Result;
use crate::index::roomy;
use crate::kernel::on_huge_pages;

/// Numbers that a thread reads at a time: they stay in its cache while their checksum is made.
const PIECE: usize = 1 << 15;
/// Numbers in a share of the work.
const SHARE: usize = 1 << 20;

/// Reads a section of numbers and checks its sum; `None` where files cannot be read at a position.
#[cfg(unix)]
pub(super) fn read(file: &File, section: &Section) -> Option<Result<Vec<f32>>> {
    use std::os::unix::fs::FileExt;
    Some(read_by(section, |bytes, offset| file.read_exact_at(bytes, offset)))
}

#[cfg(not(unix))]
pub(super) fn read(_file: &File, _section: &Section) -> Option<Result<Vec<f32>>> {
    None
}

#[cfg_attr(not(unix), expect(dead_code, reason = "files cannot be read at a position"))]
fn read_by(section: &Section, read: impl Fn(&mut [u8], u64) -> std::io::Result<()> + Sync) -> Result<Vec<f32>> {
    let count = section.len as usize / size_of::<f32>();
    // Asked for in a way that may be refused, then taken as zeros that cost nothing until they are written.
    drop(room::<f32>(roomy(count) as u64)?);
    let mut numbers = on_huge_pages(vec![0.0_f32; roomy(count)]);
    numbers.truncate(count);
    let shares = numbers.par_chunks_mut(SHARE).enumerate().map(|(share, numbers)| {
        let mut crc = crc32fast::Hasher::new();
        for (piece, numbers) in numbers.chunks_mut(PIECE).enumerate() {
            let at = section.offset + ((share * SHARE + piece * PIECE) * size_of::<f32>()) as u64;
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(numbers);
            let end = at + bytes.len() as u64;
            read(bytes, at).map_err(|source| cannot_read(source, end))?;
            crc.update(bytes);
            if cfg!(target_endian = "big") {
                numbers.iter_mut().for_each(|number| *number = f32::from_bits(number.to_bits().swap_bytes()));
            }
        }
        Ok(crc)
    });
    let mut crc = crc32fast::Hasher::new();
    for share in shares.collect::<Result<Vec<_>>>()? {
        crc.combine(&share);
    }
    check_sum(section, crc.finalize())?;
    Ok(numbers)
}
