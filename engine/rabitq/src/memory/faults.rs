//! Reads beyond the end of a mapped file become zeros and a mark, not the end of the process.
//!
//! If a mapped file is cut short, or its disk fails, the system sends SIGBUS to the thread that reads the lost part. The
//! handler in this module maps zeros over the rest of the range and marks it as damaged. The reader goes on, finds the mark
//! with [`WatchedRange::is_damaged`], and has to discard what it computed. Every other SIGBUS goes to the handler that was
//! installed before.
//!
//! The handler uses nothing but atomics of a table of fixed size, and system calls.

use std::io;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

/// Bound on the ranges that are watched at a time: the handler cannot allocate, and goes through all of them.
const RANGES_MAX: usize = 4096;

/// A handler that was installed with `SA_SIGINFO`, and one that was not.
type WithInfo = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
type WithoutInfo = extern "C" fn(libc::c_int);

/// A place for a range; 0 in both ends is a free place.
#[derive(Debug)]
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
    damaged: AtomicBool,
}

static SLOTS: [Slot; RANGES_MAX] =
    [const { Slot { start: AtomicUsize::new(0), end: AtomicUsize::new(0), damaged: AtomicBool::new(false) } };
        RANGES_MAX];

/// Held while a range is added or removed, and while the handler is installed. The handler does not take it.
static CHANGES: Mutex<()> = Mutex::new(());

/// The handler of SIGBUS that ours replaced.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

static IS_INSTALLED: AtomicBool = AtomicBool::new(false);

/// Bytes of a page, for the handler.
static PAGE: AtomicUsize = AtomicUsize::new(0);

/// A range of memory that a file is mapped to, until it is dropped.
#[derive(Debug)]
pub(super) struct WatchedRange(&'static Slot);

impl WatchedRange {
    /// Watches `len` bytes from `start`, in pages of `page` bytes.
    ///
    /// # Errors
    /// `QuotaExceeded` if [`RANGES_MAX`] ranges are watched; what the system says if it takes no handler.
    ///
    /// # Safety
    /// `start` is the start of a page. As long as the value lives, the pages of the range are mapped readable and writable,
    /// private, and the caller's own: the handler may replace any of them by zeros.
    pub(super) unsafe fn new(start: ptr::NonNull<libc::c_void>, len: usize, page: usize) -> io::Result<Self> {
        let _alone = CHANGES.lock().unwrap_or_else(PoisonError::into_inner);
        PAGE.store(page, SeqCst);
        install()?;
        let is_free = |slot: &&Slot| slot.end.load(SeqCst) == 0;
        let slot = SLOTS.iter().find(is_free).ok_or(io::ErrorKind::QuotaExceeded)?;
        let start = start.as_ptr().expose_provenance();
        slot.damaged.store(false, SeqCst);
        slot.end.store(start + len.next_multiple_of(page), SeqCst);
        // Last: the handler passes over a slot that starts at 0.
        slot.start.store(start, SeqCst);
        Ok(Self(slot))
    }

    /// Returns true if the range is marked as damaged: by the handler, or by [`set_damaged`](Self::set_damaged).
    pub(super) fn is_damaged(&self) -> bool {
        self.0.damaged.load(SeqCst)
    }

    /// Marks the range as damaged.
    pub(super) fn set_damaged(&self) {
        self.0.damaged.store(true, SeqCst);
    }
}

impl Drop for WatchedRange {
    fn drop(&mut self) {
        let _alone = CHANGES.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.start.store(0, SeqCst);
        self.0.end.store(0, SeqCst);
    }
}

/// Installs the handler, once.
fn install() -> io::Result<()> {
    if IS_INSTALLED.load(SeqCst) {
        return Ok(());
    }
    let done = |answer: libc::c_int| if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // SAFETY: it is a struct of C, of numbers and an optional function: zeros are a value.
    let (mut previous, mut ours): (libc::sigaction, libc::sigaction) = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to values of this function; a null one asks for no change.
    done(unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), &raw mut previous) })?;
    // Before the handler can run. A value that is there is the same: the handler was not installed since.
    let _ = PREVIOUS.set(previous);
    ours.sa_sigaction = (on_fault as *const ()).expose_provenance();
    // Threads that have a stack for signals want it used: their own may be short.
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: as above; `on_fault` has the signature that `SA_SIGINFO` asks for.
    done(unsafe { libc::sigemptyset(&raw mut ours.sa_mask) })?;
    // SAFETY: as above.
    done(unsafe { libc::sigaction(libc::SIGBUS, &raw const ours, ptr::null_mut()) })?;
    IS_INSTALLED.store(true, SeqCst);
    Ok(())
}

/// The handler of SIGBUS.
extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the system passes a valid `info` to a handler that was installed with `SA_SIGINFO`.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr().addr()) };
    // Only codes of the system are positive. Where a process sent the signal, there is no address.
    let is_fault = code > 0;
    if !(is_fault && cover(address)) {
        pass_on(signal, info, context, is_fault);
    }
}

/// Maps zeros from the page of `address` to the end of its range, and marks the range. `false` if it is not watched, or the
/// system refuses.
fn cover(address: usize) -> bool {
    for slot in &SLOTS {
        let start = slot.start.load(SeqCst);
        let end = slot.end.load(SeqCst);
        // Read once more: between the two loads the slot may have become that of another range.
        if start == 0 || !(start..end).contains(&address) || slot.start.load(SeqCst) != start {
            continue;
        }
        let page = address - address % PAGE.load(SeqCst);
        // Marked first: no thread may read zeros and find no mark.
        slot.damaged.store(true, SeqCst);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let over_it = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED | libc::MAP_NORESERVE;
        let at = ptr::with_exposed_provenance_mut(page);
        // SAFETY: the pages belong to the watched range, whose owner allows it. The thread that faulted is reading the range,
        // so the range is still watched and mapped.
        return unsafe { libc::mmap(at, end - page, access, over_it, -1, 0) } != libc::MAP_FAILED;
    }
    false
}

/// Does what would be done without this module.
fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void, is_fault: bool) {
    let previous = PREVIOUS.get().map_or(libc::SIG_DFL, |previous| previous.sa_sigaction);
    let with_info = PREVIOUS.get().is_some_and(|previous| previous.sa_flags & libc::SA_SIGINFO != 0);
    let handler: *const () = ptr::with_exposed_provenance(previous);
    match previous {
        libc::SIG_IGN if !is_fault => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: zeros are the default action with no flags. The signal is blocked in its handler: raised again, it ends
            // the process when this one returns.
            unsafe {
                let default: libc::sigaction = std::mem::zeroed();
                libc::sigaction(signal, &raw const default, ptr::null_mut());
                libc::raise(signal);
            }
        }
        _ if with_info => {
            // SAFETY: it was installed as a handler of this signature, and gets the arguments of the system.
            let handler = unsafe { std::mem::transmute::<*const (), WithInfo>(handler) };
            handler(signal, info, context);
        }
        _ => {
            // SAFETY: as above.
            let handler = unsafe { std::mem::transmute::<*const (), WithoutInfo>(handler) };
            handler(signal);
        }
    }
}
