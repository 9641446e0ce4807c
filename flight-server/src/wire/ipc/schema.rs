//! The check of the message of a schema.
//!
//! Arrow's conversion panics on types that it does not know or whose parts are missing, and expands tables that are used
//! many times: a small message can stand for a large schema. So types, their number and their text are checked first.

use arrow::ipc::{
    DateUnit, Endianness, Field, Int, IntervalUnit, KeyValue, Precision, Schema, TimeUnit, Type, UnionMode,
};

use super::malformed::Malformed;
use crate::config::{ARROW_FIELDS_MAX, ARROW_TEXT_BYTES_MAX, ARROW_VALUE_BYTES_MAX};

/// Checks all of `schema` that its conversion relies on.
///
/// # Errors
/// The first field whose type is unknown, incomplete or too wide, or that is one too many.
pub(super) fn check(schema: Schema<'_>) -> Result<(), Malformed> {
    if schema.endianness() != Endianness::Little {
        return Err(Malformed::new("the byte order of the schema", "little-endian", schema.endianness().0));
    }
    let fields = schema.fields().ok_or_else(|| Malformed::new("the fields of the schema", "a list", "none"))?;
    let mut sums = Sums::default();
    sums.metadata(schema.custom_metadata().into_iter().flatten())?;
    for field in fields {
        sums.field(field)?;
    }
    Ok(())
}

/// The sums over the fields so far.
#[derive(Default)]
struct Sums {
    fields: usize,
    /// Bytes of names, time zones and metadata.
    text: usize,
}

impl Sums {
    /// Checks `field` and those below it. Answers with the bytes that each of its values has in buffers of a fixed width.
    fn field(&mut self, field: Field<'_>) -> Result<usize, Malformed> {
        self.fields += 1;
        if self.fields > ARROW_FIELDS_MAX {
            return Err(Malformed::new("the fields of the schema", format_args!("at most {ARROW_FIELDS_MAX}"), "more"));
        }
        self.text(field.name())?;
        self.metadata(field.custom_metadata().into_iter().flatten())?;
        let width = self.value(field)?;
        let width = match field.dictionary() {
            None => width,
            Some(dictionary) => int(present("the keys of a dictionary", dictionary.indexType())?)?,
        };
        if width > ARROW_VALUE_BYTES_MAX {
            let part = format_args!("one value of field '{}'", field.name().unwrap_or_default()).to_string();
            return Err(Malformed::new(part, format_args!("at most {ARROW_VALUE_BYTES_MAX} bytes"), width));
        }
        Ok(width)
    }

