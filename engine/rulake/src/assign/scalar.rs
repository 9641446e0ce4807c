//! Assignment of arrays without items or fields: numbers, texts, times, bytes.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::place::Place;
use super::text;
use crate::error::Result;

/// A value that does not convert becomes NULL, so that the row at fault can be named.
const LENIENT: CastOptions<'static> = CastOptions { safe: true, format_options: FormatOptions::new() };

/// Types among which values are assigned by one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    Int,
    Float,
    Decimal,
    Text,
    Binary,
    Date,
    Time,
    /// A point in time: with a zone it is an instant, without one the reading of a clock.
    Timestamp {
        is_instant: bool,
    },
    Other,
}

impl Kind {
    fn of(data_type: &DataType) -> Self {
        use DataType::{
            Binary, BinaryView, Boolean, Date32, Date64, FixedSizeBinary, LargeBinary, LargeUtf8, Time32, Time64,
            Timestamp, Utf8, Utf8View,
        };
        match data_type {
            Boolean => Self::Bool,
            Utf8 | LargeUtf8 | Utf8View => Self::Text,
            Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => Self::Binary,
            Date32 | Date64 => Self::Date,
            Time32(_) | Time64(_) => Self::Time,
            Timestamp(_, zone) => Self::Timestamp { is_instant: zone.is_some() },
            other if other.is_integer() => Self::Int,
            other if other.is_floating() => Self::Float,
            other if other.is_decimal() => Self::Decimal,
            _ => Self::Other,
        }
    }

    /// Returns true if some value of this kind is a value of the kind `to`, too.
    fn is_assigned_to(self, to: Self) -> bool {
        use Kind::{Binary, Bool, Date, Decimal, Float, Int, Other, Text, Timestamp};
        match (self, to) {
            (Other, _) | (_, Other) => false,
            (Text, _) | (_, Text) => true,
            (Int | Float | Decimal, Int | Float | Decimal) | (Bool, Int) | (Int, Bool) => true,
            (Date, Timestamp { is_instant: false }) | (Timestamp { is_instant: false }, Date) => true,
            (Binary, Binary) => true,
            (from, to) => from == to,
        }
    }
}

pub(super) fn convert(array: &ArrayRef, to: &DataType, place: &Place) -> Result<ArrayRef> {
    let (from, target) = (Kind::of(array.data_type()), Kind::of(to));
    if !from.is_assigned_to(target) {
        let error = place.another_type(to, array.data_type());
        return Err(match (from, target) {
            (Kind::Timestamp { .. }, Kind::Timestamp { .. }) => error
                .with("hint", "a point in time with a zone and one without are not the same: CAST says which is meant"),
            _ => error,
        });
    }
    let failed = |e: ArrowError| place.another_type(to, array.data_type()).with("reason", e);
    let converted = match from {
        Kind::Text => text::convert(array, to),
        _ => cast_with_options(array, to, &LENIENT),
    };
    let converted = converted.map_err(failed)?;
    let lost = match (from, target) {
        (Kind::Text | Kind::Binary, _) | (_, Kind::Text) => None,
        (Kind::Float | Kind::Decimal, Kind::Float) => overflow(array, &converted),
        (Kind::Int, Kind::Float) if place.rounds => None,
        _ => changed(array, &converted).map_err(failed)?,
    };
    let missing = (0..array.len()).find(|at| array.is_valid(*at) && converted.is_null(*at));
    match missing.into_iter().chain(lost).min() {
        None => Ok(converted),
        Some(at) => {
            let error = place.position(place.error("cannot hold the value"), at);
            Err(error.with("expected", to).with("got", shown(array, at)))
        }
    }
}

/// The value at `at` and its type, as text.
fn shown(array: &ArrayRef, at: usize) -> String {
    let options = FormatOptions::new();
    let value = ArrayFormatter::try_new(array, &options).map(|formatter| formatter.value(at).to_string());
    match value {
        Ok(value) => format!("{value} ({})", array.data_type()),
        Err(_) => array.data_type().to_string(),
    }
}

/// The first finite number that became infinite.
fn overflow(from: &ArrayRef, to: &ArrayRef) -> Option<usize> {
    let is_infinite = |at: usize| match to.data_type() {
        DataType::Float32 => to.as_primitive::<Float32Type>().value(at).is_infinite(),
        DataType::Float64 => to.as_primitive::<Float64Type>().value(at).is_infinite(),
        _ => false,
    };
    let was_infinite = |at: usize| match from.data_type() {
        DataType::Float64 => from.as_primitive::<Float64Type>().value(at).is_infinite(),
        DataType::Float32 => from.as_primitive::<Float32Type>().value(at).is_infinite(),
        DataType::Float16 => from.as_primitive::<Float16Type>().value(at).is_infinite(),
        _ => false,
    };
    (0..from.len()).find(|at| from.is_valid(*at) && to.is_valid(*at) && is_infinite(*at) && !was_infinite(*at))
}

/// The first value that does not come back.
fn changed(from: &ArrayRef, to: &ArrayRef) -> Result<Option<usize>, ArrowError> {
    let back = cast_with_options(to, from.data_type(), &LENIENT)?;
    if from.data_type().is_floating() {
        // As numbers: Arrow's comparison tells 0 from -0.
        let (from, back) = (wide(from)?, wide(&back)?);
        let (values, backs) = (from.as_primitive::<Float64Type>(), back.as_primitive::<Float64Type>());
        let same = |at: usize| {
            back.is_valid(at) && values.value(at).partial_cmp(&backs.value(at)).is_some_and(Ordering::is_eq)
        };
        return Ok((0..from.len()).find(|at| from.is_valid(*at) && !same(*at)));
    }
    let differs = distinct(from, &back)?;
    Ok((0..from.len()).find(|at| from.is_valid(*at) && differs.value(*at)))
}

fn wide(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    cast_with_options(array, &DataType::Float64, &LENIENT)
}
