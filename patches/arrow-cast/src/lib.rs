//! The crate `arrow-cast` with its fault in casting slices mended.
//!
//! `arrow-cast` 59 casts a slice of a list array to a fixed-size list from the start of the slice's parent, so that rows get
//! the values of other rows (apache/arrow-rs#10975). It also casts items that no row of a slice refers to, and items below a
//! NULL, whose values may not fit. Here each array is compacted before it is cast (`compact`); everything else is the
//! original's. The workspace puts this crate in the original's place (`[patch.crates-io]`), so that casts of Arrow,
//! DataFusion and the Delta library go through it too. It goes when a release of `arrow-cast` 59 has the mend.

mod compact;

pub use upstream::{base64, display, parse};

#[cfg(feature = "prettyprint")]
pub use upstream::pretty;

pub use cast::*;

/// Casts of arrays.
pub mod cast {
    use arrow_array::{Array, ArrayRef};
    use arrow_schema::{ArrowError, DataType};

    pub use upstream::cast::*;

    use crate::compact::compacted;

    /// Casts `array` to `to_type`; a value that cannot be cast becomes NULL.
    ///
    /// # Errors
    /// If there is no cast between the two types.
    pub fn cast(array: &dyn Array, to_type: &DataType) -> Result<ArrayRef, ArrowError> {
        cast_with_options(array, to_type, &CastOptions::default())
    }

    /// Casts `array` to `to_type` by `cast_options`.
    ///
    /// # Errors
    /// If there is no cast between the two types, or a value cannot be cast and `cast_options` are strict.
    pub fn cast_with_options(
        array: &dyn Array,
        to_type: &DataType,
        cast_options: &CastOptions,
    ) -> Result<ArrayRef, ArrowError> {
        match array.data_type() != to_type && array.data_type().is_nested() {
            true => upstream::cast::cast_with_options(&compacted(array)?, to_type, cast_options),
            false => upstream::cast::cast_with_options(array, to_type, cast_options),
        }
    }
}
