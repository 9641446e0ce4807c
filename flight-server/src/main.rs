//! The `ruvector` command.

fn main() -> std::process::ExitCode {
    ruvector_flight_server::run(std::env::args_os())
}
