//! DoExchange `knn`: batches of query vectors in, batches of hits out.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, FixedSizeListArray, Float32Array, Int64Array, ListArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Float32Type, Int64Type, Schema};
use arrow_flight::decode::{DecodedPayload, FlightDataDecoder};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::{FlightData, FlightDescriptor};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::channel::mpsc;
use futures::{SinkExt, Stream, StreamExt, TryStreamExt, stream};
use ruvector_flight_server::config::EXCHANGE_CHECK_INTERVAL;
use tonic::{Code, Request, Status};

use crate::guarded::{Guarded, password};
use crate::harness::{TestServer, query, run, with_server, with_setup};

const KNN: &str = r#"{"knn": {"table": "docs", "k": 2, "select": ["id"]}}"#;

#[test]
fn each_batch_of_queries_has_one_batch_of_hits() {
    with_server(|server| async move {
        server.client_with_docs().await;
        let batches = [vectors(&[[1.0, 0.0, 0.0], [0.0, 0.1, 0.9]]), vectors(&[]), vectors(&[[0.0, 1.0, 0.0]])];
        let answers = exchange(&server, KNN, &batches).await.unwrap();
        assert_eq!(answers.len(), 3);
        let names: Vec<_> = answers[0].1.schema().fields().iter().map(|f| f.name().clone()).collect();
        assert_eq!(names, ["query_index", "id", "_distance"]);
        assert_eq!(hits(&answers[0].1), [(0, 1), (0, 2), (1, 3), (1, 2)]);
        assert_eq!(answers[1].1.num_rows(), 0);
        assert_eq!(hits(&answers[2].1)[0], (0, 2));
        // What the client wrote beside a batch comes back beside its answer.
        let beside: Vec<_> = answers.iter().map(|(metadata, _)| metadata.as_slice()).collect();
        assert_eq!(beside, [b"batch 0", b"batch 1", b"batch 2"]);
    });
}

#[test]
fn the_answers_are_those_of_sql() {
    with_server(|server| async move {
        let mut client = server.client().await;
        run(&mut client, "CREATE TABLE points (id BIGINT, word VARCHAR, vec FLOAT[3])").await;
        let rows: Vec<_> = (0..500)
            .map(|i| {
                let at = |turn: u32| f64::from(i * turn % 97) / 97.0;
                format!("({i}, 'w{}', [{}, {}, {}])", i % 3, at(7), at(31), at(53))
            })
            .collect();
        run(&mut client, &format!("INSERT INTO points VALUES {}", rows.join(", "))).await;
        let command = r#"{"knn": {"table": "main.points", "k": 5, "select": ["id", "word"], "filter": "word = 'w1' OR id = 3",
            "column": "vec", "metric": "cosine", "exact": true}}"#;
        let queries = [[0.3, 0.5, 0.1], [0.9, 0.2, 0.7]];
        let answers = exchange(&server, command, &[vectors(&queries)]).await.unwrap();
        let mut expected = Vec::new();
        for (index, [x, y, z]) in queries.iter().enumerate() {
            let sql = format!(
                "SELECT id FROM points WHERE word = 'w1' OR id = 3 ORDER BY cosine_distance(vec, [{x}, {y}, {z}]) LIMIT 5"
            );
            let ids = query(&mut client, &sql).await;
            expected.extend(ids.column(0).as_primitive::<Int64Type>().values().iter().map(|id| (index as i64, *id)));
        }
        assert_eq!(hits(&answers[0].1), expected);
        // All columns, if none are selected.
        let all = exchange(&server, r#"{"knn": {"table": "points", "k": 1}}"#, &[vectors(&queries)]).await.unwrap();
        let names: Vec<_> = all[0].1.schema().fields().iter().map(|f| f.name().clone()).collect();
        assert_eq!(names, ["query_index", "id", "word", "vec", "_distance"]);
    });
}

