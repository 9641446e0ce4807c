//! Valid messages of every kind, damaged: the server answers each, and stays up.
//!
//! A message is damaged at any depth: in a call's message, a command in it, a handle in that, or the Arrow data in those. The
//! lengths around the damaged part are those of the new part, so that the damage reaches the code that reads the part.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, DictionaryArray, FixedSizeListArray, Float32Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Int32Type};
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::sql::{
    ActionBeginSavepointRequest, ActionBeginTransactionRequest, ActionCancelQueryRequest,
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    ActionCreatePreparedSubstraitPlanRequest, ActionEndSavepointRequest, ActionEndTransactionRequest, Any,
    CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
    CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest, CommandStatementQuery,
    CommandStatementSubstraitPlan, CommandStatementUpdate, DoPutPreparedStatementResult, ProstMessageExt,
    SubstraitPlan, TableDefinitionOptions, TableExistsOption, TableNotExistOption,
};
use arrow_flight::{
    Action, CancelFlightInfoRequest, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    Ticket,
};
use bytes::{Buf, BufMut, Bytes};
use futures::{TryStreamExt, stream};
use prost::Message;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::harness::{TestServer, run, with_server};
use crate::hostile::{is_told, is_up, seeds};

/// Damaged calls for each seed.
const CALLS: usize = 12;
/// Time for the answer to one call, at most. A bound: most take milliseconds.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

const KNN: &str = r#"{"knn": {"table": "docs", "k": 2, "select": ["id"], "filter": "id < 9"}}"#;

#[test]
fn messages_that_are_no_longer_whole_are_answered() {
    with_server(|server| async move {
        let calls = calls(&server).await;
        let channel = server.channel().await;
        // Damage to calls that fail by themselves would show little.
        for call in calls.iter().filter(|call| call.is_served) {
            if let Err(status) = answer(&channel, call.rpc, call.messages.clone()).await {
                panic!("{}: {status}", call.shown());
            }
        }
        for seed in seeds() {
            let mut choices = Choices(seed);
            for _ in 0..CALLS {
                let call = &calls[choices.below(calls.len())];
                let damaged = Call { messages: choices.damaged(&call.messages), ..call.clone() };
                if let Err(status) = answer(&channel, damaged.rpc, damaged.messages.clone()).await {
                    is_told(&status, format_args!("RUVECTOR_SEED={seed}, {}", damaged.shown()));
                }
            }
        }
        is_up(&server).await;
    });
}

#[test]
fn damage_keeps_the_lengths_around_it() {
    let command = CommandStatementQuery { query: "SELECT 1".into(), transaction_id: None };
    let whole = FlightDescriptor::new_cmd(command.as_any().encode_to_vec()).encode_to_vec();
    assert!(fields(b"SELECT 1").is_empty());
    let mut choices = Choices(1);
    let damaged: Vec<_> = (0..200).map(|_| choices.mutated(&whole)).collect();
    let decoded = damaged.iter().filter_map(|bytes| FlightDescriptor::decode(bytes.as_slice()).ok());
    let statements =
        decoded.filter_map(|descriptor| Any::decode(&*descriptor.cmd).ok()?.unpack::<CommandStatementQuery>().ok()?);
    let reached = statements.filter(|query| *query != command).count();
    assert!(reached > 5, "{reached} of 200 are another statement");
}

/// A call of an RPC with the bytes of its messages.
#[derive(Clone)]
struct Call {
    rpc: &'static str,
    messages: Vec<Bytes>,
    /// True if the server serves it when it is not damaged.
    is_served: bool,
}

impl Call {
    fn new(rpc: &'static str, messages: Vec<Bytes>) -> Self {
        Self { rpc, messages, is_served: true }
    }

    fn of(rpc: &'static str, message: &impl Message) -> Self {
        Self::new(rpc, vec![message.encode_to_vec().into()])
    }

    fn action(kind: &str, body: Vec<u8>) -> Self {
        Self::of("DoAction", &Action::new(kind, body))
    }

    fn refused(self) -> Self {
        Self { is_served: false, ..self }
    }

    /// The call and the beginning of its messages, for a failure.
    fn shown(&self) -> String {
        format!("{} of {:?}", self.rpc, self.messages).chars().take(1500).collect()
    }
}

