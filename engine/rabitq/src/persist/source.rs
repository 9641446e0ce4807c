//! Sources of the bytes of an index file: a file, a file whose vectors are mapped, or bytes in memory.

use std::fs::File;
use std::io::{ErrorKind, Result};

use crate::index::Values;
#[cfg(all(unix, target_endian = "little"))]
use crate::index::roomy;

/// The bytes of a file, read at any position by many threads at once.
pub(super) trait Source: Sync {
    /// Fills `bytes` from `offset` on; `UnexpectedEof` if the file ends before.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<()>;

    /// `count` numbers at `offset` that are left where they are; `None` if they are to be read.
    fn map(&self, _offset: u64, _count: usize) -> Option<Values> {
        None
    }
}

impl Source for File {
    #[cfg(unix)]
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, bytes, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, mut bytes: &mut [u8], mut offset: u64) -> Result<()> {
        while !bytes.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(self, bytes, offset) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(len) => (bytes, offset) = (&mut bytes[len..], offset + len as u64),
                Err(e) if e.kind() == ErrorKind::Interrupted => (),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// A file whose vectors are mapped.
pub(super) struct Mapped(pub(super) File);

impl Source for Mapped {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        self.0.read_at(bytes, offset)
    }

    #[cfg(all(unix, target_endian = "little"))]
    fn map(&self, offset: u64, count: usize) -> Option<Values> {
        if count == 0 {
            return None;
        }
        let mapped = crate::memory::MappedFloats::new(&self.0, offset, count, roomy(count));
        let mapped =
            mapped.inspect_err(|reason| tracing::debug!(%reason, "an index file cannot be mapped; it is read"));
        mapped.ok().map(Values::Mapped)
    }
}

impl Source for &[u8] {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        let found = rest.and_then(|rest| rest.get(..bytes.len())).ok_or(ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(found);
        Ok(())
    }
}
