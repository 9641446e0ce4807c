//! Passwords, asked for at the terminal.

use std::io::IsTerminal;

/// Reads a password from the terminal, which does not show it.
pub(crate) fn ask_password(prompt: &str) -> Result<String, String> {
    if !std::io::stdin().is_terminal() {
        return Err("there is no terminal to ask for a password: set $RUVECTOR_PASSWORD".to_owned());
    }
    rpassword::prompt_password(prompt).map_err(|e| format!("cannot read a password: {e}"))
}
