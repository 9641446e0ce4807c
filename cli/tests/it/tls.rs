//! TLS of the shell, and the checks of certificates before a server starts.

use std::fs;

use crate::command_line::{ruvector, stderr, stdout};
use crate::guarded::{TOKEN, password};
use crate::harness::with_setup;
use crate::secured::Secured;

fn path(secured: &Secured, name: &str) -> String {
    secured.guarded.path(name).display().to_string()
}

fn shell(args: &[&str], variables: &[(&str, &str)]) -> std::process::Output {
    let mut command = ruvector();
    command.arg("sql").args(args).args(["-c", "SELECT 1 AS one", "--format", "csv"]);
    command.stdin(std::process::Stdio::null()).envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn the_shell_speaks_tls_and_signs_in() {
    let secured = Secured::new();
    with_setup(secured.setup(true), |server| async move {
        let url = format!("grpc+tls://127.0.0.1:{}", server.address.port());
        let plain_url = url.replace("grpc+tls", "grpc");
        let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"].map(|name| path(&secured, name));
        let other = Secured::new();
        let other_ca = path(&other, "ca.pem");
        let done = tokio::task::spawn_blocking(move || {
            let certificates = ["--remote", &url, "--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key];
            let with = |more: &[&'static str]| [&certificates[..], more].concat();
            let right = password("reader");
            let password = [("RUVECTOR_PASSWORD", right.as_str())];
            let output = shell(&with(&["--user", "reader"]), &password);
            assert_eq!(stdout(&output), "one\n1\n", "{}", stderr(&output));
            let output = shell(&with(&["--token", TOKEN]), &[]);
            assert_eq!(stdout(&output), "one\n1\n", "{}", stderr(&output));
            let output = shell(&certificates, &[("RUVECTOR_TOKEN", TOKEN)]);
            assert_eq!(stdout(&output), "one\n1\n", "{}", stderr(&output));
            let failed = |output: std::process::Output, part: &str| {
                assert_eq!(output.status.code(), Some(1));
                assert!(stderr(&output).contains(part), "{}", stderr(&output));
                assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
            };
            failed(shell(&with(&["--user", "writer"]), &password), "wrong user or password");
            failed(shell(&with(&["--token", "x"]), &[]), "the bearer token is missing, wrong or no longer good");
            failed(shell(&with(&["--user", "reader"]), &[]), "set $RUVECTOR_PASSWORD");
            failed(shell(&certificates, &[]), "say --user, --token or $RUVECTOR_TOKEN");
            let untrusted = ["--remote", &url, "--tls-ca", &other_ca, "--token", TOKEN];
            failed(shell(&untrusted, &[]), "UnknownIssuer");
            failed(shell(&["--remote", &plain_url, "--tls-ca", &ca], &[]), "need grpc+tls://");
            failed(shell(&["--remote", &url, "--tls-ca", "/no/ca.pem"], &[]), "--tls-ca: /no/ca.pem cannot be read");
        });
        done.await.unwrap();
    });
}

#[test]
fn a_server_with_tls_and_users_may_listen_everywhere() {
    let secured = Secured::new();
    let [cert, key, users] = ["server.pem", "server.key", "users.toml"].map(|name| path(&secured, name));
    let check = |more: &[&str]| {
        let listen = ["serve", "--check-config", "--listen", "0.0.0.0:0"];
        ruvector().args(listen).args(more).output().unwrap()
    };
    let tls = ["--tls-cert", &cert, "--tls-key", &key];
    let users = ["--auth-users", &users];
    assert!(check(&[tls.as_slice(), &users].concat()).status.success());
    assert!(check(&["--insecure-allow-remote"]).status.success());
    for (more, missing) in [
        (tls.as_slice(), "there is no authentication (--auth-users): "),
        (users.as_slice(), "there is no TLS (--tls-cert, --tls-key): "),
        (&[], "there is no TLS (--tls-cert, --tls-key) and no authentication (--auth-users): "),
    ] {
        let output = check(more);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(missing), "{}", stderr(&output));
    }
}

#[test]
fn certificates_are_checked_before_anything_listens() {
    let secured = Secured::new();
    let [cert, key, other_key, ca, users] =
        ["server.pem", "server.key", "client.key", "ca.pem", "users.toml"].map(|name| path(&secured, name));
    let empty = path(&secured, "empty.pem");
    fs::write(&empty, "nothing\n").unwrap();
    for (args, part) in [
        (vec!["--tls-cert", &cert, "--tls-key", &other_key], "cannot be used: "),
        (vec!["--tls-cert", &key, "--tls-key", &key], "tls.cert: "),
        (vec!["--tls-cert", &cert, "--tls-key", &cert], "cannot be used: "),
        (vec!["--tls-cert", &empty, "--tls-key", &key], "has no certificate"),
        (vec!["--tls-cert", &cert, "--tls-key", "/no/such.key"], "tls.key: /no/such.key cannot be read: "),
        (vec!["--tls-cert", &cert], "tls.cert needs tls.key"),
        (vec!["--tls-client-ca", &ca], "tls.client_ca needs tls.cert and tls.key"),
        (vec!["--tls-cert", &cert, "--tls-key", &key, "--tls-client-ca", &users], "tls.client_ca: "),
    ] {
        let output =
            ruvector().args(["serve", "--check-config", "--listen", "127.0.0.1:0"]).args(&args).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let text = stderr(&output);
        assert!(text.contains(part) && text.lines().count() == 1, "{args:?}: {text}");
        assert!(!text.contains("PRIVATE"), "{text}");
    }
}
