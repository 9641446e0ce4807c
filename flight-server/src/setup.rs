//! From a configuration to what the server works with. All that can be wrong with it is found here, before anything listens:
//! `--check-config` is this, and nothing more.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::address::{look_up, not_an_address, refused_address};
use crate::auth::{Authenticator, UsersFile};
use crate::certificates::CertificateFiles;
use crate::config::{Config, ConfigError, check_folder};

/// A configuration, and what was read of the files that it names.
#[derive(Clone)]
pub struct Setup {
    /// The settings.
    pub config: Config,
    pub(crate) tls: Option<Arc<CertificateFiles>>,
    pub(crate) authenticator: Option<Arc<dyn Authenticator>>,
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Default for Setup {
    /// All defaults: neither TLS nor authentication.
    fn default() -> Self {
        Self { config: Config::default(), tls: None, authenticator: None }
    }
}

impl Setup {
    /// Reads the files that `config` names: certificates, keys, users.
    ///
    /// # Errors
    /// If one of them is missing or cannot be used, or settings do not go together.
    pub fn load(config: Config) -> Result<Self, ConfigError> {
        check_folder("engine.data", config.engine.data.as_deref())?;
        let tls = CertificateFiles::open(&config.tls)?.map(Arc::new);
        let authenticator = match &config.auth.users {
            Some(path) => {
                let users = UsersFile::open(path, config.auth.password_checks_max);
                let users = users.map_err(|e| ConfigError::new(format!("auth.users: {e}")))?;
                Some(Arc::new(users) as Arc<dyn Authenticator>)
            }
            None => None,
        };
        Ok(Self { config, tls, authenticator })
    }

    /// The addresses that `server.listen` means, all of which may be listened on.
    ///
    /// # Errors
    /// If it is no `HOST:PORT`, or an address can be reached from other machines and TLS or authentication is missing.
    pub async fn addresses(&self) -> Result<Vec<SocketAddr>, ConfigError> {
        let listen = &self.config.server.listen;
        let addresses = look_up(listen).await.map_err(|e| ConfigError::new(not_an_address(listen, &e)))?;
        if let Some(missing) = self.missing()
            && let Some(remote) = addresses.iter().find(|address| !address.ip().is_loopback())
        {
            return Err(ConfigError::new(refused_address(*remote, missing)));
        }
        if let Some(http) = &self.config.server.http_listen {
            let found = look_up(http).await;
            found.map_err(|e| ConfigError::new(format!("server.http_listen: {}", not_an_address(http, &e))))?;
        }
        Ok(addresses)
    }

    /// The protection that is missing for a server that other machines can reach. `None` if nothing is missing, or if the
    /// configuration allows a server without it.
    fn missing(&self) -> Option<&'static str> {
        match (&self.tls, &self.authenticator) {
            _ if self.config.server.insecure_allow_remote => None,
            (Some(_), Some(_)) => None,
            (None, Some(_)) => Some("no TLS (--tls-cert, --tls-key)"),
            (Some(_), None) => Some("no authentication (--auth-users)"),
            (None, None) => Some("no TLS (--tls-cert, --tls-key) and no authentication (--auth-users)"),
        }
    }

    /// The scheme of a client's URL.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "grpc+tls" } else { "grpc" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TlsConfig;

    #[test]
    fn settings_of_tls_go_together() {
        let path = || Some("x.pem".into());
        for (tls, message) in [
            (TlsConfig { cert: path(), ..TlsConfig::default() }, "tls.cert needs tls.key, which is not set"),
            (TlsConfig { key: path(), ..TlsConfig::default() }, "tls.key needs tls.cert, which is not set"),
            (
                TlsConfig { client_ca: path(), ..TlsConfig::default() },
                "tls.client_ca needs tls.cert and tls.key, which are not set",
            ),
        ] {
            let error = Setup::load(Config { tls, ..Config::default() }).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }

    #[tokio::test]
    async fn what_is_missing_for_other_machines_is_said() {
        let remote = |listen: &str| {
            let mut setup = Setup::default();
            setup.config.server.listen = listen.to_owned();
            setup
        };
        let both = remote("0.0.0.0:0").addresses().await.unwrap_err().to_string();
        assert!(both.contains("no TLS (--tls-cert, --tls-key) and no authentication (--auth-users)"), "{both}");
        let folder = tempfile::tempdir().unwrap();
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (cert, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
        std::fs::write(&cert, own.cert.pem()).unwrap();
        std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
        let tls = TlsConfig { cert: Some(cert), key: Some(key), client_ca: None };
        let tls = CertificateFiles::open(&tls).unwrap().map(Arc::new);
        let users = Setup { tls, ..remote("0.0.0.0:0") }.addresses().await.unwrap_err().to_string();
        assert!(users.contains("there is no authentication (--auth-users): "), "{users}");
        let mut insecure = remote("0.0.0.0:0");
        insecure.config.server.insecure_allow_remote = true;
        assert_eq!(insecure.addresses().await.unwrap().len(), 1);
        assert!(remote("127.0.0.1:0").addresses().await.is_ok());
        let error = remote("localhost").addresses().await.unwrap_err().to_string();
        assert!(error.starts_with("address 'localhost' is not a HOST:PORT"), "{error}");
    }
}