#[test]
fn an_answer_comes_while_the_stream_goes_on_and_sees_what_was_written_since() {
    with_server(|server| async move {
        let mut client = server.client_with_docs().await;
        let (mut questions, messages) = mpsc::channel(4);
        let mut plain = server.plain().await;
        for message in encoded(KNN, &[vectors(&[[0.0, 0.0, 1.0]])]).await {
            questions.send(message).await.unwrap();
        }
        let mut answers = decoded(plain.do_exchange(messages).await.unwrap().into_inner());
        assert_eq!(hits(&answers.next().await.unwrap().unwrap().1)[0], (0, 3));
        run(&mut client, "INSERT INTO docs VALUES (4, 'nearer', [0.0, 0.01, 1.0])").await;
        run(&mut client, "DELETE FROM docs WHERE id = 3").await;
        let again = encoded(KNN, &[vectors(&[[0.0, 0.0, 1.0]])]).await.pop().unwrap();
        questions.send(again).await.unwrap();
        assert_eq!(hits(&answers.next().await.unwrap().unwrap().1)[0], (0, 4));
        drop(questions);
        assert!(answers.next().await.is_none());
    });
}

#[test]
fn lists_and_other_columns_may_come_too() {
    with_server(|server| async move {
        server.client_with_docs().await;
        let lists = ListArray::from_iter_primitive::<Float32Type, _, _>([Some([0.0, 1.0, 0.0].map(Some)), None]);
        let names: ArrayRef = Arc::new(Int64Array::from(vec![7, 8]));
        let batch = RecordBatch::try_from_iter([("name", names), ("query", Arc::new(lists) as ArrayRef)]).unwrap();
        let answers = exchange(&server, KNN, &[batch]).await.unwrap();
        // A NULL has no neighbours.
        assert_eq!(hits(&answers[0].1), [(0, 2), (0, 1)]);
    });
}

