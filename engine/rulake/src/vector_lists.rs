//! Vectors of a column of lists: an array of lists of numbers goes in; the `f32` coordinates of a row, checked, come out.
//!
//! Coordinates of `Float32` are read where they lie. Others are converted, each to the nearest `f32`.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    ArrowNativeType, ArrowPrimitiveType, DataType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    UInt8Type,
};

use crate::error::{Error, Result};
use crate::vector_type::Coordinate;

/// A column of lists of any kind, whose items are numbers.
pub(crate) struct VectorLists<'a> {
    items: &'a ArrayRef,
    coordinate: Coordinate,
    layout: Layout<'a>,
}

/// Positions of the items of each list.
enum Layout<'a> {
    Fixed(usize),
    Offsets(&'a [i32]),
    LargeOffsets(&'a [i64]),
    Views(&'a [i32], &'a [i32]),
    LargeViews(&'a [i64], &'a [i64]),
}

/// Reason that a list is no vector.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum VectorFault {
    /// The list has another length.
    Dimension { expected: usize, got: usize },
    /// A coordinate is NULL.
    Null,
    /// A coordinate is NaN, infinite, or beyond the range of `f32`.
    NotFinite { coordinate: usize, got: String },
}

impl VectorFault {
    /// The error, which begins with the words `vector`. `at` adds the place of the vector.
    pub(crate) fn error(&self, vector: &str, at: impl FnOnce(Error) -> Error) -> Error {
        match self {
            Self::Dimension { expected, got } => at(Error::invalid_input(format!("{vector} has the wrong dimension")))
                .with("expected", expected)
                .with("got", got),
            Self::Null => at(Error::invalid_input(format!("{vector} has a NULL coordinate"))),
            Self::NotFinite { coordinate, got } => at(Error::invalid_input(format!("{vector} is not finite")))
                .with("coordinate", coordinate)
                .with("got", got),
        }
    }
}

impl<'a> VectorLists<'a> {
    /// The lists of a column.
    ///
    /// # Errors
    /// `InvalidInput` if the column does not hold lists of numbers.
    pub(crate) fn new(column: &'a ArrayRef) -> Result<Self> {
        let (items, layout) = match column.data_type() {
            DataType::FixedSizeList(_, dim) => {
                (column.as_fixed_size_list().values(), Layout::Fixed(usize::try_from(*dim).unwrap_or(0)))
            }
            DataType::List(_) => {
                let lists = column.as_list::<i32>();
                (lists.values(), Layout::Offsets(lists.value_offsets()))
            }
            DataType::LargeList(_) => {
                let lists = column.as_list::<i64>();
                (lists.values(), Layout::LargeOffsets(lists.value_offsets()))
            }
            DataType::ListView(_) => {
                let lists = column.as_list_view::<i32>();
                (lists.values(), Layout::Views(lists.value_offsets(), lists.value_sizes()))
            }
            DataType::LargeListView(_) => {
                let lists = column.as_list_view::<i64>();
                (lists.values(), Layout::LargeViews(lists.value_offsets(), lists.value_sizes()))
            }
            other => {
                return Err(Error::invalid_input("column does not hold vectors")
                    .with("expected", "a list")
                    .with("got", other));
            }
        };
        let coordinate = Coordinate::of(items.data_type()).ok_or_else(|| {
            Error::invalid_input("vector has another type")
                .with("expected", "a list of numbers")
                .with("got", items.data_type())
        })?;
        Ok(Self { items, coordinate, layout })
    }

