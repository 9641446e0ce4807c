//! Values of a page: bytes in one of the known encodings go in, their `f32` coordinates come out.

use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::datatypes::{ArrowPrimitiveType, Float16Type};
use bytes::Bytes;
use parquet::basic::{Encoding, IntType, LogicalType, Type};
use parquet::schema::types::ColumnDescriptor;

use super::malformed::Malformed;
use super::run_length::{Run, Runs, unpack};
use crate::vector_lists::nearest;

type Half = <Float16Type as ArrowPrimitiveType>::Native;

/// Form of a number in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Float,
    Double,
    /// Half precision, in two bytes.
    Half,
    /// An integer of 8 bits, in four bytes.
    Byte,
}

impl Number {
    /// The form of the values of a column; `None` if they are no coordinates.
    pub(super) fn of(column: &ColumnDescriptor) -> Option<Self> {
        match (column.physical_type(), column.logical_type_ref()) {
            (Type::FLOAT, _) => Some(Self::Float),
            (Type::DOUBLE, _) => Some(Self::Double),
            (Type::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Float16)) => Some(Self::Half),
            (Type::INT32, Some(LogicalType::Integer(IntType { bit_width: 8, .. }))) => Some(Self::Byte),
            _ => None,
        }
    }

    fn num_bytes(self) -> usize {
        match self {
            Self::Float | Self::Byte => 4,
            Self::Double => 8,
            Self::Half => 2,
        }
    }

    /// The coordinates of values that lie one after the other.
    fn decode(self, bytes: &[u8]) -> ScalarBuffer<f32> {
        match self {
            Self::Float => bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect(),
            Self::Double => bytes.as_chunks().0.iter().map(|value| nearest(f64::from_le_bytes(*value))).collect(),
            Self::Half => bytes.as_chunks().0.iter().map(|value| Half::from_le_bytes(*value).to_f32()).collect(),
            Self::Byte => {
                bytes.as_chunks().0.iter().map(|value| nearest(f64::from(i32::from_le_bytes(*value)))).collect()
            }
        }
    }
}

/// Returns true if [`coordinates`] can read the encoding.
pub(super) fn is_known(encoding: Encoding) -> bool {
    use Encoding::{BYTE_STREAM_SPLIT, PLAIN, PLAIN_DICTIONARY, RLE_DICTIONARY};
    matches!(encoding, PLAIN | PLAIN_DICTIONARY | RLE_DICTIONARY | BYTE_STREAM_SPLIT)
}

/// The first `num_values` coordinates in `bytes`.
pub(super) fn coordinates(
    bytes: &Bytes,
    number: Number,
    encoding: Encoding,
    dictionary: Option<&[f32]>,
    num_values: usize,
) -> Result<ScalarBuffer<f32>, Malformed> {
    match encoding {
        Encoding::PLAIN => plain(bytes, number, num_values),
        Encoding::BYTE_STREAM_SPLIT => split(bytes, number, num_values),
        Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY => {
            let dictionary = dictionary.ok_or(Malformed("a page needs a dictionary that is not there"))?;
            from_dictionary(bytes, dictionary, num_values)
        }
        _ => Err(Malformed("a page has an encoding that the footer does not name")),
    }
}

pub(super) fn plain(bytes: &Bytes, number: Number, num_values: usize) -> Result<ScalarBuffer<f32>, Malformed> {
    let num_bytes = num_values.checked_mul(number.num_bytes());
    let num_bytes = num_bytes.filter(|num_bytes| *num_bytes <= bytes.len()).ok_or(TOO_FEW)?;
    let bytes = bytes.slice(..num_bytes);
    // As they are, where they lie on the boundaries of floats; most do not, behind levels of any length.
    let is_float = cfg!(target_endian = "little") && number == Number::Float;
    if is_float && bytemuck::try_cast_slice::<u8, f32>(&bytes).is_ok() {
        return Ok(ScalarBuffer::new(Buffer::from(bytes), 0, num_values));
    }
    Ok(number.decode(&bytes))
}

/// The first bytes of all values, then the second ones, and so on.
fn split(bytes: &[u8], number: Number, num_values: usize) -> Result<ScalarBuffer<f32>, Malformed> {
    let num_bytes = number.num_bytes();
    // Streams are as long as there are values, which are all that are there.
    if num_values.checked_mul(num_bytes) != Some(bytes.len()) {
        return Err(TOO_FEW);
    }
    let together: Vec<u8> =
        (0..num_values).flat_map(|i| (0..num_bytes).map(move |stream| bytes[stream * num_values + i])).collect();
    Ok(number.decode(&together))
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
