//! Bundle: the file `table.rulake.json`, which names a state of a collection without its vectors.
//!
//! The format is version 2 of `ruvector-rulake`: bundles written by its release 2.3.0 are read here, and ours there.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::atomic_file::write_atomically;
use crate::error::{Error, ErrorKind, Result};
use crate::witness::{Generation, witness};

/// The newest format this library reads and the one it writes.
pub const FORMAT_VERSION: u32 = 2;
/// The file's name inside its folder.
pub const FILE_NAME: &str = "table.rulake.json";
/// A bundle is a few hundred bytes; more than this is refused before it is parsed.
const JSON_BYTES_MAX: u64 = 64 * 1024;
/// No text field is longer than this.
const FIELD_BYTES_MAX: usize = 4 * 1024;
/// A witness has 64 hex digits; one of more than twice that is no witness and is not worth printing.
const WITNESS_BYTES_MAX: usize = 128;

/// A state of a collection and the parameters of an index over it, sealed by a witness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Version of the format.
    pub format_version: u32,
    /// URI of the bytes of record.
    pub data_ref: String,
    /// Coordinates per vector.
    pub dim: usize,
    /// Seed of the random rotation.
    pub rotation_seed: u64,
    /// Floor of candidates reranked, as a multiple of `k`.
    pub rerank_factor: usize,
    /// State of the collection when the bundle was made.
    pub generation: Generation,
    /// The witness over the fields above.
    #[serde(rename = "rvf_witness")]
    pub witness: String,
    /// Opaque handle for a governance layer.
    pub pii_policy: Option<String>,
    /// Opaque id of the job that made the bundle.
    pub lineage_id: Option<String>,
    /// Opaque tag; not part of the witness.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_class: Option<String>,
}

impl Bundle {
    /// A bundle sealed with its witness.
    pub fn new(
        data_ref: impl Into<String>,
        dim: usize,
        rotation_seed: u64,
        rerank_factor: usize,
        generation: Generation,
    ) -> Self {
        let data_ref = data_ref.into();
        let witness = witness(&data_ref, dim, rotation_seed, rerank_factor, &generation);
        Self {
            format_version: FORMAT_VERSION,
            data_ref,
            dim,
            rotation_seed,
            rerank_factor,
            generation,
            witness,
            pii_policy: None,
            lineage_id: None,
            memory_class: None,
        }
    }

    /// Parses and verifies a bundle.
    ///
    /// # Errors
    /// `Corrupt` for malformed JSON, a newer format or a field that is too long; `WitnessMismatch` if the witness is not
    /// the one of the fields.
    pub fn from_json(json: &str) -> Result<Self> {
        if json.len() as u64 > JSON_BYTES_MAX {
            return Err(Error::corrupt("bundle is too large")
                .with("bytes at most", JSON_BYTES_MAX)
                .with("got", json.len()));
        }
        let bundle: Self = serde_json::from_str(json)
            .map_err(|e| Error::corrupt("bundle is not valid JSON of its format").with("reason", e))?;
        if bundle.format_version > FORMAT_VERSION {
            return Err(Error::corrupt("bundle has a newer format")
                .with("at most", FORMAT_VERSION)
                .with("got", bundle.format_version));
        }
        let texts = [
            ("data_ref", Some(&bundle.data_ref), FIELD_BYTES_MAX),
            ("rvf_witness", Some(&bundle.witness), WITNESS_BYTES_MAX),
            ("pii_policy", bundle.pii_policy.as_ref(), FIELD_BYTES_MAX),
            ("lineage_id", bundle.lineage_id.as_ref(), FIELD_BYTES_MAX),
            ("memory_class", bundle.memory_class.as_ref(), FIELD_BYTES_MAX),
        ];
        for (name, text, bytes_max) in texts {
            if let Some(text) = text.filter(|text| text.len() > bytes_max) {
                return Err(Error::corrupt(format!("bundle field {name} is too long"))
                    .with("bytes at most", bytes_max)
                    .with("got", text.len()));
            }
        }
        let expected =
            witness(&bundle.data_ref, bundle.dim, bundle.rotation_seed, bundle.rerank_factor, &bundle.generation);
        if bundle.witness != expected {
            return Err(Error::new(ErrorKind::WitnessMismatch, "bundle was changed after it was sealed")
                .with("expected", expected)
                .with("got", bundle.witness));
        }
        Ok(bundle)
    }

