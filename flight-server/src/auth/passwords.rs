//! Checks of passwords: off the threads that serve sockets, a few at a time, and as slow for an unknown user as for a known
//! one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::{Error as HashError, SaltString};
use argon2::{Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use super::Refusal;
use crate::config::SIGN_INS_WAITING_MAX;

/// Largest memory of a hash, in KiB. A file of users must not be able to take all there is.
const MEMORY_KIB_MAX: u32 = 1 << 20;

/// The hash that an unknown user's password is compared with if there is no user at all. It has the default parameters.
pub(super) const DUMMY_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The checks that run and wait.
pub(super) struct PasswordChecks {
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl PasswordChecks {
    pub(super) fn new(running_max: usize) -> Self {
        Self { running: Arc::new(Semaphore::new(running_max)), waiting: AtomicUsize::new(0) }
    }

    /// Returns true if `password` is the one of `hash`.
    pub(super) async fn check(&self, hash: Arc<str>, password: &str) -> Result<bool, Refusal> {
        let waiting = Waiting::enter(&self.waiting)?;
        let permit = Arc::clone(&self.running).acquire_owned().await.map_err(|_| Refusal::Busy)?;
        drop(waiting);
        let password = password.to_owned();
        let checked = tokio::task::spawn_blocking(move || {
            // Until the check ends, also if its caller is gone.
            let _permit = permit;
            let hash = PasswordHash::new(&hash).ok()?;
            Argon2::default().verify_password(password.as_bytes(), &hash).ok()
        });
        Ok(matches!(checked.await, Ok(Some(()))))
    }
}

/// A place in the queue; dropping it leaves it.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Result<Self, Refusal> {
        let waiting = Self(count);
        match count.fetch_add(1, Ordering::Relaxed) < SIGN_INS_WAITING_MAX {
            true => Ok(waiting),
            false => Err(Refusal::Busy),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The hash of a password for a users file.
///
/// # Errors
/// If the password is empty, or the system has no random numbers.
pub fn hash_password(password: &str) -> Result<String, String> {
    if password.is_empty() {
        return Err("the password must not be empty".to_owned());
    }
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|e| e.to_string())?;
    let hash = SaltString::encode_b64(&salt)
        .and_then(|salt| Argon2::default().hash_password(password.as_bytes(), &salt).map(|hash| hash.to_string()));
    hash.map_err(|e| e.to_string())
}

/// Checks that a text is a hash that can be compared with.
pub(super) fn check_hash(hash: &str) -> Result<(), String> {
    let refused = |e: HashError| format!("expected an argon2 hash ($argon2id$v=19$...): {e}");
    let parsed = PasswordHash::new(hash).map_err(refused)?;
    argon2::Algorithm::try_from(parsed.algorithm).map_err(refused)?;
    if parsed.hash.is_none() || parsed.salt.is_none() {
        return Err("expected an argon2 hash ($argon2id$v=19$...): its salt or its end is missing".to_owned());
    }
    let memory = Params::try_from(&parsed).map_err(refused)?.m_cost();
    match memory > MEMORY_KIB_MAX {
        true => Err(format!("expected a hash of at most m={MEMORY_KIB_MAX} (KiB), got m={memory}")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_the_one_of_its_hash() {
        let checks = PasswordChecks::new(1);
        let hash: Arc<str> = hash_password("correct horse").unwrap().into();
        check_hash(&hash).unwrap();
        assert_ne!(hash_password("correct horse").unwrap(), *hash);
        assert_eq!(checks.check(Arc::clone(&hash), "correct horse").await, Ok(true));
        assert_eq!(checks.check(hash, "correct horsf").await, Ok(false));
        check_hash(DUMMY_HASH).unwrap();
        assert_eq!(checks.check(DUMMY_HASH.into(), "").await, Ok(false));
        assert!(hash_password("").is_err());
    }

    #[tokio::test]
    async fn a_long_queue_is_refused() {
        let checks = PasswordChecks::new(1);
        let _places: Vec<_> = (0..SIGN_INS_WAITING_MAX).map(|_| Waiting::enter(&checks.waiting).unwrap()).collect();
        assert_eq!(checks.check(DUMMY_HASH.into(), "x").await, Err(Refusal::Busy));
        assert_eq!(checks.waiting.load(Ordering::Relaxed), SIGN_INS_WAITING_MAX);
    }

    #[test]
    fn other_hashes_are_refused() {
        for hash in
            ["", "hunter2", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA"]
        {
            assert!(check_hash(hash).unwrap_err().starts_with("expected an argon2 hash"), "{hash}");
        }
        let greedy = DUMMY_HASH.replace("m=19456", "m=4194304");
        assert!(check_hash(&greedy).unwrap_err().contains("at most m=1048576"));
    }
}
