//! The check of the message of a record batch, or of the values of a dictionary.
//!
//! Arrow's reader takes lengths as they come: it allocates what a compressed buffer claims, and leaves to asserts what does
//! not lie in the body. Here the parts of the message are walked in the order in which the reader takes them, and nothing
//! but the header and the first bytes of compressed buffers is read.

use arrow::datatypes::{DataType, UnionMode};
use arrow::ipc::{BodyCompressionMethod, CompressionType, MetadataVersion, RecordBatch};

use super::lz4;
use super::malformed::Malformed;
use crate::config::{ARROW_DECODED_BYTES_MAX, ARROW_EMPTY_ROWS_MAX};

/// Bytes before the data of a compressed buffer: its length when uncompressed.
const PREFIX_BYTES: usize = 8;

/// The length of a compressed buffer whose data is stored as it is.
const STORED: i64 = -1;

/// Largest content of a block of ZSTD, in bytes, and the fewest bytes that a block has.
const ZSTD_BLOCK_MAX: usize = 128 << 10;
const ZSTD_BLOCK_BYTES_MIN: usize = 4;

/// Checks `batch`, whose buffers lie in `body`, against the types of its columns. Answers with the bytes that its buffers
/// have when they are uncompressed.
///
/// # Errors
/// The first part whose size is not what the types, the rows, the body or the budget allow.
pub(super) fn check<'t>(
    batch: RecordBatch<'_>,
    version: MetadataVersion,
    body: &[u8],
    columns: impl IntoIterator<Item = &'t DataType>,
) -> Result<usize, Malformed> {
    let codec = match batch.compression() {
        None => None,
        Some(compression) if compression.method() != BodyCompressionMethod::BUFFER => {
            let got = compression.method().0;
            return Err(Malformed::new("the compression of a batch", "the method BUFFER (0)", got));
        }
        Some(compression) => match compression.codec() {
            codec @ (CompressionType::LZ4_FRAME | CompressionType::ZSTD) => Some(codec),
            other => {
                return Err(Malformed::new("the compression of a batch", "LZ4_FRAME (0) or ZSTD (1)", other.0));
            }
        },
    };
    let rows = size("the rows of a batch", batch.length())?;
    let num_views = batch.variadicBufferCounts().map_or(0, |counts| counts.len());
    let mut walk = Walk {
        batch,
        body,
        codec,
        union_has_validity: version < MetadataVersion::V5,
        nodes: Cursor::new("the field nodes of a batch", batch.nodes().map(|nodes| nodes.len()))?,
        buffers: Cursor::new("the buffers of a batch", batch.buffers().map(|buffers| buffers.len()))?,
        views: Cursor { part: "the counts of variadic buffers", next: 0, len: num_views },
        budget: ARROW_DECODED_BYTES_MAX.max(body.len()),
        decoded: 0,
        empty_rows: 0,
    };
    let mut num_columns = 0;
    for data_type in columns {
        num_columns += 1;
        let len = walk.column(data_type)?;
        if len != rows {
            return Err(Malformed::new("the length of a column", format_args!("the batch's {rows} rows"), len));
        }
    }
    if num_columns == 0 {
        walk.add_empty_rows(rows);
    }
    walk.end()
}

/// The state of the walk.
struct Walk<'a> {
    batch: RecordBatch<'a>,
    body: &'a [u8],
    codec: Option<CompressionType>,
    /// True if unions have a bitmap of NULLs, as they had before version 5 of the format.
    union_has_validity: bool,
    nodes: Cursor,
    buffers: Cursor,
    views: Cursor,
    /// Most that `decoded` may be.
    budget: usize,
    /// Bytes of the buffers so far, uncompressed. Buffers that share bytes count each: the reader may copy each.
    decoded: usize,
    /// Rows so far that no byte stands for.
    empty_rows: usize,
}

/// The place in one of the lists of a batch.
struct Cursor {
    part: &'static str,
    next: usize,
    len: usize,
}

impl Cursor {
    fn new(part: &'static str, len: Option<usize>) -> Result<Self, Malformed> {
        let len = len.ok_or_else(|| Malformed::new(part, "a list", "none"))?;
        Ok(Self { part, next: 0, len })
    }

    /// The place of the next entry.
    fn take(&mut self) -> Result<usize, Malformed> {
        let place = self.next;
        self.next += 1;
        if place < self.len { Ok(place) } else { Err(Malformed::new(self.part, "more for the schema", self.len)) }
    }

    fn end(&self) -> Result<(), Malformed> {
        match self.next == self.len {
            true => Ok(()),
            false => Err(Malformed::new(self.part, format_args!("{} for the schema", self.next), self.len)),
        }
    }
}

/// A field node: the values and the NULLs of one array.
#[derive(Clone, Copy)]
struct Node {
    len: usize,
    nulls: usize,
}

