//! Statements as SQL text.

use arrow::array::AsArray;
use arrow::datatypes::Schema;
use arrow::datatypes::{DataType, Float32Type, Int64Type};
use arrow_flight::sql::CommandStatementQuery;
use arrow_flight::sql::ProstMessageExt;
use arrow_flight::{FlightDescriptor, IpcMessage};
use prost::Message;

use crate::harness::{fetch, number, query, run, table, with_server};

#[test]
fn a_query_answers_with_rows() {
    with_server(|server| async move {
        let mut client = server.client_with_docs().await;
        let rows =
            query(&mut client, "SELECT id, _distance FROM knn('docs', [0.0, 1.0, 0.0], 2) ORDER BY _distance, id")
                .await;
        assert_eq!(rows.column(0).as_primitive::<Int64Type>().values().to_vec(), [2, 1]);
        let distances = rows.column(1).as_primitive::<Float32Type>();
        assert_eq!(distances.value(0), 0.0);
        assert!((distances.value(1) - 2_f32.sqrt()).abs() < 1e-6);
    });
}

#[test]
fn vectors_arrive_as_fixed_size_lists() {
    with_server(|server| async move {
        let mut client = server.client_with_docs().await;
        let rows = query(&mut client, "SELECT vec FROM docs ORDER BY id").await;
        assert!(
            matches!(rows.schema().field(0).data_type(), DataType::FixedSizeList(f, 3) if *f.data_type() == DataType::Float32)
        );
        assert_eq!(rows.column(0).as_fixed_size_list().values().as_primitive::<Float32Type>().values()[4], 1.0);
    });
}

#[test]
fn a_query_without_rows_has_a_schema() {
    with_server(|server| async move {
        let mut client = server.client_with_docs().await;
        let rows = query(&mut client, "SELECT id, body FROM docs WHERE false").await;
        assert_eq!((rows.num_rows(), rows.num_columns()), (0, 2));
    });
}

#[test]
fn ddl_runs_once_in_get_flight_info_and_needs_no_fetch() {
    with_server(|server| async move {
        let mut client = server.client().await;
        client.execute("CREATE TABLE t (id BIGINT)".into(), None).await.unwrap();
        let inserted = client.execute("INSERT INTO t VALUES (1), (2)".into(), None).await.unwrap();
        assert_eq!(inserted.total_records, 1);
        assert_eq!(number(&mut client, "SELECT count(*) FROM t").await, 2);
        // Fetching the result, also twice, inserts nothing more.
        for _ in 0..2 {
            let rows = fetch(&mut client, inserted.clone()).await.unwrap();
            assert_eq!(rows.column(0).as_primitive::<Int64Type>().values().to_vec(), [2]);
        }
        assert_eq!(number(&mut client, "SELECT count(*) FROM t").await, 2);
    });
}

#[test]
fn a_query_runs_only_when_it_is_fetched() {
    with_server(|server| async move {
        let mut client = server.client().await;
        run(&mut client, "CREATE TABLE t (id BIGINT)").await;
        let info = client.execute("SELECT count(*) AS n FROM t".into(), None).await.unwrap();
        run(&mut client, "INSERT INTO t VALUES (1)").await;
        let rows = fetch(&mut client, info).await.unwrap();
        assert_eq!(rows.column(0).as_primitive::<Int64Type>().value(0), 1);
    });
}

#[test]
fn an_update_answers_with_its_true_count() {
    with_server(|server| async move {
        let mut client = server.client_with_docs().await;
        assert_eq!(client.execute_update("UPDATE docs SET body = 'x' WHERE id > 1".into(), None).await.unwrap(), 2);
        assert_eq!(client.execute_update("DELETE FROM docs WHERE id = 1".into(), None).await.unwrap(), 1);
        assert_eq!(client.execute_update("DELETE FROM docs WHERE false".into(), None).await.unwrap(), 0);
        assert_eq!(number(&mut client, "SELECT count(*) FROM docs WHERE body = 'x'").await, 2);
    });
}

#[test]
fn a_script_is_one_update() {
    with_server(|server| async move {
        let mut client = server.client().await;
        let script =
            "CREATE TABLE t (a VARCHAR); -- ; no end here\nINSERT INTO t VALUES ('a;b'); INSERT INTO t VALUES ('c');";
        assert_eq!(client.execute_update(script.into(), None).await.unwrap(), 2);
        assert_eq!(number(&mut client, "SELECT count(*) FROM t WHERE a = 'a;b'").await, 1);
    });
}

#[test]
fn any_replica_serves_a_ticket() {
    with_server(|one| async move {
        let mut client = one.client().await;
        let info = client.execute("SELECT 1 + 1 AS two".into(), None).await.unwrap();
        // The second server has seen nothing of it.
        std::thread::spawn(move || {
            with_server(|other| async move {
                let mut client = other.client().await;
                let rows = fetch(&mut client, info).await.unwrap();
                assert_eq!(rows.column(0).as_primitive::<Int64Type>().value(0), 2);
            });
        })
        .join()
        .unwrap();
    });
}

#[test]
fn get_schema_runs_nothing() {
    with_server(|server| async move {
        let mut plain = server.plain().await;
        let schema = async |sql: &str, plain: &mut arrow_flight::flight_service_client::FlightServiceClient<_>| {
            let command = CommandStatementQuery { query: sql.into(), transaction_id: None };
            let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
            let result = plain.get_schema(descriptor).await.unwrap().into_inner();
            Schema::try_from(IpcMessage(result.schema)).unwrap()
        };
        let names = |schema: Schema| schema.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
        assert_eq!(names(schema("SELECT 1 AS a, 'x' AS b", &mut plain).await), ["a", "b"]);
        assert_eq!(names(schema("CREATE TABLE t (id BIGINT)", &mut plain).await), ["count"]);
        let mut client = server.client().await;
        run(&mut client, "CREATE TABLE t (id BIGINT)").await;
    });
}

#[test]
fn explain_is_a_query() {
    with_server(|server| async move {
        let mut client = server.client_with_docs().await;
        let rows = query(&mut client, "EXPLAIN SELECT * FROM docs").await;
        assert!(table(&rows).contains("docs"), "{}", table(&rows));
    });
}

#[test]
fn a_large_answer_arrives_whole() {
    with_server(|server| async move {
        let mut client = server.client().await;
        let sql = "SELECT value AS id, repeat('x', 100) AS text FROM generate_series(1, 100000)";
        let rows = query(&mut client, sql).await;
        assert_eq!(rows.num_rows(), 100_000);
    });
}