/// Calls of every RPC, with every kind of command.
async fn calls(server: &TestServer) -> Vec<Call> {
    let mut client = server.client_with_docs().await;
    run(&mut client, "CREATE TABLE points (id BIGINT, vec FLOAT[2])").await;
    run(&mut client, "CREATE TABLE t (id BIGINT, name VARCHAR)").await;
    let query = || CommandStatementQuery { query: "SELECT id FROM docs WHERE id > 1".into(), transaction_id: None };
    let mut plain = server.plain().await;
    let info = plain.get_flight_info(descriptor(&query())).await.unwrap().into_inner();
    let mut calls = vec![
        Call::of("Handshake", &HandshakeRequest { protocol_version: 0, payload: Bytes::from_static(b"user") }),
        Call::of("ListFlights", &Criteria { expression: Bytes::from_static(b"docs") }),
        Call::of("ListActions", &Empty {}),
        // SQL as text, and paths.
        Call::of("DoGet", &Ticket::new("SELECT id, body FROM docs ORDER BY id LIMIT 2")),
        Call::of("GetFlightInfo", &FlightDescriptor::new_cmd("SELECT vec FROM docs")),
        Call::of("GetFlightInfo", &FlightDescriptor::new_path(vec!["docs".into()])),
        // Statements.
        Call::of("GetFlightInfo", &descriptor(&query())),
        Call::of("PollFlightInfo", &descriptor(&query())),
        Call::of("GetSchema", &descriptor(&query())),
        Call::of("DoGet", info.endpoint[0].ticket.as_ref().unwrap()),
        upload_of_nothing(&CommandStatementUpdate {
            query: "INSERT INTO t VALUES (1, 'a')".into(),
            transaction_id: None,
        }),
    ];
    calls.extend(metadata());
    calls.extend(prepared(server).await);
    calls.extend(uploads());
    calls.extend(actions(&info));
    calls
}

/// The commands about metadata, as descriptors and as tickets.
fn metadata() -> Vec<Call> {
    let (docs, main) = (|| "docs".to_owned(), || Some("main".to_owned()));
    let commands = [
        CommandGetCatalogs {}.as_any(),
        CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: Some("ma%".into()) }.as_any(),
        CommandGetTables {
            table_name_filter_pattern: Some("do%".into()),
            table_types: vec!["TABLE".into(), "VIEW".into()],
            include_schema: true,
            ..CommandGetTables::default()
        }
        .as_any(),
        CommandGetTableTypes {}.as_any(),
        CommandGetPrimaryKeys { table: docs(), db_schema: main(), catalog: None }.as_any(),
        CommandGetExportedKeys { table: docs(), db_schema: main(), catalog: None }.as_any(),
        CommandGetImportedKeys { table: docs(), db_schema: main(), catalog: None }.as_any(),
        CommandGetCrossReference { pk_table: docs(), fk_table: docs(), ..CommandGetCrossReference::default() }.as_any(),
        CommandGetSqlInfo { info: vec![0, 1, 8, 500] }.as_any(),
        CommandGetXdbcTypeInfo { data_type: Some(12) }.as_any(),
    ];
    let calls = commands.into_iter().flat_map(|command| {
        let command = command.encode_to_vec();
        let descriptor = FlightDescriptor::new_cmd(command.clone());
        [
            Call::of("GetFlightInfo", &descriptor),
            Call::of("GetSchema", &descriptor),
            Call::of("DoGet", &Ticket::new(command)),
        ]
    });
    calls.collect()
}

