//! Floats of a page: bytes in one of the known encodings go in, values come out.

use arrow::buffer::{Buffer, ScalarBuffer};
use bytes::Bytes;
use parquet::basic::Encoding;

use super::malformed::Malformed;
use super::run_length::{Run, Runs, unpack};

const FLOAT_BYTES: usize = size_of::<f32>();

/// Returns true if [`floats`] can read the encoding.
pub(super) fn is_known(encoding: Encoding) -> bool {
    use Encoding::{BYTE_STREAM_SPLIT, PLAIN, PLAIN_DICTIONARY, RLE_DICTIONARY};
    matches!(encoding, PLAIN | PLAIN_DICTIONARY | RLE_DICTIONARY | BYTE_STREAM_SPLIT)
}

/// The first `num_values` floats in `bytes`.
pub(super) fn floats(
    bytes: &Bytes,
    encoding: Encoding,
    dictionary: Option<&[f32]>,
    num_values: usize,
) -> Result<ScalarBuffer<f32>, Malformed> {
    match encoding {
        Encoding::PLAIN => plain(bytes, num_values),
        Encoding::BYTE_STREAM_SPLIT => split(bytes, num_values),
        Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY => {
            let dictionary = dictionary.ok_or(Malformed("a page needs a dictionary that is not there"))?;
            from_dictionary(bytes, dictionary, num_values)
        }
        _ => Err(Malformed("a page has an encoding that the footer does not name")),
    }
}

pub(super) fn plain(bytes: &Bytes, num_values: usize) -> Result<ScalarBuffer<f32>, Malformed> {
    let num_bytes = num_values.checked_mul(FLOAT_BYTES).filter(|num_bytes| *num_bytes <= bytes.len()).ok_or(TOO_FEW)?;
    let bytes = bytes.slice(..num_bytes);
    // As they are, where they lie on the boundaries of floats; most do not, behind levels of any length.
    if cfg!(target_endian = "little") && bytemuck::try_cast_slice::<u8, f32>(&bytes).is_ok() {
        return Ok(ScalarBuffer::new(Buffer::from(bytes), 0, num_values));
    }
    let (floats, _) = bytes.as_chunks();
    Ok(floats.iter().map(|float| f32::from_le_bytes(*float)).collect())
}

/// The first bytes of all floats, then the second ones, and so on.
fn split(bytes: &[u8], num_values: usize) -> Result<ScalarBuffer<f32>, Malformed> {
    // Streams are as long as there are values, which are all that are there.
    if bytes.len() != num_values * FLOAT_BYTES {
        return Err(TOO_FEW);
    }
    let at = |i: usize| std::array::from_fn(|stream| bytes[stream * num_values + i]);
    Ok((0..num_values).map(|i| f32::from_le_bytes(at(i))).collect())
}

fn from_dictionary(bytes: &[u8], dictionary: &[f32], num_values: usize) -> Result<ScalarBuffer<f32>, Malformed> {
    const OUTSIDE: Malformed = Malformed("a page names an entry that its dictionary does not have");
    let mut floats = Vec::with_capacity(num_values);
    if num_values == 0 {
        return Ok(floats.into());
    }
    let (width, bytes) = bytes.split_first().ok_or(TOO_FEW)?;
    let width = usize::from(*width);
    if width > u32::BITS as usize {
        return Err(Malformed("the entries of a dictionary have numbers of too many bits"));
    }
    for run in Runs::new(bytes, width, num_values) {
        match run? {
            Run::Repeated { value, len } => {
                let float = dictionary.get(value as usize).ok_or(OUTSIDE)?;
                floats.resize(floats.len() + len, *float);
            }
            Run::Packed { bytes, len } => {
                let mut inside = true;
                unpack(bytes, width, len, |entry| {
                    let float = dictionary.get(entry as usize);
                    inside &= float.is_some();
                    floats.push(float.copied().unwrap_or_default());
                });
                if !inside {
                    return Err(OUTSIDE);
                }
            }
        }
    }
    Ok(floats.into())
}

const TOO_FEW: Malformed = Malformed("a page has fewer values than it says");
