//! Floats of a file that is mapped, which may change and grow without the file.

use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

/// Floats at a place of a file. Processes that map one file share its memory; a page that is written to becomes the
/// writer's own, and the file stays as it is.
///
/// Behind the floats of the file lies room for more, which takes no memory until it is written to.
///
/// Whoever cuts the file short ends the process that reads beyond its new end: only for files that are replaced, never
/// written over.
#[derive(Debug)]
pub(crate) struct MappedFloats {
    /// The start of the mapping, on a page.
    start: NonNull<libc::c_void>,
    map_len: usize,
    /// Bytes from there to the first float.
    before: usize,
    len: usize,
    capacity: usize,
}

// SAFETY: the mapping belongs to this value alone, as the memory of a `Vec` does to it.
unsafe impl Send for MappedFloats {}
// SAFETY: as above; through a shared reference it is only read.
unsafe impl Sync for MappedFloats {}

impl MappedFloats {
    /// Maps `len` floats from byte `offset` of a file that is long enough, with room for `capacity` in all.
    pub(crate) fn new(file: &File, offset: u64, len: usize, capacity: usize) -> io::Result<Self> {
        assert!(offset.is_multiple_of(size_of::<f32>() as u64) && len > 0 && capacity >= len);
        let too_large = || io::Error::from(io::ErrorKind::OutOfMemory);
        // SAFETY: it takes a number and gives a number.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).map_err(|_| too_large())?;
        let before = (offset % page as u64) as usize;
        let bytes = |floats: usize| floats.checked_mul(size_of::<f32>())?.checked_add(before);
        let (of_file, map_len) = bytes(len).zip(bytes(capacity)).ok_or_else(too_large)?;
        let from = libc::off_t::try_from(offset - before as u64).map_err(|_| too_large())?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let no_memory_yet = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE;
        // SAFETY: at an address of the system's choice, so nothing that is there is touched.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), map_len, access, no_memory_yet, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start).ok_or_else(too_large)?;
        // From here on dropping it gives the range back.
        let mapped = Self { start, map_len, before, len, capacity };
        let over_it = libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_NORESERVE;
        // SAFETY: the range lies within the one just reserved, which nobody else knows. What of the file's last page is
        // not of the floats is room like any other: zeros or not, it is written before it is read.
        let front = unsafe { libc::mmap(start.as_ptr(), of_file, access, over_it, file.as_raw_fd(), from) };
        if front == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(mapped)
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Appends the floats if there is room for them.
    pub(crate) fn try_extend(&mut self, values: &[f32]) -> bool {
        if values.len() > self.capacity - self.len {
            return false;
        }
        let end = self.len;
        self.len += values.len();
        self[end..].copy_from_slice(values);
        true
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    fn first(&self) -> *mut f32 {
        // SAFETY: `before` is within the mapping, and a multiple of four, as a page is.
        unsafe { self.start.as_ptr().byte_add(self.before).cast() }
    }
}

impl Deref for MappedFloats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `len <= capacity` floats lie within the mapping, and every pattern of bits is a float.
        unsafe { std::slice::from_raw_parts(self.first(), self.len) }
    }
}

impl DerefMut for MappedFloats {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and pages are private: to write changes them for this value alone.
        unsafe { std::slice::from_raw_parts_mut(self.first(), self.len) }
    }
}

impl Drop for MappedFloats {
    fn drop(&mut self) {
        // SAFETY: the range is this value's, and no reference into it outlives the value.
        unsafe { libc::munmap(self.start.as_ptr(), self.map_len) };
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn floats_change_and_grow_and_the_file_stays_as_it_is() {
        let mut file = tempfile::tempfile().unwrap();
        let floats: Vec<f32> = (0..5000_u16).map(f32::from).collect();
        let bytes: &[u8] = bytemuck::cast_slice(&floats);
        file.write_all(&[7; 4096 + 64]).unwrap();
        file.write_all(bytes).unwrap();
        file.write_all(&[9; 100]).unwrap();

        let mut mapped = MappedFloats::new(&file, 4096 + 64, 5000, 7000).unwrap();
        assert_eq!(*mapped, *floats);
        assert!(!mapped.try_extend(&[0.5; 2001]), "there is no room for so many");
        assert!(mapped.try_extend(&[0.5; 2000]));
        mapped[17] = -1.0;
        assert_eq!((mapped.len(), mapped[17], mapped[4999], mapped[6999]), (7000, -1.0, 4999.0, 0.5));
        mapped.truncate(5000);
        assert!(mapped.try_extend(&[1.5]));
        assert_eq!(mapped[4998..], [4998.0, 4999.0, 1.5]);

        let other = MappedFloats::new(&file, 4096 + 64, 5000, 5000).unwrap();
        assert_eq!(*other, *floats, "what one changes is its own");
    }
}
