//! The uncompressed size of an LZ4 frame, computed without uncompressing it.
//!
//! The reader appends what a frame yields to a vector for as long as the frame goes on, whatever size was claimed for it,
//! and a frame yields up to 255 times its bytes. So the lengths of its sequences are added up first: one pass over the
//! compressed bytes, no allocation.

const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();

/// Bits of the frame's first flag byte.
const HAS_BLOCK_CHECKSUMS: u8 = 1 << 4;
const HAS_CONTENT_SIZE: u8 = 1 << 3;
const HAS_DICTIONARY_ID: u8 = 1;

/// The bit of a block's size that says that the block is stored as it is.
const IS_STORED: u32 = 1 << 31;

/// The shortest match.
const MATCH_MIN: usize = 4;

/// The bytes that `frame` uncompresses to, or the first number above `limit` that the sum reaches. `None` if it is no frame
/// of a kind that Arrow's format has, or ends too soon.
///
/// The work is bounded by `limit`, not by the length of `frame`: every sequence yields something.
pub(super) fn uncompressed_len(frame: &[u8], limit: usize) -> Option<usize> {
    let mut rest = frame.strip_prefix(&MAGIC)?;
    let &[flags, sizes] = take(&mut rest, 2)? else { return None };
    if flags & HAS_DICTIONARY_ID != 0 {
        return None;
    }
    let block_max = match sizes >> 4 & 7 {
        size @ 4..=7 => 1_usize << (8 + 2 * size),
        _ => return None,
    };
    // The checksum of the header is the decoder's to check.
    take(&mut rest, if flags & HAS_CONTENT_SIZE != 0 { 8 + 1 } else { 1 })?;
    let mut total = 0;
    while total <= limit {
        let word = u32::from_le_bytes(take(&mut rest, 4)?.try_into().ok()?);
        if word == 0 {
            return Some(total);
        }
        let block = take(&mut rest, (word & !IS_STORED) as usize)?;
        if flags & HAS_BLOCK_CHECKSUMS != 0 {
            take(&mut rest, 4)?;
        }
        let len = if word & IS_STORED != 0 { block.len() } else { block_len(block, block_max)? };
        // An empty block ends the reader's loop; no encoder writes one.
        if len == 0 || len > block_max {
            return None;
        }
        total += len;
    }
    Some(total)
}

/// The bytes that one compressed block yields, or the first number above `limit` that the sum reaches.
fn block_len(mut rest: &[u8], limit: usize) -> Option<usize> {
    let mut total = 0;
    while total <= limit {
        let &[token] = take(&mut rest, 1)? else { return None };
        let literals = length(&mut rest, token >> 4)?;
        take(&mut rest, literals)?;
        total += literals;
        if rest.is_empty() {
            return Some(total);
        }
        // The offset of the match.
        take(&mut rest, 2)?;
        total += MATCH_MIN + length(&mut rest, token & 15)?;
    }
    Some(total)
}

/// A length that begins in 4 bits of a token and goes on in bytes of 255.
fn length(rest: &mut &[u8], first: u8) -> Option<usize> {
    let mut length = usize::from(first);
    let mut is_last = first < 15;
    while !is_last {
        let &[byte] = take(rest, 1)? else { return None };
        length += usize::from(byte);
        is_last = byte < 255;
    }
    Some(length)
}

/// The first `len` bytes, which `rest` loses.
fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (first, others) = rest.split_at_checked(len)?;
    *rest = others;
    Some(first)
}
