//! The `ruvector` command.

use mimalloc::MiMalloc;

/// Batches of rows are megabytes that come and go on many threads: the system's allocator either asks the kernel for each of
/// them or keeps them all.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> std::process::ExitCode {
    ruvector_flight_server::run(std::env::args_os())
}
