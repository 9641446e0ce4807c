//! Memory in cache lines, for data that kernels read a line at a time.

/// Bytes of one line.
pub(crate) const LINE_BYTES: usize = 64;

/// One cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u8; LINE_BYTES]);

impl Line {
    pub(crate) const ZERO: Self = Self([0; LINE_BYTES]);
}

/// The bytes of some lines.
pub(crate) fn bytes(lines: &[Line]) -> &[u8] {
    // SAFETY: a line is an array of bytes without padding, and any pointer is aligned for bytes.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), size_of_val(lines)) }
}

/// The bytes of some lines, to write.
pub(crate) fn bytes_mut(lines: &mut [Line]) -> &mut [u8] {
    // SAFETY: as in `bytes`; every value of a byte is allowed.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), size_of_val(lines)) }
}

/// The floats of some lines, in the byte order of the machine.
pub(crate) fn floats(lines: &[Line]) -> &[f32] {
    // SAFETY: a line is aligned for floats, is a whole number of them, and every pattern of bits is a float.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), size_of_val(lines) / size_of::<f32>()) }
}

/// The floats of some lines, to write.
pub(crate) fn floats_mut(lines: &mut [Line]) -> &mut [f32] {
    // SAFETY: as in `floats`.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), size_of_val(lines) / size_of::<f32>()) }
}

/// Requests huge pages for a vector whose memory was not touched yet, if it is large and the system has them. Rows are read in no
/// order: with pages of 4 KiB nearly every row would wait for its address first.
pub(crate) fn on_huge_pages<T>(vec: Vec<T>) -> Vec<T> {
    #[cfg(target_os = "linux")]
    {
        const HUGE_PAGE: usize = 1 << 21;
        let start = vec.as_ptr() as usize;
        let (first, end) = (start.next_multiple_of(HUGE_PAGE), start + vec.capacity() * size_of::<T>());
        if first < end && end - first >= HUGE_PAGE {
            // SAFETY: the range lies within memory that `vec` owns, and the advice changes nothing the program can see.
            // It may be refused, which is as well.
            unsafe { libc::madvise(first as *mut libc::c_void, end - first, libc::MADV_HUGEPAGE) };
        }
    }
    vec
}

/// Asks the CPU to fetch what is to be read, at most its first 16 lines: beyond that the CPU's own prefetcher runs.
#[inline(always)]
pub(crate) fn prefetch<T>(start: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let len = size_of_val(start).min(16 * LINE_BYTES);
        for offset in (0..len).step_by(LINE_BYTES) {
            // SAFETY: the pointer stays within the slice, and a prefetch reads nothing the program can see.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.as_ptr().cast::<i8>().add(offset)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = start;
}
