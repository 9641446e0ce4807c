//! A server with users and TLS.

use std::fs;

use ruvector_flight_server::Setup;

use crate::certificates::Certificates;
use crate::guarded::Guarded;

/// A guarded server's folder with certificates in it.
pub(crate) struct Secured {
    pub(crate) guarded: Guarded,
    pub(crate) certificates: Certificates,
}

impl Secured {
    pub(crate) fn new() -> Self {
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

    pub(crate) fn setup(&self, mutual: bool) -> Setup {
        let mut config = self.guarded.config();
        config.tls.cert = Some(self.guarded.path("server.pem"));
        config.tls.key = Some(self.guarded.path("server.key"));
        config.tls.client_ca = mutual.then(|| self.guarded.path("ca.pem"));
        Setup::load(config).unwrap()
    }
}
