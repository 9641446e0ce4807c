//! The interactive shell: statements that may span lines and end with `;`, and commands that begin with `\`.

use rustyline::error::ReadlineError;

use super::editor::editor;
use super::history::History;
use super::input::{inputs, is_complete};
use super::output::print_line;
use super::{Next, Shell};

const PROMPT: &str = "ruvector> ";
/// The prompt of a continued statement. As wide as [`PROMPT`], so that lines stand below one another.
const CONTINUATION: &str = "     ...> ";

/// Reads and runs statements until the person leaves.
pub(super) fn run(mut shell: Shell<'_>) -> Result<(), String> {
    let mut editor = editor(shell.names.clone())?;
    let history = History::load(&mut editor);
    print_line(&format!("ruvector {}. \\? for help.", env!("CARGO_PKG_VERSION")))?;
    let mut typed = String::new();
    loop {
        if let Some(helper) = editor.helper_mut() {
            helper.before = typed.clone();
        }
        match editor.readline(if typed.is_empty() { PROMPT } else { CONTINUATION }) {
            Ok(line) => {
                typed.push_str(&line);
                if !is_complete(&typed) {
                    typed.push('\n');
                    continue;
                }
                let text = std::mem::take(&mut typed);
                if !text.trim().is_empty() {
                    history.add(&mut editor, &text);
                }
                for input in inputs(&text) {
                    match shell.run_input(input, 0) {
                        Ok(Next::Input) => {}
                        Ok(Next::Leave) => return Ok(()),
                        // What follows on the same line was typed for the case that this works.
                        Err(message) => {
                            eprintln!("error: {message}");
                            break;
                        }
                    }
                }
            }
            // Ctrl-C drops what was typed so far.
            Err(ReadlineError::Interrupted) => typed.clear(),
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(format!("cannot read from this terminal: {error}")),
        }
    }
}