impl Walk<'_> {
    /// Checks one column, or one part of a nested one, and answers with its length.
    fn column(&mut self, data_type: &DataType) -> Result<usize, Malformed> {
        if matches!(data_type, DataType::BinaryView | DataType::Utf8View) {
            return self.view();
        }
        let node = self.node()?;
        let len = node.len;
        match data_type {
            DataType::Null => self.add_empty_rows(len),
            DataType::Boolean => {
                self.validity(node)?;
                self.buffer("the bits of booleans", Some(len.div_ceil(8)))?;
            }
            DataType::Binary | DataType::Utf8 => {
                self.validity(node)?;
                self.offsets(len, 4)?;
                self.buffer("the bytes of texts", Some(0))?;
            }
            DataType::LargeBinary | DataType::LargeUtf8 => {
                self.validity(node)?;
                self.offsets(len, 8)?;
                self.buffer("the bytes of texts", Some(0))?;
            }
            DataType::List(values) | DataType::Map(values, _) => {
                self.validity(node)?;
                self.offsets(len, 4)?;
                self.column(values.data_type())?;
            }
            DataType::LargeList(values) => {
                self.validity(node)?;
                self.offsets(len, 8)?;
                self.column(values.data_type())?;
            }
            DataType::ListView(values) | DataType::LargeListView(values) => {
                let width = if matches!(data_type, DataType::ListView(_)) { 4 } else { 8 };
                self.validity(node)?;
                self.values("the offsets of list views", len, Some(width))?;
                self.values("the sizes of list views", len, Some(width))?;
                self.column(values.data_type())?;
            }
            DataType::FixedSizeList(values, size) => {
                self.validity(node)?;
                let num_values = self.column(values.data_type())?;
                let needed = usize::try_from(*size).ok().and_then(|size| len.checked_mul(size));
                if needed.is_none_or(|needed| num_values < needed) {
                    let expected = format_args!("{size} for each of {len}");
                    return Err(Malformed::new("the values of fixed-size lists", expected, num_values));
                }
                if *size == 0 {
                    self.add_empty_rows(len);
                }
            }
            DataType::Struct(fields) => {
                self.validity(node)?;
                for field in fields {
                    let of_field = self.column(field.data_type())?;
                    if of_field != len {
                        let part = "the length of a struct's field";
                        return Err(Malformed::new(part, format_args!("the struct's {len}"), of_field));
                    }
                }
                if fields.is_empty() {
                    self.add_empty_rows(len);
                }
            }
            DataType::Union(fields, mode) => {
                if self.union_has_validity {
                    self.buffer("the NULLs of a union", Some(0))?;
                }
                self.buffer("the types of a union", Some(len))?;
                if *mode == UnionMode::Dense {
                    self.values("the offsets of a union", len, Some(4))?;
                }
                for (_, field) in fields.iter() {
                    self.column(field.data_type())?;
                }
            }
            DataType::RunEndEncoded(ends, values) => {
                self.add_empty_rows(len);
                self.column(ends.data_type())?;
                self.column(values.data_type())?;
            }
            DataType::Dictionary(keys, _) => {
                self.validity(node)?;
                self.values("the keys of a dictionary", len, keys.primitive_width())?;
            }
            DataType::FixedSizeBinary(width) => {
                self.validity(node)?;
                self.values("values of a fixed size", len, usize::try_from(*width).ok())?;
                if *width == 0 {
                    self.add_empty_rows(len);
                }
            }
            other => {
                self.validity(node)?;
                self.values("values of a fixed size", len, other.primitive_width())?;
            }
        }
        Ok(len)
    }

    /// Checks a column of texts or bytes by views, which has as many buffers as it says.
    fn view(&mut self) -> Result<usize, Malformed> {
        let node = self.node()?;
        let place = self.views.take()?;
        let count = self.batch.variadicBufferCounts().map_or(0, |counts| counts.get(place));
        let count = size("a count of variadic buffers", count)?;
        self.validity(node)?;
        self.values("views", node.len, Some(16))?;
        let left = self.buffers.len - self.buffers.next;
        if count > left {
            return Err(Malformed::new("a count of variadic buffers", format_args!("at most {left}"), count));
        }
        for _ in 0..count {
            self.buffer("the bytes of views", Some(0))?;
        }
        Ok(node.len)
    }

    fn node(&mut self) -> Result<Node, Malformed> {
        let place = self.nodes.take()?;
        let nodes = self.batch.nodes().ok_or_else(|| Malformed::new(self.nodes.part, "a list", "none"))?;
        let node = nodes.get(place);
        let len = size("the length of a field node", node.length())?;
        let nulls = size("the NULLs of a field node", node.null_count())?;
        if nulls > len {
            return Err(Malformed::new("the NULLs of a field node", format_args!("at most its length {len}"), nulls));
        }
        Ok(Node { len, nulls })
    }

    /// Checks the bitmap of NULLs, which may be left out where there are none.
    fn validity(&mut self, node: Node) -> Result<(), Malformed> {
        let needed = if node.nulls > 0 { node.len.div_ceil(8) } else { 0 };
        self.buffer("a bitmap of NULLs", Some(needed))
    }

    /// Checks offsets, which may be left out where there are no values.
    fn offsets(&mut self, len: usize, width: usize) -> Result<(), Malformed> {
        let needed = match len {
            0 => Some(0),
            len => len.checked_add(1).and_then(|ends| ends.checked_mul(width)),
        };
        self.buffer("offsets", needed)
    }

    /// Checks a buffer of `len` values of `width` bytes each. `None` is a width that there is not.
    fn values(&mut self, part: &str, len: usize, width: Option<usize>) -> Result<(), Malformed> {
        self.buffer(part, width.and_then(|width| len.checked_mul(width)))
    }

    /// Checks one buffer: that it lies in the body, and that it has `needed` bytes at least when it is uncompressed. `None`
    /// is more than there can be.
    fn buffer(&mut self, part: &str, needed: Option<usize>) -> Result<(), Malformed> {
        let place = self.buffers.take()?;
        let buffers = self.batch.buffers().ok_or_else(|| Malformed::new(self.buffers.part, "a list", "none"))?;
        let buffer = buffers.get(place);
        let (offset, len) =
            (size("the offset of a buffer", buffer.offset())?, size("the length of a buffer", buffer.length())?);
        let bytes = offset.checked_add(len).and_then(|end| self.body.get(offset..end)).ok_or_else(|| {
            let expected = format_args!("a range of the body's {} bytes", self.body.len()).to_string();
            Malformed::new(format_args!("buffer {place} ({part})"), expected, format_args!("{len} bytes from {offset}"))
        })?;
        let left = self.budget - self.decoded;
        let decoded = match self.codec {
            Some(codec) if !bytes.is_empty() => uncompressed(place, codec, bytes, left)?,
            _ => bytes.len(),
        };
        if decoded > left {
            return Err(over_budget(self.budget));
        }
        self.decoded += decoded;
        match needed {
            Some(needed) if needed <= decoded => Ok(()),
            needed => {
                let expected = match needed {
                    Some(needed) => format!("at least {needed} bytes"),
                    None => "fewer values".to_owned(),
                };
                Err(Malformed::new(format_args!("buffer {place} ({part})"), expected, format_args!("{decoded} bytes")))
            }
        }
    }

    fn add_empty_rows(&mut self, rows: usize) {
        self.empty_rows = self.empty_rows.saturating_add(rows);
    }

    fn end(self) -> Result<usize, Malformed> {
        self.nodes.end()?;
        self.buffers.end()?;
        self.views.end()?;
        // A bit for each row is the least that rows with values have.
        let most = ARROW_EMPTY_ROWS_MAX.max(self.decoded.saturating_mul(8));
        if self.empty_rows > most {
            let part = "rows without bytes (of type Null, run-end encoded, or without columns)";
            return Err(Malformed::new(part, format_args!("at most {most} in a batch"), self.empty_rows));
        }
        Ok(self.decoded)
    }
}

