//! Errors of the engine are statuses that a program can act on and a person can read.

use arrow_flight::Action;
use arrow_flight::sql::{ActionBeginSavepointRequest, ActionEndSavepointRequest, EndTransaction, ProstMessageExt};
use bytes::Bytes;
use prost::Message;
use tonic::Code;

use crate::harness::{number, run, status, try_query, with_server};

#[test]
fn the_code_says_what_to_do() {
    with_server(|server| async move {
        let mut client = server.client_with_docs().await;
        for (sql, code, words) in [
            ("SELEC 1", Code::InvalidArgument, "SELEC"),
            ("SELECT * FROM missing", Code::NotFound, "missing"),
            ("SELECT missing FROM docs", Code::NotFound, "missing"),
            ("SELECT * FROM knn('docs', [1.0, 0.0, 0.0], 0)", Code::InvalidArgument, "k"),
            ("SELECT * FROM knn('docs', [1.0, 0.0], 1)", Code::InvalidArgument, "3"),
            ("SELECT * FROM knn('missing', [1.0], 1)", Code::NotFound, "missing"),
            ("CREATE TABLE docs (id BIGINT)", Code::AlreadyExists, "docs"),
            ("DROP TABLE missing", Code::NotFound, "missing"),
            ("INSERT INTO docs VALUES (1)", Code::InvalidArgument, ""),
            ("", Code::InvalidArgument, ""),
            ("SELECT 1; SELECT 2", Code::InvalidArgument, ""),
        ] {
            let error = status(try_query(&mut client, sql).await.unwrap_err());
            assert_eq!(error.code(), code, "{sql}: {error}");
            assert!(error.message().contains(words), "{sql}: {error}");
            assert!(!error.message().contains("External("), "debug output in: {error}");
        }
    });
}

#[test]
fn an_error_while_rows_flow_ends_them_with_its_code() {
    with_server(|server| async move {
        let mut client = server.client().await;
        run(&mut client, "CREATE TABLE t (a BIGINT)").await;
        run(&mut client, "INSERT INTO t VALUES (1), (0)").await;
        let error = status(try_query(&mut client, "SELECT 1 / a FROM t").await.unwrap_err());
        assert!(error.message().to_lowercase().contains("divide by zero"), "{error}");
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    });
}

#[test]
fn a_failed_update_says_so_on_every_way() {
    with_server(|server| async move {
        let mut client = server.client().await;
        let sql = "INSERT INTO missing VALUES (1)";
        assert_eq!(status(client.execute(sql.into(), None).await.unwrap_err()).code(), Code::NotFound);
        assert_eq!(status(client.execute_update(sql.into(), None).await.unwrap_err()).code(), Code::NotFound);
        assert_eq!(status(client.prepare(sql.into(), None).await.unwrap_err()).code(), Code::NotFound);
    });
}

#[test]
fn transactions_are_refused() {
    with_server(|server| async move {
        let mut client = server.client().await;
        run(&mut client, "CREATE TABLE t (id BIGINT)").await;
        let id = || Bytes::from_static(b"t1");
        let insert = || "INSERT INTO t VALUES (1)".to_owned();
        for error in [
            client.begin_transaction().await.unwrap_err(),
            client.end_transaction(id(), EndTransaction::Commit).await.unwrap_err(),
            client.end_transaction(id(), EndTransaction::Rollback).await.unwrap_err(),
            client.execute("SELECT 1".into(), Some(id())).await.unwrap_err(),
            client.execute(insert(), Some(id())).await.unwrap_err(),
            client.execute_update(insert(), Some(id())).await.unwrap_err(),
            client.prepare(insert(), Some(id())).await.map(|_| ()).unwrap_err(),
        ] {
            let error = status(error);
            assert_eq!(error.code(), Code::Unimplemented, "{error}");
            assert!(error.message().contains("each statement is one by itself"), "{error}");
        }
        let savepoint = ActionBeginSavepointRequest { transaction_id: id(), name: "s".into() };
        let end = ActionEndSavepointRequest { savepoint_id: id(), action: 1 };
        let mut plain = server.plain().await;
        for action in [
            Action::new("BeginSavepoint", savepoint.as_any().encode_to_vec()),
            Action::new("EndSavepoint", end.as_any().encode_to_vec()),
        ] {
            let error = plain.do_action(action).await.unwrap_err();
            assert_eq!(error.code(), Code::Unimplemented, "{error}");
            assert!(error.message().contains("each statement is one by itself"), "{error}");
        }
        // As SQL, on every way in.
        for sql in ["BEGIN", "START TRANSACTION", "COMMIT", "ROLLBACK", "SAVEPOINT s"] {
            for error in [
                client.execute(sql.into(), None).await.unwrap_err(),
                client.execute_update(sql.into(), None).await.unwrap_err(),
                client.prepare(sql.into(), None).await.map(|_| ()).unwrap_err(),
            ] {
                let error = status(error);
                assert_eq!(error.code(), Code::Unimplemented, "{sql}: {error}");
                assert!(error.message().starts_with(sql.trim_end_matches(" s")), "{sql}: {error}");
            }
        }
        assert_eq!(number(&mut client, "SELECT count(*) FROM t").await, 0);
    });
}
