//! The size of the answer of a call, from the lengths and counts in its arguments.
//!
//! Sizes are computed from above. One that does not fit is the largest number.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, OffsetSizeTrait};
use arrow::compute::cast;
use arrow::datatypes::{DataType, IntervalMonthDayNanoType, TimeUnit};
use datafusion::common::Result;
use datafusion::logical_expr::ColumnarValue;

use super::Growth;

/// Bytes of an element of a list beside its value: its offset, and its place in the copy.
const ELEMENT_BYTES: u64 = 8;
/// Bytes of a number, a time or a boolean as text, at most.
const SCALAR_TEXT_BYTES: u64 = 40;
const DAY_NANOS: i128 = 86_400_000_000_000;
/// Days of the shortest month.
const MONTH_DAYS: i128 = 28;

/// An argument of a call: one value for all rows, or one for each.
pub(super) struct Argument {
    values: ArrayRef,
    is_constant: bool,
    /// The values as integers, if they are integers or points in time.
    integers: Option<Int64Array>,
}

impl Argument {
    pub(super) fn new(argument: &ColumnarValue, counts: bool) -> Result<Self> {
        let (values, is_constant) = match argument {
            ColumnarValue::Array(values) => (Arc::clone(values), false),
            ColumnarValue::Scalar(value) => (value.to_array()?, true),
        };
        let data_type = values.data_type();
        let is_integer = data_type.is_integer()
            || matches!(data_type, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..));
        let integers = match is_integer && counts {
            true => Some(cast(&values, &DataType::Int64)?.as_primitive().clone()),
            false => None,
        };
        Ok(Self { values, is_constant, integers })
    }

    fn place(&self, row: usize) -> usize {
        if self.is_constant { 0 } else { row }
    }

    fn is_null(&self, row: usize) -> bool {
        self.values.data_type().is_null() || self.values.is_null(self.place(row))
    }

    fn bytes(&self, row: usize) -> u64 {
        let place = self.place(row);
        bytes(self.values.as_ref(), place, place + 1)
    }

    fn elements(&self, row: usize) -> u64 {
        let place = self.place(row);
        leaves(self.values.as_ref(), place, place + 1)
    }

    fn integer(&self, row: usize) -> Option<i128> {
        let integers = self.integers.as_ref()?;
        let place = self.place(row);
        integers.is_valid(place).then(|| i128::from(integers.value(place)))
    }

    /// A number of repetitions; less than nothing is none.
    fn count(&self, row: usize) -> u64 {
        u64::try_from(self.integer(row).unwrap_or(0)).unwrap_or(0)
    }

    fn text(&self, row: usize) -> Option<&str> {
        let place = self.place(row);
        if self.is_null(row) {
            return None;
        }
        match self.values.data_type() {
            DataType::Utf8 => Some(self.values.as_string::<i32>().value(place)),
            DataType::LargeUtf8 => Some(self.values.as_string::<i64>().value(place)),
            DataType::Utf8View => Some(self.values.as_string_view().value(place)),
            _ => None,
        }
    }

    /// A point in time or a step between two, in nanoseconds; an integer as it is.
    fn place_in_range(&self, row: usize) -> Option<i128> {
        if let Some(steps) = self.values.as_primitive_opt::<IntervalMonthDayNanoType>() {
            let step = steps.value(self.place(row));
            let days = i128::from(step.months) * MONTH_DAYS + i128::from(step.days);
            return Some(days * DAY_NANOS + i128::from(step.nanoseconds));
        }
        let unit = match self.values.data_type() {
            DataType::Date32 => DAY_NANOS,
            DataType::Date64 | DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
            DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
            DataType::Timestamp(TimeUnit::Microsecond, _) => 1000,
            _ => 1,
        };
        Some(self.integer(row)? * unit)
    }
}

/// The arguments of a call.
pub(super) struct CallArguments {
    pub(super) arguments: Vec<Argument>,
    pub(super) rows: usize,
}

impl CallArguments {
    /// The bytes of all arguments in all rows.
    pub(super) fn all_bytes(&self) -> u64 {
        let of_argument = |argument: &Argument| {
            let bytes = bytes(argument.values.as_ref(), 0, argument.values.len());
            if argument.is_constant { bytes.saturating_mul(self.rows as u64) } else { bytes }
        };
        self.arguments.iter().map(of_argument).fold(0, u64::saturating_add)
    }

    /// The bytes of the arguments that are not constants.
    pub(super) fn batch_bytes(&self) -> u64 {
        let varying = self.arguments.iter().filter(|argument| !argument.is_constant);
        varying.map(|argument| bytes(argument.values.as_ref(), 0, argument.values.len())).fold(0, u64::saturating_add)
    }

