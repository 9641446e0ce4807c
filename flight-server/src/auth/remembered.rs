//! Passwords that were right a while ago, for clients that send theirs with every call.
//!
//! A check of a password is slow by design, and such a client would pay for it with every call. Only a hash under a key of this
//! process is kept, and found by itself. Nothing is compared, and no time tells how much of a guess was right.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::Identity;

/// Users whose passwords are remembered at the same time.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1000).expect("1000 is not zero");

/// The passwords that were right.
pub(crate) struct Remembered {
    key: [u8; 32],
    lifetime: Duration,
    known: Mutex<LruCache<[u8; 32], (Identity, Instant)>>,
}

impl Remembered {
    /// For `lifetime` each. Without random numbers nothing is remembered.
    pub(super) fn new(lifetime: Duration) -> Self {
        let mut key = [0; 32];
        let lifetime = if getrandom::fill(&mut key).is_ok() { lifetime } else { Duration::ZERO };
        Self { key, lifetime, known: Mutex::new(LruCache::new(REMEMBERED)) }
    }

    /// The identity of this user and password, if they were right a while ago.
    pub(super) fn find(&self, user: &str, password: &str) -> Option<Identity> {
        let hash = self.hash(user, password);
        let mut known = self.known.lock();
        let (identity, since) = known.get(&hash)?;
        if since.elapsed() < self.lifetime {
            return Some(identity.clone());
        }
        known.pop(&hash);
        None
    }

    /// Remembers that these are right.
    pub(super) fn remember(&self, user: &str, password: &str, identity: &Identity) {
        self.known.lock().put(self.hash(user, password), (identity.clone(), Instant::now()));
    }

    fn hash(&self, user: &str, password: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.key);
        // The length keeps a name and a password apart.
        hash.update((user.len() as u64).to_le_bytes());
        hash.update(user);
        hash.update(password);
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Fingerprint;
    use ruvector_sql::Role;

    fn ann() -> Identity {
        Identity { user: "ann".into(), role: Role::Reader, credential: Fingerprint::of(b"x") }
    }

    #[test]
    fn what_was_right_is_known_for_a_while() {
        let remembered = Remembered::new(Duration::from_secs(60));
        assert_eq!(remembered.find("ann", "secret"), None);
        remembered.remember("ann", "secret", &ann());
        assert_eq!(remembered.find("ann", "secret"), Some(ann()));
        for (user, password) in [("ann", "secre"), ("anns", "ecret"), ("bob", "secret"), ("", "annsecret")] {
            assert_eq!(remembered.find(user, password), None);
        }
    }

    #[test]
    fn it_is_forgotten() {
        let remembered = Remembered::new(Duration::ZERO);
        remembered.remember("ann", "secret", &ann());
        assert_eq!(remembered.find("ann", "secret"), None);
    }
}
