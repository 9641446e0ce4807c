//! Who calls, and what they may do.
//!
//! Without users everybody is an admin, and a bearer token only names a session ([`Authentication::Open`]). With users every call
//! brings a bearer token: one that was issued for a user and a password, which a handshake brings ([`issued`]), or one that
//! the users file has ([`users`]). A client that knows no handshake may bring user and password with every call. A refusal says the same whatever is wrong, and takes the same time.
//!
//! A token is bound to its user and the role at sign-in. One whose user is gone, or has another password or role since, is
//! good no more.

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

/// Somebody who proved who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: Arc<str>,
    pub(crate) role: Role,
    /// Of which password or token it is: an identity of another one is another one.
    pub(crate) credential: Fingerprint,
}

/// Which sessions belong to what a caller proved.
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

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is not said which of user and password is wrong, and whether a token was ever good.
    Wrong,
    /// Too many wait for their passwords to be checked.
    Busy,
}

/// Something that knows who people are: a file of users, or one day an OIDC provider.
#[tonic::async_trait]
pub(crate) trait Authenticator: Send + Sync {
    /// Who has this name and password. It takes as long for a name that is not known as for a wrong password.
    async fn password(&self, user: &str, password: &str) -> Result<Identity, Refusal>;

    /// Who has this bearer token, which is not one of [`issued`].
    async fn token(&self, token: &str) -> Result<Identity, Refusal>;

    /// Whether somebody who proved who they are would be the same by now.
    fn is_current(&self, identity: &Identity) -> bool;
}

/// What stands before the server.
pub(crate) enum Authentication {
    /// Everybody comes in and is an admin.
    Open,
    /// Those come in whom the authenticator knows.
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
