//! The crate `arrow-arith` with its wrapping kernels replaced by the ones that fail.
//!
//! DataFusion 55 computes `+`, `-`, `*` and negation with the kernels `*_wrapping`, so that `9223372036854775807 + 1` is a
//! negative number without an error. Its switch, `BinaryExpr::with_fail_on_overflow`, can be set for single physical
//! expressions, but those are made in many places: for plans, for constants in the optimizer, for pruning and for files.
//! Here the wrapping kernels are the checked ones (`ArithmeticOverflow`); everything else is the original's. The workspace
//! puts this crate in the original's place (`[patch.crates-io]`). It goes when DataFusion can be told to plan checked
//! arithmetic.

pub use upstream::{aggregate, arithmetic, arity, bitwise, boolean, temporal};

/// Arithmetic on arrays and scalars.
pub mod numeric {
    use arrow_array::{Array, ArrayRef, Datum};
    use arrow_schema::ArrowError;

    pub use upstream::numeric::*;

    /// Performs `lhs + rhs`.
    ///
    /// # Errors
    /// If a value does not fit its type, or the types cannot be added.
    pub fn add_wrapping(lhs: &dyn Datum, rhs: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        add(lhs, rhs)
    }

    /// Performs `lhs - rhs`.
    ///
    /// # Errors
    /// If a value does not fit its type, or the types cannot be subtracted.
    pub fn sub_wrapping(lhs: &dyn Datum, rhs: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        sub(lhs, rhs)
    }

    /// Performs `lhs * rhs`.
    ///
    /// # Errors
    /// If a value does not fit its type, or the types cannot be multiplied.
    pub fn mul_wrapping(lhs: &dyn Datum, rhs: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        mul(lhs, rhs)
    }

    /// Negates each value.
    ///
    /// # Errors
    /// If a value does not fit its type, as no negative number fits an unsigned one.
    pub fn neg_wrapping(array: &dyn Array) -> Result<ArrayRef, ArrowError> {
        neg(array)
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Int8Array, Int64Array, UInt8Array};
    use arrow_schema::ArrowError;

    use crate::numeric::{add_wrapping, mul_wrapping, neg_wrapping, sub_wrapping};

    fn overflows(answer: Result<ArrayRef, ArrowError>) -> bool {
        matches!(answer, Err(ArrowError::ArithmeticOverflow(_)))
    }

    #[test]
    fn integers_do_not_wrap() {
        let (least, greatest, one) =
            (Int64Array::new_scalar(i64::MIN), Int64Array::new_scalar(i64::MAX), Int64Array::new_scalar(1));
        assert!(overflows(add_wrapping(&greatest, &one)));
        assert!(overflows(sub_wrapping(&least, &one)));
        assert!(overflows(mul_wrapping(&greatest, &greatest)));
        assert!(overflows(neg_wrapping(&Int64Array::from(vec![i64::MIN]))));
        assert!(overflows(sub_wrapping(&UInt8Array::new_scalar(0), &UInt8Array::new_scalar(1))));
        let least = add_wrapping(&Int8Array::new_scalar(-127), &Int8Array::new_scalar(-1));
        assert_eq!(least.unwrap().as_ref(), &Int8Array::from(vec![-128]));
    }

    #[test]
    fn values_below_a_null_do_not_matter() {
        let left = Int64Array::new(vec![i64::MAX, 1].into(), Some(vec![false, true].into()));
        let right = Int64Array::from(vec![1, 1]);
        let sum = add_wrapping(&left, &right).unwrap();
        assert_eq!(sum.as_ref(), &Int64Array::from(vec![None, Some(2)]));
    }
}
