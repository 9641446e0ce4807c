//! A value as it is, if it may be stored: the Delta library would store vectors that are not finite. It stands around the
//! new values of a MERGE, so that just those that are stored are looked at, before anything is changed.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use parking_lot::Mutex;
use ruvector_rulake::Error;
use ruvector_rulake::vectors::check_vectors;

/// What was wrong with a value: the Delta library passes on the text of an error of ours, but not its kind.
pub(super) type Fault = Arc<Mutex<Option<Error>>>;

/// The function over new values of one column.
#[derive(Debug)]
pub(super) struct Storable {
    column: String,
    is_nullable: bool,
    fault: Fault,
    signature: Signature,
}

impl Storable {
    pub(super) fn new(column: &Field, fault: Fault) -> Self {
        let (column, is_nullable) = (column.name().clone(), column.is_nullable());
        Self { column, is_nullable, fault, signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl Storable {
    fn check(&self, values: ArrayRef) -> ruvector_rulake::Result<()> {
        if !self.is_nullable && values.null_count() > 0 {
            return Err(Error::invalid_input("column is NOT NULL").with("column", &self.column));
        }
        let field = Field::new(&self.column, values.data_type().clone(), true);
        let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![values])
            .map_err(|e| Error::internal("values of a column are not of its type").with("reason", e))?;
        check_vectors(&batch)
    }
}

impl PartialEq for Storable {
    fn eq(&self, other: &Self) -> bool {
        self.column == other.column
    }
}

impl Eq for Storable {}

impl std::hash::Hash for Storable {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.column.hash(state);
    }
}

impl ScalarUDFImpl for Storable {
    fn name(&self) -> &str {
        "storable"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [value] => Ok(value.clone()),
            other => exec_err!("storable() takes 1 argument, got {}", other.len()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [values] = args.args.as_slice() else {
            return exec_err!("storable() takes 1 argument, got {}", args.args.len());
        };
        match self.check(values.to_array(1)?) {
            Ok(()) => Ok(values.clone()),
            Err(e) => {
                let text = e.to_string();
                self.fault.lock().get_or_insert(e);
                exec_err!("{text}")
            }
        }
    }
}
