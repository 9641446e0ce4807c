//! The `ruvector` command as a process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

#[test]
fn serve_announces_itself_and_stops_on_sigterm() {
    let (mut server, mut out, url) = serve(&[]);
    assert_eq!(stdout(&sql(&["--remote", &url, "-c", "SELECT 1 AS one", "--format", "csv"])), "one\n1\n");
    kill(&server, "TERM");
    assert_eq!(wait(&mut server), Some(0));
    // It said nothing else on standard output.
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

#[test]
fn sigterm_lets_an_idle_connection_go() {
    let (mut server, _out, url) = serve(&[]);
    let address = url.strip_prefix("grpc://").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let _idle = runtime.block_on(endpoint.connect()).unwrap();
    let start = Instant::now();
    kill(&server, "TERM");
    assert_eq!(wait(&mut server), Some(0));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = ruvector().args(["serve", "--listen", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), format!("error: address {address} is in use\n"));
    assert_eq!(stdout(&output), "");
}

#[test]
fn other_machines_are_let_in_only_on_demand() {
    let output = ruvector().args(["serve", "--listen", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--insecure-allow-remote"), "{}", stderr(&output));
}

#[test]
fn statements_of_one_command_share_their_tables() {
    let output = sql(&[
        "-c",
        "CREATE TABLE docs (id BIGINT, vec FLOAT[3]); \
         INSERT INTO docs VALUES (1, [1.0, 0.0, 0.0]), (2, [0.0, 1.0, 0.0]); \
         SELECT id, vec FROM docs ORDER BY id",
    ]);
    assert_eq!(
        stdout(&output),
        "OK\nOK, 2 rows changed\n\
         +----+-----------+\n\
         | id | vec       |\n\
         +----+-----------+\n\
         |  1 | [1, 0, 0] |\n\
         |  2 | [0, 1, 0] |\n\
         +----+-----------+\n\
         2 rows\n"
    );
}

#[test]
fn csv_and_json_hold_nothing_but_rows() {
    let statements = "CREATE TABLE t (id BIGINT, vec FLOAT[2]); INSERT INTO t VALUES (1, [0.5, 1.0]), (2, NULL); \
                      SELECT * FROM t ORDER BY id";
    assert_eq!(stdout(&sql(&["-c", statements, "--format", "csv"])), "id,vec\n1,\"[0.5,1.0]\"\n2,\n");
    assert_eq!(
        stdout(&sql(&["-c", statements, "--format", "json"])),
        "[{\"id\":1,\"vec\":[0.5,1.0]},{\"id\":2,\"vec\":null}]\n"
    );
    assert_eq!(stdout(&sql(&["-c", "SELECT 1 AS a WHERE false", "--format", "json"])), "[]\n");
}

#[test]
fn an_error_stops_the_script_with_exit_code_1() {
    let output = sql(&["-c", "SELECT 1 AS a; SELECT * FROM missing; SELECT 2 AS b"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("| a |"));
    assert!(!stdout(&output).contains("| b |"));
    assert!(stderr(&output).starts_with("error: "), "{}", stderr(&output));
    assert!(stderr(&output).contains("missing"), "{}", stderr(&output));
    // The error, the line of the statement, and a mark below the place.
    assert_eq!(stderr(&output).lines().count(), 3, "{}", stderr(&output));
}

#[test]
fn the_place_of_an_error_is_marked() {
    let output = sql(&["-c", "SELECT 1;\nSELECT id\n  FRM docs"]);
    assert_eq!(output.status.code(), Some(1));
    let marked = "at Line: 2, Column: 7\nLINE 2:   FRM docs\n              ^\n";
    assert!(stderr(&output).ends_with(marked), "{}", stderr(&output));
}

#[test]
fn a_script_may_hold_commands() {
    let statements =
        "CREATE TABLE docs (id BIGINT);\n\\format csv\n\\dt\n\\x on\n\\format table\nSELECT 1 AS a, 2 AS bb";
    assert_eq!(
        stdout(&sql(&["-c", statements])),
        "OK\nschema,name,type\nmain,docs,BASE TABLE\n-[ row 1 ]-\na  | 1\nbb | 2\n1 row\n"
    );
    let output = sql(&["-c", "\\nothing\nSELECT 1"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
    assert!(stderr(&output).starts_with("error: there is no command \\nothing, but \\d "), "{}", stderr(&output));
}

#[test]
fn statements_may_come_from_standard_input() {
    let mut shell = ruvector().arg("sql").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    shell.stdin.take().unwrap().write_all(b"SELECT 1 AS a;\nSELECT 2 AS b").unwrap();
    let output = shell.wait_with_output().unwrap();
    assert!(stdout(&output).contains("| a |") && stdout(&output).contains("| b |"), "{}", stdout(&output));
}

#[test]
fn the_shell_runs_on_a_server() {
    let (mut server, _out, url) = serve(&[]);
    let run = |statements: &str| sql(&["--remote", &url, "-c", statements]);
    let output = run("CREATE TABLE t (id BIGINT); INSERT INTO t VALUES (7)");
    assert_eq!(stdout(&output), "OK\nOK, 1 row changed\n");
    let output = run("SET datafusion.execution.batch_size = 10; SELECT id FROM t");
    assert!(stdout(&output).ends_with("| id |\n+----+\n|  7 |\n+----+\n1 row\n"), "{}", stdout(&output));
    let output = run("SELECT * FROM missing");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("missing"));
    kill(&server, "TERM");
    assert_eq!(wait(&mut server), Some(0));
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let output = sql(&["--remote", "grpc://127.0.0.1:1", "-c", "SELECT 1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("error: cannot reach grpc://127.0.0.1:1: "), "{}", stderr(&output));
}

pub(crate) fn ruvector() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ruvector"))
}

fn sql(args: &[&str]) -> Output {
    ruvector().arg("sql").args(args).stdin(Stdio::null()).output().unwrap()
}

/// A server on a free port, the rest of its standard output, and its URL.
pub(crate) fn serve(settings: &[&str]) -> (Child, BufReader<ChildStdout>, String) {
    let mut server = ruvector()
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(settings)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(server.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let url = line.strip_prefix("ruvector listening on ").expect(&line).trim_end().to_owned();
    (server, out, url)
}

pub(crate) fn kill(server: &Child, signal: &str) {
    let status = Command::new("kill").args([&format!("-{signal}"), &server.id().to_string()]).status().unwrap();
    assert!(status.success());
}

pub(crate) fn wait(server: &mut Child) -> Option<i32> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if let Some(status) = server.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    server.kill().unwrap();
    panic!("the server did not stop");
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Also what goes wrong while rows are made is said in the engine's own words.
#[test]
fn an_error_of_a_query_that_runs_is_one_clear_line() {
    let output = sql(&["-c", "SELECT * FROM warm_cache('docs', '/no/such/folder')"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "error: no bundle: path /no/such/folder/table.rulake.json\n");
}
