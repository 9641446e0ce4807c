//! Place of an array in its column: it names the column, the field and the row in errors, and knows if integers may be rounded.

use arrow::datatypes::DataType;

use crate::error::Error;
use crate::vector_column::dim_of;

/// The place of an array in its column, for messages and for the rule that holds there.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: String,
    /// True if positions count items of lists, not rows.
    pub(super) is_item: bool,
    /// True if integers may be rounded: they are coordinates of vectors.
    pub(super) rounds: bool,
}

impl Place {
    pub(super) fn of_column(name: &str) -> Self {
        Self { path: name.to_owned(), is_item: false, rounds: false }
    }

    pub(super) fn field(&self, name: &str) -> Self {
        Self { path: format!("{}.{name}", self.path), ..self.clone() }
    }

    pub(super) fn items(&self, of: &DataType) -> Self {
        Self { path: format!("{}[]", self.path), is_item: true, rounds: dim_of(of).is_some() }
    }

    pub(super) fn error(&self, message: &str) -> Error {
        Error::invalid_input(format!("column {:?} {message}", self.path))
    }

    pub(super) fn another_type(&self, expected: &DataType, got: &DataType) -> Error {
        self.error("has another type").with("expected", expected).with("got", got)
    }

    pub(super) fn position(&self, error: Error, at: usize) -> Error {
        error.with(if self.is_item { "item" } else { "row" }, at)
    }
}