    fn value(&mut self, field: Field<'_>) -> Result<usize, Malformed> {
        let width = match field.type_type() {
            Type::Null | Type::Bool => 1,
            Type::Int => int(present("a type Int", field.type_as_int())?)?,
            Type::Binary | Type::Utf8 => 4,
            Type::LargeBinary | Type::LargeUtf8 => 8,
            Type::BinaryView | Type::Utf8View => 16,
            Type::FixedSizeBinary => {
                let width = present("a type FixedSizeBinary", field.type_as_fixed_size_binary())?.byteWidth();
                usize::try_from(width).map_err(|_| Malformed::new("a byte width", "a number from 0", width))?
            }
            Type::FloatingPoint => match present("a type FloatingPoint", field.type_as_floating_point())?.precision() {
                Precision::HALF => 2,
                Precision::SINGLE => 4,
                Precision::DOUBLE => 8,
                other => return Err(unknown("a precision", other.0)),
            },
            Type::Date => match present("a type Date", field.type_as_date())?.unit() {
                DateUnit::DAY => 4,
                DateUnit::MILLISECOND => 8,
                other => return Err(unknown("a unit of dates", other.0)),
            },
            Type::Time => {
                let time = present("a type Time", field.type_as_time())?;
                match (time.bitWidth(), time.unit()) {
                    (32, TimeUnit::SECOND | TimeUnit::MILLISECOND) => 4,
                    (64, TimeUnit::MICROSECOND | TimeUnit::NANOSECOND) => 8,
                    (bits, unit) => return Err(unknown("a type Time", format_args!("{bits} bits of unit {}", unit.0))),
                }
            }
            Type::Timestamp => {
                let timestamp = present("a type Timestamp", field.type_as_timestamp())?;
                self.text(timestamp.timezone())?;
                time_unit(timestamp.unit())?
            }
            Type::Duration => time_unit(present("a type Duration", field.type_as_duration())?.unit())?,
            Type::Interval => match present("a type Interval", field.type_as_interval())?.unit() {
                IntervalUnit::YEAR_MONTH => 4,
                IntervalUnit::DAY_TIME => 8,
                IntervalUnit::MONTH_DAY_NANO => 16,
                other => return Err(unknown("a unit of intervals", other.0)),
            },
            Type::Decimal => {
                let decimal = present("a type Decimal", field.type_as_decimal())?;
                let (width, digits_max) = match decimal.bitWidth() {
                    32 => (4, 9),
                    64 => (8, 18),
                    128 => (16, 38),
                    256 => (32, 76),
                    other => return Err(unknown("a type Decimal", format_args!("{other} bits"))),
                };
                if !(1..=digits_max).contains(&decimal.precision()) {
                    let expected = format_args!("1 to {digits_max}");
                    return Err(Malformed::new("the precision of a decimal", expected, decimal.precision()));
                }
                if i8::try_from(decimal.scale()).is_err() {
                    return Err(Malformed::new("the scale of a decimal", "-128 to 127", decimal.scale()));
                }
                width
            }
            Type::List | Type::LargeList | Type::ListView | Type::LargeListView => {
                self.children(field, 1)?;
                8
            }
            Type::FixedSizeList => {
                let size = present("a type FixedSizeList", field.type_as_fixed_size_list())?.listSize();
                let width = self.children(field, 1)?;
                let size = usize::try_from(size).map_err(|_| Malformed::new("a list size", "a number from 0", size))?;
                width.saturating_mul(size)
            }
            Type::Map => {
                present("a type Map", field.type_as_map())?;
                let entries = field.children().into_iter().flatten().next();
                let is_pair = |entries: Field<'_>| {
                    entries.type_type() == Type::Struct_ && entries.children().is_some_and(|fields| fields.len() == 2)
                };
                if !entries.is_some_and(is_pair) {
                    return Err(Malformed::new("the entries of a map", "structs of a key and a value", "others"));
                }
                self.children(field, 1)?;
                8
            }
            Type::Struct_ => self.all_children(field)?,
            Type::RunEndEncoded => self.children(field, 2)?,
            Type::Union => {
                let union = present("a type Union", field.type_as_union())?;
                if !matches!(union.mode(), UnionMode::Dense | UnionMode::Sparse) {
                    return Err(unknown("the mode of a union", union.mode().0));
                }
                let num_fields = field.children().map_or(0, |children| children.len());
                union_types(num_fields, union.typeIds().map(|ids| ids.iter()))?;
                self.all_children(field)?
            }
            other => return Err(unknown("the type of a field", other.0)),
        };
        Ok(width)
    }

    /// Checks that `field` has `count` fields below it, and checks them.
    fn children(&mut self, field: Field<'_>, count: usize) -> Result<usize, Malformed> {
        let got = field.children().map_or(0, |children| children.len());
        match got == count {
            true => self.all_children(field),
            false => {
                let part = format!("the fields of a {}", field.type_type().variant_name().unwrap_or("type"));
                Err(Malformed::new(part, count, got))
            }
        }
    }

    fn all_children(&mut self, field: Field<'_>) -> Result<usize, Malformed> {
        let mut width = 0_usize;
        for child in field.children().into_iter().flatten() {
            // At least 1, so that lists of lists of nothing are not endless.
            width = width.saturating_add(self.field(child)?.max(1));
        }
        Ok(width)
    }

    fn metadata<'a>(&mut self, entries: impl Iterator<Item = KeyValue<'a>>) -> Result<(), Malformed> {
        for entry in entries {
            self.text(entry.key())?;
            self.text(entry.value())?;
        }
        Ok(())
    }

    fn text(&mut self, text: Option<&str>) -> Result<(), Malformed> {
        self.text = self.text.saturating_add(text.map_or(0, str::len));
        match self.text <= ARROW_TEXT_BYTES_MAX {
            true => Ok(()),
            false => {
                let expected = format_args!("at most {ARROW_TEXT_BYTES_MAX} bytes");
                Err(Malformed::new("the names and metadata of the schema", expected, "more"))
            }
        }
    }
}

/// Checks the numbers by which the values of a union name its fields.
fn union_types(num_fields: usize, ids: Option<impl ExactSizeIterator<Item = i32>>) -> Result<(), Malformed> {
    if num_fields > 128 {
        return Err(Malformed::new("the fields of a union", "at most 128", num_fields));
    }
    let Some(ids) = ids else { return Ok(()) };
    if ids.len() != num_fields {
        return Err(Malformed::new("the types of a union", num_fields, ids.len()));
    }
    let mut seen = 0_u128;
    for id in ids {
        let bit = u32::try_from(id).ok().and_then(|id| 1_u128.checked_shl(id)).filter(|bit| seen & bit == 0);
        seen |= bit.ok_or_else(|| Malformed::new("the types of a union", "different numbers from 0 to 127", id))?;
    }
    Ok(())
}

fn int(int: Int<'_>) -> Result<usize, Malformed> {
    match int.bitWidth() {
        8 => Ok(1),
        16 => Ok(2),
        32 => Ok(4),
        64 => Ok(8),
        other => Err(unknown("a type Int", format_args!("{other} bits"))),
    }
}

fn time_unit(unit: TimeUnit) -> Result<usize, Malformed> {
    match unit {
        TimeUnit::SECOND | TimeUnit::MILLISECOND | TimeUnit::MICROSECOND | TimeUnit::NANOSECOND => Ok(8),
        other => Err(unknown("a unit of time", other.0)),
    }
}

fn present<T>(part: &str, table: Option<T>) -> Result<T, Malformed> {
    table.ok_or_else(|| Malformed::new(part, "its description", "none"))
}

fn unknown(part: &str, got: impl std::fmt::Display) -> Malformed {
    Malformed::new(part, "one of Arrow's format", got)
}