/// Prepared statements, with their values beside them and in their handles.
async fn prepared(server: &TestServer) -> Vec<Call> {
    let mut plain = server.plain().await;
    let mut handles = Vec::new();
    for sql in ["SELECT id FROM docs WHERE id = $1", "INSERT INTO t VALUES (?, ?)"] {
        let request = ActionCreatePreparedStatementRequest { query: sql.into(), transaction_id: None };
        let action = Action::new("CreatePreparedStatement", request.as_any().encode_to_vec());
        let made = plain.do_action(action).await.unwrap().into_inner().message().await.unwrap().unwrap();
        let made: Option<ActionCreatePreparedStatementResult> = Any::decode(&*made.body).unwrap().unpack().unwrap();
        handles.push(made.unwrap().prepared_statement_handle);
    }
    let [select, insert]: [Bytes; 2] = handles.try_into().unwrap();
    let select = CommandPreparedStatementQuery { prepared_statement_handle: select };
    let insert = CommandPreparedStatementUpdate { prepared_statement_handle: insert };
    let ids = || int64(vec![2, 3]);
    let values = RecordBatch::try_from_iter([("0", ids())]).unwrap();
    let names = Arc::new(StringArray::from(vec![Some("a"), None])) as ArrayRef;
    let rows = RecordBatch::try_from_iter_with_nullable([("0", ids(), true), ("1", names, true)]).unwrap();

    let sent = stream::iter(flight_data(descriptor(&select), std::slice::from_ref(&values)));
    let bound = plain.do_put(sent).await.unwrap().into_inner().message().await.unwrap().unwrap();
    let bound = DoPutPreparedStatementResult::decode(&*bound.app_metadata).unwrap().prepared_statement_handle;
    let bound = CommandPreparedStatementQuery { prepared_statement_handle: bound.unwrap() };
    let close =
        ActionClosePreparedStatementRequest { prepared_statement_handle: bound.prepared_statement_handle.clone() };
    vec![
        upload(descriptor(&select), &[values]),
        upload(descriptor(&insert), std::slice::from_ref(&rows)),
        upload(descriptor(&insert), &[rows.clone(), rows]),
        Call::of("GetFlightInfo", &descriptor(&bound)),
        Call::of("GetSchema", &descriptor(&bound)),
        Call::of("DoGet", &Ticket::new(bound.as_any().encode_to_vec())),
        Call::action("ClosePreparedStatement", close.as_any().encode_to_vec()),
    ]
}

/// Rows for tables, and vectors to search for.
fn uploads() -> Vec<Call> {
    let options = TableDefinitionOptions {
        if_not_exist: TableNotExistOption::Create.into(),
        if_exists: TableExistsOption::Append.into(),
    };
    let ingest = |table: &str| {
        let command = CommandStatementIngest {
            table_definition_options: Some(options),
            table: table.into(),
            ..CommandStatementIngest::default()
        };
        descriptor(&command)
    };
    let points = RecordBatch::try_from_iter_with_nullable([
        ("id", int64(vec![1, 2, 3]), true),
        ("vec", vectors(2, vec![1.0, 0.0, 0.0, 1.0, 0.7, 0.7]), true),
    ])
    .unwrap();
    let words = StringArray::from(vec![Some("a"), None, Some("a word of more than twelve bytes")]);
    let tags: DictionaryArray<Int32Type> = [Some("en"), Some("de"), None].into_iter().collect();
    let named = RecordBatch::try_from_iter_with_nullable([
        ("n", Arc::new(Int32Array::from(vec![Some(7), None, Some(9)])) as ArrayRef, true),
        ("word", Arc::new(words) as ArrayRef, true),
        ("tag", Arc::new(tags) as ArrayRef, true),
    ])
    .unwrap();
    let questions = RecordBatch::try_from_iter([("query", vectors(3, vec![1.0, 0.0, 0.0, 0.0, 0.1, 0.9]))]).unwrap();
    let exchange =
        |batches: &[RecordBatch]| Call { rpc: "DoExchange", ..upload(FlightDescriptor::new_cmd(KNN), batches) };
    vec![
        upload(ingest("points"), std::slice::from_ref(&points)),
        upload(ingest("points"), &[points.clone(), points.slice(1, 2), points.clone()]),
        upload(FlightDescriptor::new_path(vec!["points".into()]), &[points]),
        // Whether a table can have these types is not what is tested.
        upload(ingest("named"), &[named]).refused(),
        exchange(std::slice::from_ref(&questions)),
        exchange(&[questions.clone(), questions.slice(0, 1), questions]),
        upload_of_nothing(&substrait()).refused(),
    ]
}

