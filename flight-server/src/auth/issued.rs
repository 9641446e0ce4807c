//! Tokens that sign-ins answer with: random, for a time, and known to this process only. A restart ends them all.
//!
//! A token has a part by which it is found, and a secret that is compared in constant time. Only the secret's hash is kept: the
//! memory of the server does not suffice to sign in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use subtle::ConstantTimeEq;
use tonic::Status;

use super::{Fingerprint, Identity};
use crate::config::TOKENS_PER_USER_MAX;
use crate::wire::status::internal;

/// The prefix of issued tokens, by which tools that look for leaked secrets recognise them.
const PREFIX: &str = "rvs_";

/// The tokens that are good.
pub(crate) struct IssuedTokens {
    lifetime: Duration,
    tokens: Mutex<HashMap<String, IssuedToken>>,
}

/// A token that a sign-in was answered with.
struct IssuedToken {
    secret: Fingerprint,
    identity: Identity,
    issued: Instant,
}

impl IssuedTokens {
    pub(super) fn new(lifetime: Duration) -> Self {
        Self { lifetime, tokens: Mutex::default() }
    }

    /// True if a token looks like an issued one.
    pub(super) fn is_one(token: &str) -> bool {
        token.starts_with(PREFIX)
    }

    /// A new token for `identity`.
    pub(super) fn issue(&self, identity: Identity) -> Result<String, Status> {
        let name = random_text::<9>().map_err(internal)?;
        let secret = random_text::<32>().map_err(internal)?;
        let token = IssuedToken { secret: Fingerprint::of(secret.as_bytes()), issued: Instant::now(), identity };
        let mut tokens = self.tokens.lock();
        tokens.retain(|_, token| token.issued.elapsed() < self.lifetime);
        let same = |other: &&IssuedToken| other.identity.user == token.identity.user;
        if tokens.values().filter(same).count() >= TOKENS_PER_USER_MAX {
            let oldest = tokens.iter().filter(|(_, other)| same(other)).min_by_key(|(_, other)| other.issued);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                tokens.remove(&oldest);
            }
        }
        let text = format!("{PREFIX}{name}.{secret}");
        tokens.insert(name, token);
        Ok(text)
    }

    /// The identity that a token was issued for, and the token's name, which is no secret.
    pub(super) fn find(&self, token: &str) -> Option<(Identity, String)> {
        let (name, secret) = token.strip_prefix(PREFIX)?.split_once('.')?;
        let secret = Fingerprint::of(secret.as_bytes());
        let tokens = self.tokens.lock();
        let known = tokens.get(name)?;
        let is_same = bool::from(known.secret.0.ct_eq(&secret.0));
        (is_same && known.issued.elapsed() < self.lifetime).then(|| (known.identity.clone(), name.to_owned()))
    }
}

/// A new token for a users file.
///
/// # Errors
/// If the system has no random numbers.
pub fn random_token() -> Result<String, getrandom::Error> {
    Ok(format!("rvt_{}", random_text::<32>()?))
}

fn random_text<const BYTES: usize>() -> Result<String, getrandom::Error> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruvector_sql::Role;

    fn identity(user: &str) -> Identity {
        Identity { user: user.into(), role: Role::Reader, credential: Fingerprint::of(b"x") }
    }

    #[test]
    fn a_token_is_whose_it_is() {
        let tokens = IssuedTokens::new(Duration::from_secs(60));
        let (ann, bob) = (tokens.issue(identity("ann")).unwrap(), tokens.issue(identity("bob")).unwrap());
        assert_eq!(tokens.find(&ann).unwrap().0, identity("ann"));
        assert_eq!(tokens.find(&bob).unwrap().0, identity("bob"));
        assert_ne!(tokens.find(&ann).unwrap().1, tokens.find(&bob).unwrap().1);
    }

    #[test]
    fn a_forged_or_old_token_is_nobodys() {
        let tokens = IssuedTokens::new(Duration::from_secs(60));
        let (ann, bob) = (tokens.issue(identity("ann")).unwrap(), tokens.issue(identity("bob")).unwrap());
        let (name, _) = ann.split_once('.').unwrap();
        let (_, secret) = bob.split_once('.').unwrap();
        let cut = &ann[..ann.len() - 1];
        for forged in [&format!("{name}.{secret}"), &format!("{name}."), name, cut, "rvs_", "rvs_.", "x"] {
            assert!(tokens.find(forged).is_none());
        }
        let old = IssuedTokens::new(Duration::ZERO);
        assert!(old.find(&old.issue(identity("ann")).unwrap()).is_none());
    }

    #[test]
    fn a_user_has_so_many_tokens() {
        let tokens = IssuedTokens::new(Duration::from_secs(60));
        let bob = tokens.issue(identity("bob")).unwrap();
        let first = tokens.issue(identity("ann")).unwrap();
        let last = (0..TOKENS_PER_USER_MAX).map(|_| tokens.issue(identity("ann")).unwrap()).last().unwrap();
        assert!(tokens.find(&first).is_none());
        assert!(tokens.find(&last).is_some() && tokens.find(&bob).is_some());
    }
}
