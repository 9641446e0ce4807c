//! Inputs of the shell: from text to statements that end with `;`, and lines that begin with `\`.
//!
//! The text was typed, piped in or read from a file.

use ruvector_sql::script;

/// Words that are commands by themselves, as in other shells: a person who types one is not writing SQL.
const WORDS: [&str; 3] = ["exit", "quit", "help"];

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
    /// The number of the line that `text` begins in, and of the last one that was taken, from 1.
    begin: usize,
    line: usize,
}

impl Pending {
    /// The inputs that end with this line, each with the number of the line that it begins in.
    pub(super) fn line(&mut self, line: &str) -> Vec<(usize, Input)> {
        self.line += 1;
        if self.is_done() {
            self.text.clear();
            self.begin = self.line;
            let word = line.trim().trim_end_matches(';').trim_end().to_ascii_lowercase();
            let command = line.trim().strip_prefix('\\').map(|command| command.trim().to_owned());
            if let Some(command) = command.or_else(|| WORDS.contains(&word.as_str()).then_some(word)) {
                return vec![(self.line, Input::Command(command))];
            }
        }
        self.text.push_str(line);
        self.text.push('\n');
        // Not at every line: an INSERT may have a hundred thousand of them.
        if !line.contains(';') {
            return Vec::new();
        }
        let (statements, rest) = script::complete_statements(&self.text);
        let inputs = statements.into_iter().map(|statement| (self.line_of(statement), statement.to_owned()));
        let inputs = inputs.map(|(line, statement)| (line, Input::Statement(statement))).collect();
        self.begin += self.text[..self.text.len() - rest.len()].matches('\n').count();
        self.text = rest.to_owned();
        inputs
    }

    /// The rest at the end of a text: a statement without `;`.
    pub(super) fn finish(self) -> Option<(usize, Input)> {
        let rest = script::statements(&self.text).into_iter().next()?;
        Some((self.line_of(rest), Input::Statement(rest.to_owned())))
    }

    /// True if nothing was begun, neither a statement nor a comment.
    fn is_done(&self) -> bool {
        script::is_blank(&self.text) && script::complete_statements(&format!("{};", self.text)).1.is_empty()
    }

    /// The number of the line that `part`, a slice of the text, begins in: its first word, if comments stand before it.
    fn line_of(&self, part: &str) -> usize {
        let start = part.as_ptr().addr() - self.text.as_ptr().addr();
        let start = start + (part.len() - script::without_leading_comments(part).len());
        self.begin + self.text[..start].matches('\n').count()
    }
}

/// The inputs of a whole text, each with the number of its line.
pub(super) fn numbered_inputs(text: &str) -> Vec<(usize, Input)> {
    let mut pending = Pending::default();
    let mut inputs: Vec<_> = text.lines().flat_map(|line| pending.line(line)).collect();
    inputs.extend(pending.finish());
    inputs
}

/// The inputs of a whole text.
pub(super) fn inputs(text: &str) -> Vec<Input> {
    numbered_inputs(text).into_iter().map(|(_, input)| input).collect()
}

/// True if `text` is complete with its last line: Enter then runs it.
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
    fn an_input_knows_its_line() {
        let text = "\\timing on\n\n-- one\nSELECT 1;\nSELECT\n2; SELECT 3;\n/* four\n*/ SELECT 4;\n\\d docs\nSELECT 5";
        let lines: Vec<_> = numbered_inputs(text).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [1, 4, 5, 6, 8, 9, 10]);
    }

    #[test]
    fn some_words_are_commands() {
        let command = |text: &str| Input::Command(text.to_owned());
        assert_eq!(inputs("help\n EXIT ; \nquit;"), [command("help"), command("exit"), command("quit")]);
        let statement = |sql: &str| Input::Statement(sql.to_owned());
        assert_eq!(inputs("SELECT a AS\nexit\n;"), [statement("SELECT a AS\nexit")]);
        assert!(is_complete("quit"));
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
