//! DoExchange `knn`: query vectors in, hits out, on one stream for as long as the client likes.
//!
//! The descriptor's command is JSON, [`Search`]: `{"knn": {"table": "docs", "k": 10}}`. The first data message is a schema with
//! one column of vectors. Each batch after it is answered by exactly one batch, in order, with the `app_metadata` that the
//! batch came with. The columns are `query_index` (the row of the query in its batch), the selected ones, and `_distance`,
//! nearest first. The search is `knn_batch()` in SQL, planned once, with the same meaning and the same permissions.

use std::fmt::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, ListArray, RecordBatch};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::{FlightData, FlightDescriptor};
use bytes::Bytes;
use datafusion::scalar::ScalarValue;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::quoted;
use crate::config::EXCHANGE_CHECK_INTERVAL;
use crate::execution::executor::{FlightStream, Stops};
use crate::execution::sessions::Caller;
use crate::execution::state::{ServerState, query};
use crate::wire::decode::{Piece, Upload};
use crate::wire::encode::{Encoder, to_schema, wire_schema};
use crate::wire::status::{internal, stream_status};

/// The column of the answers that says which query they are for.
const QUERY_INDEX: &str = "query_index";

/// The longest time of a search on a thread that serves sockets, a bound: other tasks of the thread wait for as long.
const QUICK: Duration = Duration::from_millis(1);

/// A descriptor's command.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Command {
    knn: Search,
}

/// The search: the arguments of `knn_batch()`.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Search {
    /// The table, as SQL writes it: `docs`, `hot.docs`.
    table: String,
    /// Hits for each query.
    k: u64,
    /// Columns of the table that the answers have; all that it has, if there is no list.
    select: Option<Vec<String>>,
    /// A condition on the rows that count, as SQL.
    filter: Option<String>,
    column: Option<String>,
    metric: Option<String>,
    consistency: Option<String>,
    rerank: Option<u64>,
    nprobe: Option<u64>,
    ttl_ms: Option<u64>,
    exact: Option<bool>,
}

impl Search {
    fn parse(descriptor: &FlightDescriptor) -> Result<Self, Status> {
        let refused = |e: &dyn fmt::Display| {
            Status::invalid_argument(format!(
                r#"DoExchange: expected a command like {{"knn": {{"table": "docs", "k": 10}}}}, got {e}"#
            ))
        };
        if !descriptor.path.is_empty() {
            return Err(refused(&format_args!("a path of {} parts", descriptor.path.len())));
        }
        serde_json::from_slice(&descriptor.cmd).map(|command: Command| command.knn).map_err(|e| refused(&e))
    }

    /// The statement with the vectors as its one parameter.
    fn sql(&self) -> String {
        let columns = match &self.select {
            None => "*".to_owned(),
            Some(select) => {
                let selected = select.iter().map(|column| quoted(column));
                let columns = [quoted(QUERY_INDEX)].into_iter().chain(selected).chain([quoted("_distance")]);
                columns.collect::<Vec<_>>().join(", ")
            }
        };
        let mut sql = format!("SELECT {columns} FROM knn_batch({}, $1, {}", text(&self.table), self.k);
        let mut argument = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                // Writing to a string does not fail.
                let _ = write!(sql, ", {name} => {value}");
            }
        };
        let words = |value: &Option<String>| value.as_deref().map(text);
        let number = |value: Option<u64>| value.map(|value| value.to_string());
        argument("filter", self.filter.as_ref().map(|filter| format!("({filter})")));
        argument("column", words(&self.column));
        argument("metric", words(&self.metric));
        argument("consistency", words(&self.consistency));
        argument("rerank", number(self.rerank));
        argument("nprobe", number(self.nprobe));
        argument("ttl_ms", number(self.ttl_ms));
        argument("exact", self.exact.map(|exact| exact.to_string()));
        sql.push(')');
        sql
    }
}

/// Answers DoExchange. `headers` are those of the call: what a token may end while the stream goes on.
pub(crate) async fn answer(
    state: &Arc<ServerState>,
    caller: Caller,
    headers: MetadataMap,
    messages: impl Stream<Item = Result<FlightData, Status>> + Send + Unpin + 'static,
) -> Result<FlightStream, Status> {
    let mut messages = messages.peekable();
    let descriptor = match Pin::new(&mut messages).peek().await {
        Some(Ok(first)) => first.flight_descriptor.clone(),
        Some(Err(status)) => return Err(status.clone()),
        None => return Err(Status::invalid_argument("DoExchange: expected a descriptor, got the end of the stream")),
    };
    let descriptor = descriptor
        .ok_or_else(|| Status::invalid_argument("DoExchange: expected a descriptor in the first message, got none"))?;
    let sql = Search::parse(&descriptor)?.sql();
    let prepared = state.prepare(&caller, &sql).await?;
    let announced = prepared.schema.ok_or_else(|| internal("a search has no rows"))?;
    let answers = Answers { state: Arc::clone(state), caller, headers, sql, schema: wire_schema(&announced) };
    let schema = stream::iter([Ok(Encoder::new().schema(&answers.schema))]);
    Ok(schema.chain(answers.of(messages)).boxed())
}

/// The context in which the batches of one stream are answered.
struct Answers {
    state: Arc<ServerState>,
    caller: Caller,
    headers: MetadataMap,
    sql: String,
    schema: SchemaRef,
}

