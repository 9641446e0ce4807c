//! Floats of a file that is mapped, which may change and grow without the file.

use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::time::SystemTime;

use super::faults::WatchedRange;

/// Floats at a place of a file. Processes that map one file share its memory; a page that is written to becomes the
/// writer's own, and the file stays as it is.
///
/// Behind the floats of the file lies room for more, which takes no memory until it is written to.
///
/// If something cuts the file short, or writes over it, the floats are other ones from then on: [`verify`](Self::verify) tells.
#[derive(Debug)]
pub(crate) struct MappedFloats {
    /// The start of the mapping, on a page.
    start: NonNull<libc::c_void>,
    map_len: usize,
    /// Bytes from there to the first float.
    before: usize,
    len: usize,
    capacity: usize,
    /// The part that lies in the file; `None` until it is mapped.
    watched: Option<WatchedRange>,
    file: File,
    /// Length and time of the last change of the file when it was mapped.
    seen: (u64, SystemTime),
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
        let before = usize::try_from(offset % page as u64).map_err(|_| too_large())?;
        let bytes = |floats: usize| floats.checked_mul(size_of::<f32>())?.checked_add(before);
        let (of_file, map_len) = bytes(len).zip(bytes(capacity)).ok_or_else(too_large)?;
        let from = libc::off_t::try_from(offset - before as u64).map_err(|_| too_large())?;
        let (file, seen) = (file.try_clone()?, state(file)?);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let no_memory_yet = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE;
        // SAFETY: at an address of the system's choice, so nothing that is there is touched.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), map_len, access, no_memory_yet, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start).ok_or_else(too_large)?;
        // From here on dropping it gives the range back.
        let mut mapped = Self { start, map_len, before, len, capacity, watched: None, file, seen };
        let over_it = libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_NORESERVE;
        // SAFETY: the range lies within the one just reserved, which no other code knows. The rest of the file's last page,
        // behind the floats, is room like any other: zeros or not, it is written before it is read.
        let front = unsafe { libc::mmap(start.as_ptr(), of_file, access, over_it, mapped.file.as_raw_fd(), from) };
        if front == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: these pages were just mapped as it asks for, and are this value's until it is dropped.
        mapped.watched = Some(unsafe { WatchedRange::new(start, of_file, page) }?);
        Ok(mapped)
    }

    /// Returns true if the floats are known not to be those that were mapped.
    pub(crate) fn is_damaged(&self) -> bool {
        self.watched.as_ref().is_some_and(WatchedRange::is_damaged)
    }

    /// Returns true if all floats that were read until now are those that were mapped: nothing cut the file short or wrote over
    /// it.
    pub(crate) fn verify(&self) -> bool {
        // Of a page in which the file ends now, the rest is zeros without a fault.
        if let Some(watched) = &self.watched
            && state(&self.file).ok() != Some(self.seen)
        {
            watched.set_damaged();
        }
        !self.is_damaged()
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
        // First: the handler of faults may not touch what another mapping takes next.
        self.watched = None;
        // SAFETY: the range is this value's, and no reference into it outlives the value.
        unsafe { libc::munmap(self.start.as_ptr(), self.map_len) };
    }
}

/// Length of a file, and time of its last change.
fn state(file: &File) -> io::Result<(u64, SystemTime)> {
    let metadata = file.metadata()?;
    Ok((metadata.len(), metadata.modified()?))
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

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

    /// Floats in a file, mapped.
    fn mapped(len: u16) -> (File, Vec<f32>, MappedFloats) {
        let mut file = tempfile::tempfile().unwrap();
        let floats: Vec<f32> = (1..=len).map(f32::from).collect();
        file.write_all(bytemuck::cast_slice(&floats)).unwrap();
        let mapped = MappedFloats::new(&file, 0, floats.len(), floats.len() + 5000).unwrap();
        (file, floats, mapped)
    }

    #[test]
    fn a_file_that_is_cut_short_becomes_zeros_and_is_noticed() {
        let (file, floats, mapped) = mapped(60_000);
        let (_other, others, whole) = self::mapped(60_000);
        assert_eq!(*mapped, *floats);
        assert!(mapped.verify());
        // In the midst of a page: its rest is no fault.
        file.set_len(4 * 10_100).unwrap();
        assert!(!mapped.is_damaged(), "nothing was read");
        assert_eq!((mapped[10_099], mapped[10_100]), (10_100.0, 0.0));
        assert!(!mapped.verify());
        assert!(mapped.is_damaged());
        // Beyond it each page would be one.
        assert!(mapped[20_000..].iter().all(|float| *float == 0.0));
        assert_eq!(mapped[..10_100], floats[..10_100]);
        assert!(whole.verify() && *whole == *others, "another file is as it was");
        drop(mapped);
        assert!(self::mapped(10).2.verify(), "the place of a range that was damaged is taken again");
    }

    #[test]
    fn a_fault_is_noticed_by_the_handler_alone() {
        let (file, _, mapped) = mapped(60_000);
        file.set_len(0).unwrap();
        assert!(mapped.iter().rev().all(|float| *float == 0.0));
        assert!(mapped.is_damaged());
    }

    #[test]
    fn many_threads_may_meet_a_file_that_is_cut_short() {
        for _ in 0..20 {
            let (file, _, mapped) = mapped(60_000);
            std::thread::scope(|scope| {
                for part in mapped.chunks(6_000) {
                    scope.spawn(move || assert!(part.iter().all(|float| *float >= 0.0)));
                }
                file.set_len(0).unwrap();
            });
            assert!(!mapped.verify());
        }
    }

    #[test]
    fn a_file_that_is_written_over_is_noticed() {
        let (mut file, _, mapped) = mapped(60_000);
        // The clock of a file system may be coarse: of a file from long ago every change is seen.
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        drop(mapped);
        let mapped = MappedFloats::new(&file, 0, 60_000, 60_000).unwrap();
        assert!(mapped.verify());
        file.seek(SeekFrom::Start(0)).unwrap();
        file.write_all(&[1; 4]).unwrap();
        assert!(!mapped.verify());
    }
}
