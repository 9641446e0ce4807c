//! The Flight SQL service: which command is answered by which file of `command/`. Nothing else.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfoData};
use arrow_flight::sql::server::{DoPutError, FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionBeginSavepointRequest, ActionBeginSavepointResult, ActionBeginTransactionRequest,
    ActionBeginTransactionResult, ActionCancelQueryRequest, ActionCancelQueryResult,
    ActionClosePreparedStatementRequest, ActionEndSavepointRequest, ActionEndTransactionRequest, Any,
    CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
    CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest, CommandStatementQuery,
    CommandStatementUpdate, DoPutPreparedStatementResult, DoPutUpdateResult, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{Action, FlightDescriptor, FlightInfo, PutResult, Result as ActionResult, Ticket};
use bytes::Bytes;
use futures::stream;
use prost::Message;
use tonic::{Request, Response, Status};

use crate::command::{
    cancel, catalogs, db_schemas, ingest, keys, metadata_info, metadata_stream, no_transactions, prepared,
    refuse_transaction, session_options, sql_info, statement, table_types, tables, update, xdbc_type_info,
};
use crate::execution::executor::FlightStream;
use crate::execution::sessions::Caller;
use crate::execution::state::ServerState;
use crate::flight::{Reply, ReplyStream};
use crate::wire::handle::{Statement, TicketHandle};
use crate::wire::status::internal;

/// The commands of Flight SQL. [`FlightFrontend`](crate::flight::frontend::FlightFrontend) adds what plain Flight has beyond
/// them.
pub(crate) struct SqlService {
    pub(crate) state: Arc<ServerState>,
    sql_info: SqlInfoData,
    types: XdbcTypeInfoData,
}

impl SqlService {
    pub(crate) fn new(state: Arc<ServerState>) -> Result<Self, Status> {
        let sql_info = sql_info::data().map_err(internal)?;
        let types = xdbc_type_info::data().map_err(internal)?;
        Ok(Self { state, sql_info, types })
    }
}

#[tonic::async_trait]
impl FlightSqlService for SqlService {
    type FlightService = Self;

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Reply<FlightInfo> {
        refuse_transaction(query.transaction_id.as_ref())?;
        let caller = Caller::from_request(&request)?;
        let statement = Statement::new(query.query);
        statement::info(&self.state, &caller, statement, request.into_inner()).await.map(Response::new)
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Reply<FlightInfo> {
        let caller = Caller::from_request(&request)?;
        let statement = Statement::decode(&query.prepared_statement_handle)?;
        statement::info(&self.state, &caller, statement, request.into_inner()).await.map(Response::new)
    }

    async fn do_get_statement(&self, ticket: TicketStatementQuery, request: Request<Ticket>) -> Reply<FlightStream> {
        let caller = Caller::from_request(&request)?;
        let ticket = TicketHandle::decode(&ticket.statement_handle)?;
        statement::stream(&self.state, &caller, ticket).await.map(Response::new)
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Reply<FlightStream> {
        let caller = Caller::from_request(&request)?;
        let statement = Statement::decode(&query.prepared_statement_handle)?;
        statement::direct(&self.state, &caller, statement).await.map(Response::new)
    }

    async fn do_put_statement_update(
        &self,
        command: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        refuse_transaction(command.transaction_id.as_ref())?;
        update::run_script(&self.state, &Caller::from_request(&request)?, &command.query).await
    }

    async fn do_put_statement_ingest(
        &self,
        command: CommandStatementIngest,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let caller = Caller::from_request(&request)?;
        ingest::ingest(&self.state, &caller, command, request.into_inner()).await
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        prepared::bind(&self.state, &query.prepared_statement_handle, request.into_inner()).await
    }

    async fn do_put_prepared_statement_update(
        &self,
        query: CommandPreparedStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let caller = Caller::from_request(&request)?;
        prepared::run(&self.state, &caller, &query.prepared_statement_handle, request.into_inner()).await
    }

    /// Answers a DoPut that has no command: rows are appended to the table of its path.
    async fn do_put_fallback(
        &self,
        mut request: Request<PeekableFlightDataStream>,
        message: Any,
    ) -> Reply<ReplyStream<PutResult>> {
        let caller = Caller::from_request(&request)?;
        let Some(path) = ingest::descriptor_path(request.get_mut()).await else {
            return Err(Status::unimplemented(format!("DoPut of '{}' is not supported", message.type_url)));
        };
        let record_count = ingest::append(&self.state, &caller, path, request.into_inner()).await?;
        let app_metadata = DoPutUpdateResult { record_count }.encode_to_vec().into();
        Ok(Response::new(Box::pin(stream::iter([Ok(PutResult { app_metadata })]))))
    }

    async fn do_put_error_callback(
        &self,
        _request: Request<PeekableFlightDataStream>,
        error: DoPutError,
    ) -> Reply<ReplyStream<PutResult>> {
        Err(Status::invalid_argument(match error {
            // Drivers on arrow-go (ADBC, `database/sql`) send their first message with the first batch.
            DoPutError::MissingCommand => {
                "DoPut without a message: the client sent neither the command nor a schema. The Flight \
                 SQL driver of ADBC does so if the rows to ingest have no batch: send one batch without rows"
                    .to_owned()
            }
            DoPutError::MissingFlightDescriptor => error.to_string(),
        }))
    }

    async fn do_action_close_prepared_statement(
        &self,
        _query: ActionClosePreparedStatementRequest,
        _request: Request<Action>,
    ) -> Result<(), Status> {
        Ok(())
    }

    async fn do_action_begin_transaction(
        &self,
        _query: ActionBeginTransactionRequest,
        _request: Request<Action>,
    ) -> Result<ActionBeginTransactionResult, Status> {
        Err(no_transactions())
    }

    async fn do_action_end_transaction(
        &self,
        _query: ActionEndTransactionRequest,
        _request: Request<Action>,
    ) -> Result<(), Status> {
        Err(no_transactions())
    }

    async fn do_action_begin_savepoint(
        &self,
        _query: ActionBeginSavepointRequest,
        _request: Request<Action>,
    ) -> Result<ActionBeginSavepointResult, Status> {
        Err(no_transactions())
    }

    async fn do_action_end_savepoint(
        &self,
        _query: ActionEndSavepointRequest,
        _request: Request<Action>,
    ) -> Result<(), Status> {
        Err(no_transactions())
    }

    async fn do_action_cancel_query(
        &self,
        query: ActionCancelQueryRequest,
        _request: Request<Action>,
    ) -> Result<ActionCancelQueryResult, Status> {
        cancel::query(&self.state, &query.info)
    }

    async fn do_action_fallback(&self, request: Request<Action>) -> Reply<ReplyStream<ActionResult>> {
        let caller = Caller::from_request(&request)?;
        let Action { r#type: name, body } = request.into_inner();
        let body: Bytes = match name.as_str() {
            cancel::CANCEL_FLIGHT_INFO => cancel::flight_info(&self.state, &body)?,
            session_options::SET => session_options::set(&self.state, &caller, &body).await?,
            session_options::GET => session_options::get(&self.state, &caller)?,
            session_options::CLOSE => session_options::close(&self.state, &caller),
            _ => return Err(Status::unimplemented(format!("there is no action '{name}'"))),
        };
        Ok(Response::new(Box::pin(stream::iter([Ok(ActionResult { body })]))))
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Reply<FlightInfo> {
        metadata_info(&query, &query.into_builder().schema(), request)
    }

    async fn do_get_catalogs(&self, query: CommandGetCatalogs, request: Request<Ticket>) -> Reply<FlightStream> {
        let caller = Caller::from_request(&request)?;
        metadata_stream(&self.state, catalogs::batch(&self.state, &caller, query).await?)
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Reply<FlightInfo> {
        metadata_info(&query, &query.clone().into_builder().schema(), request)
    }

    async fn do_get_schemas(&self, query: CommandGetDbSchemas, request: Request<Ticket>) -> Reply<FlightStream> {
        let caller = Caller::from_request(&request)?;
        metadata_stream(&self.state, db_schemas::batch(&self.state, &caller, query).await?)
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Reply<FlightInfo> {
        metadata_info(&query, &query.clone().into_builder().schema(), request)
    }

    async fn do_get_tables(&self, query: CommandGetTables, request: Request<Ticket>) -> Reply<FlightStream> {
        let caller = Caller::from_request(&request)?;
        metadata_stream(&self.state, tables::batch(&self.state, &caller, query).await?)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Reply<FlightInfo> {
        metadata_info(&query, &query.into_builder().schema(), request)
    }

    async fn do_get_table_types(&self, query: CommandGetTableTypes, _request: Request<Ticket>) -> Reply<FlightStream> {
        metadata_stream(&self.state, table_types::batch(query))
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Reply<FlightInfo> {
        metadata_info(&query, SqlInfoDataBuilder::schema(), request)
    }

    async fn do_get_sql_info(&self, query: CommandGetSqlInfo, _request: Request<Ticket>) -> Reply<FlightStream> {
        metadata_stream(&self.state, self.sql_info.record_batch(query.info))
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Reply<FlightInfo> {
        metadata_info(&query, &self.types.schema(), request)
    }

    async fn do_get_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        _request: Request<Ticket>,
    ) -> Reply<FlightStream> {
        metadata_stream(&self.state, self.types.record_batch(query.data_type))
    }

    async fn get_flight_info_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Reply<FlightInfo> {
        metadata_info(&query, &keys::PRIMARY, request)
    }

    async fn do_get_primary_keys(
        &self,
        _query: CommandGetPrimaryKeys,
        _request: Request<Ticket>,
    ) -> Reply<FlightStream> {
        metadata_stream(&self.state, Ok(RecordBatch::new_empty(keys::PRIMARY.clone())))
    }

    async fn get_flight_info_exported_keys(
        &self,
        query: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Reply<FlightInfo> {
        metadata_info(&query, &keys::FOREIGN, request)
    }

    async fn do_get_exported_keys(
        &self,
        _query: CommandGetExportedKeys,
        _request: Request<Ticket>,
    ) -> Reply<FlightStream> {
        metadata_stream(&self.state, Ok(RecordBatch::new_empty(keys::FOREIGN.clone())))
    }

    async fn get_flight_info_imported_keys(
        &self,
        query: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Reply<FlightInfo> {
        metadata_info(&query, &keys::FOREIGN, request)
    }

    async fn do_get_imported_keys(
        &self,
        _query: CommandGetImportedKeys,
        _request: Request<Ticket>,
    ) -> Reply<FlightStream> {
        metadata_stream(&self.state, Ok(RecordBatch::new_empty(keys::FOREIGN.clone())))
    }

    async fn get_flight_info_cross_reference(
        &self,
        query: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Reply<FlightInfo> {
        metadata_info(&query, &keys::FOREIGN, request)
    }

    async fn do_get_cross_reference(
        &self,
        _query: CommandGetCrossReference,
        _request: Request<Ticket>,
    ) -> Reply<FlightStream> {
        metadata_stream(&self.state, Ok(RecordBatch::new_empty(keys::FOREIGN.clone())))
    }

    /// The facts are fixed: [`sql_info::data`].
    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
}
