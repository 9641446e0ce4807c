//! The `ruvector` command: `serve`, `sql`, `bundle` and `user`.
//!
//! Each subcommand is a module: its arguments, and the function that runs it. [`exit_code`] is the entry for programs that embed
//! the command, as the Python package does.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod bundle;
mod logging;
mod password;
mod place;
mod runtime;
mod serve;
mod sql;
mod target;
mod user;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::bundle::BundleAction;
use crate::serve::ServeArgs;
use crate::sql::SqlArgs;
use crate::user::UserArgs;

/// Nearest-neighbour questions in SQL, over vectors that stay where they are.
#[derive(Parser)]
#[command(name = "ruvector", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve tables over Arrow Flight SQL.
    Serve(ServeArgs),
    /// Run SQL: from -c, from a file, or in an interactive shell.
    Sql(Box<SqlArgs>),
    /// Publish the state of a table, and hold it against what is cached elsewhere.
    ///
    /// A bundle is a file, table.rulake.json, that names a state of a table and is sealed by a witness. Exit codes: 0 done,
    /// 1 failed, 2 wrong arguments, 3 there is no bundle, 4 the bundle or an index file was changed or is damaged, 5 the
    /// table is in another state.
    #[command(subcommand)]
    Bundle(BundleAction),
    /// Make lines for the file of users (--auth-users).
    User(UserArgs),
}

/// Runs the `ruvector` command with these arguments; the first is the name it was called by.
///
/// It builds its own runtimes, so it must not be called from within one. A server calls `give_back_memory` every second: it asks
/// the allocator to give freed memory back to the system.
pub fn run(args: impl IntoIterator<Item = OsString>, give_back_memory: fn()) -> ExitCode {
    ExitCode::from(exit_code(args, give_back_memory))
}

/// Runs like [`run`], with the exit code as a number: 0, 1 if something failed, 2 if the arguments are wrong. `bundle` has 3 to 5
/// besides, for the results of its checks.
pub fn exit_code(args: impl IntoIterator<Item = OsString>, give_back_memory: fn()) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` come this way too. A terminal that is gone is no error.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(1);
        }
    };
    let done = match cli.command {
        Command::Serve(args) => serve::run(args, give_back_memory),
        Command::Sql(args) => sql::run(*args),
        Command::User(args) => user::run(args),
        Command::Bundle(action) => return bundle::run(action),
    };
    match done {
        Ok(()) => 0,
        Err(message) => failed(message, 1),
    }
}

/// Says what failed, and returns the exit code.
fn failed(message: impl Display, exit_code: u8) -> u8 {
    let _ = writeln!(io::stderr(), "error: {message}");
    exit_code
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_arguments_exit_with_2_and_help_with_0() {
        let code = |args: &[&str]| exit_code(args.iter().map(OsString::from), || {});
        assert_eq!(code(&["ruvector", "sql", "-c", "SELECT 1", "-f", "x"]), 2);
        assert_eq!(code(&["ruvector", "sql", "--remote", "grpc://h:1", "--data", "d"]), 2);
        assert_eq!(code(&["ruvector", "sql", "--token", "t"]), 2);
        assert_eq!(code(&["ruvector", "bundle", "show"]), 2);
        assert_eq!(code(&["ruvector", "bundle", "verify", "docs", "dir", "--remote", "grpc://h:1", "--data", "d"]), 2);
        assert_eq!(code(&["ruvector", "--help"]), 0);
    }
}
