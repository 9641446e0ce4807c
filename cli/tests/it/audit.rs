//! The audit log, and what is in no log at all.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use arrow_flight::FlightDescriptor;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::{StreamExt, TryStreamExt, stream};
use tonic::transport::Endpoint;

use crate::command_line::{kill, ruvector, wait};
use crate::guarded::{Guarded, TOKEN, password, request_as};
use crate::harness::{query, run, try_query};

const SECRETS: [&str; 4] = ["hush-hush-1", "hush-hush-2", "hush-hush-3", "hush-hush-4"];

/// The log of a server at the most talkative level, on which every kind of statement ran.
#[test]
fn each_statement_is_a_line_and_no_secret_is_in_any() {
    let guarded = Guarded::new();
    let mut server = ruvector()
        .args(["serve", "--listen", "127.0.0.1:0", "--auth-users", &guarded.path("users.toml").display().to_string()])
        .env("RUVECTOR_LOG", "trace")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = server.stderr.take().unwrap();
    let log = std::thread::spawn(move || {
        let mut log = String::new();
        errors.read_to_string(&mut log).unwrap();
        log
    });
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("ruvector listening on grpc://").unwrap().to_owned();

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut tokens = vec![TOKEN.to_owned()];
    runtime.block_on(async {
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let client = |user: &'static str| {
            let mut client = FlightSqlServiceClient::new(channel.clone());
            async move {
                client.handshake(user, &password(user)).await.unwrap();
                client
            }
        };
        let (mut admin, mut reader) = (client("admin").await, client("reader").await);
        tokens.extend([admin.token().unwrap().clone(), reader.token().unwrap().clone()]);
        let mut dashboard = FlightSqlServiceClient::new(channel.clone());
        dashboard.set_token(TOKEN.to_owned());
        let mut stranger = FlightSqlServiceClient::new(channel.clone());
        assert!(stranger.handshake("reader", SECRETS[0]).await.is_err());
        stranger.set_token(SECRETS[1].to_owned());
        assert!(stranger.execute("SELECT 'of a stranger'".into(), None).await.is_err());

        run(&mut admin, "CREATE TABLE docs (id BIGINT)").await;
        run(&mut admin, "INSERT INTO docs VALUES (1),\n(2)").await;
        query(&mut reader, "SELECT id AS of_reader FROM docs").await;
        query(&mut dashboard, "SELECT id AS of_dashboard FROM docs").await;
        assert!(try_query(&mut reader, "DROP TABLE docs").await.is_err());
        assert!(try_query(&mut reader, "SELECT * FROM missing").await.is_err());
        for sql in [
            format!("CREATE BACKEND s TYPE object_store OPTIONS (url 's3://no-such-bucket/x', endpoint 'http://127.0.0.1:1', allow_http true, aws_secret_access_key '{}', aws_access_key_id '{}')", SECRETS[2], SECRETS[3]),
            format!("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/no/such' OPTIONS (aws_secret_access_key '{}')", SECRETS[2]),
            format!("SET ruvector.password = '{}'", SECRETS[2]),
            format!("SELECT * FROM nowhere WHERE url = 'https://u:{}@host/a'", SECRETS[3]),
        ] {
            let _ = try_query(&mut admin, &sql).await;
        }
        let long = format!("SELECT '{}' AS long", "x".repeat(5000));
        query(&mut reader, &long).await;
        // Rows by DoPut, and a query that is not read to its end.
        let mut plain = FlightServiceClient::new(channel.clone());
        let rows = query(&mut admin, "SELECT CAST(value AS BIGINT) AS id FROM generate_series(1, 3)").await;
        let path = FlightDescriptor::new_path(vec!["docs".into()]);
        let upload = FlightDataEncoderBuilder::new().with_flight_descriptor(Some(path));
        let upload: Vec<_> = upload.build(stream::iter([Ok(rows)]).boxed()).try_collect().await.unwrap();
        let mut done = plain.do_put(request_as(&admin, stream::iter(upload))).await.unwrap().into_inner();
        while done.message().await.unwrap().is_some() {}
        let endless = "SELECT value AS endless FROM generate_series(1, 1000000000000)";
        let info = reader.execute(endless.into(), None).await.unwrap();
        let mut rows = reader.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
        rows.next().await.unwrap().unwrap();
        drop(rows);
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    });
    drop(runtime);
    kill(&server, "TERM");
    assert_eq!(wait(&mut server), Some(0));
    let log = log.join().unwrap();

    let lines: Vec<_> = log.lines().filter(|line| line.contains("ruvector::audit")).collect();
    let shown = lines.join("\n");
    for parts in [
        &["user=\"admin\"", "role=\"admin\"", "kind=\"create table\"", "outcome=\"ok\"", "rows=0", "peer=\"127.0.0.1:"]
            [..],
        &["user=\"admin\"", "kind=\"insert\"", "outcome=\"ok\"", "rows=2", r"VALUES (1),\n(2)"],
        &[
            "user=\"reader\"",
            "role=\"reader\"",
            "kind=\"query\"",
            "outcome=\"ok\"",
            "rows=2",
            "of_reader",
            "milliseconds=",
        ],
        &["user=\"dashboard\"", "role=\"reader\"", "kind=\"query\"", "outcome=\"ok\"", "rows=2", "of_dashboard"],
        &["user=\"reader\"", "kind=\"drop table\"", "outcome=\"permission denied\"", "rows=0"],
        &["user=\"reader\"", "kind=\"query\"", "outcome=\"not found\"", "FROM missing"],
        // The stranger tried a name with its password, and then a token.
        &["user=\"reader\"", "role=\"none\"", "kind=\"sign in\"", "outcome=\"unauthenticated\""],
        &["user=\"anonymous\"", "role=\"none\"", "kind=\"sign in\"", "outcome=\"unauthenticated\""],
        &["kind=\"create backend\"", "aws_secret_access_key '***'", "aws_access_key_id '***'"],
        &["kind=\"create external table\"", "aws_secret_access_key '***'"],
        &["kind=\"set\"", "ruvector.password = '***'"],
        &["user=\"admin\"", "kind=\"ingest\"", "outcome=\"ok\"", "rows=3", "docs"],
        &["user=\"reader\"", "kind=\"query\"", "outcome=\"cancelled\"", "endless"],
    ] {
        let found = lines.iter().filter(|line| parts.iter().all(|part| line.contains(part))).count();
        assert_eq!(found, 1, "{parts:?} in\n{shown}");
    }
    assert!(lines.iter().all(|line| line.chars().count() < 1500), "{shown}");
    assert!(!shown.contains("of a stranger"), "{shown}");

    let secrets = SECRETS.iter().map(|secret| (*secret).to_owned());
    for secret in secrets.chain(tokens).chain(["reader", "admin"].map(password)) {
        for line in log.lines() {
            assert!(!line.contains(&secret), "a secret is in the log: {line}");
        }
    }
}