/// The actions, with their bodies.
fn actions(info: &FlightInfo) -> Vec<Call> {
    #[derive(Clone, PartialEq, Message)]
    struct Value {
        #[prost(string, optional, tag = "1")]
        string: Option<String>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Options {
        #[prost(btree_map = "string, message", tag = "1")]
        options: BTreeMap<String, Value>,
    }
    let option = |name: &str, value: &str| (name.to_owned(), Value { string: Some(value.to_owned()) });
    let options = [option("schema", "main"), option("datafusion.execution.batch_size", "77")];
    let create = ActionCreatePreparedStatementRequest {
        query: "SELECT id FROM docs WHERE body = $1 AND id > $2".into(),
        transaction_id: None,
    };
    let cancel = ActionCancelQueryRequest { info: info.encode_to_vec().into() };
    let id = || Bytes::from_static(b"0123456789abcdef");
    let savepoint = ActionBeginSavepointRequest { transaction_id: id(), name: "here".into() };
    let plan = ActionCreatePreparedSubstraitPlanRequest { plan: substrait().plan, transaction_id: None };
    let any = |message: Any| message.encode_to_vec();
    vec![
        Call::action("CreatePreparedStatement", any(create.as_any())),
        Call::action("CancelQuery", any(cancel.as_any())),
        Call::action("CancelFlightInfo", CancelFlightInfoRequest::new(info.clone()).encode_to_vec()),
        Call::action("SetSessionOptions", Options { options: options.into() }.encode_to_vec()),
        Call::action("CloseSession", Vec::new()),
        Call::action("GetSessionOptions", Vec::new()).refused(),
        Call::action("BeginTransaction", any(ActionBeginTransactionRequest {}.as_any())).refused(),
        Call::action("EndTransaction", any(ActionEndTransactionRequest { transaction_id: id(), action: 1 }.as_any()))
            .refused(),
        Call::action("BeginSavepoint", any(savepoint.as_any())).refused(),
        Call::action("EndSavepoint", any(ActionEndSavepointRequest { savepoint_id: id(), action: 1 }.as_any()))
            .refused(),
        Call::action("CreatePreparedSubstraitPlan", any(plan.as_any())).refused(),
    ]
}

fn substrait() -> CommandStatementSubstraitPlan {
    let plan = SubstraitPlan { plan: Bytes::from_static(&[10, 2, 8, 1]), version: "0.1.0".into() };
    CommandStatementSubstraitPlan { plan: Some(plan), transaction_id: None }
}

fn descriptor(command: &impl ProstMessageExt) -> FlightDescriptor {
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

/// The schema with the descriptor, then a message for each batch, with metadata of its own.
fn flight_data(descriptor: FlightDescriptor, batches: &[RecordBatch]) -> Vec<FlightData> {
    let encoder = FlightDataEncoderBuilder::new()
        .with_schema(batches[0].schema())
        .with_dictionary_handling(DictionaryHandling::Resend)
        .build(stream::iter(batches.iter().cloned().map(Ok).collect::<Vec<_>>()));
    let mut messages: Vec<FlightData> = futures::executor::block_on(encoder.try_collect()).unwrap();
    messages[0].flight_descriptor = Some(descriptor);
    for (number, message) in messages.iter_mut().enumerate().skip(1) {
        message.app_metadata = format!("message {number}").into_bytes().into();
    }
    messages
}

fn upload(descriptor: FlightDescriptor, batches: &[RecordBatch]) -> Call {
    let messages = flight_data(descriptor, batches);
    Call::new("DoPut", messages.iter().map(|message| message.encode_to_vec().into()).collect())
}

/// A DoPut of a command without rows.
fn upload_of_nothing(command: &impl ProstMessageExt) -> Call {
    Call::of("DoPut", &FlightData::new().with_descriptor(descriptor(command)))
}

fn int64(values: Vec<i64>) -> ArrayRef {
    Arc::new(Int64Array::from(values))
}

fn vectors(dim: i32, values: Vec<f32>) -> ArrayRef {
    let item = Arc::new(Field::new_list_field(DataType::Float32, true));
    Arc::new(FixedSizeListArray::new(item, dim, Arc::new(Float32Array::from(values)), None))
}

/// Messages as their bytes, so that a client can send what is no message.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, dst: &mut EncodeBuf<'_>) -> Result<(), Status> {
        dst.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, src: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let len = src.remaining();
        Ok(Some(src.copy_to_bytes(len)))
    }
}

/// Sends `messages`, and reads the answer to its end.
async fn answer(channel: &Channel, rpc: &str, messages: Vec<Bytes>) -> Result<(), Status> {
    let path = PathAndQuery::try_from(format!("/arrow.flight.protocol.FlightService/{rpc}")).unwrap();
    let answered = async {
        let mut client = Grpc::new(channel.clone());
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        // On the wire a call with one message is a stream of one.
        let mut answers = client.streaming(Request::new(stream::iter(messages)), path, Raw).await?.into_inner();
        while answers.message().await?.is_some() {}
        Ok::<_, Status>(())
    };
    let late = |_| Err(Status::unavailable(format!("no answer within {ANSWERED_WITHIN:?}")));
    tokio::time::timeout(ANSWERED_WITHIN, answered).await.unwrap_or_else(late)
}

