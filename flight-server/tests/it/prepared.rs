//! Prepared statements.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use arrow_flight::Action;
use arrow_flight::sql::{ActionCreatePreparedStatementRequest, Any, ProstMessageExt};
use prost::Message;

use crate::harness::{fetch, number, query, run, status, with_server};

#[test]
fn a_query_with_a_parameter() {
    with_server(|server| async move {
        let mut client = server.client_with_docs().await;
        for (sql, id) in [("SELECT id FROM docs WHERE id = $1", 2), ("SELECT id FROM docs WHERE id = ?", 3)] {
            let mut statement = client.prepare(sql.into(), None).await.unwrap();
            assert_eq!(statement.dataset_schema().unwrap().field(0).name(), "id");
            assert_eq!(statement.parameter_schema().unwrap().fields().len(), 1);
            assert_eq!(*statement.parameter_schema().unwrap().field(0).data_type(), DataType::Int64);
            statement.set_parameters(batch([("0", int64(vec![id]))])).unwrap();
            let info = statement.execute().await.unwrap();
            let rows = fetch(&mut client, info).await.unwrap();
            assert_eq!(rows.column(0).as_primitive::<Int64Type>().values().to_vec(), [id]);
        }
    });
}

#[test]
fn a_vector_is_a_parameter() {
    with_server(|server| async move {
        let mut client = server.client_with_docs().await;
        let mut statement =
            client.prepare("SELECT id FROM knn('docs', $1, $2) ORDER BY _distance".into(), None).await.unwrap();
        let field = Arc::new(arrow::datatypes::Field::new_list_field(DataType::Float32, true));
        let vector = arrow::array::ListArray::new(
            field,
            arrow::buffer::OffsetBuffer::from_lengths([3]),
            Arc::new(Float32Array::from(vec![0.0, 0.9, 0.1])),
            None,
        );
        statement.set_parameters(batch([("1", Arc::new(vector) as ArrayRef), ("2", int64(vec![2]))])).unwrap();
        let info = statement.execute().await.unwrap();
        let rows = fetch(&mut client, info).await.unwrap();
        assert_eq!(rows.column(0).as_primitive::<Int64Type>().values().to_vec(), [2, 3]);
    });
}

#[test]
fn several_rows_of_parameters_are_several_queries() {
    with_server(|server| async move {
        let mut client = server.client_with_docs().await;
        let mut statement = client.prepare("SELECT id FROM docs WHERE id = $1".into(), None).await.unwrap();
        statement.set_parameters(batch([("0", int64(vec![3, 1, 9]))])).unwrap();
        let info = statement.execute().await.unwrap();
        let rows = fetch(&mut client, info).await.unwrap();
        assert_eq!(rows.column(0).as_primitive::<Int64Type>().values().to_vec(), [3, 1]);
    });
}

#[test]
fn several_rows_of_parameters_are_several_updates() {
    with_server(|server| async move {
        let mut client = server.client().await;
        run(&mut client, "CREATE TABLE t (id BIGINT, name VARCHAR)").await;
        let mut statement = client.prepare("INSERT INTO t VALUES (?, ?)".into(), None).await.unwrap();
        assert!(statement.dataset_schema().unwrap().fields().is_empty());
        let names = Arc::new(StringArray::from(vec![Some("a"), None, Some("c")])) as ArrayRef;
        statement.set_parameters(batch([("0", int64(vec![1, 2, 3])), ("1", names)])).unwrap();
        assert_eq!(statement.execute_update().await.unwrap(), 3);
        assert_eq!(number(&mut client, "SELECT count(*) FROM t WHERE name IS NULL").await, 1);
        assert_eq!(number(&mut client, "SELECT sum(id) FROM t").await, 6);
    });
}

