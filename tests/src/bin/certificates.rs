//! Writes the certificates that the Python tests of TLS need into a folder: `ca.pem`, `server.pem`, `server.key`, `client.pem`
//! and `client.key`. Python has nothing of its own to make them with, and openssl is not everywhere.

use std::path::PathBuf;
use std::{env, fs};

#[path = "../../../flight-server/tests/it/certificates.rs"]
mod certificates;

use certificates::Certificates;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(env::args_os().nth(1).ok_or("expected a folder, got nothing")?);
    let Certificates { ca, server, client } = Certificates::new()?;
    for (name, pem) in [
        ("ca.pem", ca),
        ("server.pem", server.0),
        ("server.key", server.1),
        ("client.pem", client.0),
        ("client.key", client.1),
    ] {
        fs::write(folder.join(name), pem)?;
    }
    Ok(())
}