/// The log of a server that answers one query.
fn log_of(variable: &str, value: &str) -> String {
    let guarded = Guarded::new();
    let mut server = ruvector()
        .args(["serve", "--listen", "127.0.0.1:0", "--auth-users", &guarded.path("users.toml").display().to_string()])
        .env(variable, value)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("ruvector listening on grpc://").unwrap().to_owned();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let mut client = FlightSqlServiceClient::new(channel);
        client.set_token(TOKEN.to_owned());
        query(&mut client, "SELECT 1 AS a").await;
    });
    drop(runtime);
    kill(&server, "TERM");
    assert_eq!(wait(&mut server), Some(0));
    let mut log = String::new();
    server.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    log
}

#[test]
fn the_log_is_off_when_it_is_said_so() {
    let log = log_of("RUVECTOR_LOG", "info,ruvector::audit=off");
    assert!(!log.contains("ruvector::audit") && !log.contains("SELECT"), "{log}");
}

#[test]
fn the_log_is_json_when_it_is_said_so() {
    let log = log_of("RUVECTOR_LOG_FORMAT", "json");
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let audit: Vec<_> = lines.iter().filter(|line| line["target"] == "ruvector::audit").collect();
    assert_eq!(audit.len(), 1, "{log}");
    let line = audit[0];
    assert_eq!((&line["kind"], &line["outcome"], &line["rows"]), (&"query".into(), &"ok".into(), &1.into()), "{log}");
    assert_eq!((&line["level"], &line["statement"]), (&"INFO".into(), &"SELECT 1 AS a".into()), "{log}");
    assert!(line["timestamp"].is_string() && line["milliseconds"].is_number(), "{log}");
}
