//! The Flight service that clients talk to.
//!
//! It passes commands of Flight SQL on to [`SqlService`]. It adds what arrow-flight leaves out of them: GetSchema, ListFlights,
//! PollFlightInfo, and SQL as plain text in the place of a command or ticket. Plain text is for clients without a Flight SQL
//! driver (`client.do_get(Ticket(b"SELECT 1"))` in pyarrow). The caller was authenticated before
//! ([`crate::flight::auth_layer`]).

use std::sync::Arc;
use std::time::Instant;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{ActionCreatePreparedStatementRequest, Any, Command};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, Result as ActionResult, SchemaAsIpc, SchemaResult, Ticket,
};
use futures::stream;
use prost::Message;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};

use crate::command::{actions, exchange, ingest, prepared, refuse_transaction, statement, tables};
use crate::execution::audit;
use crate::execution::executor::FlightStream;
use crate::execution::sessions::Caller;
use crate::execution::state::ServerState;
use crate::flight::flight_sql::SqlService;
use crate::flight::{Reply, ReplyStream};
use crate::wire::handle::Statement;
use crate::wire::status::internal;

/// The prefix by which a protobuf message of a known type is told from SQL that happens to decode as one.
const TYPE_URL: &str = "type.googleapis.com/";

/// The service of one server.
pub(crate) struct FlightFrontend {
    sql: SqlService,
}

impl FlightFrontend {
    pub(crate) fn new(state: Arc<ServerState>) -> Result<Self, Status> {
        Ok(Self { sql: SqlService::new(state)? })
    }

    fn state(&self) -> &Arc<ServerState> {
        &self.sql.state
    }
}

#[tonic::async_trait]
impl FlightService for FlightFrontend {
    type HandshakeStream = ReplyStream<HandshakeResponse>;
    type ListFlightsStream = ReplyStream<FlightInfo>;
    type DoGetStream = FlightStream;
    type DoPutStream = ReplyStream<PutResult>;
    type DoActionStream = ReplyStream<ActionResult>;
    type ListActionsStream = ReplyStream<ActionType>;
    type DoExchangeStream = FlightStream;