#[test]
fn twelve_parameters_keep_their_order() {
    with_server(|server| async move {
        let mut client = server.client().await;
        run(&mut client, "CREATE TABLE t (a BIGINT, b BIGINT, c BIGINT, d BIGINT, e BIGINT, f BIGINT, g BIGINT, h BIGINT, i BIGINT, j BIGINT, k BIGINT, l BIGINT)").await;
        let marks = ["?"; 12].join(", ");
        let mut statement = client.prepare(format!("INSERT INTO t VALUES ({marks})"), None).await.unwrap();
        let names: Vec<_> = (0..12).map(|i| i.to_string()).collect();
        let columns = names.iter().enumerate().map(|(i, name)| (name.as_str(), int64(vec![i as i64])));
        statement.set_parameters(RecordBatch::try_from_iter(columns).unwrap()).unwrap();
        assert_eq!(statement.execute_update().await.unwrap(), 1);
        let rows = query(&mut client, "SELECT * FROM t").await;
        let values: Vec<_> = rows.columns().iter().map(|c| c.as_primitive::<Int64Type>().value(0)).collect();
        assert_eq!(values, (0..12).collect::<Vec<_>>());
    });
}

#[test]
fn a_prepared_create_table_runs_once_in_get_flight_info() {
    with_server(|server| async move {
        let mut client = server.client().await;
        let mut statement = client.prepare("CREATE TABLE t (id BIGINT)".into(), None).await.unwrap();
        let info = statement.execute().await.unwrap();
        assert_eq!(number(&mut client, "SELECT count(*) FROM t").await, 0);
        fetch(&mut client, info).await.unwrap();
    });
}

#[test]
fn preparing_runs_nothing_and_tells_updates_from_queries() {
    with_server(|server| async move {
        assert_eq!(is_update(&server, "SELECT 1").await, Some(false));
        assert_eq!(is_update(&server, "CREATE TABLE t (id BIGINT)").await, Some(true));
        let mut client = server.client().await;
        run(&mut client, "CREATE TABLE t (id BIGINT)").await;
        assert_eq!(is_update(&server, "INSERT INTO t VALUES (1)").await, Some(true));
        assert_eq!(number(&mut client, "SELECT count(*) FROM t").await, 0);
    });
}

#[test]
fn missing_parameters_are_named() {
    with_server(|server| async move {
        let mut client = server.client_with_docs().await;
        let mut statement = client.prepare("SELECT id FROM docs WHERE id IN ($1, $2)".into(), None).await.unwrap();
        let error = status(statement.execute().await.unwrap_err());
        assert_eq!(error.code(), tonic::Code::InvalidArgument);
        assert_eq!(error.message(), "parameters: expected 2, got 0");
    });
}

#[test]
fn any_replica_serves_a_statement_handle() {
    with_server(|one| async move {
        let mut client = one.client().await;
        let mut statement = client.prepare("SELECT $1 + 1 AS next".into(), None).await.unwrap();
        statement.set_parameters(batch([("0", int64(vec![41]))])).unwrap();
        let info = statement.execute().await.unwrap();
        std::thread::spawn(move || {
            with_server(|other| async move {
                let mut client = other.client().await;
                let rows = fetch(&mut client, info).await.unwrap();
                assert_eq!(rows.column(0).as_primitive::<Int64Type>().value(0), 42);
            });
        })
        .join()
        .unwrap();
    });
}

#[test]
fn closing_twice_is_no_error() {
    with_server(|server| async move {
        let mut client = server.client().await;
        let statement = client.prepare("SELECT 1".into(), None).await.unwrap();
        statement.clone().close().await.unwrap();
        statement.close().await.unwrap();
    });
}

/// Field 4 of the answer to CreatePreparedStatement, which arrow-flight does not read.
async fn is_update(server: &crate::harness::TestServer, sql: &str) -> Option<bool> {
    #[derive(Clone, PartialEq, Message)]
    struct Result {
        #[prost(bool, optional, tag = "4")]
        is_update: Option<bool>,
    }
    let request = ActionCreatePreparedStatementRequest { query: sql.into(), transaction_id: None };
    let action = Action::new("CreatePreparedStatement", request.as_any().encode_to_vec());
    let mut results = server.plain().await.do_action(action).await.unwrap().into_inner();
    let body = results.message().await.unwrap().unwrap().body;
    Result::decode(Any::decode(&*body).unwrap().value).unwrap().is_update
}

fn int64(values: Vec<i64>) -> ArrayRef {
    Arc::new(Int64Array::from(values))
}

fn batch<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}