    /// The size of the answer to a row, at most; exact where that takes a look at the values and is needed to keep `limit`.
    pub(super) fn size(&self, growth: Growth, row: usize, limit: u64) -> u64 {
        let bytes = |at: usize| self.arguments.get(at).map_or(0, |argument| argument.bytes(row));
        let count = |at: usize| self.arguments.get(at).map_or(0, |argument| argument.count(row));
        let sum =
            |arguments: &[Argument]| arguments.iter().map(|argument| argument.bytes(row)).fold(0, u64::saturating_add);
        match growth {
            Growth::Sum | Growth::Fields => sum(&self.arguments),
            Growth::Separated => {
                let between = self.arguments.len().saturating_sub(2) as u64;
                let parts = sum(self.arguments.get(1..).unwrap_or_default());
                parts.saturating_add(bytes(0).saturating_mul(between))
            }
            Growth::Pad | Growth::Replace | Growth::RegexpReplace | Growth::Range
                if self.arguments.iter().any(|argument| argument.is_null(row)) =>
            {
                0
            }
            Growth::Double => bytes(0).saturating_mul(2),
            Growth::Repeat => bytes(0).saturating_mul(count(1)),
            Growth::ArrayRepeat => bytes(0).saturating_add(ELEMENT_BYTES).saturating_mul(count(1)),
            Growth::Resize => {
                let item = bytes(2).max(ELEMENT_BYTES);
                bytes(0).saturating_add(item.saturating_mul(count(1)))
            }
            Growth::Pad => {
                let is_ascii = self.arguments.get(2).and_then(|fill| fill.text(row)).is_none_or(str::is_ascii);
                bytes(0).saturating_add(count(1).saturating_mul(if is_ascii { 1 } else { 4 }))
            }
            Growth::Replace => self.replaced(row, limit),
            Growth::RegexpReplace => self.replaced_by_pattern(row),
            Growth::ReplaceElements => {
                let elements = self.arguments.first().map_or(0, |list| list.elements(row));
                bytes(0).saturating_add(elements.saturating_mul(bytes(2)))
            }
            Growth::ToText => {
                let elements = self.arguments.first().map_or(0, |list| list.elements(row));
                let width =
                    self.arguments.first().map_or(SCALAR_TEXT_BYTES, |list| text_bytes(list.values.data_type()));
                let beside = width.saturating_add(bytes(1)).saturating_add(bytes(2));
                bytes(0).saturating_add(elements.saturating_mul(beside))
            }
            Growth::FromText => {
                let elements = bytes(0) / bytes(1).max(1) + 1;
                bytes(0).saturating_add(elements.saturating_mul(ELEMENT_BYTES))
            }
            Growth::Range => self.elements_of_range(row).saturating_mul(8),
            Growth::Product => bytes(0).saturating_mul(bytes(1)),
        }
    }

    /// The size of a text in which one piece stands for another.
    fn replaced(&self, row: usize, limit: u64) -> u64 {
        let text = |at: usize| self.arguments.get(at).and_then(|argument| argument.text(row)).unwrap_or("");
        let (text, from, to) = (text(0), text(1), text(2));
        let with = |pieces: u64| (text.len() as u64).saturating_add(pieces.saturating_mul(to.len() as u64));
        let most = with((text.len() / from.len().max(1) + 1) as u64);
        match most > limit && to.len() > from.len() {
            true => with(text.matches(from).count() as u64),
            false if to.len() <= from.len() => text.len() as u64,
            false => most,
        }
    }

    /// The same for a pattern, whose matches are not looked for: there is one, or with `g` up to one at each character. Groups of
    /// the replacement are pieces of the text.
    fn replaced_by_pattern(&self, row: usize) -> u64 {
        let text = |at: usize| self.arguments.get(at).and_then(|argument| argument.text(row)).unwrap_or("");
        let (whole, replacement) = (text(0).len() as u64, text(2));
        let matches = if text(3).contains('g') { whole.saturating_add(1) } else { 1 };
        let groups = replacement.chars().filter(|c| matches!(c, '$' | '\\')).count() as u64;
        whole
            .saturating_add(matches.saturating_mul(replacement.len() as u64))
            .saturating_add(groups.saturating_mul(whole))
    }