    async fn handshake(&self, request: Request<Streaming<HandshakeRequest>>) -> Reply<Self::HandshakeStream> {
        let start = Instant::now();
        let token = match self.state().authentication.sign_in(request.metadata()).await {
            Ok(token) => token,
            Err(refused) => {
                let (metadata, peer) = (request.metadata(), request.remote_addr());
                audit::sign_in_refused(&self.state().metrics, metadata, peer, start, &refused);
                return Err(refused);
            }
        };
        let header = MetadataValue::try_from(format!("Bearer {token}")).map_err(internal)?;
        let answer = HandshakeResponse { protocol_version: 0, payload: token.into() };
        let mut response = Response::new(Box::pin(stream::iter([Ok(answer)])) as Self::HandshakeStream);
        response.metadata_mut().insert("authorization", header);
        Ok(response)
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Reply<FlightInfo> {
        let caller = Caller::from_request(&request)?;
        let response = match plain_descriptor(request.get_ref())? {
            Some(plain) => statement::info(self.state(), &caller, plain, request.into_inner()).await.map(Response::new),
            None => self.sql.get_flight_info(request).await,
        };
        with_cookie(&caller, response)
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Reply<PollInfo> {
        // An answer without a descriptor to ask again with is complete.
        let info = self.get_flight_info(request).await?;
        Ok(info.map(|info| PollInfo { progress: Some(1.0), ..PollInfo::new().with_info(info) }))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Reply<SchemaResult> {
        let caller = Caller::from_request(&request)?;
        let asked = match plain_descriptor(request.get_ref())? {
            Some(plain) => Some(plain),
            None => statement_command(&request.get_ref().cmd)?,
        };
        let schema = match asked {
            Some(statement) => {
                let schema = statement::schema(self.state(), &caller, &statement).await?;
                SchemaAsIpc::new(&schema, &Default::default()).try_into().map_err(internal)?
            }
            // The answers about metadata have their schema in their FlightInfo, and making one runs nothing.
            None => SchemaResult { schema: self.sql.get_flight_info(request).await?.into_inner().schema },
        };
        with_cookie(&caller, Ok(Response::new(schema)))
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Reply<Self::ListFlightsStream> {
        let caller = Caller::from_request(&request)?;
        let flights = tables::list(self.state(), &caller).await?;
        let flights = Box::pin(stream::iter(flights.into_iter().map(Ok)));
        with_cookie(&caller, Ok(Response::new(flights)))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Reply<Self::DoGetStream> {
        let caller = Caller::from_request(&request)?;
        let response = match plain_sql(&request.get_ref().ticket)? {
            Some(sql) => statement::direct(self.state(), &caller, Statement::new(sql)).await.map(Response::new),
            None => self.sql.do_get(request).await,
        };
        with_cookie(&caller, response)
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Reply<Self::DoPutStream> {
        let caller = Caller::from_request(&request)?;
        with_cookie(&caller, self.sql.do_put(request).await)
    }

    async fn do_action(&self, request: Request<Action>) -> Reply<Self::DoActionStream> {
        let caller = Caller::from_request(&request)?;
        let response = if request.get_ref().r#type == actions::CREATE_PREPARED_STATEMENT {
            let body = prepared::create(self.state(), &caller, create_request(&request.get_ref().body)?).await?;
            Ok(Response::new(Box::pin(stream::iter([Ok(ActionResult { body })])) as Self::DoActionStream))
        } else {
            self.sql.do_action(request).await
        };
        with_cookie(&caller, response)
    }

    async fn list_actions(&self, request: Request<Empty>) -> Reply<Self::ListActionsStream> {
        Caller::from_request(&request)?;
        Ok(Response::new(Box::pin(stream::iter(actions::list().into_iter().map(Ok)))))
    }

    async fn do_exchange(&self, request: Request<Streaming<FlightData>>) -> Reply<Self::DoExchangeStream> {
        let caller = Caller::from_request(&request)?;
        let (headers, _, messages) = request.into_parts();
        let answers = exchange::answer(self.state(), caller.clone(), headers, messages).await;
        with_cookie(&caller, answers.map(Response::new))
    }
}

fn with_cookie<T>(caller: &Caller, response: Reply<T>) -> Reply<T> {
    response.map(|mut response| {
        caller.offer_cookie(response.metadata_mut());
        response
    })
}

/// The statement of a descriptor that is no Flight SQL command: SQL text, or the path of a table.
fn plain_descriptor(descriptor: &FlightDescriptor) -> Result<Option<Statement>, Status> {
    match descriptor.path.as_slice() {
        [] => Ok(plain_sql(&descriptor.cmd)?.map(Statement::new)),
        // No table's name has spaces in it, unless it is quoted; a query always has.
        [sql] if sql.contains(char::is_whitespace) => Ok(Some(Statement::new(sql))),
        path => Ok(Some(Statement::new(format!("SELECT * FROM {}", ingest::path_table(path)?)))),
    }
}

/// The SQL text in `bytes`, or `None` if they are a protobuf message.
fn plain_sql(bytes: &[u8]) -> Result<Option<String>, Status> {
    // SQL may begin with a byte that begins an `Any` too (a line feed), so decoding alone does not tell them apart.
    if Any::decode(bytes).is_ok_and(|any| any.type_url.starts_with(TYPE_URL)) {
        return Ok(None);
    }
    match std::str::from_utf8(bytes) {
        Ok(sql) if !sql.trim().is_empty() => Ok(Some(sql.to_owned())),
        _ => Err(Status::invalid_argument("expected a Flight SQL command or SQL as text")),
    }
}

/// The statement of a Flight SQL command, or `None` if it asks for metadata.
fn statement_command(command: &[u8]) -> Result<Option<Statement>, Status> {
    let any = Any::decode(command).map_err(internal)?;
    match Command::try_from(any).map_err(|e| Status::invalid_argument(e.to_string()))? {
        Command::CommandStatementQuery(command) => {
            refuse_transaction(command.transaction_id.as_ref())?;
            Ok(Some(Statement::new(command.query)))
        }
        Command::CommandStatementUpdate(command) => {
            refuse_transaction(command.transaction_id.as_ref())?;
            Ok(Some(Statement::new(command.query)))
        }
        Command::CommandPreparedStatementQuery(command) => {
            Statement::decode(&command.prepared_statement_handle).map(Some)
        }
        _ => Ok(None),
    }
}

fn create_request(body: &[u8]) -> Result<ActionCreatePreparedStatementRequest, Status> {
    let any = Any::decode(body).map_err(|e| Status::invalid_argument(e.to_string()))?;
    any.unpack()
        .map_err(|e| Status::invalid_argument(e.to_string()))?
        .ok_or_else(|| Status::invalid_argument("CreatePreparedStatement needs its request message"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};

    #[test]
    fn text_is_sql_and_a_message_is_not() {
        let command = CommandStatementQuery { query: "SELECT 1".into(), transaction_id: None };
        assert_eq!(plain_sql(&command.as_any().encode_to_vec()).unwrap(), None);
        for sql in ["SELECT 1", "\nSELECT 1", "\n\u{5}a/b\u{12}", "  WITH a AS (SELECT 1) SELECT * FROM a"] {
            assert_eq!(plain_sql(sql.as_bytes()).unwrap().as_deref(), Some(sql));
        }
        for bytes in [&b""[..], b"  ", b"\xff\xfe"] {
            assert!(plain_sql(bytes).is_err());
        }
    }

    #[test]
    fn a_path_is_a_table_or_sql() {
        let sql = |path: &[&str]| {
            let path = path.iter().map(|&part| part.to_owned()).collect();
            plain_descriptor(&FlightDescriptor::new_path(path)).unwrap().unwrap().sql
        };
        assert_eq!(sql(&["docs"]), r#"SELECT * FROM "docs""#);
        assert_eq!(sql(&["hot", "docs"]), r#"SELECT * FROM "hot"."docs""#);
        assert_eq!(sql(&["SELECT 1"]), "SELECT 1");
    }
}
