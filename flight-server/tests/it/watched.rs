//! The view of an operator: the statements, the health, the metrics.

use arrow::array::AsArray;
use futures::StreamExt;
use ruvector_flight_server::Setup;
use ruvector_flight_server::config::{Config, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::guarded::Guarded;
use crate::harness::{number, query, run, status, try_query, with_server, with_setup};

#[test]
fn statements_that_run_and_ran_are_a_table() {
    with_server(|server| async move {
        let mut client = server.client_with_docs().await;
        let _ = try_query(&mut client, "SELECT nothing FROM docs").await.unwrap_err();
        let secret = "CREATE BACKEND s TYPE object_store OPTIONS (url 's3://b', secret_access_key 'hush')";
        let _ = try_query(&mut client, secret).await.unwrap_err();
        let info = client.execute("SELECT value FROM generate_series(1, 100000000)".to_owned(), None).await.unwrap();
        let mut rows = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
        rows.next().await.unwrap().unwrap();
        let sql = "SELECT state, kind, statement, rows > 0, error IS NULL FROM system.queries ORDER BY id";
        let listed = query(&mut client, sql).await;
        let text = |column: usize| -> Vec<String> {
            listed.column(column).as_string::<i32>().iter().map(|value| value.unwrap().to_owned()).collect()
        };
        let of = |kind: &str| text(1).iter().position(|found| found == kind).unwrap();
        assert_eq!(text(0)[of("insert")], "done");
        assert_eq!(text(0)[of("create backend")], "failed");
        assert!(!text(2).join(" ").contains("hush"));
        let running: Vec<_> = text(0).into_iter().zip(text(2)).filter(|(state, _)| state == "running").collect();
        assert_eq!(running.len(), 2, "{running:?}");
        drop(rows);
    });
}

#[test]
fn one_sees_and_kills_ones_own_and_an_admin_all() {
    let guarded = Guarded::new();
    with_setup(guarded.setup(), |server| async move {
        let mut reader = server.sign_in("reader").await;
        let mut admin = server.sign_in("admin").await;
        let endless = "SELECT value FROM generate_series(1, 100000000)";
        let info = admin.execute(endless.to_owned(), None).await.unwrap();
        let mut rows = admin.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
        rows.next().await.unwrap().unwrap();
        let users = query(&mut reader, "SELECT DISTINCT user FROM system.queries").await;
        assert_eq!(users.column(0).as_string::<i32>().value(0), "reader");
        let listed = "SELECT id FROM system.queries WHERE state = 'running' AND statement LIKE 'SELECT value%'";
        let id = number(&mut admin, listed).await;
        let refused = status(try_query(&mut reader, &format!("KILL {id}")).await.unwrap_err());
        assert_eq!(refused.code(), Code::PermissionDenied);
        let none = status(try_query(&mut reader, "KILL 4711").await.unwrap_err());
        assert_eq!(none.code(), Code::NotFound);
        let users = query(&mut admin, "SELECT DISTINCT user FROM system.queries ORDER BY user").await;
        assert_eq!(users.num_rows(), 2);
        assert_eq!(run(&mut admin, &format!("KILL QUERY {id}")).await, 1);
        // Again is as good as once.
        while let Some(Ok(_)) = rows.next().await {}
        assert_eq!(run(&mut admin, &format!("KILL {id}")).await, 0);
    });
}

#[test]
fn health_is_asked_as_grpc_does_and_needs_no_token() {
    let guarded = Guarded::new();
    with_setup(guarded.setup(), |server| async move {
        let mut health = HealthClient::new(server.channel().await);
        for service in ["", "arrow.flight.protocol.FlightService"] {
            let answer = health.check(HealthCheckRequest { service: service.to_owned() }).await.unwrap().into_inner();
            assert_eq!(answer.status(), ServingStatus::Serving);
        }
        let unknown = health.check(HealthCheckRequest { service: "x".to_owned() }).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound);
    });
}

#[test]
fn metrics_count_what_happened() {
    // A free port that no other test uses.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = ServerConfig { http_listen: Some(port.to_string()), ..ServerConfig::default() };
    let setup = Setup::load(Config { server, ..Config::default() }).unwrap();
    with_setup(setup, |server| async move {
        let mut client = server.client_with_docs().await;
        query(&mut client, "SELECT * FROM docs").await;
        let _ = try_query(&mut client, "SELECT nothing FROM docs").await.unwrap_err();
        assert!(get(&port.to_string(), "/healthz").await.ends_with("\r\n\r\nok\n"));
        let text = get(&port.to_string(), "/metrics").await;
        assert!(text.contains("application/openmetrics-text"), "{text}");
        for line in [
            r#"ruvector_statements_total{kind="query",outcome="ok"} 1"#,
            r#"ruvector_statements_total{kind="insert",outcome="ok"} 1"#,
            r#"ruvector_statements_total{kind="query",outcome="not found"} 1"#,
            r#"ruvector_statement_seconds_count{kind="query"} 2"#,
            r#"ruvector_rows_total{kind="insert"} 3"#,
            "ruvector_statements_running 0",
            "ruvector_sessions 1",
            "ruvector_build_info{version=\"",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(get(&port.to_string(), "/nothing").await.starts_with("HTTP/1.1 404"));
    });
}

async fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
