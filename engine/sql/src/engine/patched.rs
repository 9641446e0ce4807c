//! The check that this program was built with the project's patches of other crates.
//!
//! `[patch.crates-io]` counts only in the workspace that is built. A program that embeds ruvector without it would cast
//! slices of lists to vectors of other rows (apache/arrow-rs#10975), its integers would wrap, and a NaN would be unequal to
//! others, without an error.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Datum, Float32Array, Int64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::compute::kernels::numeric::add_wrapping;
use arrow::datatypes::{DataType, Field, Float32Type};
use arrow::error::ArrowError;

use ruvector_udfs::error::{Error, ErrorKind, Result};

/// Checks that a slice of lists is cast to its own vectors, and that integers do not wrap.
///
/// # Errors
/// `NotSupported` if the program has the original `arrow-cast` or `arrow-arith`.
pub(crate) fn check() -> Result<()> {
    check_cast(|lists, vector| cast(lists, vector))?;
    check_sum(|left, right| add_wrapping(left, right))
}

fn check_sum(add: impl Fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef, ArrowError>) -> Result<()> {
    match add(&Int64Array::new_scalar(i64::MAX), &Int64Array::new_scalar(1)) {
        Err(_) => Ok(()),
        Ok(_) => Err(without("arrow-arith", "integers that overflow would be wrong")),
    }
}

fn without(patch: &str, consequence: &str) -> Error {
    Error::new(
        ErrorKind::NotSupported,
        format!(
            "this program was built without ruvector's patch of {patch}, so that {consequence}: add {patch} = {{ path = \
             \"<ruvector>/patches/{patch}\" }} to [patch.crates-io] and to [dependencies] of its Cargo.toml"
        ),
    )
}

fn check_cast(cast: impl Fn(&dyn Array, &DataType) -> Result<ArrayRef, ArrowError>) -> Result<()> {
    let item = Arc::new(Field::new_list_field(DataType::Float32, true));
    let values = Arc::new(Float32Array::from(vec![1.0, 2.0]));
    let lists = ListArray::new(Arc::clone(&item), OffsetBuffer::from_lengths([1, 1]), values, None);
    let second = cast(&lists.slice(1, 1), &DataType::FixedSizeList(item, 1));
    let is_itself = |vectors: ArrayRef| {
        let vector = vectors.as_fixed_size_list().value(0);
        vector.as_primitive::<Float32Type>().values() == &[2.0]
    };
    match second.is_ok_and(is_itself) {
        true => Ok(()),
        false => Err(without("arrow-cast", "rows could get the vectors of other rows (apache/arrow-rs#10975)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_has_the_patch() {
        check().unwrap();
    }

    #[test]
    fn a_program_without_the_patch_is_told_what_to_add() {
        // From the start of the values, whatever the slice.
        let from_the_start = |lists: &dyn Array, vector: &DataType| {
            let DataType::FixedSizeList(item, dim) = vector else { panic!("{vector}") };
            let values = lists.as_list::<i32>().values().slice(0, lists.len());
            let vectors = arrow::array::FixedSizeListArray::try_new(Arc::clone(item), *dim, values, None)?;
            Ok(Arc::new(vectors) as ArrayRef)
        };
        let error = check_cast(from_the_start).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotSupported);
        let wrapped = |_: &dyn Datum, _: &dyn Datum| Ok(Arc::new(Int64Array::from(vec![i64::MIN])) as ArrayRef);
        assert!(check_sum(wrapped).unwrap_err().to_string().contains("patches/arrow-arith"));
        assert!(error.to_string().contains("[patch.crates-io]"), "{error}");
    }
}
