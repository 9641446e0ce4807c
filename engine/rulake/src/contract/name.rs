//! Names of collections: a name goes in; it is accepted, or refused before it becomes part of a path.

use crate::error::{Error, Result};

/// Returns true if a collection can have the name: letters, digits, `_`, `-`, `.` and spaces after a letter or digit, 255
/// bytes at most.
pub fn is_name(collection: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    collection.starts_with(|c: char| c.is_alphanumeric()) && collection.chars().all(plain) && collection.len() <= 255
}

/// Rule for the names of a backend's collections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum NameRule {
    /// Names that [`is_name`] allows: they come from queries.
    #[default]
    Plain,
    /// Any name of one folder or file: it comes from a location, which names its folder literally.
    FileName,
}

impl NameRule {
    /// Checks a name before it becomes part of a path.
    ///
    /// # Errors
    /// `InvalidInput` for a name that is not one of these, or that would leave its folder.
    pub(crate) fn check(self, name: &str) -> Result<()> {
        match self {
            Self::Plain => check_name(name),
            Self::FileName if name.is_empty() || name.contains('/') || matches!(name, "." | "..") => {
                Err(Error::invalid_input("not the name of a folder or file").with("got", format!("{name:?}")))
            }
            Self::FileName => Ok(()),
        }
    }
}

/// Checks the name of a collection before it becomes part of a path: a plain name cannot leave its folder.
///
/// # Errors
/// `InvalidInput` for anything but letters, digits, `_`, `-`, `.` and spaces after a letter or digit, 255 bytes at most.
pub(crate) fn check_name(collection: &str) -> Result<()> {
    match is_name(collection) {
        true => Ok(()),
        false => Err(Error::invalid_input("not a table name")
            .with("expected", "letters, digits, '_', '-', '.' or ' ', starting with a letter or digit")
            .with("got", format!("{collection:?}"))),
    }
}