    fn elements_of_range(&self, row: usize) -> u64 {
        let value = |at: usize| self.arguments.get(at).and_then(|argument| argument.place_in_range(row));
        let (start, stop, step) = match self.arguments.len() {
            1 => (Some(0), value(0), Some(1)),
            2 => (value(0), value(1), Some(1)),
            _ => (value(0), value(1), value(2)),
        };
        let (Some(start), Some(stop), Some(step)) = (start, stop, step) else { return 0 };
        let distance = stop - start;
        // Months and days that cancel each other out are a step of some days at most; 0 is refused by the function.
        match step != 0 && (distance == 0 || (distance < 0) == (step < 0)) {
            true => u64::try_from(distance.abs() / step.abs()).unwrap_or(u64::MAX).saturating_add(1),
            false => 0,
        }
    }
}

/// The bytes of a value of a type as text, at most, beside those that it has in memory.
fn text_bytes(data_type: &DataType) -> u64 {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            text_bytes(item.data_type())
        }
        DataType::Boolean => 5,
        DataType::Float32 => 16,
        integer if integer.is_integer() => 20,
        DataType::Float64 => 24,
        _ => SCALAR_TEXT_BYTES,
    }
}

/// The bytes of the values from `start` to `end`, without their nulls.
pub(crate) fn bytes(array: &dyn Array, start: usize, end: usize) -> u64 {
    let items = (end - start) as u64;
    let of_offsets = |values: &dyn Array, from: usize, to: usize| bytes(values, from, to).saturating_add(items * 4);
    match array.data_type() {
        DataType::Null | DataType::Boolean => items,
        DataType::Utf8 => span(array.as_string::<i32>().value_offsets(), start, end),
        DataType::LargeUtf8 => span(array.as_string::<i64>().value_offsets(), start, end),
        DataType::Binary => span(array.as_binary::<i32>().value_offsets(), start, end),
        DataType::LargeBinary => span(array.as_binary::<i64>().value_offsets(), start, end),
        DataType::Utf8View => lengths(&array.as_string_view().views()[start..end]),
        DataType::BinaryView => lengths(&array.as_binary_view().views()[start..end]),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (from, to) = ends(list.value_offsets(), start, end);
            of_offsets(list.values().as_ref(), from, to)
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let (from, to) = ends(list.value_offsets(), start, end);
            of_offsets(list.values().as_ref(), from, to)
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let (from, to) = ends(map.value_offsets(), start, end);
            of_offsets(map.entries(), from, to)
        }
        DataType::FixedSizeList(_, _) => {
            let list = array.as_fixed_size_list();
            let dim = usize::try_from(list.value_length()).unwrap_or(0);
            bytes(list.values().as_ref(), start * dim, end * dim)
        }
        DataType::Struct(_) => {
            let columns = array.as_struct().columns();
            columns.iter().map(|column| bytes(column.as_ref(), start, end)).fold(0, u64::saturating_add)
        }
        other => match other.primitive_width() {
            Some(width) => items.saturating_mul(width as u64),
            // What is shared between values, as a dictionary, counts in proportion.
            None => (array.get_array_memory_size() as u64 / (array.len() as u64).max(1)).saturating_mul(items),
        },
    }
}

/// The values that are no lists, in those from `start` to `end`.
fn leaves(array: &dyn Array, start: usize, end: usize) -> u64 {
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (from, to) = ends(list.value_offsets(), start, end);
            leaves(list.values().as_ref(), from, to)
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let (from, to) = ends(list.value_offsets(), start, end);
            leaves(list.values().as_ref(), from, to)
        }
        DataType::FixedSizeList(_, _) => {
            let list = array.as_fixed_size_list();
            let dim = usize::try_from(list.value_length()).unwrap_or(0);
            leaves(list.values().as_ref(), start * dim, end * dim)
        }
        _ => (end - start) as u64,
    }
}

fn ends<O: OffsetSizeTrait>(offsets: &[O], start: usize, end: usize) -> (usize, usize) {
    (offsets[start].as_usize(), offsets[end].as_usize())
}

fn span<O: OffsetSizeTrait>(offsets: &[O], start: usize, end: usize) -> u64 {
    let (from, to) = ends(offsets, start, end);
    (to - from) as u64
}

/// The lengths of values behind views: the lower half of a view's first word.
#[expect(clippy::cast_possible_truncation, reason = "the low 32 bits are the length")]
fn lengths(views: &[u128]) -> u64 {
    views.iter().map(|view| u64::from(*view as u32)).sum()
}

#[cfg(test)]
mod tests {
    use arrow::array::{ListArray, StringArray, StringViewArray};
    use arrow::datatypes::Int32Type;
    use datafusion::scalar::ScalarValue;

    use super::super::VALUE_BYTES_MAX;
    use super::*;

