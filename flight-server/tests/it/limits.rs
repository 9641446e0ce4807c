//! Limits that protect clients from each other: too many statements, too long ones, too large ones.

use std::time::Duration;

use futures::StreamExt;
use ruvector_flight_server::Setup;
use ruvector_flight_server::config::{Config, ServerConfig};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tonic::Code;

use crate::guarded::Guarded;
use crate::harness::{number, run, status, try_query, with_server, with_setup};

/// Rows without end, as far as a test is concerned.
const ENDLESS: &str = "SELECT a.value FROM generate_series(1, 100000000) a";

/// More bytes than all buffers between server and client hold.
const WIDE: &str = "SELECT value, repeat('x', 1000) FROM generate_series(1, 2000000)";

fn setup(server: ServerConfig) -> Setup {
    Setup::load(Config { server, ..Config::default() }).unwrap()
}

#[test]
fn a_statement_beyond_the_queue_is_told_to_try_again_and_kill_is_not() {
    let server = ServerConfig { statements_max: 1, statements_waiting_max: 0, ..ServerConfig::default() };
    with_setup(setup(server), |server| async move {
        let mut client = server.client().await;
        let info = client.execute(ENDLESS.to_owned(), None).await.unwrap();
        let mut rows = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
        rows.next().await.unwrap().unwrap();
        let mut other = server.client().await;
        let refused = status(try_query(&mut other, "SELECT 1").await.unwrap_err());
        assert_eq!(refused.code(), Code::Unavailable);
        assert_eq!(refused.message(), "the server is busy: 1 statements run and 0 wait: try again");
        // Who wants to know why finds out, and may end it.
        let running = "SELECT id FROM System.Queries WHERE state = 'running' ORDER BY id LIMIT 1";
        let id = number(&mut other, running).await;
        assert_eq!(run(&mut other, &format!("KILL {id}")).await, 1);
        let mut last = None;
        while let Some(next) = rows.next().await {
            last = next.err().or(last);
        }
        let killed = status(last.unwrap());
        assert_eq!((killed.code(), killed.message()), (Code::Cancelled, format!("statement {id} was killed").as_str()));
        assert_eq!(number(&mut other, "SELECT 1").await, 1);
    });
}

#[test]
fn a_killed_query_gives_up_its_place_also_if_its_client_reads_nothing() {
    let server = ServerConfig { statements_max: 1, ..ServerConfig::default() };
    with_setup(setup(server), |server| async move {
        let mut client = server.client().await;
        let info = client.execute(WIDE.to_owned(), None).await.unwrap();
        let mut rows = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
        rows.next().await.unwrap().unwrap();
        // Until all buffers between the two are full.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut other = server.client().await;
        let running = "SELECT id FROM system.queries WHERE state = 'running' ORDER BY id LIMIT 1";
        let id = number(&mut other, running).await;
        assert_eq!(run(&mut other, &format!("KILL {id}")).await, 1);
        let ended = format!("SELECT count(*) FROM system.queries WHERE id = {id} AND state = 'cancelled'");
        // It needs the place.
        assert_eq!(number(&mut other, "SELECT 1").await, 1);
        assert_eq!(number(&mut other, &ended).await, 1);
        let mut last = None;
        while let Some(next) = rows.next().await {
            last = next.err().or(last);
        }
        let killed = status(last.unwrap());
        assert_eq!((killed.code(), killed.message()), (Code::Cancelled, format!("statement {id} was killed").as_str()));
    });
}

