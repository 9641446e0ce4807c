//! From batches of the engine to Flight messages.
//!
//! arrow-flight's own encoder is not used, for three reasons. (1) The schema message must equal the schema that was announced,
//! and it sends `LargeList` as `List`; here all types are first brought to a form that every client reads, and every batch is
//! cast to the announced schema. (2) It cuts batches by the size of their *buffers*: a slice of a large batch, as `LIMIT` makes
//! it, would be sent row by row (arrow-rs#9388). Batches are cut here, by the bytes that are really sent. (3) It leaves out
//! batches without rows, which say that a query still runs.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{ArrowNativeType, DataType, FieldRef, Fields, Schema, SchemaRef};
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_flight::{FlightData, SchemaAsIpc};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use tonic::Status;

use crate::config::MESSAGE_BYTES_TARGET;
use crate::wire::status::internal;

/// Rows on their way to a client.
pub(crate) type Batches = BoxStream<'static, Result<RecordBatch, Status>>;

/// The schema in which rows of `schema` are sent.
pub(crate) fn wire_schema(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new_with_metadata(wire_fields(schema.fields()), schema.metadata().clone()))
}

/// An answer as messages.
pub(crate) struct Encoded {
    /// The schema, then the rows.
    pub(crate) messages: FlightMessages,
    /// A batch without rows: what may be sent between two messages to say that there will be more.
    pub(crate) keep_alive: FlightData,
}

/// Messages on their way to a client.
pub(crate) type FlightMessages = BoxStream<'static, Result<FlightData, Status>>;

/// The messages for `batches`, all of `schema`, which is a [`wire_schema`].
///
/// # Errors
/// `Internal` for a schema that Arrow's format does not have.
pub(crate) fn encode(schema: SchemaRef, batches: Batches) -> Result<Encoded, Status> {
    let mut encoder = Encoder::new();
    let first = encoder.schema(&schema);
    let keep_alive = encoder.batch(&RecordBatch::new_empty(Arc::clone(&schema)))?;
    let pieces = batches.map(move |batch| {
        let batch = to_schema(&batch?, &schema)?;
        Ok::<_, Status>(stream::iter(pieces(batch, MESSAGE_BYTES_TARGET).map(Ok::<_, Status>)))
    });
    let rows = pieces.try_flatten().map(move |piece| encoder.batch(&piece?));
    Ok(Encoded { messages: stream::iter([Ok(first)]).chain(rows).boxed(), keep_alive })
}

/// Makes messages of one stream, whose types are those of a [`wire_schema`]: none has a dictionary.
pub(crate) struct Encoder {
    options: IpcWriteOptions,
    generator: IpcDataGenerator,
    dictionaries: DictionaryTracker,
    context: IpcWriteContext,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Self {
            options: IpcWriteOptions::default(),
            generator: IpcDataGenerator::default(),
            dictionaries: DictionaryTracker::new(true),
            context: IpcWriteContext::default(),
        }
    }

    /// The first message of a stream.
    pub(crate) fn schema(&self, schema: &Schema) -> FlightData {
        SchemaAsIpc::new(schema, &self.options).into()
    }

    /// The message of one batch, however large it is.
    ///
    /// # Errors
    /// `Internal` for what Arrow's format does not have.
    pub(crate) fn batch(&mut self, batch: &RecordBatch) -> Result<FlightData, Status> {
        let encoded =
            self.generator.encode(batch, &mut self.dictionaries, &self.options, &mut self.context).map_err(internal)?;
        Ok(encoded.1.into())
    }
}

/// `batch` with the columns cast to `schema`.
///
/// # Errors
/// `Internal` if a column does not fit: the statement announced another schema than it answers with.
pub(crate) fn to_schema(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Status> {
    let mismatch = |detail: String| Status::internal(format!("the rows do not have the announced schema: {detail}"));
    if batch.num_columns() != schema.fields().len() {
        return Err(mismatch(format!("expected {} columns, got {}", schema.fields().len(), batch.num_columns())));
    }
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        if column.data_type() == field.data_type() {
            Ok(Arc::clone(column))
        } else {
            cast(column, field.data_type()).map_err(|e| mismatch(format!("column {}: {e}", field.name())))
        }
    });
    let columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(|e| mismatch(e.to_string()))
}

