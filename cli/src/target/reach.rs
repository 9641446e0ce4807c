//! The diagnosis of a server that cannot be reached: takes errors of connections, and gives a line that tells what to check.

use std::error::Error;
use std::io;

use rustls::{CertificateError, Error as TlsError};
use ruvector_flight_server::wire::root_cause;
use tonic::{Code, Status};

/// Returns what is said of a server at `url` that cannot be reached: what to check, and what the system says.
pub(super) fn unreachable(url: &str, is_tls: bool, error: &(dyn Error + 'static)) -> String {
    let cause = root_cause(error);
    match hint(is_tls, error) {
        Some(hint) => format!("cannot reach {url}: {cause}: {hint}"),
        None => format!("cannot reach {url}: {cause}"),
    }
}

/// The error of the connection that a status stands for: the server itself said nothing.
pub(super) fn lost(status: &Status) -> Option<&(dyn Error + 'static)> {
    // What a server says has no source.
    let source = status.source()?;
    matches!(status.code(), Code::Unknown | Code::Unavailable | Code::Internal | Code::Cancelled).then_some(source)
}

/// True if the status was made from an answer of HTTP, by a server that speaks no gRPC.
pub(super) fn is_http(status: &Status) -> bool {
    // The words of the gRPC library, which has no code for it.
    status.message().contains("grpc-status header missing")
}

/// Returns what is said of a server at `url` that speaks HTTP alone.
pub(super) fn no_grpc(url: &str) -> String {
    format!("cannot reach {url}: {NO_GRPC}")
}

const NO_GRPC: &str = "no gRPC is spoken at this port: use grpc+tls:// for a server with TLS, and the port of server.listen, \
                       not that of server.http_listen";

fn hint(is_tls: bool, error: &(dyn Error + 'static)) -> Option<&'static str> {
    let causes = || std::iter::successors(Some(error), |error| (*error).source());
    if let Some(tls) = causes().find_map(tls_error) {
        return Some(match tls {
            TlsError::InvalidCertificate(CertificateError::UnknownIssuer) => {
                "its certificate is by an authority that is not trusted: name the authority's file by --tls-ca FILE"
            }
            TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => "its certificate is for another name: connect to a name that it has",
            TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
                "its certificate has expired"
            }
            TlsError::InvalidCertificate(_) => "its certificate cannot be trusted",
            TlsError::AlertReceived(_) => {
                "it refuses this client: does it ask for a certificate (--tls-cert, --tls-key)?"
            }
            _ => "no TLS is spoken at this port: use grpc://, or the port of a server with TLS",
        });
    }
    match causes().find_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => {
            return Some("nothing listens there: check host and port, and that `ruvector serve` runs");
        }
        Some(io::ErrorKind::TimedOut) => {
            return Some("nothing answered in time: check host and port, and the firewalls between");
        }
        _ => {}
    }
    if causes().any(|error| error.to_string().starts_with("dns error")) {
        return Some("no host has this name: check it");
    }
    // It listens, and hangs up or answers something else.
    Some(if is_tls { "it hangs up: does it ask for a certificate (--tls-cert, --tls-key)?" } else { NO_GRPC })
}

/// An error of TLS, which may be in one of the system's.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.downcast_ref::<TlsError>().or_else(|| inner?.downcast_ref::<TlsError>())
}
