//! Errors without the paths of the server's files, for readers.

use tonic::Status;

/// The error without paths but those of the statement, which the reader knows.
pub(crate) fn without_paths(status: Status, statement: &str) -> Status {
    match hidden(status.message(), statement) {
        Some(message) => Status::with_metadata(status.code(), message, status.metadata().clone()),
        None => status,
    }
}

/// The message with `<path>` for each path, if it has one.
fn hidden(message: &str, statement: &str) -> Option<String> {
    let is_border = |c: char| c.is_whitespace() || "'\"`()[]{}<>,;=".contains(c);
    let mut shown = String::with_capacity(message.len());
    for part in message.split_inclusive(is_border) {
        let word = part.trim_end_matches(is_border).trim_end_matches(['.', ':']);
        match is_path(word) && !statement.contains(word) {
            true => {
                shown.push_str("<path>");
                shown.push_str(&part[word.len()..]);
            }
            false => shown.push_str(part),
        }
    }
    (shown != message).then_some(shown)
}

/// True if a word is a path: object stores leave the first slash out.
fn is_path(word: &str) -> bool {
    word.matches('/').count() >= 2 || (word.starts_with('/') && word.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_hidden() {
        for (message, shown) in [
            (
                "Object at location srv/data/docs/1.parquet not found: no file",
                "Object at location <path> not found: no file",
            ),
            ("cannot read '/srv/x': denied", "cannot read '<path>': denied"),
            ("Unable to read file:///srv/a/b.parquet.", "Unable to read <path>."),
            ("/srv: is a folder", "<path>: is a folder"),
        ] {
            assert_eq!(hidden(message, "SELECT 1").as_deref(), Some(shown), "{message}");
        }
        for message in ["expected and/or, got 7", "1 / 0: division by zero", "", "table 'ruvector.main.x' not found"] {
            assert_eq!(hidden(message, "SELECT 1"), None, "{message}");
        }
        assert_eq!(hidden("no such file: '/data/mine.csv'", "SELECT * FROM '/data/mine.csv'"), None);
    }

    #[test]
    fn the_rest_of_the_status_stays() {
        let mut status = Status::not_found("/srv/data is gone");
        status.metadata_mut().insert("x", "y".parse().unwrap());
        let status = without_paths(status, "");
        assert_eq!((status.code(), status.message()), (tonic::Code::NotFound, "<path> is gone"));
        assert!(status.metadata().contains_key("x"));
    }
}
