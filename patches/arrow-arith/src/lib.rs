//! The crate `arrow-arith` with two faults of its arithmetic mended.
//!
//! * DataFusion 55 computes `+`, `-`, `*` and negation with the kernels `*_wrapping`, so that `9223372036854775807 + 1` is a
//!   negative number without an error. Its switch, `BinaryExpr::with_fail_on_overflow`, can be set for single physical
//!   expressions, but those are made in many places: for plans, for constants in the optimizer, for pruning and for files.
//!   Here the wrapping kernels are the checked ones (`ArithmeticOverflow`).
//! * A processor gives the NaN of `0.0 / 0.0` a sign. Arrow compares floats by all of their bits, so that this NaN is unequal
//!   to the others and less than every number. Here the NaN of an answer is the positive one.
//!
//! Everything else is the original's. The workspace puts this crate in the original's place (`[patch.crates-io]`). It goes when
//! DataFusion can be told to plan checked arithmetic, and compares NaN with NaN.

pub use upstream::{aggregate, arithmetic, arity, bitwise, boolean, temporal};

mod nan;

/// Arithmetic on arrays and scalars.
pub mod numeric {
    use arrow_array::{Array, ArrayRef, Datum};
    use arrow_schema::ArrowError;

    pub use upstream::numeric::*;

    use crate::nan::positive;

    /// Performs `lhs + rhs`.
    ///
    /// # Errors
    /// If a value does not fit its type, or the types cannot be added.
    pub fn add(lhs: &dyn Datum, rhs: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        upstream::numeric::add(lhs, rhs).map(positive)
    }

    /// Performs `lhs - rhs`.
    ///
    /// # Errors
    /// If a value does not fit its type, or the types cannot be subtracted.
    pub fn sub(lhs: &dyn Datum, rhs: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        upstream::numeric::sub(lhs, rhs).map(positive)
    }

    /// Performs `lhs * rhs`.
    ///
    /// # Errors
    /// If a value does not fit its type, or the types cannot be multiplied.
    pub fn mul(lhs: &dyn Datum, rhs: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        upstream::numeric::mul(lhs, rhs).map(positive)
    }

    /// Performs `lhs / rhs`.
    ///
    /// # Errors
    /// If an integer is divided by zero, a value does not fit its type, or the types cannot be divided.
    pub fn div(lhs: &dyn Datum, rhs: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        upstream::numeric::div(lhs, rhs).map(positive)
    }

    /// Performs `lhs % rhs`.
    ///
    /// # Errors
    /// If an integer is divided by zero, or the types cannot be divided.
    pub fn rem(lhs: &dyn Datum, rhs: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        upstream::numeric::rem(lhs, rhs).map(positive)
    }

    /// Performs `lhs + rhs`, as [`add`] does.
    ///
    /// # Errors
    /// If a value does not fit its type, or the types do not go together.
    pub fn add_wrapping(lhs: &dyn Datum, rhs: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        add(lhs, rhs)
    }

    /// Performs `lhs - rhs`, as [`sub`] does.
    ///
    /// # Errors
    /// If a value does not fit its type, or the types do not go together.
    pub fn sub_wrapping(lhs: &dyn Datum, rhs: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        sub(lhs, rhs)
    }

    /// Performs `lhs * rhs`, as [`mul`] does.
    ///
    /// # Errors
    /// If a value does not fit its type, or the types do not go together.
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
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float64Type;
    use arrow_array::{ArrayRef, Float64Array, Int8Array, Int64Array, UInt8Array};
    use arrow_schema::ArrowError;

    use crate::numeric::{add_wrapping, div, mul_wrapping, neg_wrapping, sub_wrapping};

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

    #[test]
    fn nan_has_no_sign() {
        let nan = f64::NAN.to_bits() & !(1 << 63);
        let bits = |answer: Result<ArrayRef, ArrowError>| {
            let answer = answer.unwrap();
            answer.as_primitive::<Float64Type>().values().iter().map(|value| value.to_bits()).collect::<Vec<_>>()
        };
        let (zeros, infinities) = (
            Float64Array::from(vec![0.0, -0.0, 3.0]),
            Float64Array::from(vec![f64::INFINITY, f64::NEG_INFINITY, -1.0]),
        );
        assert_eq!(bits(div(&zeros, &zeros)), [nan, nan, 1.0_f64.to_bits()]);
        assert_eq!(bits(mul_wrapping(&zeros, &infinities)), [nan, nan, (-3.0_f64).to_bits()]);
        assert_eq!(bits(sub_wrapping(&infinities, &infinities)), [nan, nan, 0]);
        let signed = Float64Array::new_scalar(f64::from_bits(nan | 1 << 63));
        assert_eq!(bits(add_wrapping(&signed, &zeros)), [nan; 3]);
    }
}