fn wire_fields(fields: &Fields) -> Fields {
    fields.iter().map(wire_field).collect()
}

fn wire_field(field: &FieldRef) -> FieldRef {
    Arc::new(field.as_ref().clone().with_data_type(wire_type(field.data_type())))
}

/// Dictionaries and runs are sent as their values, views and large lists as what older clients (JDBC, ODBC) read too.
fn wire_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, value) => wire_type(value),
        DataType::RunEndEncoded(_, values) => wire_type(values.data_type()),
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(field) | DataType::LargeList(field) => DataType::List(wire_field(field)),
        DataType::ListView(field) | DataType::LargeListView(field) => DataType::List(wire_field(field)),
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(wire_field(field), *size),
        DataType::Struct(fields) => DataType::Struct(wire_fields(fields)),
        other => other.clone(),
    }
}

/// `batch` in pieces of about `bytes` each, and at least one row. No bytes are copied.
fn pieces(batch: RecordBatch, bytes: usize) -> impl Iterator<Item = RecordBatch> {
    let total: usize = batch.columns().iter().map(|column| sent_bytes(column)).sum();
    let num_rows = batch.num_rows();
    let piece_rows = num_rows.div_ceil(total.div_ceil(bytes).max(1)).max(1);
    (0..num_rows).step_by(piece_rows).map(move |row| batch.slice(row, piece_rows.min(num_rows - row)))
}

