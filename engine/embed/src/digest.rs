//! SHA-256 and Git blob digests of files.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::{Error, Result};

/// The digest by which the hub names a blob: SHA-256 for large files, the id that Git gives for small ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Digest {
    Sha256(String),
    GitBlob(String),
}

impl Digest {
    /// Reads an entity tag or blob name: 64 hex digits are a SHA-256, 40 a Git blob id.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let hex = text.trim().trim_start_matches("W/").trim_matches('"').to_ascii_lowercase();
        if !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        match hex.len() {
            64 => Some(Self::Sha256(hex)),
            40 => Some(Self::GitBlob(hex)),
            _ => None,
        }
    }

    pub(crate) fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::GitBlob(hex) => hex,
        }
    }

    /// Returns the digest of the same sort that the file has.
    pub(crate) fn of_same_sort(&self, path: &Path) -> Result<String> {
        match self {
            Self::Sha256(_) => sha256_file(path),
            Self::GitBlob(_) => git_blob_file(path),
        }
    }
}

/// Returns the SHA-256 of a file, in hex.
pub(crate) fn sha256_file(path: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    for_each_chunk(path, |chunk| hasher.update(chunk))?;
    Ok(to_hex(&hasher.finalize()))
}

/// Returns the id that Git gives the file's content: SHA-1 over `blob <length>\0` and the bytes.
fn git_blob_file(path: &Path) -> Result<String> {
    let len = path.metadata().map_err(|e| cannot_read(path, e))?.len();
    let mut hasher = Sha1::new();
    hasher.update(format!("blob {len}\0"));
    for_each_chunk(path, |chunk| hasher.update(chunk))?;
    Ok(to_hex(&hasher.finalize()))
}

fn for_each_chunk(path: &Path, mut consume: impl FnMut(&[u8])) -> Result<()> {
    let mut file = File::open(path).map_err(|e| cannot_read(path, e))?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(|e| cannot_read(path, e))? {
            0 => return Ok(()),
            read => consume(&buffer[..read]),
        }
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

pub(crate) fn cannot_read(path: &Path, error: std::io::Error) -> Error {
    let message = format!("cannot read {}", path.display());
    match error.kind() {
        std::io::ErrorKind::NotFound => Error::not_found(message).with_source(error),
        _ => Error::unavailable(message).with_source(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_equal_those_of_sha256sum_and_git_hash_object() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hello\n").unwrap();
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        let git = "ce013625030ba8dba906f756967f9e9ca394464a";
        for hex in [sha256, git] {
            assert_eq!(Digest::parse(hex).unwrap().of_same_sort(file.path()).unwrap(), hex);
        }
    }

    #[test]
    fn an_entity_tag_is_a_digest_or_nothing() {
        let hex = "ce013625030ba8dba906f756967f9e9ca394464a";
        assert_eq!(Digest::parse(&format!("W/\"{hex}\"")), Some(Digest::GitBlob(hex.to_owned())));
        assert_eq!(Digest::parse("\"abc\""), None);
        assert_eq!(Digest::parse(&"z".repeat(64)), None);
    }
}
