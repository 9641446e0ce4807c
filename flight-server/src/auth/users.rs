//! The file of users and tokens, in TOML:
//!
//! ```toml
//! [users.ann]
//! role = "admin"
//! password = "$argon2id$v=19$..."
//!
//! [tokens.dashboard]
//! role = "reader"
//! sha256 = "9f86d081884c7d65..."
//! ```
//!
//! It is read again when it changes. A file that became wrong changes nothing: the users of the last valid file can still sign
//! in, and the log says what is wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use ruvector_sql::Role;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::passwords::{DUMMY_HASH, PasswordChecks, check_hash};
use super::{Authenticator, Fingerprint, Identity, Refusal};

/// Users and tokens by the state of their file.
pub(crate) struct UsersFile {
    path: PathBuf,
    read: Mutex<Read>,
    checks: PasswordChecks,
}

struct Read {
    /// The state of the file that was looked at last.
    stamp: Option<Stamp>,
    users: Arc<Users>,
}

/// The state of a file by which a change is noticed: its time and its length.
pub(crate) type Stamp = (SystemTime, u64);

#[derive(Default)]
struct Users {
    users: BTreeMap<Arc<str>, Account>,
    tokens: Vec<Token>,
}

/// The section of a user, with the hash of a password.
struct Account {
    role: Role,
    password: Arc<str>,
}

/// The section of a token.
struct Token {
    name: Arc<str>,
    role: Role,
    sha256: Fingerprint,
}

impl fmt::Debug for UsersFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsersFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl UsersFile {
    /// Reads the file.
    ///
    /// # Errors
    /// If it cannot be read, or is wrong: names the user and what is expected. No hash is in the message.
    pub(crate) fn open(path: &Path, password_checks_max: usize) -> Result<Self, String> {
        let stamp = stamp(path);
        let users = Arc::new(read(path)?);
        let checks = PasswordChecks::new(password_checks_max);
        Ok(Self { path: path.to_owned(), read: Mutex::new(Read { stamp, users }), checks })
    }

    fn current(&self) -> Arc<Users> {
        let mut known = self.read.lock();
        let now = stamp(&self.path);
        if now != known.stamp {
            known.stamp = now;
            match read(&self.path) {
                Ok(users) => {
                    tracing::info!(path = %self.path.display(), "the file of users is read again");
                    known.users = Arc::new(users);
                }
                Err(reason) => tracing::error!(reason, "the file of users cannot be read; nothing changes"),
            }
        }
        Arc::clone(&known.users)
    }
}

#[tonic::async_trait]
impl Authenticator for UsersFile {
    async fn password(&self, user: &str, password: &str) -> Result<Identity, Refusal> {
        let users = self.current();
        let known = users.users.get_key_value(user);
        // The password of an unknown name is compared with a dummy hash, so that it takes as long.
        let hash = known.or_else(|| users.users.first_key_value()).map(|(_, user)| Arc::clone(&user.password));
        let is_right = self.checks.check(hash.unwrap_or_else(|| DUMMY_HASH.into()), password).await?;
        match known {
            Some((name, user)) if is_right => Ok(user.identity(name)),
            _ => Err(Refusal::Wrong),
        }
    }

    async fn token(&self, token: &str) -> Result<Identity, Refusal> {
        let users = self.current();
        let sha256 = Fingerprint::of(token.as_bytes());
        // All are compared, whichever it is.
        let mut found = u32::MAX;
        for (number, known) in (0_u32..).zip(&users.tokens) {
            let is_same: Choice = known.sha256.0.ct_eq(&sha256.0);
            found.conditional_assign(&number, is_same);
        }
        let known = usize::try_from(found).ok().and_then(|found| users.tokens.get(found)).ok_or(Refusal::Wrong)?;
        Ok(Identity { user: Arc::clone(&known.name), role: known.role, credential: known.sha256 })
    }

    fn is_current(&self, identity: &Identity) -> bool {
        let users = self.current();
        users.users.get_key_value(&identity.user).is_some_and(|(name, user)| user.identity(name) == *identity)
    }
}

impl Account {
    fn identity(&self, name: &Arc<str>) -> Identity {
        Identity { user: Arc::clone(name), role: self.role, credential: Fingerprint::of(self.password.as_bytes()) }
    }
}