/// The bytes that are sent for `array`, which may be a slice of larger buffers.
fn sent_bytes(array: &dyn Array) -> usize {
    let nulls = if array.nulls().is_some() { array.len().div_ceil(8) } else { 0 };
    match array.data_type() {
        DataType::FixedSizeList(_, _) => nulls + sent_bytes(array.as_fixed_size_list().values()),
        DataType::Struct(_) => {
            nulls + array.as_struct().columns().iter().map(|column| sent_bytes(column)).sum::<usize>()
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offsets = list.value_offsets();
            let (first, last) = (offsets[0].as_usize(), offsets[array.len()].as_usize());
            nulls + size_of_val(offsets) + sent_bytes(&list.values().slice(first, last - first))
        }
        // The other nested types are rare in answers; what is estimated too large for them is only cut too small.
        _ => array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_buffer_memory_size()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{DictionaryArray, FixedSizeListArray, Float32Array, Int64Array, ListArray, StringViewArray};
    use arrow::datatypes::{Field, Float32Type, Int32Type, Int64Type};
    use arrow_flight::decode::FlightRecordBatchStream;
    use arrow_flight::error::FlightError;

    #[tokio::test]
    async fn a_large_batch_is_cut_to_the_target() {
        let batch = vectors(8192, 768);
        let (messages, batches) = round_trip(batch.schema(), vec![batch.clone()]).await;
        // 24 MiB in messages of 2 MiB, and the schema.
        assert!((13..=15).contains(&messages), "{messages} messages");
        assert_eq!(concat(&batches), batch);
    }

    #[tokio::test]
    async fn regression_arrow_rs_9388_a_slice_is_not_sent_row_by_row() {
        let batch = vectors(8192, 768);
        let slices: Vec<_> = (0..16).map(|i| batch.slice(i * 512, 512)).collect();
        let (messages, batches) = round_trip(batch.schema(), slices).await;
        assert_eq!(messages, 1 + 16, "one schema and one message per slice of 1.5 MiB");
        assert_eq!(concat(&batches), batch);
    }

    #[tokio::test]
    async fn a_slice_of_lists_counts_only_its_own_values() {
        let lists = ListArray::from_iter_primitive::<Float32Type, _, _>(
            (0..4096).map(|row| Some((0..256).map(move |i| Some((row * i) as f32)))),
        );
        let batch = RecordBatch::try_from_iter([("vec", Arc::new(lists) as ArrayRef)]).unwrap();
        let (messages, batches) = round_trip(batch.schema(), vec![batch.slice(1000, 1000)]).await;
        assert_eq!(messages, 1 + 1);
        assert_eq!(concat(&batches), batch.slice(1000, 1000));
    }

    #[tokio::test]
    async fn types_that_older_clients_do_not_read_are_cast() {
        let words: DictionaryArray<Int32Type> = ["en", "de", "en"].into_iter().collect();
        let views = StringViewArray::from(vec![Some("a"), None, Some("a text longer than the inlined twelve bytes")]);
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("lang", Arc::new(words) as ArrayRef, true),
            ("body", Arc::new(views) as ArrayRef, true),
        ])
        .unwrap();
        let schema = wire_schema(batch.schema_ref());
        let types: Vec<_> = schema.fields().iter().map(|f| f.data_type().clone()).collect();
        assert_eq!(types, [DataType::Utf8, DataType::Utf8]);
        let (_, batches) = round_trip(Arc::clone(&schema), vec![batch.clone()]).await;
        assert_eq!(batches[0].schema(), schema);
        assert_eq!(batches[0].column(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["en", "de", "en"]);
        assert_eq!(batches[0].column(1).null_count(), 1);
    }

    #[tokio::test]
    async fn no_rows_still_have_a_schema() {
        let schema = vectors(1, 3).schema();
        let (messages, batches) = round_trip(schema, vec![]).await;
        assert_eq!((messages, batches.len()), (1, 0));
    }

    #[test]
    fn rows_without_columns_keep_their_number() {
        let options = RecordBatchOptions::new().with_row_count(Some(5));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
        assert_eq!(to_schema(&batch, &batch.schema()).unwrap().num_rows(), 5);
        assert_eq!(pieces(batch, 1).map(|piece| piece.num_rows()).sum::<usize>(), 5);
    }

    #[test]
    fn a_null_in_a_column_announced_without_nulls_is_an_error() {
        let batch = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![None, Some(1)])) as ArrayRef)]);
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, false)]));
        let error = to_schema(&batch.unwrap(), &schema).unwrap_err();
        assert!(error.message().starts_with("the rows do not have the announced schema"), "{error}");
    }

    #[test]
    fn a_batch_is_cast_to_the_announced_types() {
        let batch = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, true)]));
        let cast = to_schema(&batch, &schema).unwrap();
        assert_eq!(cast.column(0).as_primitive::<Int32Type>().value(0), 1);
        assert!(cast.column(0).as_primitive_opt::<Int64Type>().is_none());
    }

    fn vectors(num_rows: usize, dim: usize) -> RecordBatch {
        let values = Float32Array::from_iter_values((0..num_rows * dim).map(|i| i as f32));
        let field = Arc::new(Field::new_list_field(DataType::Float32, true));
        let vectors = FixedSizeListArray::new(field, dim.try_into().unwrap(), Arc::new(values), None);
        RecordBatch::try_from_iter_with_nullable([("vec", Arc::new(vectors) as ArrayRef, true)]).unwrap()
    }

    /// The number of messages, and what a client makes of them.
    async fn round_trip(schema: SchemaRef, batches: Vec<RecordBatch>) -> (usize, Vec<RecordBatch>) {
        let messages: Vec<_> = encode(schema, stream::iter(batches.into_iter().map(Ok)).boxed())
            .unwrap()
            .messages
            .try_collect()
            .await
            .unwrap();
        let num_messages = messages.len();
        let messages = stream::iter(messages.into_iter().map(Ok::<_, FlightError>));
        let batches = FlightRecordBatchStream::new_from_flight_data(messages).try_collect().await.unwrap();
        (num_messages, batches)
    }

    fn concat(batches: &[RecordBatch]) -> RecordBatch {
        arrow::compute::concat_batches(batches[0].schema_ref(), batches).unwrap()
    }
}
