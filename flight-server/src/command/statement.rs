//! Statements as SQL text: what GetFlightInfo, GetSchema and DoGet answer.
//!
//! Drivers send everything this way, also `CREATE TABLE` and `INSERT`, and often never fetch the result. A statement
//! without rows therefore runs in GetFlightInfo, exactly once, and its count travels in the ticket: DoGet may be called
//! never or many times. A query is only planned there; it runs when its rows are fetched.

use std::sync::{Arc, LazyLock};

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::{FlightDescriptor, FlightInfo};
use bytes::Bytes;
use datafusion::scalar::ScalarValue;
use futures::{StreamExt, TryStreamExt, stream};
use ruvector_sql::{Prepared, check_number};
use tonic::Status;
use uuid::Uuid;

use super::{flight_info, one_batch, update};
use crate::execution::executor::{FlightStream, Stops};
use crate::execution::sessions::Caller;
use crate::execution::state::{ServerState, query};
use crate::wire::COUNT_METADATA;
use crate::wire::encode::{Batches, encode, wire_schema};
use crate::wire::handle::{Answer, Statement, TicketHandle};
use crate::wire::status::{internal, stream_status};

/// The rows of a statement that has none: how many it changed.
static COUNT_SCHEMA: LazyLock<SchemaRef> =
    LazyLock::new(|| Arc::new(Schema::new(vec![Field::new("count", DataType::Int64, false)])));

/// Answers GetFlightInfo.
pub(crate) async fn info(
    state: &ServerState,
    caller: &Caller,
    statement: Statement,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo, Status> {
    let handle = TicketHandle { id: new_id(), answer: answer(state, caller, statement).await? };
    let ticket = handle.ticket()?;
    match &handle.answer {
        Answer::Rows(_, schema) => flight_info(schema, ticket, descriptor),
        Answer::Count(_) => {
            let info = flight_info(&COUNT_SCHEMA, ticket, descriptor)?;
            Ok(info.with_total_records(1).with_app_metadata(COUNT_METADATA))
        }
    }
}

/// Answers GetSchema; runs nothing.
pub(crate) async fn schema(state: &ServerState, caller: &Caller, statement: &Statement) -> Result<SchemaRef, Status> {
    let prepared = state.prepare(caller, &statement.sql).await?;
    match prepared.schema.clone() {
        Some(_) => query_schema(state, caller, statement, &prepared).await,
        None => Ok(Arc::clone(&COUNT_SCHEMA)),
    }
}

/// Answers DoGet with a ticket of [`info`].
pub(crate) async fn stream(state: &ServerState, caller: &Caller, ticket: TicketHandle) -> Result<FlightStream, Status> {
    match ticket.answer {
        Answer::Count(count) => {
            let count = i64::try_from(count).map_err(internal)?;
            let column = Arc::new(Int64Array::from(vec![count]));
            one_batch(state, RecordBatch::try_new(Arc::clone(&COUNT_SCHEMA), vec![column]).map_err(internal)?)
        }
        Answer::Rows(statement, schema) => {
            let audit = state.audit(caller, &statement.sql);
            let stops = Stops::default();
            let admitted = async {
                let permit = state.admit(caller, &statement.sql).await?;
                Ok((permit, rows(state, caller, statement, &stops).await?))
            };
            match admitted.await {
                Ok((permit, rows)) => {
                    Ok(state.executor.stream(ticket.id, encode(schema, audit.rows(rows))?, permit, stops.clone()))
                }
                Err(failed) => audit.if_failed(Err(failed)),
            }
        }
    }
}

/// Answers DoGet with SQL for a ticket, in one step.
pub(crate) async fn direct(state: &ServerState, caller: &Caller, statement: Statement) -> Result<FlightStream, Status> {
    let answer = answer(state, caller, statement).await?;
    stream(state, caller, TicketHandle { id: new_id(), answer }).await
}

/// The values of `statement`'s parameters, one `Vec` per execution.
pub(crate) fn parameter_rows(statement: &Statement) -> Result<Vec<Vec<ScalarValue>>, Status> {
    let Some(batch) = &statement.parameters else { return Ok(vec![vec![]]) };
    let row = |row| batch.columns().iter().map(|column| ScalarValue::try_from_array(column, row)).collect();
    (0..batch.num_rows()).map(row).collect::<Result<_, _>>().map_err(stream_status)
}

fn new_id() -> Bytes {
    Bytes::copy_from_slice(Uuid::new_v4().as_bytes())
}

async fn answer(state: &ServerState, caller: &Caller, statement: Statement) -> Result<Answer, Status> {
    let prepared = state.prepare(caller, &statement.sql).await?;
    state.audit(caller, &statement.sql).if_failed(check_parameters(&statement, &prepared))?;
    if prepared.schema.is_none() {
        return Ok(Answer::Count(update::run(state, caller, statement).await?));
    }
    let audit = state.audit(caller, &statement.sql);
    let schema = audit.if_failed(query_schema(state, caller, &statement, &prepared).await)?;
    Ok(Answer::Rows(statement, schema))
}

/// The schema of a query's rows. Types that depend on parameters are known only once those are bound.
async fn query_schema(
    state: &ServerState,
    caller: &Caller,
    statement: &Statement,
    prepared: &Prepared,
) -> Result<SchemaRef, Status> {
    let bound = match &statement.parameters {
        Some(_) => parameter_rows(statement)?.into_iter().next(),
        None => None,
    };
    match (bound, &prepared.schema) {
        (Some(values), _) => {
            let _permit = state.admit(caller, &statement.sql).await?;
            let session = state.sessions.for_query(caller);
            let rows = state.query(session, statement.sql.clone(), values, Stops::default()).await?;
            Ok(wire_schema(&rows.schema()))
        }
        (None, Some(schema)) => Ok(wire_schema(schema)),
        (None, None) => Err(internal("a statement without rows has no schema")),
    }
}

fn check_parameters(statement: &Statement, prepared: &Prepared) -> Result<(), Status> {
    let given: Vec<_> = match &statement.parameters {
        Some(values) => values.columns().iter().map(|column| column.data_type().clone()).collect(),
        None => Vec::new(),
    };
    check_number(prepared.parameters.fields().len(), &given).map_err(|e| Status::invalid_argument(e.to_string()))
}

/// The rows of a query, for each row of its parameters in turn. The first is planned before this returns, so that a
/// mistake is the answer to the call and not the end of a stream.
async fn rows(state: &ServerState, caller: &Caller, statement: Statement, stops: &Stops) -> Result<Batches, Status> {
    let mut parameters = parameter_rows(&statement)?.into_iter();
    let Some(first) = parameters.next() else { return Ok(stream::empty().boxed()) };
    let session = state.sessions.for_query(caller);
    let first = state.query(Arc::clone(&session), statement.sql.clone(), first, stops.clone()).await?;
    let (engine, stops) = (Arc::clone(&state.engine), stops.clone());
    let rest = stream::iter(parameters).then(move |values| {
        let (engine, session, sql) = (Arc::clone(&engine), Arc::clone(&session), statement.sql.clone());
        let stops = stops.clone();
        async move { Ok::<_, Status>(query(&engine, &session, &sql, &values, &stops).await?.map_err(stream_status)) }
    });
    Ok(first.map_err(stream_status).chain(rest.try_flatten()).boxed())
}
