//! The line editor: what Enter and Tab do.

use std::sync::Arc;

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::complete::{complete, complete_command};
use super::history::ENTRIES_MAX;
use super::words::Names;

/// The editor of the shell.
pub(super) type ShellEditor = Editor<SqlHelper, FileHistory>;

/// The editor's knowledge of SQL.
pub(super) struct SqlHelper {
    names: Arc<Names>,
    files: FilenameCompleter,
    /// The lines of the statement that were typed before this one.
    pub(super) before: String,
}

/// An editor of one line, whose Tab completes. A line that was recalled or pasted may be several.
pub(super) fn editor(names: Arc<Names>) -> Result<ShellEditor, String> {
    let unusable = |error| format!("cannot use this terminal: {error}");
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(true)
        .max_history_size(ENTRIES_MAX)
        .map_err(unusable)?
        .build();
    let mut editor = Editor::with_config(config).map_err(unusable)?;
    editor.set_helper(Some(SqlHelper { names, files: FilenameCompleter::new(), before: String::new() }));
    Ok(editor)
}

impl Helper for SqlHelper {}

impl Highlighter for SqlHelper {}

impl Hinter for SqlHelper {
    type Hint = String;
}

impl Validator for SqlHelper {}

impl Completer for SqlHelper {
    type Candidate = Pair;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        if ["\\i ", "\\include ", "\\o ", "\\out "].iter().any(|command| line.starts_with(command)) {
            return self.files.complete_path(line, cursor);
        }
        let words = self.names.words();
        let (start, found) = match line.starts_with('\\') {
            true => complete_command(&line[..cursor], &words),
            false => {
                let text = format!("{}{line}", self.before);
                let (start, found) = complete(&text, self.before.len() + cursor, &words);
                // The word at the cursor begins in this line: the ones before it are whole.
                (start.saturating_sub(self.before.len()), found)
            }
        };
        Ok((start, found.into_iter().map(|name| Pair { display: name.clone(), replacement: name }).collect()))
    }
}
