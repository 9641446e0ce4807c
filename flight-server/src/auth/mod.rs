//! Authentication: from the headers of a call to its user and role.
//!
//! Without users every caller is an admin, and a bearer token only names a session ([`Authentication::Open`]). With users every
//! call brings a bearer token. The token was issued for the user and password of a handshake ([`issued`]), or it is in the
//! users file ([`users`]). A client that knows no handshake may bring user and password with every call. A refusal tells
//! neither by its text nor by its time which part of a credential is wrong.
//!
//! A token is bound to its user and the role at sign-in. It is refused once the user is gone, or has another password or role.

mod basic;
mod issued;
mod passwords;
mod remembered;
mod users;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ruvector_sql::Role;
use sha2::{Digest, Sha256};
use tonic::Status;
use tonic::metadata::MetadataMap;

use crate::config::{CREDENTIAL_BYTES_MAX, TOKEN_BYTES_MAX};
use crate::wire::headers::bearer_token;
use issued::IssuedTokens;
use remembered::Remembered;

pub use issued::random_token;
pub use passwords::hash_password;
pub(crate) use users::{Stamp, UsersFile, stamp};
pub use users::{check_name, hash_token};

/// An authenticated user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: Arc<str>,
    pub(crate) role: Role,
    /// The password or token that proved the identity: identities of different credentials are different.
    pub(crate) credential: Fingerprint,
}

/// The credential of a caller, as far as it decides which sessions belong to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    /// A token of one sign-in, by its name: it is a session by itself.
    Issued(String),
    /// A token of the file, or a password with every call, which many clients may have: their cookies tell their sessions
    /// apart.
    Shared(&'static str),
}

/// The SHA-256 of a secret, or of its hash. Its `Debug` says nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) [u8; 32]);

impl Fingerprint {
    pub(crate) fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The reason of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is not said which of user and password is wrong, and whether a token was ever good.
    Wrong,
    /// Too many wait for their passwords to be checked.
    Busy,
}

/// A source of identities: a file of users, or one day an OIDC provider.
#[tonic::async_trait]
pub(crate) trait Authenticator: Send + Sync {
    /// The identity with this name and password. An unknown name takes as long as a wrong password.
    async fn password(&self, user: &str, password: &str) -> Result<Identity, Refusal>;

    /// The identity with this bearer token, which is not one of [`issued`].
    async fn token(&self, token: &str) -> Result<Identity, Refusal>;

    /// True if the same credential would prove the same identity now.
    fn is_current(&self, identity: &Identity) -> bool;
}

/// The authentication of a server.
pub(crate) enum Authentication {
    /// Every caller is let in and is an admin.
    Open,
    /// Callers that the authenticator knows are let in.
    Guarded { authenticator: Arc<dyn Authenticator>, issued: IssuedTokens, remembered: Box<Remembered> },
}

impl Authentication {
    pub(crate) fn new(authenticator: Option<Arc<dyn Authenticator>>, token_lifetime: Duration) -> Self {
        match authenticator {
            Some(authenticator) => {
                let (issued, remembered) =
                    (IssuedTokens::new(token_lifetime), Box::new(Remembered::new(token_lifetime)));
                Self::Guarded { authenticator, issued, remembered }
            }
            None => Self::Open,
        }
    }

    /// Answers a handshake: the bearer token for the calls after it.
    ///
    /// # Errors
    /// `Unauthenticated`; `Unavailable` if too many sign in.
    pub(crate) async fn sign_in(&self, metadata: &MetadataMap) -> Result<String, Status> {
        let Self::Guarded { authenticator, issued, .. } = self else {
            // The token is the name of a session: the client's own if it brings one, else a new one.
            return Ok(bearer_token(metadata).unwrap_or_else(|| uuid::Uuid::new_v4().to_string()));
        };
        if let Some(token) = bearer_token(metadata) {
            self.identify(&token).await?;
            return Ok(token);
        }
        let (user, password) = basic::credentials(metadata).ok_or_else(wrong_password)?;
        issued.issue(check_password(authenticator.as_ref(), &user, &password).await?)
    }

    /// The identity of the caller with these headers, and its credential; `None` without users.
    ///
    /// # Errors
    /// `Unauthenticated`.
    pub(crate) async fn caller(&self, metadata: &MetadataMap) -> Result<Option<(Identity, Credential)>, Status> {
        match self {
            Self::Open => Ok(None),
            Self::Guarded { authenticator, remembered, .. } => {
                if let Some(token) = bearer_token(metadata) {
                    return self.identify(&token).await.map(Some);
                }
                let (user, password) = basic::credentials(metadata).ok_or_else(wrong_token)?;
                let known = remembered.find(&user, &password).filter(|identity| authenticator.is_current(identity));
                let identity = match known {
                    Some(identity) => identity,
                    None => {
                        let identity = check_password(authenticator.as_ref(), &user, &password).await?;
                        remembered.remember(&user, &password, &identity);
                        identity
                    }
                };
                Ok(Some((identity, Credential::Shared("password"))))
            }
        }
    }

    async fn identify(&self, token: &str) -> Result<(Identity, Credential), Status> {
        let Self::Guarded { authenticator, issued, .. } = self else { return Err(wrong_token()) };
        if token.len() > TOKEN_BYTES_MAX {
            return Err(wrong_token());
        }
        if IssuedTokens::is_one(token) {
            let (identity, name) = issued.find(token).ok_or_else(wrong_token)?;
            return match authenticator.is_current(&identity) {
                true => Ok((identity, Credential::Issued(name))),
                false => Err(wrong_token()),
            };
        }
        let identity = authenticator.token(token).await.map_err(|_| wrong_token())?;
        Ok((identity, Credential::Shared("token")))
    }
}

/// The name that a caller tries to sign in with, whether or not it is one.
pub(crate) fn tried_user(metadata: &MetadataMap) -> Option<String> {
    basic::credentials(metadata).map(|(user, _)| user)
}

async fn check_password(authenticator: &dyn Authenticator, user: &str, password: &str) -> Result<Identity, Status> {
    if user.len().max(password.len()) > CREDENTIAL_BYTES_MAX {
        return Err(wrong_password());
    }
    authenticator.password(user, password).await.map_err(|refusal| match refusal {
        Refusal::Wrong => wrong_password(),
        Refusal::Busy => Status::unavailable("too many clients sign in at the same time: try again"),
    })
}

fn wrong_password() -> Status {
    Status::unauthenticated("sign-in failed: wrong user or password")
}

fn wrong_token() -> Status {
    Status::unauthenticated("the bearer token is missing, wrong or no longer good: sign in with user and password")
}