/// The length that a compressed buffer has when it is uncompressed: what it claims, checked against its bytes and `left`.
fn uncompressed(place: usize, codec: CompressionType, bytes: &[u8], left: usize) -> Result<usize, Malformed> {
    let wrong = |expected: &dyn std::fmt::Display, got: &dyn std::fmt::Display| {
        Malformed::new(format_args!("the uncompressed length of buffer {place}"), expected, got)
    };
    let (prefix, data) = bytes
        .split_first_chunk::<PREFIX_BYTES>()
        .ok_or_else(|| wrong(&format_args!("{PREFIX_BYTES} bytes"), &bytes.len()))?;
    let claimed = match i64::from_le_bytes(*prefix) {
        STORED => return Ok(data.len()),
        claimed => usize::try_from(claimed).map_err(|_| wrong(&"-1 or more", &claimed))?,
    };
    // The reader looks at nothing else then.
    if claimed == 0 {
        return Ok(0);
    }
    if claimed > left {
        return Err(wrong(&format_args!("at most {left} bytes of the budget"), &claimed));
    }
    if codec == CompressionType::LZ4_FRAME {
        match lz4::uncompressed_len(data, claimed) {
            Some(len) if len == claimed => {}
            Some(len) if len > claimed => return Err(wrong(&claimed, &"more")),
            Some(len) => return Err(wrong(&claimed, &len)),
            None => return Err(wrong(&format_args!("an LZ4 frame of {claimed} bytes"), &"no whole frame")),
        }
    } else {
        // The decoder stops at the claimed length by itself; this keeps few bytes from claiming much.
        let most = (data.len() / ZSTD_BLOCK_BYTES_MIN).saturating_mul(ZSTD_BLOCK_MAX);
        if claimed > most {
            return Err(wrong(&format_args!("at most {most} from {} bytes of ZSTD", data.len()), &claimed));
        }
    }
    Ok(claimed)
}

pub(super) fn over_budget(budget: usize) -> Malformed {
    Malformed::new("the buffers of a message, uncompressed", format_args!("at most {budget} bytes"), "more")
}

/// `value` of the header as a size.
fn size(part: &str, value: i64) -> Result<usize, Malformed> {
    usize::try_from(value).map_err(|_| Malformed::new(part, "a number from 0", value))
}
