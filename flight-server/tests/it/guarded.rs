//! A server that lets in whom it knows: one user of each role, and a token.

use std::fs;
use std::path::PathBuf;

use argon2::password_hash::SaltString;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use arrow_flight::error::Result;
use ruvector_flight_server::Setup;
use ruvector_flight_server::config::Config;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tonic::Request;

use crate::harness::{Client, TestServer};

/// The names of the users; each has the role of that name.
pub(crate) const ROLES: [&str; 3] = ["reader", "writer", "admin"];
/// A token of the role reader, named `dashboard`.
pub(crate) const TOKEN: &str = "rvt_the-token-of-a-dashboard";

/// A folder with the file of users.
pub(crate) struct Guarded {
    folder: TempDir,
}

/// The password of a user.
pub(crate) fn password(user: &str) -> String {
    format!("pass:wörd of {user}")
}

impl Guarded {
    pub(crate) fn new() -> Self {
        let guarded = Self { folder: tempfile::tempdir().unwrap() };
        guarded.write_users(&ROLES.map(|role| (role, role)));
        guarded
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces the file of users: these names and roles, and the token.
    pub(crate) fn write_users(&self, users: &[(&str, &str)]) {
        // A hash that costs nothing: it is not the hash that is tested.
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
        let salt = SaltString::encode_b64(b"salt of the test").unwrap();
        let mut text = String::new();
        for (user, role) in users {
            let hash = argon2.hash_password(password(user).as_bytes(), &salt).unwrap();
            text += &format!("[users.{user}]\nrole = '{role}'\npassword = '{hash}'\n");
        }
        let sha256: String = Sha256::digest(TOKEN).iter().map(|byte| format!("{byte:02x}")).collect();
        text += &format!("[tokens.dashboard]\nrole = 'reader'\nsha256 = '{sha256}'\n");
        fs::write(self.path("users.toml"), text).unwrap();
    }

    pub(crate) fn config(&self) -> Config {
        let mut config = Config::default();
        config.auth.users = Some(self.path("users.toml"));
        config
    }

    pub(crate) fn setup(&self) -> Setup {
        Setup::load(self.config()).unwrap()
    }
}

impl TestServer {
    /// A client that signed in.
    pub(crate) async fn sign_in(&self, user: &str) -> Client {
        self.try_sign_in(user, &password(user)).await.unwrap()
    }

    pub(crate) async fn try_sign_in(&self, user: &str, password: &str) -> Result<Client> {
        let mut client = self.anonymous().await;
        client.handshake(user, password).await?;
        Ok(client)
    }

    /// A client with a token.
    pub(crate) async fn with_token(&self, token: &str) -> Client {
        let mut client = self.anonymous().await;
        client.set_token(token.to_owned());
        client
    }
}

/// A request for a plain client, as `client`.
pub(crate) fn request_as<T>(client: &Client, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let header = format!("Bearer {}", client.token().unwrap());
    request.metadata_mut().insert("authorization", header.parse().unwrap());
    request
}
