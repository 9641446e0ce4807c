//! The server that the shell's statements run on: its address, the authorities that are trusted, and the credentials for it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use arrow_flight::HandshakeRequest;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use futures::{TryStreamExt, stream};
use ruvector_flight_server::choose_crypto;
use ruvector_flight_server::config::read;
use ruvector_flight_server::wire::{bearer_token, session_cookie_of};
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};
use uuid::Uuid;

use super::reach;
use crate::password::ask_password;

/// Flags that say which server.
#[derive(Args, Clone)]
pub(crate) struct RemoteArgs {
    /// A server to run them on, as grpc://HOST:PORT or grpc+tls://HOST:PORT, instead of in this process.
    #[arg(long, value_name = "URL", conflicts_with_all = ["data", "model_dir", "models_dir", "onnxruntime"])]
    remote: Option<String>,
    /// File of the authority that the server's certificate is by, as PEM; without it, those that the system trusts.
    #[arg(long, value_name = "FILE", requires = "remote")]
    tls_ca: Option<PathBuf>,
    /// File of the certificate to show to a server that asks for one (mTLS), as PEM.
    #[arg(long, value_name = "FILE", requires_all = ["remote", "tls_key"])]
    tls_cert: Option<PathBuf>,
    /// File of the private key of that certificate, as PEM.
    #[arg(long, value_name = "FILE", requires_all = ["remote", "tls_cert"])]
    tls_key: Option<PathBuf>,
    /// Who signs in. The password is $RUVECTOR_PASSWORD, or is asked for.
    #[arg(long, value_name = "NAME", requires = "remote", conflicts_with = "token")]
    user: Option<String>,
    /// A bearer token instead of a user [env: RUVECTOR_TOKEN, which other users of this machine cannot see].
    #[arg(long, value_name = "TOKEN", requires = "remote")]
    token: Option<String>,
}

/// A server.
pub(crate) struct Remote {
    url: String,
    tls_ca: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
    login: Login,
}

/// The credentials of a sign-in. It has no `Debug`, which would show secrets.
enum Login {
    None,
    User(String, String),
    Token(String),
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("url", &self.url).finish_non_exhaustive()
    }
}

impl RemoteArgs {
    /// True if the arguments name a server.
    pub(crate) fn is_some(&self) -> bool {
        self.remote.is_some()
    }
}

impl Remote {
    /// The server that the flags name; `None` if they name none. Asks for a password if there is none.
    ///
    /// # Errors
    /// If a password is needed and there is no terminal to ask for it.
    pub(crate) fn from_args(args: RemoteArgs) -> Result<Option<Self>, String> {
        let RemoteArgs { remote, tls_ca, tls_cert, tls_key, user, token } = args;
        let Some(url) = remote else { return Ok(None) };
        let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let login = match (user, token) {
            (Some(user), _) => {
                let password = match variable("RUVECTOR_PASSWORD") {
                    Some(password) => password,
                    None => ask_password(&format!("Password of {user}: "))?,
                };
                Login::User(user, password)
            }
            (None, Some(token)) => Login::Token(token),
            (None, None) => variable("RUVECTOR_TOKEN").map_or(Login::None, Login::Token),
        };
        Ok(Some(Self { url, tls_ca, identity: tls_cert.zip(tls_key), login }))
    }

