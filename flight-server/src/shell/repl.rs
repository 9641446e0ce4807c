//! The interactive shell: lines with history, statements that end with `;`, and commands that begin with `\`.

use std::path::PathBuf;

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::Shell;
use super::output::{Format, Shown, print_line};
use crate::script;

const PROMPT: &str = "ruvector> ";
const CONTINUED: &str = "     ...> ";

const HELP: &str = "\
Statements end with ; and may span lines.
  \\d         list tables
  \\d NAME    the columns of a table
  \\timing    show how long statements take, or stop showing it
  \\q         leave (or Ctrl-D)
Ctrl-C stops a running statement.";

/// Reads and runs statements until the person leaves.
pub(super) fn run(shell: Shell<'_>) -> Result<(), String> {
    let mut editor = DefaultEditor::new().map_err(|e| format!("cannot use this terminal: {e}"))?;
    let history = history_path();
    if let Some(path) = &history {
        // No history yet is as good as an empty one.
        let _ = editor.load_history(path);
    }
    print_line(&format!("ruvector {}. \\? for help.", env!("CARGO_PKG_VERSION")))?;
    let mut repl = Repl { shell, pending: String::new(), timing: true };
    let ended = loop {
        let prompt = if script::is_blank(&repl.pending) { PROMPT } else { CONTINUED };
        match editor.readline(prompt) {
            Ok(line) => {
                if !line.trim().is_empty() {
                    let _ = editor.add_history_entry(line.as_str());
                }
                if repl.line(&line)? == Next::Leave {
                    break Ok(());
                }
            }
            // Ctrl-C drops what was typed so far.
            Err(ReadlineError::Interrupted) => repl.pending.clear(),
            Err(ReadlineError::Eof) => break Ok(()),
            Err(error) => break Err(format!("cannot read from this terminal: {error}")),
        }
    };
    if let Some(path) = &history
        && let Err(error) = editor.save_history(path)
    {
        tracing::warn!(path = %path.display(), %error, "the history cannot be saved");
    }
    ended
}

/// `$RUVECTOR_HISTORY`, else `.ruvector_history` in the home folder.
fn history_path() -> Option<PathBuf> {
    match std::env::var_os("RUVECTOR_HISTORY") {
        Some(path) if path.is_empty() => None,
        Some(path) => Some(path.into()),
        None => Some(std::env::home_dir()?.join(".ruvector_history")),
    }
}

#[derive(PartialEq)]
enum Next {
    Line,
    Leave,
}

struct Repl<'a> {
    shell: Shell<'a>,
    /// What was typed of a statement that has not ended yet.
    pending: String,
    timing: bool,
}

impl Repl<'_> {
    fn line(&mut self, line: &str) -> Result<Next, String> {
        if script::is_blank(&self.pending)
            && let Some(command) = line.trim().strip_prefix('\\')
        {
            self.pending.clear();
            return self.command(command);
        }
        self.pending.push_str(line);
        self.pending.push('\n');
        let (statements, rest) = script::complete_statements(&self.pending);
        let statements: Vec<_> = statements.into_iter().map(str::to_owned).collect();
        let rest = rest.to_owned();
        for statement in statements {
            self.statement(statement)?;
        }
        self.pending = rest;
        Ok(Next::Line)
    }

    fn command(&mut self, command: &str) -> Result<Next, String> {
        let (name, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        match (name, argument.trim().trim_end_matches(';')) {
            ("q" | "quit", _) => return Ok(Next::Leave),
            ("timing", _) => {
                self.timing = !self.timing;
                print_line(if self.timing { "timing is on" } else { "timing is off" })?;
            }
            ("d", "") => self.statement(
                "SELECT table_schema AS schema, table_name AS name, table_type AS type FROM information_schema.tables \
                 WHERE table_schema <> 'information_schema' ORDER BY 1, 2"
                    .to_owned(),
            )?,
            ("d", table) => self.statement(format!("DESCRIBE {table}"))?,
            ("?" | "h" | "help", _) => print_line(HELP)?,
            _ => print_line(&format!("there is no command \\{name}; \\? lists them"))?,
        }
        Ok(Next::Line)
    }

    fn statement(&self, sql: String) -> Result<(), String> {
        match self.shell.run_one(sql) {
            Ok((Shown::OutputClosed, _)) => Err("standard output is closed".to_owned()),
            Ok((shown, _)) if !self.timing => print_line(&shown.to_string()),
            Ok((shown, time)) => {
                // After CSV and JSON too: a person looks at this, not a program.
                let gap = if self.shell.format == Format::Table { "" } else { "\n" };
                print_line(&format!("{gap}{shown} ({:.3} s)", time.as_secs_f64()))
            }
            Err(message) => {
                eprintln!("error: {message}");
                Ok(())
            }
        }
    }
}
