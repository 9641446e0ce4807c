//! Encryption, and certificates of both sides.

use std::fs;

use arrow_flight::sql::client::FlightSqlServiceClient;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Error, Identity};

use crate::certificates::Certificates;
use crate::guarded::{TOKEN, password};
use crate::harness::{Client, TestServer, number, with_setup};
use crate::secured::Secured;

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

/// Returns true if a client gets an answer. A certificate that the server does not like shows with the first call only.
async fn is_answered(server: &TestServer, tls: ClientTlsConfig) -> bool {
    let Ok(mut client) = connect(server, tls).await else { return false };
    client.handshake("reader", &password("reader")).await.is_ok()
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