    /// Reads and verifies `dir/table.rulake.json`.
    ///
    /// # Errors
    /// `NotFound` if there is none; `Io` if it cannot be read; `Corrupt` if it is no plain file, too large or not UTF-8; else
    /// as [`Bundle::from_json`].
    pub fn read_from_dir(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE_NAME);
        let bytes = read_at_most(open_plain(&path)?, JSON_BYTES_MAX, &path)?;
        let json = String::from_utf8(bytes)
            .map_err(|e| Error::corrupt("bundle is not UTF-8").with("path", path.display()).with("reason", e))?;
        Self::from_json(&json)
    }

    /// Writes `dir/table.rulake.json`, atomically, and returns its path.
    ///
    /// # Errors
    /// `Unavailable` if the folder cannot be written.
    pub fn write_to_dir(&self, dir: &Path) -> Result<PathBuf> {
        let path = dir.join(FILE_NAME);
        let json = serde_json::to_string_pretty(self)
            .map_err(|e| Error::internal("bundle does not serialise").with("reason", e))?;
        write_atomically(&path, json.as_bytes())?;
        Ok(path)
    }
}

/// Opens the plain file at `path`. Links and pipes are refused: a link may lead anywhere, and a pipe never ends.
fn open_plain(path: &Path) -> Result<File> {
    let unreadable = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => Error::not_found("no bundle").with("path", path.display()),
        _ => Error::io("bundle cannot be read", e).with("path", path.display()),
    };
    let plain = |metadata: Metadata| match metadata.is_file() {
        true => Ok(()),
        false => Err(Error::corrupt("bundle is not a plain file").with("path", path.display())),
    };
    plain(path.symlink_metadata().map_err(unreadable)?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    // The file may have been replaced since the check. Without these flags, a pipe blocks and a link is followed.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK | libc::O_NOFOLLOW);
    let file = options.open(path).map_err(unreadable)?;
    plain(file.metadata().map_err(unreadable)?)?;
    Ok(file)
}

/// Reads all of `file`, which may grow during the read. More than `bytes_max` bytes are an error.
fn read_at_most(file: impl Read, bytes_max: u64, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io("bundle cannot be read", e).with("path", path.display()))?;
    match bytes.len() as u64 > bytes_max {
        false => Ok(bytes),
        true => {
            Err(Error::corrupt("bundle is too large").with("path", path.display()).with("bytes at most", bytes_max))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by `ruvector-rulake` 2.3.0.
    #[test]
    fn reads_the_published_format() {
        let json = r#"{
            "format_version": 2, "data_ref": "gs://bucket/x.parquet", "dim": 128, "rotation_seed": 42,
            "rerank_factor": 20, "generation": "abc@7",
            "rvf_witness": "0455a1388fbccc7cc65ae1818251055268fc1da0749c1fe1fd8b5393d2c5d46d",
            "pii_policy": null, "lineage_id": null, "memory_class": "episodic"
        }"#;
        let bundle = Bundle::from_json(json).unwrap();
        assert_eq!(bundle.generation, Generation::Opaque("abc@7".into()));
        assert_eq!(bundle.memory_class.as_deref(), Some("episodic"));
    }

    #[test]
    fn round_trips_and_refuses_tampering() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = Bundle::new("file:///data/docs", 384, 42, 20, Generation::Opaque("id@3".into()));
        bundle.write_to_dir(dir.path()).unwrap();
        assert_eq!(Bundle::read_from_dir(dir.path()).unwrap(), bundle);

        let json = serde_json::to_string(&bundle).unwrap();
        assert!(json.contains("\"rvf_witness\""));
        let tampered = json.replace("\"rotation_seed\":42", "\"rotation_seed\":43");
        assert_eq!(Bundle::from_json(&tampered).unwrap_err().kind(), ErrorKind::WitnessMismatch);
        let newer = json.replace("\"format_version\":2", "\"format_version\":3");
        assert_eq!(Bundle::from_json(&newer).unwrap_err().kind(), ErrorKind::Corrupt);
        let long = Bundle::from_json(&json.replace("file:///data/docs", &"x".repeat(5000)));
        assert_eq!(long.unwrap_err().kind(), ErrorKind::Corrupt);
    }
    /// The bytes that are read count, not the size that the file system reports.
    #[test]
    fn a_file_that_never_ends_is_refused() {
        let read = |file: &mut dyn Read| read_at_most(file, JSON_BYTES_MAX, Path::new(FILE_NAME));
        assert_eq!(read(&mut std::io::repeat(b' ')).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(read(&mut std::io::repeat(b' ').take(JSON_BYTES_MAX)).unwrap().len() as u64, JSON_BYTES_MAX);
        assert!(read(&mut std::io::repeat(b' ').take(JSON_BYTES_MAX + 1)).is_err());
    }
}