impl Answers {
    fn of(
        self,
        messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
    ) -> impl Stream<Item = Result<FlightData, Status>> + Send + 'static {
        let questions = stream::once(questions(messages)).try_flatten();
        let start = (Box::pin(questions), Arc::new(self), Encoder::new(), Instant::now(), Pace::default());
        stream::try_unfold(start, |(mut questions, answers, mut encoder, mut checked, mut pace)| async move {
            let Some(Question { vectors, metadata }) = questions.try_next().await? else { return Ok(None) };
            if checked.elapsed() >= EXCHANGE_CHECK_INTERVAL {
                answers.check_caller().await?;
                checked = Instant::now();
            }
            let (started, is_one) = (Instant::now(), vectors.len() == 1);
            let place = if is_one && pace.is_quick() { answers.state.executor.inline_place() } else { None };
            let hits = match place {
                Some(place) => answers.state.executor.run_inline(place, answers.hits(vectors)).await?,
                None => {
                    let asked = Arc::clone(&answers);
                    answers.state.executor.run_attached(async move { asked.hits(vectors).await }).await?
                }
            };
            pace = Pace { took: is_one.then(|| started.elapsed()) };
            let message = encoder.batch(&hits)?.with_app_metadata(metadata);
            Ok(Some((message, (questions, answers, encoder, checked, pace))))
        })
    }

    /// The hits of one batch of queries.
    async fn hits(&self, vectors: ArrayRef) -> Result<RecordBatch, Status> {
        if vectors.is_empty() {
            return Ok(RecordBatch::new_empty(Arc::clone(&self.schema)));
        }
        let audit = self.state.audit(&self.caller, &self.sql);
        let hits = self.search(vectors).await;
        let outcome = hits.as_ref().map(|hits| hits.num_rows() as u64).map_err(Status::clone);
        audit.ended(outcome)?;
        hits
    }

    async fn search(&self, vectors: ArrayRef) -> Result<RecordBatch, Status> {
        let _permit = self.state.executor.places().admit((&self.caller).into()).await?;
        let session = self.state.sessions.for_query(&self.caller);
        let rows = query(&self.state.engine, &session, &self.sql, &[as_one_list(vectors)?], &Stops::default()).await?;
        let schema = rows.schema();
        let batches: Vec<_> = rows.map_err(stream_status).try_collect().await?;
        let rows = match batches.as_slice() {
            [batch] => batch.clone(),
            batches => concat_batches(&schema, batches).map_err(internal)?,
        };
        to_schema(&rows, &self.schema)
    }

    /// Checks that the headers still give the identity that the stream began with: a role may be another by now.
    async fn check_caller(&self) -> Result<(), Status> {
        let now = self.state.authentication.caller(&self.headers).await?;
        match self.caller.is_identity(now.as_ref().map(|(identity, _)| identity)) {
            true => Ok(()),
            false => Err(Status::unauthenticated("who you are has changed since this stream began: open another")),
        }
    }
}

/// The time that the last batch took, if it was of one query. The next search of a short one is made on the thread where its
/// query came in. Another thread would have to be woken for the query, and this one again for the answer, which takes half as
/// long as the search.
#[derive(Default)]
struct Pace {
    took: Option<Duration>,
}

impl Pace {
    /// True if the next query is likely to be answered within [`QUICK`].
    fn is_quick(&self) -> bool {
        self.took.is_some_and(|took| took < QUICK)
    }
}

/// A batch of queries.
struct Question {
    vectors: ArrayRef,
    metadata: Bytes,
}

async fn questions(
    messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<BoxStream<'static, Result<Question, Status>>, Status> {
    // A stream that ends before its schema asks nothing.
    let Some(upload) = Upload::read(messages).await? else { return Ok(stream::empty().boxed()) };
    let column = vector_column(&upload.schema)?;
    let question = move |Piece { batch, metadata }| Question { vectors: Arc::clone(batch.column(column)), metadata };
    Ok(upload.batches.map_ok(question).boxed())
}

/// The one column of vectors.
fn vector_column(schema: &Schema) -> Result<usize, Status> {
    let is_list = |field: &Arc<Field>| {
        matches!(field.data_type(), DataType::FixedSizeList(..) | DataType::List(_) | DataType::LargeList(_))
    };
    let fields = schema.fields();
    let lists: Vec<_> = (0..fields.len()).filter(|&column| is_list(&fields[column])).collect();
    match lists.as_slice() {
        [column] => Ok(*column),
        lists => Err(Status::invalid_argument(format!(
            "DoExchange: expected one column of vectors (FixedSizeList or List of floats), got {} among {} columns",
            lists.len(),
            fields.len()
        ))),
    }
}

/// `vectors` as the value of one parameter. No number is copied.
fn as_one_list(vectors: ArrayRef) -> Result<ScalarValue, Status> {
    let len = i32::try_from(vectors.len()).map_err(|_| {
        Status::invalid_argument(format!(
            "DoExchange: expected at most {} queries in a batch, got {}",
            i32::MAX,
            vectors.len()
        ))
    })?;
    let field = Arc::new(Field::new_list_field(vectors.data_type().clone(), true));
    let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0, len]));
    let list = ListArray::try_new(field, offsets, vectors, None).map_err(internal)?;
    Ok(ScalarValue::List(Arc::new(list)))
}

/// `value` as a string of SQL.
fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}
