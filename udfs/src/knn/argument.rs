//! Arguments of searches in errors, and the check of those that count.
//!
//! A search reports a wrong argument when it is planned and when it runs, by the same name.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::Expr;
use datafusion::scalar::ScalarValue;

/// The name of an argument in errors, also in those of a search that runs. Plans that differ in it alone are the same.
#[derive(Clone, Debug)]
pub struct ArgumentName(Arc<str>);

impl ArgumentName {
    pub(crate) fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for ArgumentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq for ArgumentName {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for ArgumentName {}

impl std::hash::Hash for ArgumentName {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

impl PartialOrd for ArgumentName {
    fn partial_cmp(&self, _: &Self) -> Option<std::cmp::Ordering> {
        Some(std::cmp::Ordering::Equal)
    }
}

/// The value of a literal that counts something; `argument` is what errors call it.
pub fn positive(value: Expr, argument: &ArgumentName) -> Result<usize> {
    let number = match &value {
        Expr::Literal(scalar, _) if scalar.data_type().is_integer() => match scalar.cast_to(&DataType::Int64)? {
            ScalarValue::Int64(number) => number,
            _ => None,
        },
        _ => None,
    };
    match number.and_then(|number| usize::try_from(number).ok()) {
        Some(number) if number > 0 => Ok(number),
        _ => plan_err!("{argument}: expected an integer of at least 1, got {}", shown(&value)),
    }
}

/// The text of a value for an error. A literal is written by itself: an expression would print its type too.
pub(super) fn shown(value: &Expr) -> String {
    match value {
        Expr::Literal(literal, _) => literal.to_string(),
        other => other.to_string(),
    }
}