    /// The vector of a row that is not NULL: `dim` finite coordinates, in place or in `scratch`.
    ///
    /// # Errors
    /// The fault, if the list is no such vector.
    pub(crate) fn read<'b>(
        &self,
        row: usize,
        dim: usize,
        scratch: &'b mut Vec<f32>,
    ) -> std::result::Result<&'b [f32], VectorFault>
    where
        'a: 'b,
    {
        let range = self.range(row);
        if range.len() != dim {
            return Err(VectorFault::Dimension { expected: dim, got: range.len() });
        }
        if has_null(self.items.nulls(), &range) {
            return Err(VectorFault::Null);
        }
        let vector: &[f32] = match self.coordinate {
            Coordinate::Float32 => &self.items.as_primitive::<Float32Type>().values()[range.clone()],
            Coordinate::Float64 => self.convert::<Float64Type>(&range, scratch, nearest),
            Coordinate::Float16 => self.convert::<Float16Type>(&range, scratch, f32::from),
            Coordinate::Int8 => self.convert::<Int8Type>(&range, scratch, f32::from),
            Coordinate::UInt8 => self.convert::<UInt8Type>(&range, scratch, f32::from),
            Coordinate::Int16 => self.convert::<Int16Type>(&range, scratch, f32::from),
        };
        match is_finite(vector) {
            true => Ok(vector),
            false => Err(self.not_finite(vector, &range)),
        }
    }

    fn convert<'b, T: ArrowPrimitiveType>(
        &self,
        range: &Range<usize>,
        scratch: &'b mut Vec<f32>,
        to_f32: impl Fn(T::Native) -> f32,
    ) -> &'b [f32] {
        scratch.clear();
        scratch.extend(self.items.as_primitive::<T>().values()[range.clone()].iter().map(|value| to_f32(*value)));
        scratch
    }

    /// The fault of a vector that is not finite: its first such coordinate, as it is stored.
    fn not_finite(&self, vector: &[f32], range: &Range<usize>) -> VectorFault {
        let coordinate = vector.iter().position(|value| !value.is_finite()).unwrap_or_default();
        let got = match self.coordinate {
            Coordinate::Float64 => self.items.as_primitive::<Float64Type>().value(range.start + coordinate).to_string(),
            _ => vector.get(coordinate).map(f32::to_string).unwrap_or_default(),
        };
        VectorFault::NotFinite { coordinate, got }
    }

    /// Positions of the items of a row.
    fn range(&self, row: usize) -> Range<usize> {
        match self.layout {
            Layout::Fixed(dim) => row * dim..(row + 1) * dim,
            Layout::Offsets(offsets) => offsets[row].as_usize()..offsets[row + 1].as_usize(),
            Layout::LargeOffsets(offsets) => offsets[row].as_usize()..offsets[row + 1].as_usize(),
            Layout::Views(offsets, sizes) => view(offsets[row], sizes[row]),
            Layout::LargeViews(offsets, sizes) => view(offsets[row], sizes[row]),
        }
    }
}

/// The length of each list of a column, `None` where it is NULL.
///
/// # Errors
/// `InvalidInput` if the column does not hold lists of numbers.
pub(crate) fn lengths(column: &ArrayRef) -> Result<impl Iterator<Item = Option<usize>> + '_> {
    let lists = VectorLists::new(column)?;
    Ok((0..column.len()).map(move |row| column.is_valid(row).then(|| lists.range(row).len())))
}

fn view<T: ArrowNativeType>(offset: T, size: T) -> Range<usize> {
    offset.as_usize()..offset.as_usize() + size.as_usize()
}

fn has_null(nulls: Option<&NullBuffer>, range: &Range<usize>) -> bool {
    nulls.is_some_and(|nulls| nulls.slice(range.start, range.len()).null_count() > 0)
}

/// The `f32` nearest to `value`; infinite beyond the range of `f32`.
#[expect(clippy::cast_possible_truncation, reason = "searches compute with f32")]
pub(crate) fn nearest(value: f64) -> f32 {
    value as f32
}

/// Returns true if every coordinate is finite. All coordinates are looked at, so that the loop has no branch.
fn is_finite(vector: &[f32]) -> bool {
    const EXPONENT: u32 = 0x7f80_0000;
    !vector.iter().fold(false, |found, value| found | (value.to_bits() & EXPONENT == EXPONENT))
}
