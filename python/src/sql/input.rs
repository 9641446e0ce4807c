//! The rows of a caller's object, over the Arrow C interface.
//!
//! Not by Arrow's own reader: `StructArray::from` applies the offset of a slice twice to a struct in a struct, and panics.
//! Offsets of structs and fixed-size lists are moved down to their children here, before arrays are made.

use std::ffi::CStr;
use std::sync::Arc;

use arrow::array::{
    ArrayData, ArrayDataBuilder, RecordBatch, RecordBatchIterator, RecordBatchOptions, RecordBatchReader, StructArray,
};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi_and_data_type};
use arrow::ffi_stream::FFI_ArrowArrayStream;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

const SCHEMA: &CStr = c"arrow_schema";
const ARRAY: &CStr = c"arrow_array";
const STREAM: &CStr = c"arrow_array_stream";

/// The rows of anything that has `__arrow_c_stream__` or `__arrow_c_array__`.
pub(crate) struct Input(Box<dyn RecordBatchReader + Send>);

impl Input {
    pub(crate) fn into_reader(self) -> Box<dyn RecordBatchReader + Send> {
        self.0
    }
}

impl<'py> FromPyObject<'_, 'py> for Input {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let unusable = |e: ArrowError| PyValueError::new_err(e.to_string());
        if object.hasattr("__arrow_c_stream__")? {
            let capsule: Bound<'py, PyCapsule> = object.call_method0("__arrow_c_stream__")?.cast_into()?;
            let stream = capsule.pointer_checked(Some(STREAM))?.cast::<FFI_ArrowArrayStream>();
            // SAFETY: a capsule of this name holds a valid stream, which moves here and leaves a released one behind.
            let stream = unsafe { FFI_ArrowArrayStream::from_raw(stream.as_ptr()) };
            return Ok(Self(Box::new(Batches::open(stream).map_err(unusable)?)));
        }
        if object.hasattr("__arrow_c_array__")? {
            let (schema, array): (Bound<'py, PyCapsule>, Bound<'py, PyCapsule>) =
                object.call_method0("__arrow_c_array__")?.extract()?;
            let schema = schema.pointer_checked(Some(SCHEMA))?.cast::<FFI_ArrowSchema>();
            // SAFETY: a capsule of this name holds a valid schema, and lives until the end of this block.
            let schema = Schema::try_from(unsafe { schema.as_ref() }).map_err(unusable)?;
            let array = array.pointer_checked(Some(ARRAY))?.cast::<FFI_ArrowArray>();
            // SAFETY: a capsule of this name holds a valid array, which moves here and leaves a released one behind.
            let array = unsafe { FFI_ArrowArray::from_raw(array.as_ptr()) };
            let schema = Arc::new(schema);
            let batch = batch(array, &schema).map_err(unusable)?;
            return Ok(Self(Box::new(RecordBatchIterator::new([Ok(batch)], schema))));
        }
        Err(PyValueError::new_err("Expected object with __arrow_c_array__ or __arrow_c_stream__ method"))
    }
}

/// The batches of a stream.
struct Batches {
    stream: FFI_ArrowArrayStream,
    schema: SchemaRef,
}

impl Batches {
    fn open(mut stream: FFI_ArrowArrayStream) -> Result<Self, ArrowError> {
        let mut schema = FFI_ArrowSchema::empty();
        let get_schema = stream.get_schema.ok_or_else(released)?;
        // SAFETY: the stream is not released, and both pointers are valid for the call.
        let code = unsafe { get_schema(&raw mut stream, &raw mut schema) };
        if code != 0 {
            return Err(last_error(&mut stream, code));
        }
        Ok(Self { schema: Arc::new(Schema::try_from(&schema)?), stream })
    }

    fn read(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let mut array = FFI_ArrowArray::empty();
        let get_next = self.stream.get_next.ok_or_else(released)?;
        // SAFETY: the stream is not released, and both pointers are valid for the call.
        let code = unsafe { get_next(&raw mut self.stream, &raw mut array) };
        match code {
            0 if array.is_released() => Ok(None),
            0 => batch(array, &self.schema).map(Some),
            code => Err(last_error(&mut self.stream, code)),
        }
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

impl RecordBatchReader for Batches {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

fn released() -> ArrowError {
    ArrowError::CDataInterface("the stream was read already".to_owned())
}

fn last_error(stream: &mut FFI_ArrowArrayStream, code: i32) -> ArrowError {
    let text = stream.get_last_error.and_then(|get_last_error| {
        // SAFETY: the stream is not released; the text, if there is one, is valid until the next call.
        let text = unsafe { get_last_error(std::ptr::from_mut(stream)) };
        // SAFETY: as above; it ends with a zero.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
    });
    ArrowError::CDataInterface(text.unwrap_or_else(|| format!("the stream failed with code {code}")))
}

fn batch(array: FFI_ArrowArray, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    // SAFETY: the array is of the schema that came with it.
    let data = unsafe { from_ffi_and_data_type(array, DataType::Struct(schema.fields().clone())) }?;
    let len = data.len();
    let columns = StructArray::from(window(&data, 0, len)).into_parts().1;
    let options = RecordBatchOptions::new().with_row_count(Some(len));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

/// Returns `len` items of `data` from `start` on. Structs and fixed-size lists in it have no offset: their children have it.
fn window(data: &ArrayData, start: usize, len: usize) -> ArrayData {
    let width = match data.data_type() {
        DataType::Struct(_) => Some(1),
        DataType::FixedSizeList(_, width) => usize::try_from(*width).ok(),
        _ => None,
    };
    let builder = match width {
        Some(width) => {
            let first = (data.offset() + start) * width;
            let children = data.child_data().iter().map(|child| window(child, first, len * width)).collect();
            let nulls = data.nulls().map(|nulls| nulls.slice(start, len));
            ArrayDataBuilder::new(data.data_type().clone()).len(len).nulls(nulls).child_data(children)
        }
        None if data.child_data().is_empty() => return data.slice(start, len),
        None => {
            let children = data.child_data().iter().map(|child| window(child, 0, child.len())).collect();
            data.slice(start, len).into_builder().child_data(children)
        }
    };
    // SAFETY: the same items with the offset at another place: what was valid is valid.
    unsafe { builder.build_unchecked() }
}
