//! The bytes in tickets and statement handles: they carry their own state, so any replica can serve them.

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::writer::StreamWriter;
use arrow_flight::sql::{ProstMessageExt, TicketStatementQuery};
use arrow_flight::{IpcMessage, SchemaAsIpc, Ticket};
use bytes::Bytes;
use prost::Message;
use std::sync::Arc;
use tonic::Status;

use crate::wire::ipc;
use crate::wire::status::internal;

/// SQL and the values of its parameters, one row per execution. The handle of a prepared statement is this, encoded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) parameters: Option<RecordBatch>,
}

/// The answer that a ticket stands for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// The statement ran when the ticket was made, and changed this many rows.
    Count(u64),
    /// Run this, and answer with rows of this schema.
    Rows(Statement, SchemaRef),
}

/// A ticket's answer and the id by which it can be cancelled.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TicketHandle {
    pub(crate) id: Bytes,
    pub(crate) answer: Answer,
}

#[derive(Clone, PartialEq, Message)]
struct StatementMessage {
    #[prost(string, tag = "1")]
    sql: String,
    /// Arrow IPC stream; empty if nothing is bound.
    #[prost(bytes = "bytes", tag = "2")]
    parameters: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct TicketMessage {
    #[prost(bytes = "bytes", tag = "1")]
    id: Bytes,
    #[prost(uint64, optional, tag = "2")]
    count: Option<u64>,
    #[prost(message, optional, tag = "3")]
    statement: Option<StatementMessage>,
    /// Encapsulated Arrow IPC schema.
    #[prost(bytes = "bytes", tag = "4")]
    schema: Bytes,
}

impl Statement {
    /// A statement with nothing bound.
    pub(crate) fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), parameters: None }
    }

    /// The bytes of a prepared statement's handle.
    pub(crate) fn encode(&self) -> Result<Bytes, Status> {
        Ok(self.message()?.encode_to_vec().into())
    }

    /// Reads what [`Statement::encode`] wrote.
    pub(crate) fn decode(handle: &[u8]) -> Result<Self, Status> {
        let message = StatementMessage::decode(handle)
            .map_err(|_| Status::invalid_argument("not the handle of a prepared statement of this server"))?;
        Self::from_message(message)
    }

    fn message(&self) -> Result<StatementMessage, Status> {
        let parameters = self.parameters.as_ref().map(encode_batch).transpose()?.unwrap_or_default();
        Ok(StatementMessage { sql: self.sql.clone(), parameters })
    }

    fn from_message(message: StatementMessage) -> Result<Self, Status> {
        let parameters = match message.parameters.is_empty() {
            true => None,
            false => Some(ipc::decode_batch(&message.parameters)?),
        };
        Ok(Self { sql: message.sql, parameters })
    }
}

impl TicketHandle {
    /// The ticket for a client.
    pub(crate) fn ticket(&self) -> Result<Ticket, Status> {
        let message = match &self.answer {
            Answer::Count(count) => {
                TicketMessage { id: self.id.clone(), count: Some(*count), ..TicketMessage::default() }
            }
            Answer::Rows(statement, schema) => TicketMessage {
                id: self.id.clone(),
                count: None,
                statement: Some(statement.message()?),
                schema: encode_schema(schema)?,
            },
        };
        let ticket = TicketStatementQuery { statement_handle: message.encode_to_vec().into() };
        Ok(Ticket::new(ticket.as_any().encode_to_vec()))
    }

    /// Reads the handle of a [`TicketStatementQuery`].
    pub(crate) fn decode(handle: &[u8]) -> Result<Self, Status> {
        let foreign = || Status::invalid_argument("not a ticket of this server");
        let message = TicketMessage::decode(handle).map_err(|_| foreign())?;
        let answer = match (message.count, message.statement) {
            (Some(count), _) => Answer::Count(count),
            (None, Some(statement)) => {
                let schema = ipc::decode_schema(&message.schema)?;
                Answer::Rows(Statement::from_message(statement)?, Arc::new(schema))
            }
            (None, None) => return Err(foreign()),
        };
        Ok(Self { id: message.id, answer })
    }
}

/// The encapsulated Arrow IPC form of `schema`, as Flight's messages hold it.
pub(crate) fn encode_schema(schema: &Schema) -> Result<Bytes, Status> {
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &Default::default()).try_into().map_err(internal)?;
    Ok(bytes)
}

fn encode_batch(batch: &RecordBatch) -> Result<Bytes, Status> {
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref()).map_err(internal)?;
    writer.write(batch).map_err(internal)?;
    Ok(writer.into_inner().map_err(internal)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float32Array, Int64Array};
    use arrow::datatypes::{DataType, Field};
    use arrow_flight::sql::Any;

    #[test]
    fn a_statement_survives_its_handle() {
        let statement = bound();
        assert_eq!(Statement::decode(&statement.encode().unwrap()).unwrap(), statement);
        let unbound = Statement::new("SELECT 1");
        assert_eq!(Statement::decode(&unbound.encode().unwrap()).unwrap(), unbound);
    }

    #[test]
    fn a_ticket_survives_its_bytes() {
        let schema = Arc::new(Schema::new(vec![Field::new("_distance", DataType::Float32, false)]));
        for answer in [Answer::Count(7), Answer::Rows(bound(), schema)] {
            let handle = TicketHandle { id: Bytes::from_static(b"id"), answer };
            assert_eq!(TicketHandle::decode(&statement_handle(&handle.ticket().unwrap())).unwrap(), handle);
        }
    }

    #[test]
    fn foreign_and_torn_handles_are_refused() {
        assert!(Statement::decode(b"\xff\xff").is_err());
        assert!(TicketHandle::decode(b"").is_err());
        let ticket = TicketHandle { id: Bytes::new(), answer: Answer::Rows(bound(), Arc::new(Schema::empty())) };
        let bytes = statement_handle(&ticket.ticket().unwrap());
        for end in 0..bytes.len() {
            // Most cuts are noticed, some leave a shorter but whole message: none may panic.
            let _ = TicketHandle::decode(&bytes[..end]);
        }
    }

    fn bound() -> Statement {
        let batch = RecordBatch::try_from_iter([
            ("0", Arc::new(Int64Array::from(vec![1, 2])) as _),
            ("1", Arc::new(Float32Array::from(vec![Some(0.5), None])) as _),
        ])
        .unwrap();
        Statement { sql: "SELECT $1, $2".into(), parameters: Some(batch) }
    }

    fn statement_handle(ticket: &Ticket) -> Bytes {
        let any = Any::decode(&*ticket.ticket).unwrap();
        any.unpack::<TicketStatementQuery>().unwrap().unwrap().statement_handle
    }
}