#[test]
fn what_cannot_be_answered_is_said() {
    with_server(|server| async move {
        server.client_with_docs().await;
        let good = vectors(&[[1.0, 0.0, 0.0]]);
        let four = vectors_of(4, vec![0.0; 4]);
        let numbers = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
        for (command, batch, code, part) in [
            (
                "SELECT 1",
                &good,
                Code::InvalidArgument,
                r#"expected a command like {"knn": {"table": "docs", "k": 10}}"#,
            ),
            (r#"{"knn": {"table": "docs", "k": 2, "top": 1}}"#, &good, Code::InvalidArgument, "unknown field `top`"),
            (r#"{"knn": {"table": "docs"}}"#, &good, Code::InvalidArgument, "missing field `k`"),
            (r#"{"knn": {"table": "nothing", "k": 2}}"#, &good, Code::NotFound, "nothing"),
            (r#"{"knn": {"table": "docs", "k": 0}}"#, &good, Code::InvalidArgument, "k"),
            (r#"{"knn": {"table": "docs", "k": 2, "select": ["nope"]}}"#, &good, Code::NotFound, "nope"),
            (r#"{"knn": {"table": "do'cs", "k": 2}}"#, &good, Code::InvalidArgument, "expected the name of a table"),
            (KNN, &four, Code::InvalidArgument, "expected 3"),
            (KNN, &numbers, Code::InvalidArgument, "expected one column of vectors"),
        ] {
            let status = exchange(&server, command, std::slice::from_ref(batch)).await.unwrap_err();
            assert_eq!(status.code(), code, "{command}: {status}");
            assert!(status.message().contains(part), "{command}: {status}");
        }
        // A stream without a word.
        let mut plain = server.plain().await;
        let status = plain.do_exchange(stream::empty()).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let status = plain.do_exchange(stream::iter([FlightData::new()])).await.unwrap_err();
        assert!(status.message().contains("expected a descriptor"), "{status}");
    });
}

#[test]
fn nobody_searches_without_a_token() {
    let guarded = Guarded::new();
    with_setup(guarded.setup(), |server| async move {
        let status = exchange(&server, KNN, &[vectors(&[[1.0, 0.0, 0.0]])]).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
    });
}

#[test]
fn a_stream_ends_when_its_caller_is_somebody_else() {
    let guarded = Guarded::new();
    with_setup(guarded.setup(), |server| async move {
        let mut admin = server.sign_in("admin").await;
        run(&mut admin, "CREATE TABLE docs (id BIGINT, vec FLOAT[3])").await;
        run(&mut admin, "INSERT INTO docs VALUES (1, [1, 0, 0])").await;
        let asked = async || encoded(KNN, &[vectors(&[[1.0, 0.0, 0.0]])]).await;
        let (mut questions, messages) = mpsc::channel(4);
        for message in asked().await {
            questions.send(message).await.unwrap();
        }
        let mut request = Request::new(messages);
        let header = format!("Basic {}", STANDARD.encode(format!("writer:{}", password("writer"))));
        request.metadata_mut().insert("authorization", header.parse().unwrap());
        let mut answers = decoded(server.plain().await.do_exchange(request).await.unwrap().into_inner());
        assert_eq!(hits(&answers.next().await.unwrap().unwrap().1), [(0, 1)]);

        guarded.write_users(&[("admin", "admin"), ("writer", "reader")]);
        tokio::time::sleep(EXCHANGE_CHECK_INTERVAL + Duration::from_millis(200)).await;
        questions.send(asked().await.pop().unwrap()).await.unwrap();
        let ended = answers.next().await.unwrap().unwrap_err();
        assert_eq!(ended.code(), Code::Unauthenticated, "{ended}");
        assert!(answers.next().await.is_none());
    });
}

/// The answers to `command` and `batches`: each answer and what came beside it.
async fn exchange(
    server: &TestServer,
    command: &str,
    batches: &[RecordBatch],
) -> Result<Vec<(Vec<u8>, RecordBatch)>, Status> {
    let messages = encoded(command, batches).await;
    let answers = server.plain().await.do_exchange(stream::iter(messages)).await?.into_inner();
    decoded(answers).try_collect().await
}

/// The schema with the command, then a message for each batch.
async fn encoded(command: &str, batches: &[RecordBatch]) -> Vec<FlightData> {
    let schema = batches[0].schema();
    let descriptor = FlightDescriptor::new_cmd(command.to_owned());
    let builder = FlightDataEncoderBuilder::new().with_schema(schema).with_flight_descriptor(Some(descriptor));
    let mut messages: Vec<FlightData> = builder.build(stream::empty()).try_collect().await.unwrap();
    for (number, batch) in batches.iter().enumerate() {
        // arrow-flight's encoder leaves batches without rows out.
        let message = arrow_flight::utils::batches_to_flight_data(&batch.schema(), vec![batch.clone()]).unwrap().pop();
        messages.push(message.unwrap().with_app_metadata(format!("batch {number}").into_bytes()));
    }
    messages
}

fn decoded(
    messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> impl Stream<Item = Result<(Vec<u8>, RecordBatch), Status>> + Unpin {
    let decoded = FlightDataDecoder::new(messages.map_err(FlightError::from));
    Box::pin(decoded.map_err(crate::harness::status).try_filter_map(|message| async move {
        Ok(match message.payload {
            DecodedPayload::RecordBatch(batch) => Some((message.inner.app_metadata.to_vec(), batch)),
            _ => None,
        })
    }))
}

fn hits(batch: &RecordBatch) -> Vec<(i64, i64)> {
    let numbers = |column: usize| {
        let column = arrow::compute::cast(batch.column(column), &DataType::Int64).unwrap();
        column.as_primitive::<Int64Type>().values().to_vec()
    };
    numbers(0).into_iter().zip(numbers(1)).collect()
}

fn vectors(rows: &[[f32; 3]]) -> RecordBatch {
    vectors_of(3, rows.concat())
}

fn vectors_of(dim: i32, values: Vec<f32>) -> RecordBatch {
    let item = Arc::new(Field::new_list_field(DataType::Float32, true));
    let lists = FixedSizeListArray::new(Arc::clone(&item), dim, Arc::new(Float32Array::from(values)), None);
    let schema = Schema::new(vec![Field::new("query", DataType::FixedSizeList(item, dim), true)]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(lists)]).unwrap()
}