    /// A client of the server, which has signed in.
    pub(super) async fn connect(self) -> Result<FlightSqlServiceClient<Channel>, String> {
        let Self { url, tls_ca, identity, login } = self;
        let (is_tls, address) = address(&url)?;
        let unreachable = |error: tonic::transport::Error| reach::unreachable(&url, is_tls, &error);
        let scheme = if is_tls { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}")).map_err(unreachable)?;
        if is_tls {
            endpoint = endpoint.tls_config(tls(tls_ca.as_deref(), identity)?).map_err(unreachable)?;
        } else if tls_ca.is_some() || identity.is_some() {
            return Err(format!("--tls-ca, --tls-cert and --tls-key need grpc+tls://{address}, got {url}"));
        }
        let channel = endpoint.connect().await.map_err(unreachable)?;
        // The server decides how large its messages are.
        let mut client = FlightServiceClient::new(channel).max_decoding_message_size(usize::MAX);
        let token = match login {
            Login::Token(token) => Some(token),
            Login::User(user, password) => {
                let signed_in = sign_in(&mut client, &user, &password).await;
                signed_in.map_err(|status| match reach::lost(&status) {
                    Some(error) => reach::unreachable(&url, is_tls, error),
                    None => format!("{url}: {}", status.message()),
                })?
            }
            // A session of our own, so that SET works. Servers without sessions refuse; all else works on them too.
            Login::None => match sign_in(&mut client, "", "").await {
                Ok(token) => token,
                Err(status) if status.code() == Code::Unauthenticated => {
                    return Err(format!("{url} lets in only whom it knows: say --user, --token or $RUVECTOR_TOKEN"));
                }
                Err(status) if reach::is_http(&status) => return Err(reach::no_grpc(&url)),
                Err(status) => match reach::lost(&status) {
                    Some(error) => return Err(reach::unreachable(&url, is_tls, error)),
                    None => {
                        tracing::debug!(%status, "the server has no handshake");
                        None
                    }
                },
            },
        };
        let mut client = FlightSqlServiceClient::new_from_inner(client);
        client.set_header("cookie", SESSION.as_str());
        if let Some(token) = token {
            client.set_token(token);
        }
        Ok(client)
    }
}

/// The cookie by which the server tells the session of this process from those of other clients with the same token.
pub(super) static SESSION: LazyLock<String> = LazyLock::new(|| session_cookie_of(&Uuid::new_v4().to_string()));

/// The token that the server answers a handshake with. arrow-flight's own handshake loses the code of an error.
async fn sign_in(
    client: &mut FlightServiceClient<Channel>,
    user: &str,
    password: &str,
) -> Result<Option<String>, Status> {
    let mut request = Request::new(stream::iter([HandshakeRequest::default()]));
    let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let mut header = AsciiMetadataValue::try_from(basic).map_err(|e| Status::internal(e.to_string()))?;
    header.set_sensitive(true);
    request.metadata_mut().insert("authorization", header);
    let answer = client.handshake(request).await?;
    let token = bearer_token(answer.metadata());
    // The stream has the errors of servers that answer first and look then.
    answer.into_inner().try_for_each(|_| std::future::ready(Ok(()))).await?;
    Ok(token)
}

fn tls(ca: Option<&Path>, identity: Option<(PathBuf, PathBuf)>) -> Result<ClientTlsConfig, String> {
    choose_crypto();
    let read = |flag: &str, path: &Path| read(flag, path).map_err(|e| e.to_string());
    let mut tls = match ca {
        Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read("--tls-ca", ca)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    if let Some((cert, key)) = identity {
        tls = tls.identity(Identity::from_pem(read("--tls-cert", &cert)?, read("--tls-key", &key)?));
    }
    Ok(tls)
}

/// Splits a URL into true for TLS, false without, and its `HOST:PORT`.
fn address(url: &str) -> Result<(bool, &str), String> {
    let (scheme, address) = url.split_once("://").unwrap_or(("grpc", url));
    let is_tls = match scheme {
        "grpc" | "grpc+tcp" | "http" => false,
        "grpc+tls" | "https" => true,
        _ => return Err(format!("'{url}' is not supported: expected grpc://HOST:PORT or grpc+tls://HOST:PORT")),
    };
    Ok((is_tls, address.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_a_url() {
        for url in ["grpc://h:1", "grpc+tcp://h:1", "http://h:1/", "h:1"] {
            assert_eq!(address(url), Ok((false, "h:1")));
        }
        for url in ["grpc+tls://h:1", "https://h:1/"] {
            assert_eq!(address(url), Ok((true, "h:1")));
        }
        assert!(address("flight://h:1").is_err());
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named() {
        let url = "grpc://127.0.0.1:1".to_owned();
        let remote = Remote { url, tls_ca: None, identity: None, login: Login::None };
        let error = remote.connect().await.err().unwrap();
        assert!(error.starts_with("cannot reach grpc://127.0.0.1:1: "), "{error}");
    }

    #[tokio::test]
    async fn certificates_need_tls() {
        let url = "grpc://127.0.0.1:1".to_owned();
        let remote = Remote { url, tls_ca: Some("ca.pem".into()), identity: None, login: Login::None };
        assert!(remote.connect().await.err().unwrap().contains("need grpc+tls://127.0.0.1:1"));
    }
}
