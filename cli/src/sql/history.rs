//! The history of inputs, in this shell and in earlier ones.

use std::fs;
use std::path::PathBuf;

use rustyline::history::FileHistory;
use rustyline::{Editor, Helper};
use ruvector_sql::redact_sql;

use super::input::{Input, inputs};

/// Entries that are kept.
pub(super) const ENTRIES_MAX: usize = 10_000;

/// The file of the history; none, if there is no folder for it or `RUVECTOR_HISTORY` is empty.
pub(super) struct History {
    path: Option<PathBuf>,
}

impl History {
    /// The history that was kept, in `editor`.
    pub(super) fn load<H: Helper>(editor: &mut Editor<H, FileHistory>) -> Self {
        let path = path();
        if let Some(path) = &path {
            if let Some(folder) = path.parent()
                && let Err(error) = make_private(folder)
            {
                tracing::warn!(folder = %folder.display(), %error, "the folder of the history cannot be made");
            }
            // No history yet is as good as an empty one.
            let _ = editor.load_history(path);
        }
        Self { path }
    }

    /// Notes what was typed, without its secrets. It is on disk when this returns: a shell may end at any time.
    pub(super) fn add<H: Helper>(&self, editor: &mut Editor<H, FileHistory>, text: &str) {
        let added = editor.add_history_entry(without_secrets(text)).unwrap_or_default();
        if let Some(path) = self.path.as_deref().filter(|_| added)
            && let Err(error) = editor.append_history(path)
        {
            tracing::warn!(path = %path.display(), %error, "the history cannot be saved");
        }
    }
}

/// `text` as it may be kept: passwords, keys and tokens are `***`.
fn without_secrets(text: &str) -> String {
    let text = text.trim();
    let is_command = |input: &Input| matches!(input, Input::Command(_));
    // Commands take no secrets, and a `'` in one is no open text.
    if inputs(text).iter().all(is_command) { text.to_owned() } else { redact_sql(text, usize::MAX) }
}

/// `$RUVECTOR_HISTORY` (nowhere, if it is empty), else `ruvector/history` in the folder that the platform has for such.
fn path() -> Option<PathBuf> {
    match std::env::var_os("RUVECTOR_HISTORY") {
        Some(path) if path.is_empty() => None,
        Some(path) => Some(path.into()),
        None => Some(dirs::state_dir().or_else(dirs::data_local_dir)?.join("ruvector").join("history")),
    }
}

/// Makes a folder that only its owner may look into; one that is there stays as it is.
fn make_private(folder: &std::path::Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_kept() {
        let kept = without_secrets(
            "CREATE BACKEND lake TYPE object_store\n  OPTIONS (url 's3://b/lake', aws_secret_access_key 'hunter2');",
        );
        assert!(kept.contains("url 's3://b/lake'") && !kept.contains("hunter2"), "{kept}");
        for text in ["SELECT 1;", "SELECT *\nFROM t\nWHERE a = 'b';", "\\o it's.txt"] {
            assert_eq!(without_secrets(text), text);
        }
    }
}
