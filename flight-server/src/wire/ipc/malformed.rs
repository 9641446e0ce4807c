//! The error of the checks.

use std::fmt::{self, Display};

/// A place in foreign Arrow data where the sizes that are claimed and those that are present or allowed do not agree.
#[derive(Clone, Debug, PartialEq)]
pub struct Malformed {
    part: String,
    expected: String,
    got: String,
}

impl Malformed {
    /// The error of `part`, which should be `expected` and is `got`.
    pub(crate) fn new(part: impl Display, expected: impl Display, got: impl Display) -> Self {
        Self { part: part.to_string(), expected: expected.to_string(), got: got.to_string() }
    }
}

impl Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arrow data: {}: expected {}, got {}", self.part, self.expected, self.got)
    }
}

impl std::error::Error for Malformed {}
