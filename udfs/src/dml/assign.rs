//! Assignment of a value to a column: the value as the column's type has it, exactly, or an error that names the column.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;
use ruvector_rulake::Error;
use ruvector_rulake::error::to_datafusion;
use ruvector_rulake::vectors::conform;

/// The value of `expr` for a column.
pub(super) fn assign(expr: Expr, column: &Field) -> Expr {
    // Volatile: a constant that does not fit is an error only if there is a row to get it.
    let signature = Signature::any(1, Volatility::Volatile);
    ScalarUDF::from(Assign { column: Arc::new(column.clone()), signature }).call(vec![expr])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Assign {
    column: FieldRef,
    signature: Signature,
}

impl ScalarUDFImpl for Assign {
    fn name(&self) -> &str {
        "assign"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.column.data_type().clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [values] = args.args.as_slice() else {
            return exec_err!("assign() takes 1 argument, got {}", args.args.len());
        };
        let array = values.to_array(1)?;
        if !self.column.is_nullable() && array.logical_null_count() > 0 {
            return Err(to_datafusion(Error::invalid_input("column is NOT NULL").with("column", self.column.name())));
        }
        let field = Field::new(self.column.name(), array.data_type().clone(), true);
        let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![array])?;
        let column = Arc::new(Schema::new(vec![Arc::clone(&self.column)]));
        let assigned = conform(&batch, &column).map_err(to_datafusion)?;
        let assigned = Arc::clone(assigned.column(0));
        Ok(match values {
            ColumnarValue::Scalar(_) => ColumnarValue::Scalar(ScalarValue::try_from_array(&assigned, 0)?),
            ColumnarValue::Array(_) => ColumnarValue::Array(assigned),
        })
    }
}