/// The state of a file; `None` if it is not there.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read(path: &Path) -> Result<Users, String> {
    let refused = |reason: String| format!("{}: {reason}", path.display());
    let text = std::fs::read_to_string(path).map_err(|e| refused(format!("cannot be read: {e}")))?;
    parse(&text).map_err(refused)
}

fn parse(text: &str) -> Result<Users, String> {
    // The error of the parser may show a line of the file, with a hash in it.
    let sections: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        let line = e.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        format!("is not TOML at line {line}")
    })?;
    let mut users = Users::default();
    for (section, entries) in &sections {
        let secret = match section.as_str() {
            "users" => "password",
            "tokens" => "sha256",
            other => return Err(format!("expected the sections users and tokens, got {other}")),
        };
        let toml::Value::Table(entries) = entries else {
            return Err(format!("{section}: expected a section, got a value of type {}", entries.type_str()));
        };
        for (name, entry) in entries {
            let place = format!("{section}.{name}");
            check_name(name).map_err(|e| format!("{place}: {e}"))?;
            let (role, value) = entry_of(&place, entry, secret)?;
            if secret == "password" {
                check_hash(value).map_err(|e| format!("{place}.password: {e}"))?;
                users.users.insert(name.as_str().into(), Account { role, password: value.into() });
            } else {
                let sha256 = sha256(value).ok_or_else(|| format!("{place}.sha256: expected 64 hexadecimal digits"))?;
                users.tokens.push(Token { name: name.as_str().into(), role, sha256 });
            }
        }
    }
    // A name in both would be two roles of one user.
    if let Some(token) = users.tokens.iter().find(|token| users.users.contains_key(&token.name)) {
        return Err(format!("tokens.{0}: there is a user of that name, users.{0}", token.name));
    }
    Ok(users)
}

/// The role and the secret of an entry.
fn entry_of<'a>(place: &str, entry: &'a toml::Value, secret: &str) -> Result<(Role, &'a str), String> {
    let toml::Value::Table(entry) = entry else {
        return Err(format!("{place}: expected a section, got a value of type {}", entry.type_str()));
    };
    if let Some(unknown) = entry.keys().find(|key| *key != "role" && *key != secret) {
        return Err(format!("{place}: expected the keys role and {secret}, got {unknown}"));
    }
    let text = |key: &str| match entry.get(key) {
        Some(toml::Value::String(text)) => Ok(text.as_str()),
        Some(other) => Err(format!("{place}.{key}: expected a string, got a value of type {}", other.type_str())),
        None => Err(format!("{place}: expected the keys role and {secret}, got no {key}")),
    };
    let role = text("role")?.parse().map_err(|e| format!("{place}.role: {e}"))?;
    Ok((role, text(secret)?))
}

/// Checks the name of a user: what stands in logs and headers, and not around a colon.
pub fn check_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | '+');
    match !name.is_empty() && name.len() <= 128 && name.chars().all(plain) {
        true => Ok(()),
        false => Err(format!("name of a user: expected letters, digits, '_', '-', '.', '@' or '+', got {name:?}")),
    }
}