    fn size(name: &str, arguments: &[ScalarValue]) -> u64 {
        let growth = Growth::of(name).unwrap();
        let arguments = arguments
            .iter()
            .cloned()
            .map(|value| Argument::new(&ColumnarValue::Scalar(value), growth.counts()).unwrap());
        CallArguments { arguments: arguments.collect(), rows: 1 }.size(growth, 0, VALUE_BYTES_MAX)
    }

    fn text(text: &str) -> ScalarValue {
        ScalarValue::from(text)
    }

    fn integer(integer: i64) -> ScalarValue {
        ScalarValue::from(integer)
    }

    #[test]
    fn sizes_follow_from_the_arguments() {
        for (name, arguments, expected) in [
            ("repeat", vec![text("abc"), integer(1 << 40)], 3 << 40),
            ("repeat", vec![text("abc"), integer(-5)], 0),
            ("repeat", vec![text("abc"), ScalarValue::Int64(None)], 0),
            ("lpad", vec![text("abc"), integer(1000), text("ä")], 4003),
            ("replace", vec![text("aaaa"), text("aa"), text("b")], 4),
            ("concat", vec![text("abc"), text("de"), ScalarValue::Utf8(None)], 5),
            ("concat_ws", vec![text(", "), text("a"), text("b"), text("c")], 7),
            ("regexp_replace", vec![text("abc"), text("b"), text("xyz")], 6),
            ("regexp_replace", vec![text("abc"), text(""), text("$0$0"), text("g")], 3 + 16 + 6),
            ("range", vec![integer(10)], 88),
            ("range", vec![integer(0), integer(i64::MAX)], u64::MAX),
            ("range", vec![integer(5), integer(1)], 0),
            ("generate_series", vec![integer(i64::MIN), integer(i64::MAX), integer(1 << 62)], 32),
            ("levenshtein", vec![text("kitten"), text("sitting")], 42),
            ("array_repeat", vec![ScalarValue::Null, integer(1 << 40)], 9 << 40),
            ("lpad", vec![ScalarValue::Utf8(None), integer(1 << 40)], 0),
        ] {
            assert_eq!(size(name, &arguments), expected, "{name}({arguments:?})");
        }
    }

    #[test]
    fn pieces_are_counted_before_a_text_is_refused() {
        let long = "x".repeat(1000);
        let few = format!("{}{}", "-".repeat(100_000), "abc");
        assert_eq!(size("replace", &[text(&few), text("abc"), text(&long)]), 100_003 + 33_335 * 1000);
        let longer = "x".repeat(10_000);
        assert_eq!(size("replace", &[text(&few), text("abc"), text(&longer)]), 110_003);
        assert!(size("replace", &[text(&few), text("-"), text(&longer)]) > VALUE_BYTES_MAX);
        assert!(size("replace", &[text(&few), text(""), text(&longer)]) > VALUE_BYTES_MAX);
    }

    #[test]
    fn days_and_months_are_steps() {
        let day = |day: i32| ScalarValue::Date32(Some(day));
        let step = |months, days, nanos| ScalarValue::new_interval_mdn(months, days, nanos);
        let elements = |arguments: &[ScalarValue]| size("range", arguments) / 8;
        assert_eq!(elements(&[day(0), day(280), step(1, 0, 0)]), 11);
        assert_eq!(elements(&[day(0), day(10), step(0, 2, 0)]), 6);
        assert_eq!(elements(&[day(10), day(0), step(0, -2, 0)]), 6);
        let second = |second: i64| ScalarValue::TimestampSecond(Some(second), None);
        assert_eq!(elements(&[second(0), second(2), step(0, 0, 1)]), 2_000_000_001);
    }

    #[test]
    fn bytes_are_those_of_the_rows() {
        let texts = StringArray::from(vec!["a", "bcd", "ef"]);
        assert_eq!(bytes(&texts, 0, 3), 6);
        assert_eq!(bytes(&texts.slice(1, 2), 0, 1), 3);
        let views = StringViewArray::from(vec!["a", "a text that is longer than a view"]);
        assert_eq!(bytes(&views, 0, 1), 1);
        assert_eq!(bytes(&views, 1, 2), 33);
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
            Some(vec![Some(1), Some(2), Some(3)]),
            None,
            Some(vec![Some(4)]),
        ]);
        assert_eq!([bytes(&lists, 0, 1), bytes(&lists, 1, 2), bytes(&lists, 2, 3)], [16, 4, 8]);
        assert_eq!([leaves(&lists, 0, 3), leaves(&lists.slice(2, 1), 0, 1)], [4, 1]);
    }
}
