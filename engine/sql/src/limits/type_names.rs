//! Types that functions take as text: `arrow_cast(x, 'FixedSizeList(2, Float32)')`.
//!
//! Arrow reads such a text by functions that call themselves, as deep as its brackets are, and a value of a fixed size takes it
//! even if it is NULL. So both have a bound, wherever the text comes from: a literal, a parameter, or constants put together.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// The functions: the type is their second argument.
pub(crate) const FUNCTIONS: [&str; 2] = ["arrow_cast", "arrow_try_cast"];

/// Brackets of a type within each other, at most, as many as a statement may have.
const NESTING_MAX: usize = 60;
/// Bytes of one value of a type with a fixed size, at most: 16,384 numbers of 8 bytes.
const FIXED_BYTES_MAX: u64 = 16_384 * 8;

/// The function, for types within the bounds.
pub(crate) fn bounded(function: Arc<ScalarUDF>) -> ScalarUDF {
    ScalarUDF::from(BoundedCast { function })
}

/// One of the functions, which checks the text of the type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct BoundedCast {
    function: Arc<ScalarUDF>,
}

impl BoundedCast {
    fn check(&self, text: Option<&str>) -> Result<()> {
        match text.and_then(excess) {
            None => Ok(()),
            Some(excess) => plan_err!("{}: expected a type with at most {excess}", self.name()),
        }
    }
}

impl ScalarUDFImpl for BoundedCast {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.function.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.check(args.scalar_arguments.get(1).copied().flatten().and_then(|value| value.try_as_str().flatten()))?;
        self.function.return_field_from_args(args)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        if let Some(Expr::Literal(value, _)) = args.get(1) {
            self.check(value.try_as_str().flatten())?;
        }
        self.function.simplify(args, info)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.function.invoke_with_args(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }
}

/// The bound that the type of this name exceeds, and the type's own value. A text that names no type is left to its reader.
fn excess(text: &str) -> Option<String> {
    let nesting = nesting(text);
    if nesting > NESTING_MAX {
        return Some(format!("{NESTING_MAX} brackets within each other, got {nesting}"));
    }
    let bytes = largest(&text.parse().ok()?);
    (bytes > FIXED_BYTES_MAX).then(|| format!("{FIXED_BYTES_MAX} bytes in a value of fixed size, got {bytes}"))
}

/// The brackets within each other. Texts in quotes are names; a quote begins one where Arrow's parser begins a token.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '(' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            ')' => depth = depth.saturating_sub(1),
            ',' | ':' | ' ' => {}
            '"' | '\'' => {
                let mut escaped = false;
                for inner in chars.by_ref() {
                    if inner == c {
                        if !escaped {
                            break;
                        }
                        escaped = false;
                    }
                    // It escapes the next quote, however far that is.
                    escaped |= inner == '\\';
                }
            }
            _ => while chars.next_if(|c| !matches!(c, '(' | ')' | ',' | ':' | ' ')).is_some() {},
        }
    }
    deepest
}

/// The bytes of a value of the type, or of one within it, that has the largest fixed size.
fn largest(data_type: &DataType) -> u64 {
    let within = match data_type {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => largest(field.data_type()),
        DataType::Struct(fields) => fields.iter().map(|field| largest(field.data_type())).max().unwrap_or(0),
        DataType::Union(fields, _) => fields.iter().map(|(_, field)| largest(field.data_type())).max().unwrap_or(0),
        DataType::Dictionary(_, value) => largest(value),
        DataType::RunEndEncoded(_, field) => largest(field.data_type()),
        _ => 0,
    };
    within.max(fixed(data_type))
}

/// The bytes that a value of the type takes, whatever it is.
fn fixed(data_type: &DataType) -> u64 {
    let length = |length: i32| u64::try_from(length).unwrap_or(0);
    match data_type {
        DataType::FixedSizeBinary(bytes) => length(*bytes),
        DataType::FixedSizeList(field, items) => length(*items).saturating_mul(fixed(field.data_type()).max(1)),
        DataType::Struct(fields) => fields.iter().map(|field| fixed(field.data_type())).fold(0, u64::saturating_add),
        DataType::Union(fields, _) => {
            fields.iter().map(|(_, field)| fixed(field.data_type())).fold(1, u64::saturating_add)
        }
        // Offsets and views of what has no fixed size.
        other => other.primitive_width().map_or(8, |bytes| bytes as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_are_used_are_within_the_bounds() {
        for text in [
            "Int8",
            "FixedSizeList(16384, Float32)",
            "FixedSizeList(16384 x non-null Float64, field: 'item')",
            "List(FixedSizeList(768, Float32))",
            "FixedSizeBinary(65536)",
            "Struct(\"a(((\": Timestamp(ns), \"b\": Dictionary(Int32, Utf8))",
            "no type",
            "",
        ] {
            assert_eq!(excess(text), None, "{text}");
        }
        assert_eq!(excess(&format!("{}Int8{}", "List(".repeat(NESTING_MAX), ")".repeat(NESTING_MAX))), None);
    }

    #[test]
    fn deep_types_are_refused_before_they_are_read() {
        for open in [
            "List(",
            "LargeList(non-null ",
            "FixedSizeList(1 x ",
            "Struct(\"a\": ",
            "Struct(\")\": ",
            "Dictionary(Int8, ",
        ] {
            let text = format!("{}Int8{}", open.repeat(200_000), ")".repeat(200_000));
            assert!(excess(&text).is_some_and(|excess| excess.contains("brackets")), "{open}");
            assert!(excess(&open.repeat(NESTING_MAX + 1)).is_some(), "{open}");
        }
        // What Arrow takes for the end of a name ends it.
        for name in ["\"a\\\": \"", "\"a\\b\": \"))\"", "'\\'))'"] {
            let text = format!("{}Int8", format!("Struct({name}: ").repeat(1000));
            assert!(text.parse::<DataType>().is_err() || excess(&text).is_some(), "{name}");
        }
    }

    #[test]
    fn large_values_of_fixed_size_are_refused() {
        for text in [
            "FixedSizeList(2147483647 x Int8)",
            "FixedSizeList(16385, Float64)",
            "FixedSizeList(2147483647, Null)",
            "FixedSizeList(65536, FixedSizeList(65536, Int8))",
            "List(FixedSizeBinary(2147483647))",
            "Struct(\"a\": FixedSizeBinary(131072), \"b\": Int8)",
            "Dictionary(Int8, FixedSizeBinary(1000000))",
        ] {
            assert!(excess(text).is_some_and(|excess| excess.contains("bytes")), "{text}");
        }
    }
}