#[test]
fn one_user_leaves_places_for_others() {
    let guarded = Guarded::new();
    let mut config = guarded.config();
    config.server.statements_max = 4;
    config.server.statement_wait_max = Duration::ZERO;
    with_setup(Setup::load(config).unwrap(), |server| async move {
        let mut reader = server.sign_in("reader").await;
        let mut streams = Vec::new();
        for _ in 0..3 {
            let info = reader.execute(ENDLESS.to_owned(), None).await.unwrap();
            let mut rows = reader.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
            rows.next().await.unwrap().unwrap();
            streams.push(rows);
        }
        let refused = status(try_query(&mut reader, "SELECT 1").await.unwrap_err());
        assert_eq!(refused.code(), Code::Unavailable);
        assert!(refused.message().starts_with("user reader has 3 statements that run"), "{refused}");
        let mut writer = server.sign_in("writer").await;
        let info = writer.execute(ENDLESS.to_owned(), None).await.unwrap();
        let mut rows = writer.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
        rows.next().await.unwrap().unwrap();
        // All places are taken: an admin has more.
        assert!(try_query(&mut writer, "SELECT 1").await.is_err());
        let mut admin = server.sign_in("admin").await;
        assert_eq!(number(&mut admin, "SELECT 1").await, 1);
    });
}

#[test]
fn connections_beyond_the_limit_and_silent_ones_are_closed() {
    let server = ServerConfig {
        connections_max: 2,
        connections_per_address_max: 2,
        connection_idle_max: Duration::from_millis(500),
        ..ServerConfig::default()
    };
    with_setup(setup(server), |server| async move {
        let mut client = server.client().await;
        let silent = TcpStream::connect(server.address).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut refused = TcpStream::connect(server.address).await.unwrap();
        let read = refused.read(&mut [0; 8]).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
        drop(silent);
        // A call that takes long keeps its connection; one that was quiet for too long is opened again by the client.
        let info = client.execute(ENDLESS.to_owned(), None).await.unwrap();
        let mut rows = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
        rows.next().await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        for _ in 0..20 {
            rows.next().await.unwrap().unwrap();
        }
        drop(rows);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(number(&mut client, "SELECT 1").await, 1);
    });
}

#[test]
fn statements_wait_for_their_turn() {
    let server = ServerConfig { statements_max: 1, ..ServerConfig::default() };
    with_setup(setup(server), |server| async move {
        let many = (0..20).map(|_| async {
            let mut client = server.client().await;
            number(&mut client, "SELECT count(*) FROM generate_series(1, 100000)").await
        });
        assert!(futures::future::join_all(many).await.into_iter().all(|count| count == 100_000));
    });
}

#[test]
fn a_statement_that_takes_too_long_ends() {
    with_server(|server| async move {
        let mut client = server.client().await;
        run(&mut client, "SET ruvector.statement_timeout_ms = 50").await;
        let slow = "SELECT count(*) FROM generate_series(1, 100000000000) WHERE value % 7 = 8";
        let ended = status(try_query(&mut client, slow).await.unwrap_err());
        assert_eq!(ended.code(), Code::Cancelled);
        assert!(ended.message().contains("took longer than 50 ms"), "{ended}");
        // Another session has its own.
        let mut other = server.client().await;
        assert_eq!(number(&mut other, "SELECT 1").await, 1);
        run(&mut client, "SET ruvector.statement_timeout_ms = default").await;
        assert_eq!(number(&mut client, "SELECT 1").await, 1);
    });
}

#[test]
fn a_silent_query_is_kept_alive_by_batches_without_rows() {
    let server = ServerConfig { keep_alive_interval: Duration::from_millis(20), ..ServerConfig::default() };
    with_setup(setup(server), |server| async move {
        let mut client = server.client().await;
        let slow = "SELECT count(*) FROM generate_series(1, 60000000) WHERE value % 7 < 8";
        let info = client.execute(slow.to_owned(), None).await.unwrap();
        let mut rows = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
        let mut sizes = Vec::new();
        while let Some(batch) = rows.next().await {
            sizes.push(batch.unwrap().num_rows());
        }
        assert_eq!(sizes.last(), Some(&1));
        assert!(sizes.len() > 1 && sizes[..sizes.len() - 1].iter().all(|size| *size == 0), "{sizes:?}");
    });
}
