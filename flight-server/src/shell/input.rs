//! What was typed, piped in or read from a file, taken apart: statements that end with `;`, and lines that begin with `\`.

use crate::script;

/// One thing to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A statement, without its `;`.
    Statement(String),
    /// A command, without its `\`.
    Command(String),
}

/// Lines that have not become inputs yet.
#[derive(Default)]
pub(super) struct Pending {
    text: String,
}

impl Pending {
    /// The inputs that end with this line.
    pub(super) fn line(&mut self, line: &str) -> Vec<Input> {
        if self.is_done()
            && let Some(command) = line.trim().strip_prefix('\\')
        {
            self.text.clear();
            return vec![Input::Command(command.trim().to_owned())];
        }
        self.text.push_str(line);
        self.text.push('\n');
        // Not at every line: an INSERT may have a hundred thousand of them.
        if !line.contains(';') {
            return Vec::new();
        }
        let (statements, rest) = script::complete_statements(&self.text);
        let inputs = statements.into_iter().map(|statement| Input::Statement(statement.to_owned())).collect();
        self.text = rest.to_owned();
        inputs
    }

    /// What is left at the end of a text: a statement without `;`.
    pub(super) fn finish(self) -> Option<Input> {
        let rest = script::statements(&self.text).into_iter().next()?;
        Some(Input::Statement(rest.to_owned()))
    }

    /// Whether nothing was begun, be it a statement or a comment.
    fn is_done(&self) -> bool {
        script::is_blank(&self.text) && script::complete_statements(&format!("{};", self.text)).1.is_empty()
    }
}

/// The inputs of a whole text.
pub(super) fn inputs(text: &str) -> Vec<Input> {
    let mut pending = Pending::default();
    let mut inputs: Vec<_> = text.lines().flat_map(|line| pending.line(line)).collect();
    inputs.extend(pending.finish());
    inputs
}

/// Whether `text` is done with its last line: a person who presses Enter wants it run.
pub(super) fn is_complete(text: &str) -> bool {
    let mut pending = Pending::default();
    for line in text.lines() {
        pending.line(line);
    }
    pending.is_done()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_and_commands_may_stand_together() {
        let statement = |sql: &str| Input::Statement(sql.to_owned());
        let command = |text: &str| Input::Command(text.to_owned());
        assert_eq!(
            inputs("\\timing on\nSELECT 1;\nSELECT\n2; SELECT 3;\n  \\d docs \nSELECT '\n\\d';\nSELECT 4"),
            [
                command("timing on"),
                statement("SELECT 1"),
                statement("SELECT\n2"),
                statement("SELECT 3"),
                command("d docs"),
                statement("SELECT '\n\\d'"),
                statement("SELECT 4"),
            ]
        );
        assert_eq!(inputs("-- nothing\n\n"), []);
    }

    #[test]
    fn a_statement_is_complete_at_its_semicolon() {
        for complete in ["", "SELECT 1;", "\\d", "-- a", "SELECT 1;\n\\d", "/* a; */", "SELECT\n1 -- one;\n;"] {
            assert!(is_complete(complete), "{complete:?}");
        }
        for incomplete in ["SELECT 1", "SELECT ';", "SELECT 1; SELECT 2", "/* a", "/* a;\n\\d", "SELECT 1 -- ;"] {
            assert!(!is_complete(incomplete), "{incomplete:?}");
        }
    }
}
