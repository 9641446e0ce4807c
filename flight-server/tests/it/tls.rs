//! Encryption, and certificates of both sides.

use std::fs;

use arrow_flight::sql::client::FlightSqlServiceClient;
use ruvector_flight_server::Setup;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Error, Identity};

use crate::certificates::Certificates;
use crate::command_line::{ruvector, stderr, stdout};
use crate::guarded::{Guarded, TOKEN, password};
use crate::harness::{Client, TestServer, number, with_setup};

/// A guarded server's folder with certificates in it.
struct Secured {
    guarded: Guarded,
    certificates: Certificates,
}

impl Secured {
    fn new() -> Self {
        let (guarded, certificates) = (Guarded::new(), Certificates::new().unwrap());
        for (name, pem) in [
            ("ca.pem", &certificates.ca),
            ("server.pem", &certificates.server.0),
            ("server.key", &certificates.server.1),
            ("client.pem", &certificates.client.0),
            ("client.key", &certificates.client.1),
        ] {
            fs::write(guarded.path(name), pem).unwrap();
        }
        Self { guarded, certificates }
    }

    fn setup(&self, mutual: bool) -> Setup {
        let mut config = self.guarded.config();
        config.tls.cert = Some(self.guarded.path("server.pem"));
        config.tls.key = Some(self.guarded.path("server.key"));
        config.tls.client_ca = mutual.then(|| self.guarded.path("ca.pem"));
        Setup::load(config).unwrap()
    }

    fn path(&self, name: &str) -> String {
        self.guarded.path(name).display().to_string()
    }
}

fn trusting(ca: &str) -> ClientTlsConfig {
    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca))
}

fn showing(tls: ClientTlsConfig, (cert, key): &(String, String)) -> ClientTlsConfig {
    tls.identity(Identity::from_pem(cert, key))
}

async fn connect(server: &TestServer, tls: ClientTlsConfig) -> Result<Client, Error> {
    let endpoint = Endpoint::from_shared(format!("https://localhost:{}", server.address.port()))?.tls_config(tls)?;
    Ok(FlightSqlServiceClient::new(endpoint.connect().await?))
}

/// Whether a client gets an answer. A certificate that the server does not like shows with the first call only.
async fn is_answered(server: &TestServer, tls: ClientTlsConfig) -> bool {
    let Ok(mut client) = connect(server, tls).await else { return false };
    client.handshake("reader", &password("reader")).await.is_ok()
}

fn shell(args: &[&str], variables: &[(&str, &str)]) -> std::process::Output {
    let mut command = ruvector();
    command.arg("sql").args(args).args(["-c", "SELECT 1 AS one", "--format", "csv"]);
    command.stdin(std::process::Stdio::null()).envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn a_client_that_trusts_the_authority_is_served() {
    let secured = Secured::new();
    with_setup(secured.setup(false), |server| async move {
        let mut client = connect(&server, trusting(&secured.certificates.ca)).await.unwrap();
        client.handshake("reader", &password("reader")).await.unwrap();
        assert_eq!(number(&mut client, "SELECT 1").await, 1);
    });
}

#[test]
fn a_client_that_does_not_trust_the_authority_turns_away() {
    let secured = Secured::new();
    with_setup(secured.setup(false), |server| async move {
        let other = Certificates::new().unwrap();
        let error = connect(&server, trusting(&other.ca)).await.err().unwrap();
        assert!(format!("{error:?}").contains("UnknownIssuer"), "{error:?}");
        // And one that speaks no TLS gets nothing.
        let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
        if let Ok(channel) = endpoint.connect().await {
            let mut client = FlightSqlServiceClient::new(channel);
            client.set_token(TOKEN.to_owned());
            assert!(client.execute("SELECT 1".into(), None).await.is_err());
        }
    });
}

#[test]
fn under_mtls_a_client_needs_a_certificate() {
    let secured = Secured::new();
    with_setup(secured.setup(true), |server| async move {
        let Certificates { ca, client, .. } = &secured.certificates;
        assert!(is_answered(&server, showing(trusting(ca), client)).await);
        assert!(!is_answered(&server, trusting(ca)).await);
        let other = Certificates::new().unwrap();
        assert!(!is_answered(&server, showing(trusting(ca), &other.client)).await);
        // A certificate is no user.
        let mut nobody = connect(&server, showing(trusting(ca), client)).await.unwrap();
        assert!(nobody.execute("SELECT 1".into(), None).await.is_err());
    });
}

#[test]
fn a_certificate_that_is_renewed_is_shown_to_the_next_client() {
    let secured = Secured::new();
    with_setup(secured.setup(false), |server| async move {
        let old = trusting(&secured.certificates.ca);
        let mut stays = connect(&server, old.clone()).await.unwrap();
        stays.handshake("reader", &password("reader")).await.unwrap();
        let renewed = Certificates::new().unwrap();
        let new = trusting(&renewed.ca);
        assert!(!is_answered(&server, new.clone()).await);
        // Between the two writes the key is of another certificate: the old pair is shown.
        fs::write(secured.guarded.path("server.pem"), &renewed.server.0).unwrap();
        assert!(is_answered(&server, old.clone()).await);
        fs::write(secured.guarded.path("server.key"), &renewed.server.1).unwrap();
        assert!(is_answered(&server, new.clone()).await);
        assert!(!is_answered(&server, old).await);
        assert_eq!(number(&mut stays, "SELECT 1").await, 1);
        fs::remove_file(secured.guarded.path("server.pem")).unwrap();
        assert!(is_answered(&server, new).await);
    });
}

#[test]
fn the_shell_speaks_tls_and_signs_in() {
    let secured = Secured::new();
    with_setup(secured.setup(true), |server| async move {
        let url = format!("grpc+tls://127.0.0.1:{}", server.address.port());
        let plain_url = url.replace("grpc+tls", "grpc");
        let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"].map(|name| secured.path(name));
        let other = Secured::new();
        let other_ca = other.path("ca.pem");
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
    let [cert, key, users] = ["server.pem", "server.key", "users.toml"].map(|name| secured.path(name));
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
        ["server.pem", "server.key", "client.key", "ca.pem", "users.toml"].map(|name| secured.path(name));
    let empty = secured.path("empty.pem");
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