/// Returns the SHA-256 of a token, in hexadecimal digits, as the file of users has it.
pub fn hash_token(token: &str) -> String {
    Fingerprint::of(token.as_bytes()).0.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(text: &str) -> Option<Fingerprint> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(Fingerprint(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::hash_password;

    fn hex(token: &str) -> String {
        Fingerprint::of(token.as_bytes()).0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[tokio::test]
    async fn users_and_tokens_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        let hash = hash_password("pw").unwrap();
        let ann = format!("[users.ann]\nrole = 'admin'\npassword = '{hash}'\n");
        let tokens = format!(
            "[tokens.a]\nrole = 'reader'\nsha256 = '{}'\n[tokens.b]\nrole = 'writer'\nsha256 = '{}'\n",
            hex("ta"),
            hex("tb")
        );
        std::fs::write(&path, format!("{ann}{tokens}")).unwrap();
        let users = UsersFile::open(&path, 1).unwrap();
        let identity = users.password("ann", "pw").await.unwrap();
        assert_eq!((&*identity.user, identity.role), ("ann", Role::Admin));
        for (user, password) in [("ann", "pv"), ("bob", "pw"), ("", ""), ("a", "ta")] {
            assert_eq!(users.password(user, password).await, Err(Refusal::Wrong));
        }
        for (token, user, role) in [("ta", "a", Role::Reader), ("tb", "b", Role::Writer)] {
            let identity = users.token(token).await.unwrap();
            assert_eq!((&*identity.user, identity.role), (user, role));
        }
        assert_eq!(users.token("tc").await, Err(Refusal::Wrong));
        assert!(users.is_current(&identity));

        // Wrong contents change nothing.
        std::fs::write(&path, "[users.ann]\nrole = 'root'").unwrap();
        assert!(users.is_current(&identity) && users.token("ta").await.is_ok());
        std::fs::write(&path, ann.replace("admin", "reader")).unwrap();
        assert!(!users.is_current(&identity));
        assert_eq!(users.password("ann", "pw").await.unwrap().role, Role::Reader);
        assert!(users.token("ta").await.is_err());
        std::fs::write(&path, tokens).unwrap();
        assert!(users.password("ann", "pw").await.is_err());
        let shown = format!("{users:?} {identity:?}");
        assert!(!shown.contains(&hash) && shown.contains("***"), "{shown}");
    }

    /// The time of a refusal does not tell which names exist. Without the work of a hash a refusal would take a thousandth.
    #[tokio::test]
    async fn a_name_that_nobody_has_takes_as_long_as_a_wrong_password() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        let ann = format!("[users.ann]\nrole = 'admin'\npassword = '{}'\n", hash_password("pw").unwrap());
        std::fs::write(&path, ann).unwrap();
        let users = UsersFile::open(&path, 1).unwrap();
        let mut took = [Vec::new(), Vec::new()];
        for round in 0..10 {
            let (user, took) = if round % 2 == 0 { ("ann", &mut took[0]) } else { ("bob", &mut took[1]) };
            let started = std::time::Instant::now();
            assert_eq!(users.password(user, "wrong").await, Err(Refusal::Wrong));
            took.push(started.elapsed());
        }
        let [known, unknown] = took.map(|took| took.into_iter().min().unwrap());
        assert!(unknown * 4 > known && known * 4 > unknown, "known {known:?}, unknown {unknown:?}");
    }

    #[test]
    fn what_is_wrong_is_named_without_the_hashes() {
        let hash = hash_password("pw").unwrap();
        for (text, message) in [
            ("[user.ann]\n", "expected the sections users and tokens, got user"),
            ("users = 1", "users: expected a section, got a value of type integer"),
            ("[users]\nann = 'x'", "users.ann: expected a section, got a value of type string"),
            ("[users.ann]\npassword = 'secret'", "users.ann: expected the keys role and password, got no role"),
            (
                "[users.ann]\nrole = 'root'\npassword = 'secret'",
                "users.ann.role: no such role: expected one of reader, writer, admin, got root",
            ),
            ("[users.ann]\nrole = 'reader'", "users.ann: expected the keys role and password, got no password"),
            (
                "[users.ann]\nrole = 'reader'\npasword = 'secret'",
                "users.ann: expected the keys role and password, got pasword",
            ),
            ("[users.ann]\nrole = 1", "users.ann.role: expected a string, got a value of type integer"),
            (
                "[users.'a:b']\n",
                "users.a:b: name of a user: expected letters, digits, '_', '-', '.', '@' or '+', got \"a:b\"",
            ),
            ("[tokens.t]\nrole = 'reader'\nsha256 = 'secret'", "tokens.t.sha256: expected 64 hexadecimal digits"),
            ("[users.ann]\nrole = 'reader'\npassword = secret", "is not TOML at line 3"),
        ] {
            assert_eq!(parse(text).err().unwrap(), message);
        }
        let both =
            format!("[users.a]\nrole='admin'\npassword='{hash}'\n[tokens.a]\nrole='reader'\nsha256='{}'", hex("t"));
        assert_eq!(parse(&both).err().unwrap(), "tokens.a: there is a user of that name, users.a");
        let error = parse("[users.ann]\nrole = 'reader'\npassword = 'secret'").err().unwrap();
        assert!(
            error.starts_with("users.ann.password: expected an argon2 hash") && !error.contains("secret"),
            "{error}"
        );
    }
}