/// Numbers of a sequence (SplitMix64), and damage by them.
struct Choices(u64);

impl Choices {
    fn random(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    #[expect(clippy::cast_possible_truncation, reason = "less than end, which is a usize")]
    fn below(&mut self, end: usize) -> usize {
        (self.random() % end as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.random().to_le_bytes()[0]
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }

    /// Messages in another order or number, or with one to three damages.
    fn damaged(&mut self, messages: &[Bytes]) -> Vec<Bytes> {
        let mut damaged = messages.to_vec();
        if damaged.len() > 1 && self.below(4) == 0 {
            let (at, other) = (self.below(damaged.len()), self.below(damaged.len()));
            match self.below(3) {
                0 => drop(damaged.remove(at)),
                1 => damaged.insert(at, messages[other].clone()),
                _ => damaged.swap(at, other),
            }
            if self.below(2) == 0 {
                return damaged;
            }
        }
        for _ in 0..=self.below(3) {
            let at = self.below(damaged.len());
            damaged[at] = self.mutated(&damaged[at]).into();
        }
        damaged
    }

    /// A protobuf message with damage in it, or in a message or bytes in it at any depth.
    fn mutated(&mut self, message: &[u8]) -> Vec<u8> {
        let fields = fields(message);
        if fields.is_empty() || self.below(4) == 0 {
            return self.damage(message);
        }
        let field = &fields[self.below(fields.len())];
        let content = self.mutated(&message[field.content.clone()]);
        let mut mutated = message[..field.length_at].to_vec();
        put_varint(&mut mutated, content.len());
        mutated.extend_from_slice(&content);
        mutated.extend_from_slice(&message[field.content.end..]);
        mutated
    }

    fn damage(&mut self, bytes: &[u8]) -> Vec<u8> {
        const LONGS: [i64; 10] = [0, 1, -1, 7, 255, 1 << 20, 1 << 31, 1 << 47, i64::MAX, i64::MIN];
        const INTS: [i32; 8] = [0, 1, -1, 16, 4096, 1 << 20, i32::MAX, i32::MIN];
        if bytes.is_empty() {
            let len = 1 + self.below(40);
            return self.bytes(len);
        }
        let mut damaged = bytes.to_vec();
        let at = self.below(damaged.len());
        match self.below(9) {
            0..=2 => damaged[at] ^= 1 << self.below(8),
            3 => damaged[at] = self.byte(),
            4 => damaged.truncate(at),
            5 => damaged.extend_from_slice(bytes),
            6 => {
                let len = self.below(100);
                damaged = self.bytes(len);
            }
            7 => {
                let int = INTS[self.below(INTS.len())];
                self.replace(&mut damaged, &int.to_le_bytes());
            }
            _ => {
                let long = LONGS[self.below(LONGS.len())];
                self.replace(&mut damaged, &long.to_le_bytes());
            }
        }
        damaged
    }

    /// Puts a number where the headers of Arrow have theirs: at a multiple of its width.
    fn replace(&mut self, bytes: &mut [u8], number: &[u8]) {
        let width = number.len();
        if let Some(last) = bytes.len().checked_sub(width) {
            let at = self.below(last / width + 1) * width;
            bytes[at..at + width].copy_from_slice(number);
        }
    }
}

/// A field of a protobuf message that has a length: texts, bytes and messages.
struct Content {
    length_at: usize,
    content: Range<usize>,
}

/// The fields of `message` that have a length. None if it is no protobuf message.
fn fields(message: &[u8]) -> Vec<Content> {
    let mut fields = Vec::new();
    let mut at = 0;
    while at < message.len() {
        match field(message, &mut at) {
            Some(Some(content)) => fields.push(content),
            Some(None) => {}
            None => return Vec::new(),
        }
    }
    fields
}

/// The field at `at`, which is moved behind it: `Some(None)` if it has no length, and `None` if it is no field.
fn field(message: &[u8], at: &mut usize) -> Option<Option<Content>> {
    let key = varint(message, at).filter(|key| key >> 3 != 0)?;
    let length_at = *at;
    let len = match key & 7 {
        0 => varint(message, at).map(|_| 0)?,
        1 => 8,
        2 => usize::try_from(varint(message, at)?).ok()?,
        5 => 4,
        _ => return None,
    };
    let start = *at;
    *at = start.checked_add(len).filter(|end| *end <= message.len())?;
    Some((key & 7 == 2).then_some(Content { length_at, content: start..*at }))
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}
