//! `ruvector user`: sections for the file of users. It reads and writes no file: the sections are printed, and the operator
//! adds them to the file.

use std::io::{self, IsTerminal, Read, Write};

use clap::{Args, Subcommand};
use ruvector_flight_server::credentials::{check_name, hash_password, hash_token, random_token};
use ruvector_sql::Role;

use crate::password::ask_password;

#[derive(Args)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Subcommand)]
enum UserCommand {
    /// Print the section of a user, with the hash of a password that is asked for or read from standard input.
    HashPassword(Who),
    /// Make a bearer token: print it to standard error, where it is seen once, and the section with its hash.
    Token(Who),
}

#[derive(Args)]
struct Who {
    /// Name of the user, or of what will have the token.
    name: String,
    /// Role: reader, writer or admin.
    #[arg(long, default_value = "reader")]
    role: String,
}

/// Runs the command.
pub(crate) fn run(args: UserArgs) -> Result<(), String> {
    let section = match args.command {
        UserCommand::HashPassword(who) => {
            let role = who.check()?;
            let hash = hash_password(&password()?)?;
            format!("[users.{}]\nrole = \"{role}\"\npassword = \"{hash}\"", key(&who.name))
        }
        UserCommand::Token(who) => {
            let role = who.check()?;
            let token = random_token().map_err(|e| e.to_string())?;
            let hash = hash_token(&token);
            writeln!(io::stderr(), "{token}").map_err(|e| format!("the token cannot be shown: {e}"))?;
            format!("[tokens.{}]\nrole = \"{role}\"\nsha256 = \"{hash}\"", key(&who.name))
        }
    };
    writeln!(io::stdout(), "{section}").map_err(|e| format!("standard output cannot be written: {e}"))
}

impl Who {
    fn check(&self) -> Result<Role, String> {
        check_name(&self.name)?;
        self.role.parse().map_err(|e: ruvector_sql::Error| e.to_string())
    }
}

/// A name as a key of TOML.
fn key(name: &str) -> String {
    // Nothing in a name needs an escape.
    format!("\"{name}\"")
}

/// Asks twice, or takes the one line that a program writes.
fn password() -> Result<String, String> {
    if io::stdin().is_terminal() {
        let password = ask_password("Password: ")?;
        return match ask_password("Again: ")? == password {
            true => Ok(password),
            false => Err("the passwords are not the same".to_owned()),
        };
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(|e| format!("cannot read standard input: {e}"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
