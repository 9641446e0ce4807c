//! The crate `arrow-string` with a bound on the answers of `||`.
//!
//! DataFusion 55 evaluates `||` with [`concat_elements::concat_elements_dyn`], in plans, in scans of files and where it folds
//! constants. It takes the memory before any operator counts it, and panics beyond 2 GiB. Here the size is computed first.
//!
//! Everything else is the original's. The workspace puts this crate in the original's place (`[patch.crates-io]`). It goes when
//! DataFusion bounds the values that its expressions make.

pub use upstream::{length, like, regexp, substring};

/// Concatenation of the elements of arrays.
pub mod concat_elements {
    use arrow_array::cast::AsArray;
    use arrow_array::{Array, ArrayRef};
    use arrow_schema::{ArrowError, DataType};

    pub use upstream::concat_elements::*;

    /// Bytes of one value, at most. A bound, as of the functions of text.
    const VALUE_BYTES_MAX: u64 = 64 << 20;
    /// Bytes of all values, at most. A bound: arrays of text end at 2 GiB.
    const BATCH_BYTES_MAX: u64 = 512 << 20;

    /// Concatenates the elements of two arrays of one type.
    ///
    /// # Errors
    /// `MemoryError` if the answer would be too large; others if the arrays have different lengths or types.
    pub fn concat_elements_dyn(left: &dyn Array, right: &dyn Array) -> Result<ArrayRef, ArrowError> {
        let (mut all, mut largest) = (0_u64, 0_u64);
        for row in 0..left.len().min(right.len()) {
            let size = if left.is_null(row) || right.is_null(row) { 0 } else { length(left, row) + length(right, row) };
            all += size;
            largest = largest.max(size);
        }
        let (max, place, got) = match largest > VALUE_BYTES_MAX {
            true => (VALUE_BYTES_MAX, "in one value", largest),
            false => (BATCH_BYTES_MAX, "in the rows of a batch (datafusion.execution.batch_size)", all),
        };
        match got > max {
            true => Err(ArrowError::MemoryError(format!("||: expected at most {max} bytes {place}, got {got}"))),
            false => upstream::concat_elements::concat_elements_dyn(left, right),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the length of a value in memory is a usize"
    )]
    fn length(array: &dyn Array, row: usize) -> u64 {
        let length = match array.data_type() {
            DataType::Utf8 => array.as_string::<i32>().value_length(row) as usize,
            DataType::LargeUtf8 => array.as_string::<i64>().value_length(row) as usize,
            DataType::Utf8View => array.as_string_view().value(row).len(),
            DataType::Binary => array.as_binary::<i32>().value_length(row) as usize,
            DataType::LargeBinary => array.as_binary::<i64>().value_length(row) as usize,
            DataType::BinaryView => array.as_binary_view().value(row).len(),
            _ => 0,
        };
        length as u64
    }

    #[cfg(test)]
    mod tests {
        use arrow_array::{StringArray, StringViewArray};

        use super::*;

        #[test]
        fn answers_are_bounded() {
            let text = "x".repeat(40 << 20);
            let one = StringArray::from(vec![text.as_str()]);
            let error = concat_elements_dyn(&one, &one).unwrap_err().to_string();
            assert!(error.contains("in one value"), "{error}");
            let null = StringArray::from(vec![None::<&str>]);
            assert!(concat_elements_dyn(&one, &null).unwrap().is_null(0));
            let many = StringViewArray::from(vec![text.as_str(); 13]);
            let few = StringViewArray::from(vec!["y"; 13]);
            let error = concat_elements_dyn(&many, &few).unwrap_err().to_string();
            assert!(error.contains("in the rows of a batch"), "{error}");
            let ends = concat_elements_dyn(&few, &few).unwrap();
            assert_eq!(ends.as_string_view().value(12), "yy");
        }
    }
}
