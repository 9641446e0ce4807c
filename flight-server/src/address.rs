//! The addresses that a server may listen on.

use std::io;
use std::net::SocketAddr;

use tokio::net::lookup_host;

/// The addresses of a `HOST:PORT`.
pub(crate) async fn look_up(listen: &str) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<_> = lookup_host(listen).await?.collect();
    match addresses.is_empty() {
        true => Err(io::Error::from(io::ErrorKind::AddrNotAvailable)),
        false => Ok(addresses),
    }
}

pub(crate) fn not_an_address(listen: &str, error: &io::Error) -> String {
    format!("address '{listen}' is not a HOST:PORT: {error}")
}

pub(crate) fn refused_address(address: SocketAddr, missing: &str) -> String {
    format!(
        "address {address} can be reached from other machines and there is {missing}: listen on 127.0.0.1, set up what is \
         missing, or let any client in with --insecure-allow-remote"
    )
}
