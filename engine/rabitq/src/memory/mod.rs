//! Memory that searches read: cache lines, huge pages, and vectors that stay in a mapped file. It knows neither codes nor indexes.

#[cfg(all(unix, target_endian = "little"))]
#[expect(unsafe_code, reason = "a signal is handled, and memory mapped in its handler")]
mod faults;
#[expect(unsafe_code, reason = "lines of a cache are read as bytes and as floats")]
mod lines;
#[cfg(all(unix, target_endian = "little"))]
#[expect(unsafe_code, reason = "a file is mapped, and read as floats")]
mod mapped;

pub(crate) use lines::{LINE_BYTES, Line, bytes, bytes_mut, floats, floats_mut, on_huge_pages, prefetch};
#[cfg(all(unix, target_endian = "little"))]
pub(crate) use mapped::MappedFloats;
