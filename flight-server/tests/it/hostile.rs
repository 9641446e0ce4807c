//! Clients that send what no driver sends, too much of it, or nothing: each is told so if it can be, and the server stays up.

use std::fmt::Display;
use std::ops::Range;
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{Any, CommandStatementQuery, ProstMessageExt, TicketStatementQuery};
use arrow_flight::{Action, FlightData, FlightDescriptor, Ticket};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use prost::Message;
use ruvector_flight_server::Setup;
use ruvector_flight_server::config::{Config, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::harness::{TestServer, number, run, status, try_query, with_server, with_setup};

/// SplitMix64, printed with a failure by its seed.
fn random_bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)).to_le_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

/// `RUVECTOR_MALFORMED_SEEDS` is the number of seeds, for longer runs; `RUVECTOR_SEED` is the first of them.
pub(crate) fn seeds() -> Range<u64> {
    let number = |name, default| std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default);
    let first: u64 = number("RUVECTOR_SEED", 0);
    first..first.saturating_add(number("RUVECTOR_MALFORMED_SEEDS", 200))
}

/// Checks that a refusal has a cause that a client can act on: no lost connection, and no bug.
pub(crate) fn is_told(refusal: &Status, case: impl Display) {
    let is_bug = ["bug in", "panicked"].iter().any(|sign| refusal.message().contains(sign));
    assert!(!matches!(refusal.code(), Code::Unknown | Code::Unavailable) && !is_bug, "{case}: {refusal}");
}

pub(crate) async fn is_up(server: &TestServer) {
    let mut client = server.client().await;
    assert_eq!(number(&mut client, "SELECT 1").await, 1);
}

async fn large(server: &TestServer) -> FlightServiceClient<Channel> {
    server.plain().await.max_encoding_message_size(256 << 20)
}

#[test]
fn sql_of_ten_megabytes_is_answered_or_refused() {
    with_server(|server| async move {
        let mut client = large(&server).await;
        let comment = format!("SELECT 1 /* {} */", "x".repeat(10 << 20));
        client.do_get(Ticket::new(comment)).await.unwrap().into_inner().try_collect::<Vec<_>>().await.unwrap();
        for sql in [
            "x".repeat(10 << 20),
            format!("SELECT '{}", "x".repeat(10 << 20)),
            format!("SELECT {}", "(".repeat(10 << 20)),
        ] {
            let error = client.do_get(Ticket::new(sql)).await.unwrap_err();
            let message = &error.message()[..200.min(error.message().len())];
            assert!(matches!(error.code(), Code::InvalidArgument | Code::ResourceExhausted), "{message}");
            // An error is a header, and those are small.
            assert!(error.message().len() < 8 << 10, "{} bytes", error.message().len());
        }
        is_up(&server).await;
    });
}

#[test]
fn deep_nesting_is_refused_or_answered() {
    with_server(|server| async move {
        let mut client = server.client().await;
        for depth in [10, 40, 400, 10_000, 100_000] {
            for sql in [
                format!("SELECT {}1{}", "(".repeat(depth), ")".repeat(depth)),
                format!("SELECT {}1", "- ".repeat(depth)),
                format!("SELECT {}true", "NOT ".repeat(depth)),
                format!("SELECT 1{}", " + 1".repeat(depth)),
                format!("SELECT {}[1]{}", "[".repeat(depth), "]".repeat(depth)),
                format!("{}SELECT 1{}", "SELECT * FROM (".repeat(depth), ")".repeat(depth)),
                format!("SELECT 1 WHERE true{}", " OR 1 = 2".repeat(depth)),
                format!("SELECT count(*) FROM (SELECT 1{})", " UNION ALL SELECT 1".repeat(depth)),
            ] {
                match try_query(&mut client, &sql).await {
                    Ok(rows) => assert_eq!(rows.num_rows(), 1),
                    Err(error) => {
                        let error = status(error);
                        assert!(
                            matches!(
                                error.code(),
                                Code::InvalidArgument | Code::Unimplemented | Code::ResourceExhausted
                            ),
                            "{depth} of {}: {error}",
                            &sql[..20]
                        );
                    }
                }
            }
        }
        is_up(&server).await;
    });
}

#[test]
fn messages_that_are_no_messages_are_refused() {
    with_server(|server| async move {
        let mut client = server.plain().await;
        for seed in seeds() {
            let bytes = random_bytes(seed, 1 + (seed % 97) as usize);
            // As it comes, in the clothes of a command, and cut off.
            let dressed = Any { type_url: CommandStatementQuery::type_url().to_owned(), value: bytes.clone().into() };
            let whole =
                CommandStatementQuery { query: "SELECT 1".into(), transaction_id: None }.as_any().encode_to_vec();
            let cut = whole[..usize::try_from(seed).unwrap() % whole.len()].to_vec();
            for body in [bytes, dressed.encode_to_vec(), cut] {
                let descriptor = FlightDescriptor::new_cmd(body.clone());
                let message = FlightData { flight_descriptor: Some(descriptor.clone()), ..FlightData::new() };
                let torn =
                    FlightData { data_header: body.clone().into(), data_body: body.clone().into(), ..message.clone() };
                let mut answers = Vec::new();
                answers.push(client.get_flight_info(descriptor.clone()).await.err());
                answers.push(client.get_schema(descriptor).await.err());
                answers.push(client.do_get(Ticket::new(body.clone())).await.err());
                for kind in ["CreatePreparedStatement", "CancelFlightInfo", "CancelQuery", "SetSessionOptions"] {
                    answers.push(client.do_action(Action::new(kind, body.clone())).await.err());
                }
                answers.push(client.do_put(stream::iter([message.clone()])).await.err());
                answers.push(client.do_put(stream::iter([torn.clone()])).await.err());
                answers.push(client.do_exchange(stream::iter([message])).await.err());
                answers.push(client.do_exchange(stream::iter([torn])).await.err());
                for error in answers.into_iter().flatten() {
                    is_told(&error, format_args!("RUVECTOR_SEED={seed}"));
                }
            }
        }
        is_up(&server).await;
    });
}

