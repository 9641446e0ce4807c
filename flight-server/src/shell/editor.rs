//! The line editor: what Enter and Tab do.

use std::sync::Arc;

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::complete::{complete, complete_command};
use super::history::ENTRIES_MAX;
use super::input::is_complete;
use super::words::Names;

/// The editor of the shell.
pub(super) type ShellEditor = Editor<SqlHelper, FileHistory>;

/// What it knows of SQL.
pub(super) struct SqlHelper {
    names: Arc<Names>,
    files: FilenameCompleter,
}

/// An editor whose statements may span lines and whose Tab completes.
pub(super) fn editor(names: Arc<Names>) -> Result<ShellEditor, String> {
    let unusable = |error| format!("cannot use this terminal: {error}");
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(true)
        .max_history_size(ENTRIES_MAX)
        .map_err(unusable)?
        .build();
    let mut editor = Editor::with_config(config).map_err(unusable)?;
    editor.set_helper(Some(SqlHelper { names, files: FilenameCompleter::new() }));
    Ok(editor)
}

impl Helper for SqlHelper {}

impl Highlighter for SqlHelper {}

impl Hinter for SqlHelper {
    type Hint = String;
}

impl Validator for SqlHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_complete(context.input()) { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Completer for SqlHelper {
    type Candidate = Pair;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        if ["\\i ", "\\include ", "\\o ", "\\out "].iter().any(|command| line.starts_with(command)) {
            return self.files.complete_path(line, cursor);
        }
        let words = self.names.words();
        let (start, found) = match line.starts_with('\\') {
            true => complete_command(&line[..cursor], &words),
            false => complete(line, cursor, &words),
        };
        Ok((start, found.into_iter().map(|name| Pair { display: name.clone(), replacement: name }).collect()))
    }
}
