//! The `ruvector` command.

use mimalloc::MiMalloc;

/// Batches of rows are megabytes that come and go on many threads: the system's allocator either asks the kernel for each of
/// them or keeps them all.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

unsafe extern "C" {
    /// Gives pages back to the system that were freed some time ago, and what the calling thread holds. With `force`, all of it.
    fn mi_collect(force: bool);
}

/// Without it, mimalloc does so only when memory is asked for again: a server that has nothing to do would keep it.
fn give_back_memory() {
    // SAFETY: it is linked with the allocator above, has this signature, and may be called at any time from any thread.
    unsafe { mi_collect(false) }
}

fn main() -> std::process::ExitCode {
    ruvector_cli::run(std::env::args_os(), give_back_memory)
}
