//! The vectors of an argument, read where they lie in Arrow's buffers.
//!
//! | an argument is | and another is a vector | and none is |
//! |---|---|---|
//! | `FLOAT[dim]` (Float32) | read in place | |
//! | Float16`[dim]` | is a vector; becomes Float32, exactly | |
//! | a list, or another type`[dim]` | becomes Float32 | becomes Float64 |
//! | text, as in `'[0.5, 1.0]'` | is read as a vector | an error |
//! | NULL | NULL | NULL |
//!
//! So `_distance` of `knn()` and a distance to a literal, which is a list of Float64, are equal numbers; and what DataFusion
//! says of two lists is what it says without ruvector.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, FixedSizeListArray, LargeListArray, ListArray, NullBufferBuilder,
    PrimitiveArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::can_cast_types;
use arrow::datatypes::{ArrowNativeType, DataType, Field, FieldRef};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::ColumnarValue;

use super::from_text;

/// The type of coordinates that a function with these arguments computes with: Float32 if one is a vector, else Float64.
pub(super) fn precision(arg_types: &[DataType]) -> DataType {
    match arg_types.iter().any(is_vector) {
        true => DataType::Float32,
        false => DataType::Float64,
    }
}

fn is_vector(data_type: &DataType) -> bool {
    let exact = |item: &DataType| matches!(item, DataType::Float32 | DataType::Float16);
    matches!(data_type, DataType::FixedSizeList(field, _) if exact(field.data_type()))
}

/// The type in which an argument of the function `name` is read: `data_type` itself if its items have the type `precision`.
///
/// # Errors
/// If it holds no vectors.
pub(super) fn coerce(name: &str, data_type: &DataType, precision: &DataType) -> Result<DataType> {
    let any = || Arc::new(Field::new_list_field(precision.clone(), true));
    let read = |field: &FieldRef| match field.data_type() == precision {
        // Not another field of that type: a different name or nullability would be a cast in the plan.
        true => Arc::clone(field),
        false => any(),
    };
    match data_type {
        DataType::Null => Ok(DataType::List(any())),
        text if text.is_string() && precision == &DataType::Float32 => Ok(text.clone()),
        DataType::FixedSizeList(field, _) | DataType::List(field) | DataType::LargeList(field)
            if field.data_type().is_nested() =>
        {
            plan_err!("{name} only supports one-dimensional arrays, got {data_type}")
        }
        DataType::FixedSizeList(field, _) | DataType::List(field) | DataType::LargeList(field)
            if !can_cast_types(field.data_type(), precision) =>
        {
            plan_err!("{name} does not support type {data_type}: expected FLOAT[dim] or a list of numbers")
        }
        DataType::FixedSizeList(field, dim) => Ok(DataType::FixedSizeList(read(field), *dim)),
        DataType::List(field) => Ok(DataType::List(read(field))),
        DataType::LargeList(field) => Ok(DataType::LargeList(read(field))),
        other => plan_err!("{name} does not support type {other}: expected FLOAT[dim] or a list of numbers"),
    }
}

/// The number of rows to compute: one if all arguments are constants, whatever the batch.
pub(super) fn rows_to_compute(args: &[ColumnarValue], number_rows: usize) -> usize {
    match all_constant(args) {
        true => 1,
        false => number_rows,
    }
}

/// `array` as the value of a function with these arguments: a constant if they all are.
pub(super) fn answer(args: &[ColumnarValue], array: ArrayRef) -> Result<ColumnarValue> {
    match all_constant(args) {
        true => Ok(ColumnarValue::Scalar(datafusion::scalar::ScalarValue::try_from_array(&array, 0)?)),
        false => Ok(ColumnarValue::Array(array)),
    }
}

fn all_constant(args: &[ColumnarValue]) -> bool {
    args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)))
}

