//! Settings of `ruvector serve`, as an operator meets them.

use std::fs;
use std::process::{Output, Stdio};

use crate::command_line::{ruvector, stderr, stdout};
use crate::guarded::Guarded;

fn check(args: &[&str], variables: &[(&str, &str)]) -> Output {
    ruvector().args(["serve", "--check-config"]).args(args).envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn the_effective_configuration_is_shown_with_where_it_comes_from() {
    let guarded = Guarded::new();
    let file = guarded.path("ruvector.toml");
    fs::write(&file, "[server]\nlisten = '127.0.0.1:0'\nsessions_max = 10\n[auth]\nusers = 'users.toml'\n").unwrap();
    let file = file.display().to_string();
    let output = check(&["--config", &file, "--sessions-max", "30"], &[("RUVECTOR_DRAIN_SECONDS_MAX", "3")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let shown = stdout(&output);
    for line in [
        "[server]",
        "listen = \"127.0.0.1:0\" # file",
        "sessions_max = 30 # --sessions-max",
        "drain_seconds_max = 3 # $RUVECTOR_DRAIN_SECONDS_MAX",
        "ping_interval_seconds = 60 # default",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} in\n{shown}");
    }
    assert!(shown.contains("users.toml") && !shown.contains("argon2"), "{shown}");
    // The environment names the file too.
    let output = check(&[], &[("RUVECTOR_CONFIG", &file)]);
    assert!(stdout(&output).contains("sessions_max = 10 # file"), "{}", stdout(&output));
    // What is shown is a file of settings that says the same.
    fs::write(guarded.path("again.toml"), &shown).unwrap();
    let again = check(&["--config", &guarded.path("again.toml").display().to_string()], &[]);
    let without_origin = |text: &str| text.lines().map(|line| line.split(" #").next().unwrap().to_owned()).collect();
    let (one, other): (Vec<_>, Vec<_>) = (without_origin(&shown), without_origin(&stdout(&again)));
    assert_eq!(one, other);
}

#[test]
fn what_is_wrong_is_one_line_and_exit_code_1() {
    let guarded = Guarded::new();
    let path = guarded.path("ruvector.toml");
    let file = path.display().to_string();
    for (text, part) in [
        ("[server]\nlisten_on = 'x'", "got server.listen_on"),
        ("[serve]\nlisten = 'x'", "no such section: expected one of server, engine, tls, auth, got serve"),
        (
            "[server]\nsessions_max = 'x'",
            "server.sessions_max: expected an integer from 1 to 1000000, got the string \"x\"",
        ),
        ("[server]\nlisten = 'nowhere'", "address 'nowhere' is not a HOST:PORT"),
        ("[server]\nhttp_listen = 'nowhere'", "server.http_listen: address 'nowhere' is not a HOST:PORT"),
        ("[server]\nlisten = '0.0.0.0:0'", "there is no TLS (--tls-cert, --tls-key) and no authentication"),
        ("[auth]\nusers = 'missing.toml'", "missing.toml: cannot be read"),
        ("[auth]\nusers = 'ruvector.toml'", "expected the sections users and tokens, got auth"),
        ("[engine]\ndata = 'users.toml'", "engine.data: expected a folder, got the file"),
        ("[tls]\ncert = 'users.toml'\nkey = 'users.toml'", "tls.cert: "),
        ("listen = 1 2", "line 1"),
    ] {
        fs::write(&path, text).unwrap();
        let output = check(&["--config", &file], &[]);
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), String::new()), "{text}");
        let error = stderr(&output);
        assert!(error.starts_with("error: ") && error.contains(part), "{text}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let output = check(&["--drain-seconds-max", "x"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("error: --drain-seconds-max: expected an integer of seconds"));
    let output = check(&["--no-such-flag"], &[]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_help_has_every_setting() {
    let output = ruvector().args(["serve", "--help"]).output().unwrap();
    let help = stdout(&output);
    for part in ["--listen", "--tls-client-ca", "--auth-users", "RUVECTOR_AUTH_USERS", "--config", "--check-config"] {
        assert!(help.contains(part), "{part} in {help}");
    }
}

#[test]
fn users_are_made_by_the_command() {
    use std::io::Write;
    let guarded = Guarded::new();
    let mut command = ruvector();
    command.args(["user", "hash-password", "ann", "--role", "admin"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"hunter2\n").unwrap();
    let user = stdout(&child.wait_with_output().unwrap());
    assert!(user.starts_with("[users.\"ann\"]\nrole = \"admin\"\npassword = \"$argon2id$"), "{user}");
    assert!(!user.contains("hunter2"));
    let output = ruvector().args(["user", "token", "dashboard"]).output().unwrap();
    let (section, token) = (stdout(&output), stderr(&output));
    assert!(section.starts_with("[tokens.\"dashboard\"]\nrole = \"reader\"\nsha256 = \""), "{section}");
    assert!(token.starts_with("rvt_") && token.lines().count() == 1 && !section.contains(token.trim()));
    let path = guarded.path("made.toml");
    fs::write(&path, format!("{user}{section}")).unwrap();
    let output = check(&["--listen", "127.0.0.1:0", "--auth-users", &path.display().to_string()], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for wrong in [&["user", "token", "a:b"][..], &["user", "token", "a", "--role", "root"]] {
        assert_eq!(ruvector().args(wrong).output().unwrap().status.code(), Some(1));
    }
}
