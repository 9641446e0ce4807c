//! Assignment of texts to other types: a text is read to its end, or it has no value.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, TimestampMicrosecondArray};
use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::compute::{CastOptions, cast_with_options, nullif};
use arrow::datatypes::{DataType, Float32Type, Float64Type, TimeUnit};
use arrow::error::ArrowError;
use arrow::util::display::FormatOptions;

const LENIENT: CastOptions<'static> = CastOptions { safe: true, format_options: FormatOptions::new() };

/// Returns the values that texts stand for; NULL where a text is no value of the type.
pub(super) fn convert(texts: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let plain = cast_with_options(texts, &DataType::Utf8, &LENIENT)?;
    let strings = plain.as_string::<i32>();
    let text = |at: usize| strings.is_valid(at).then(|| strings.value(at));
    match to {
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let instants = strings.iter().map(|text| microseconds(text?, zone.is_some()));
            let instants: TimestampMicrosecondArray = instants.collect();
            Ok(Arc::new(instants.with_timezone_opt(zone.clone())))
        }
        DataType::Date32 => without(&cast_with_options(&plain, to, &LENIENT)?, |at| text(at).is_some_and(has_time)),
        DataType::Decimal128(_, scale) => {
            let scale = usize::try_from(*scale).unwrap_or(0);
            without(&cast_with_options(&plain, to, &LENIENT)?, |at| {
                !text(at).is_some_and(|text| digits_fit(text, scale))
            })
        }
        DataType::Float32 => {
            let numbers = cast_with_options(&plain, to, &LENIENT)?;
            let values: &Float32Array = numbers.as_primitive::<Float32Type>();
            without(&numbers, |at| values.value(at).is_infinite() && !text(at).is_some_and(says_infinite))
        }
        DataType::Float64 => {
            let numbers = cast_with_options(&plain, to, &LENIENT)?;
            let values: &Float64Array = numbers.as_primitive::<Float64Type>();
            without(&numbers, |at| values.value(at).is_infinite() && !text(at).is_some_and(says_infinite))
        }
        _ => cast_with_options(&plain, to, &LENIENT),
    }
}

/// Returns `values` with NULL at the places that `is_wrong` names.
fn without(values: &ArrayRef, is_wrong: impl Fn(usize) -> bool) -> Result<ArrayRef, ArrowError> {
    let wrong: BooleanArray = (0..values.len()).map(|at| Some(values.is_valid(at) && is_wrong(at))).collect();
    nullif(values, &wrong)
}

fn says_infinite(text: &str) -> bool {
    text.to_ascii_lowercase().contains("inf")
}

/// Returns true if a text is more than a date: its time of day would be lost.
fn has_time(text: &str) -> bool {
    const SECONDS_OF_A_DAY: i64 = 24 * 60 * 60;
    let midnight = read(text, "+00:00").is_some_and(|(seconds, nanos)| seconds % SECONDS_OF_A_DAY == 0 && nanos == 0);
    text.contains(':') && !midnight
}

/// Returns true if a decimal number has no exponent and at most `scale` digits after its point. Zeros at its end do not count.
fn digits_fit(text: &str, scale: usize) -> bool {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction).trim_end_matches('0');
    !text.contains(['e', 'E']) && fraction.len() <= scale
}

/// The instant or the reading of a clock that a text names, in microseconds. An instant without a zone is one of UTC; the
/// reading of a clock has no zone.
fn microseconds(text: &str, is_instant: bool) -> Option<i64> {
    let (seconds, nanos) = read(text, "+00:00")?;
    // A text that names its zone is the same instant wherever it is read.
    let has_zone = read(text, "+01:00")? == (seconds, nanos);
    match nanos % 1000 == 0 && (is_instant || !has_zone) {
        true => seconds.checked_mul(1_000_000)?.checked_add(i64::from(nanos / 1000)),
        false => None,
    }
}

/// The seconds since 1970 and the nanoseconds of a text that is read in `zone`.
fn read(text: &str, zone: &str) -> Option<(i64, u32)> {
    let zone: Tz = zone.parse().ok()?;
    let time = string_to_datetime(&zone, text).ok()?;
    Some((time.timestamp(), time.timestamp_subsec_nanos()))
}