/// The vectors of an argument: one for every row, or one for all.
pub(crate) struct Vectors<T: ArrowPrimitiveType> {
    values: PrimitiveArray<T>,
    nulls: Option<NullBuffer>,
    layout: Layout,
    constant: bool,
}

/// The layout of rows in the array of coordinates.
enum Layout {
    Fixed(usize),
    List(OffsetBuffer<i32>),
    LargeList(OffsetBuffer<i64>),
}

impl<T: ArrowPrimitiveType> Vectors<T> {
    /// The vectors of an argument whose type [`coerce`] has made. Copies no coordinates.
    ///
    /// # Errors
    /// If it has another type, or is text that is no vector.
    pub(crate) fn new(argument: &ColumnarValue) -> Result<Self> {
        let (mut lists, constant) = match argument {
            ColumnarValue::Array(array) => (Arc::clone(array), false),
            ColumnarValue::Scalar(scalar) => (scalar.to_array()?, true),
        };
        if lists.data_type().is_string() {
            lists = Arc::new(from_text::vectors(&lists)?);
        }
        let (values, layout) = match lists.data_type() {
            DataType::FixedSizeList(_, dim) => {
                (lists.as_fixed_size_list().values(), Layout::Fixed(usize::try_from(*dim).unwrap_or(0)))
            }
            DataType::List(_) => {
                let lists = lists.as_list::<i32>();
                (lists.values(), Layout::List(lists.offsets().clone()))
            }
            DataType::LargeList(_) => {
                let lists = lists.as_list::<i64>();
                (lists.values(), Layout::LargeList(lists.offsets().clone()))
            }
            other => return exec_err!("expected vectors, got {other}"),
        };
        let Some(values) = values.as_primitive_opt::<T>() else {
            return exec_err!("expected vectors of {}, got {}", T::DATA_TYPE, values.data_type());
        };
        Ok(Self { values: values.clone(), nulls: lists.nulls().cloned(), layout, constant })
    }

    /// The range of the coordinates of a row, or `None` if the row is NULL.
    pub(super) fn range(&self, row: usize) -> Option<Range<usize>> {
        let row = if self.constant { 0 } else { row };
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        Some(match &self.layout {
            // The values of a sliced array of fixed-size lists are sliced with it.
            Layout::Fixed(dim) => row * dim..(row + 1) * dim,
            Layout::List(offsets) => offsets[row].as_usize()..offsets[row + 1].as_usize(),
            Layout::LargeList(offsets) => offsets[row].as_usize()..offsets[row + 1].as_usize(),
        })
    }

    /// The vector of a row; a vector with a NULL coordinate is NULL.
    pub(crate) fn get(&self, row: usize) -> Option<&[T::Native]> {
        self.range(row).and_then(|range| self.at(range))
    }

    /// The vector whose coordinates are at `range`, or `None` if one of them is NULL.
    pub(super) fn at(&self, range: Range<usize>) -> Option<&[T::Native]> {
        let has_null = self.values.nulls().is_some_and(|nulls| nulls.slice(range.start, range.len()).null_count() > 0);
        (!has_null).then(|| &self.values.values()[range])
    }
}

/// The type of the coordinates, or `None` if `data_type` is no list.
pub(super) fn item_type(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::FixedSizeList(field, _) | DataType::List(field) | DataType::LargeList(field) => {
            Some(field.data_type())
        }
        _ => None,
    }
}

/// The Float32 nearest to `value`; infinite beyond its range.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the coordinates and distances of vectors are Float32")]
pub(super) fn to_f32(value: f64) -> f32 {
    value as f32
}

/// The Euclidean norm of a list, also where its squares overflow or vanish.
pub(super) fn norm_f64(list: &[f64]) -> f64 {
    root_of_squares(list.iter().copied())
}

/// Sums of squares that overflowed to nothing, and kept their precision.
pub(super) const SAFE_SQUARES: std::ops::RangeInclusive<f64> = 1e-280..=f64::MAX;

