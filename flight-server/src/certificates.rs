//! TLS: the server's certificate and the authority of its clients, which are read again when their files change.
//!
//! Certificates are renewed while the server runs. So the files are looked at when a client connects; connections that are
//! open keep what they began with. Files that became wrong change nothing, as between the writes of a certificate and of its
//! key, and the log says what is wrong.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt, future};
use parking_lot::Mutex;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::auth::{Stamp, stamp};
use crate::config::{ConfigError, TLS_HANDSHAKE_MAX, TLS_HANDSHAKES_MAX, TlsConfig, read};

/// Protocols that are spoken inside of TLS.
const ALPN: &[u8] = b"h2";

/// The files of `tls.cert`, `tls.key` and `tls.client_ca`, and what was read of them.
pub(crate) struct CertificateFiles {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
    known: Mutex<Known>,
}

struct Known {
    /// The state of the files that were looked at last.
    stamps: [Option<Stamp>; 3],
    server: Arc<ServerConfig>,
}

impl fmt::Debug for CertificateFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateFiles").field("cert", &self.cert).finish_non_exhaustive()
    }
}

impl CertificateFiles {
    /// Reads the files; `None` if none is set.
    ///
    /// # Errors
    /// If one of them is missing or cannot be used, or is set without another that it needs.
    pub(crate) fn open(config: &TlsConfig) -> Result<Option<Self>, ConfigError> {
        let (cert, key) = match (&config.cert, &config.key) {
            (Some(cert), Some(key)) => (cert.clone(), key.clone()),
            (None, None) if config.client_ca.is_none() => return Ok(None),
            (None, None) => {
                return Err(ConfigError::new("tls.client_ca needs tls.cert and tls.key, which are not set"));
            }
            (Some(_), None) => return Err(ConfigError::new("tls.cert needs tls.key, which is not set")),
            (None, Some(_)) => return Err(ConfigError::new("tls.key needs tls.cert, which is not set")),
        };
        let client_ca = config.client_ca.clone();
        let stamps = stamps(&cert, &key, client_ca.as_deref());
        let server = Arc::new(server_config(&cert, &key, client_ca.as_deref())?);
        Ok(Some(Self { cert, key, client_ca, known: Mutex::new(Known { stamps, server }) }))
    }

    /// The settings of TLS for the next connection.
    fn current(&self) -> Arc<ServerConfig> {
        let mut known = self.known.lock();
        let now = stamps(&self.cert, &self.key, self.client_ca.as_deref());
        if now != known.stamps {
            known.stamps = now;
            match server_config(&self.cert, &self.key, self.client_ca.as_deref()) {
                Ok(server) => {
                    tracing::info!(cert = %self.cert.display(), "the certificates are read again");
                    known.server = Arc::new(server);
                }
                Err(reason) => tracing::error!(%reason, "the certificates cannot be read; nothing changes"),
            }
        }
        Arc::clone(&known.server)
    }
}

/// The connections of `sockets` whose clients have shaken hands. One that does not is dropped, and keeps no other waiting.
pub(crate) fn accepted<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    sockets: impl Stream<Item = io::Result<S>> + Send + 'static,
    certificates: Arc<CertificateFiles>,
) -> BoxStream<'static, io::Result<TlsStream<S>>> {
    let handshakes = sockets.map(move |socket| {
        let acceptor = TlsAcceptor::from(certificates.current());
        // A signature is computed for each: not on the one task that accepts.
        tokio::spawn(async move {
            let socket = match socket {
                Ok(socket) => socket,
                Err(error) => return Some(Err(error)),
            };
            match timeout(TLS_HANDSHAKE_MAX, acceptor.accept(socket)).await {
                Ok(Ok(connection)) => Some(Ok(connection)),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a TLS handshake failed");
                    None
                }
                Err(_) => {
                    tracing::debug!("a TLS handshake took too long");
                    None
                }
            }
        })
    });
    handshakes.buffer_unordered(TLS_HANDSHAKES_MAX).filter_map(|done| future::ready(done.ok().flatten())).boxed()
}

fn stamps(cert: &Path, key: &Path, client_ca: Option<&Path>) -> [Option<Stamp>; 3] {
    [stamp(cert), stamp(key), client_ca.and_then(stamp)]
}

fn server_config(cert: &Path, key: &Path, client_ca: Option<&Path>) -> Result<ServerConfig, ConfigError> {
    let (cert_pem, key_pem) = (read("tls.cert", cert)?, read("tls.key", key)?);
    let chain = certificates("tls.cert", cert, &cert_pem)?;
    let unusable = |reason: &dyn fmt::Display| {
        let (cert, key) = (cert.display(), key.display());
        ConfigError::new(format!("tls.cert {cert} and tls.key {key} cannot be used: {reason}"))
    };
    choose_crypto();
    let builder = match client_ca {
        None => ServerConfig::builder().with_no_client_auth(),
        Some(path) => {
            let unusable = |reason: &dyn fmt::Display| {
                ConfigError::new(format!("tls.client_ca: {} cannot be used: {reason}", path.display()))
            };
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates("tls.client_ca", path, &read("tls.client_ca", path)?)?);
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().map_err(|e| unusable(&e))?;
            ServerConfig::builder().with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|e| unusable(&e))?;
    // A key of another certificate is noticed here.
    let mut server = builder.with_single_cert(chain, key).map_err(|e| unusable(&e))?;
    server.alpn_protocols.push(ALPN.to_vec());
    Ok(server)
}

/// The certificates of a file. A file without any is refused: no client could connect.
fn certificates(setting: &str, path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let refused = |reason: &str| ConfigError::new(format!("{setting}: {} {reason}", path.display()));
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|e| refused(&format!("is not PEM: {e}")))?;
    match found.is_empty() {
        true => Err(refused("has no certificate: expected a PEM file with -----BEGIN CERTIFICATE-----")),
        false => Ok(found),
    }
}

/// Installs the process's cryptography provider, unless one is installed: there are two in the tree of dependencies, and rustls
/// takes neither by itself.
pub fn choose_crypto() {
    // It fails if it was chosen already, by the program that embeds this one perhaps: then that is used.
    let _ = aws_lc_rs::default_provider().install_default();
}
