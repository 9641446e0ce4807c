//! Functions that answer their argument: they tell rules something about an expression.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The function of this name; with `or_null`, the answer may be NULL also where the argument never is.
pub(super) fn function(name: &'static str, or_null: bool) -> ScalarUDF {
    ScalarUDF::from(Unchanged { name, or_null, signature: Signature::any(1, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Unchanged {
    name: &'static str,
    or_null: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Unchanged {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(arg_types.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields {
            [field] if self.or_null => Ok(Arc::new(Field::clone(field).with_nullable(true))),
            [field] => Ok(Arc::clone(field)),
            fields => exec_err!("{}() expected 1 argument, got {}", self.name, fields.len()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [value] => Ok(value.clone()),
            args => exec_err!("{}() expected 1 argument, got {}", self.name, args.len()),
        }
    }
}