/// The root of the sum of the squares of `values`.
pub(super) fn root_of_squares(values: impl Iterator<Item = f64> + Clone) -> f64 {
    // Not `sum()`, which starts at -0.
    let sum = |scale: f64| values.clone().fold(0.0, |sum, value| sum + (value * scale) * (value * scale));
    let squares = sum(1.0);
    if SAFE_SQUARES.contains(&squares) {
        return squares.sqrt();
    }
    let scale = scale_of(values.clone());
    sum(scale).sqrt() / scale
}

/// A power of two that brings the largest of `values` to about 1; 1 if there is none that does.
pub(super) fn scale_of(values: impl Iterator<Item = f64>) -> f64 {
    let largest = values.fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let scale = (-largest.log2().round()).clamp(-1022.0, 1022.0).exp2();
    if largest > 0.0 && largest.is_finite() { scale } else { 1.0 }
}

/// Makes the vectors that a function answers.
pub(crate) struct VectorsBuilder<'a, T: ArrowPrimitiveType> {
    data_type: &'a DataType,
    values: Vec<T::Native>,
    ends: Vec<usize>,
    nulls: NullBufferBuilder,
}

impl<'a, T: ArrowPrimitiveType> VectorsBuilder<'a, T> {
    /// For `num_rows` vectors of the type `data_type`, one of those that [`coerce`] makes.
    pub(crate) fn new(data_type: &'a DataType, num_rows: usize) -> Self {
        let values = Vec::with_capacity(fixed_dim(data_type).unwrap_or(0) * num_rows);
        Self { data_type, values, ends: Vec::with_capacity(num_rows), nulls: NullBufferBuilder::new(num_rows) }
    }

    /// Appends the coordinates that `append` appends, or NULL if it says that they are none.
    pub(crate) fn append_with(&mut self, append: impl FnOnce(&mut Vec<T::Native>) -> bool) {
        let start = self.values.len();
        match append(&mut self.values) {
            true => {
                self.ends.push(self.values.len());
                self.nulls.append_non_null();
            }
            false => {
                self.values.truncate(start);
                self.append_null();
            }
        }
    }

    pub(crate) fn append_null(&mut self) {
        // A NULL among vectors has coordinates all the same, among lists it has none.
        let missing = fixed_dim(self.data_type).unwrap_or(0);
        self.values.resize(self.values.len() + missing, T::Native::default());
        self.ends.push(self.values.len());
        self.nulls.append_null();
    }

    /// # Errors
    /// If the coordinates do not fit the type.
    pub(crate) fn finish(mut self) -> Result<ArrayRef> {
        let (num_rows, nulls) = (self.ends.len(), self.nulls.finish());
        let values: ArrayRef = Arc::new(PrimitiveArray::<T>::new(self.values.into(), None));
        let lengths =
            || std::iter::once(0).chain(self.ends.iter().copied()).zip(&self.ends).map(|(start, end)| end - start);
        Ok(match self.data_type {
            DataType::FixedSizeList(field, dim) => {
                let field = Arc::clone(field);
                Arc::new(FixedSizeListArray::try_new_with_length(field, *dim, values, nulls, num_rows)?)
            }
            DataType::List(field) => {
                if i32::try_from(values.len()).is_err() {
                    return exec_err!("a batch of lists holds at most {} numbers, got {}", i32::MAX, values.len());
                }
                Arc::new(ListArray::try_new(Arc::clone(field), OffsetBuffer::from_lengths(lengths()), values, nulls)?)
            }
            DataType::LargeList(field) => {
                let offsets = OffsetBuffer::from_lengths(lengths());
                Arc::new(LargeListArray::try_new(Arc::clone(field), offsets, values, nulls)?)
            }
            other => return exec_err!("expected a type of vectors, got {other}"),
        })
    }
}

fn fixed_dim(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::FixedSizeList(_, dim) => usize::try_from(*dim).ok(),
        _ => None,
    }
}