#[test]
fn connections_that_never_speak_or_speak_nonsense_keep_nobody_out() {
    with_server(|server| async move {
        let mut silent = Vec::new();
        for _ in 0..300 {
            silent.push(TcpStream::connect(server.address).await.unwrap());
        }
        for seed in 0..20 {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            // The server may hang up while it is still being talked to.
            let _ = stream.write_all(&random_bytes(seed, 4096)).await;
            silent.push(stream);
        }
        let mut half = TcpStream::connect(server.address).await.unwrap();
        half.write_all(b"PRI * HTTP/2.0\r\n\r\nSM").await.unwrap();
        is_up(&server).await;
        drop(silent);
        is_up(&server).await;
    });
}

#[test]
fn a_client_that_stops_reading_loses_its_query_and_others_do_not_notice() {
    let server = ServerConfig {
        statements_max: 2,
        stall_max: Duration::from_secs(1),
        statement_wait_max: Duration::from_secs(60),
        ..ServerConfig::default()
    };
    with_setup(Setup::load(Config { server, ..Config::default() }).unwrap(), |server| async move {
        let mut stalled = Vec::new();
        for _ in 0..2 {
            let mut client = server.client().await;
            let sql = "SELECT value, repeat('x', 1000) AS text FROM generate_series(1, 100000000)";
            let info = client.execute(sql.to_owned(), None).await.unwrap();
            let mut rows = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
            rows.next().await.unwrap().unwrap();
            stalled.push(rows);
        }
        // Both places are taken, until those who do not read have lost theirs.
        let mut other = server.client().await;
        assert_eq!(number(&mut other, "SELECT 1").await, 1);
        // A stream that is read again before that goes on.
        let running = "SELECT count(*) FROM system.queries WHERE state = 'running'";
        while number(&mut other, running).await > 1 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for mut rows in stalled {
            let mut last = None;
            while let Some(next) = rows.next().await {
                last = next.err().or(last);
            }
            assert_eq!(status(last.unwrap()).code(), Code::DeadlineExceeded);
        }
    });
}

/// The ticket of a query, with another statement in it.
fn forged(ticket: &Ticket, sql: &str) -> Ticket {
    #[derive(Clone, PartialEq, Message)]
    struct Statement {
        #[prost(string, tag = "1")]
        sql: String,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Handle {
        #[prost(bytes = "bytes", tag = "1")]
        id: Bytes,
        #[prost(message, optional, tag = "3")]
        statement: Option<Statement>,
        #[prost(bytes = "bytes", tag = "4")]
        schema: Bytes,
    }
    let query = Any::decode(&*ticket.ticket).unwrap().unpack::<TicketStatementQuery>().unwrap().unwrap();
    let handle = Handle::decode(query.statement_handle).unwrap();
    assert!(handle.statement.is_some() && !handle.schema.is_empty());
    let handle = Handle { statement: Some(Statement { sql: sql.to_owned() }), ..handle };
    let query = TicketStatementQuery { statement_handle: handle.encode_to_vec().into() };
    Ticket::new(query.as_any().encode_to_vec())
}

#[test]
fn a_ticket_runs_nothing_but_a_query() {
    with_server(|server| async move {
        let mut anonymous = server.anonymous().await;
        run(&mut anonymous, "CREATE TABLE t (id BIGINT)").await;
        let info = anonymous.execute("SELECT 1 AS x".into(), None).await.unwrap();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let mut plain = server.plain().await;
        for sql in [
            "SET datafusion.catalog.default_schema = 'system'",
            "RESET datafusion.execution.batch_size",
            "INSERT INTO t VALUES (7)",
            "DELETE FROM t",
            "CREATE TABLE u (id BIGINT)",
            "CREATE TABLE u AS SELECT 1 AS id",
            "SELECT 1 AS id INTO u",
            "CREATE INDEX t_id ON t USING flat (id)",
            "CREATE BACKEND u TYPE memory",
            "CREATE EXTERNAL TABLE u STORED AS CSV LOCATION '/tmp'",
            "DROP TABLE t",
            "KILL 1",
        ] {
            let error = plain.do_get(forged(&ticket, sql)).await.unwrap_err();
            assert_eq!(error.code(), Code::InvalidArgument, "{sql}: {error}");
            assert!(error.message().contains("expected a query"), "{sql}: {error}");
        }
        // The session that all anonymous clients share is as it was, and so are the tables.
        assert_eq!(number(&mut anonymous, "SELECT count(*) FROM t").await, 0);
        let made = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'u' OR table_schema = 'u'";
        assert_eq!(number(&mut anonymous, made).await, 0);
        assert!(plain.do_get(forged(&ticket, "SELECT 1 AS x")).await.is_ok());
    });
}
