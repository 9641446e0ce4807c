//! The hub's cache folder on disk: finds the snapshot of a model, checks digests, and writes blobs, links and locks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::HubSettings;
use crate::digest::{Digest, sha256_file};
use crate::locate::ModelFolder;
use crate::name::{KnownModel, ModelName};
use crate::{Error, Result};

/// Returns the snapshot that the cache has of a model; adds to `tried` where there was none.
///
/// Of a known model the pinned commit is preferred, else the one that `main` was at when it was last asked for; a
/// snapshot whose model is another than the pinned one is passed over, since the hub has the right one.
pub(crate) fn cached(name: &ModelName, settings: &HubSettings, tried: &mut Vec<String>) -> Option<ModelFolder> {
    let repo = RepoCache::new(settings.cache.as_deref()?, name);
    let known = KnownModel::find(name);
    let pinned = known.and_then(|known| known.revision).map(str::to_owned);
    let main = fs::read_to_string(repo.folder.join("refs").join("main")).ok().map(|text| text.trim().to_owned());
    let commits = pinned.into_iter().chain(main).filter(|commit| is_commit(commit));
    let found = commits
        .filter_map(|commit| ModelFolder::open_snapshot(&repo.snapshot(&commit)))
        .find(|folder| known.is_none_or(|known| is_published(folder.onnx(), known)));
    if found.is_none() {
        tried.push(repo.folder.display().to_string());
    }
    found
}

/// Tells by the blob's name alone whether a model may be the pinned one.
fn is_published(onnx: &Path, known: &KnownModel) -> bool {
    let pins = known.pins(&onnx.to_string_lossy());
    match announced_digest(&onnx.canonicalize().unwrap_or_else(|_| onnx.to_path_buf())) {
        Some(Digest::Sha256(hex)) => pins.is_empty() || pins.contains(&hex.as_str()),
        _ => true,
    }
}

/// Returns the digest that is a blob's name, or `None` if the file is no blob of a cache.
fn announced_digest(blob: &Path) -> Option<Digest> {
    let in_blobs = blob.parent().is_some_and(|dir| dir.ends_with("blobs"));
    blob.file_name().filter(|_| in_blobs).and_then(|name| Digest::parse(&name.to_string_lossy()))
}

/// Checks a file of a snapshot: its digest must be the name of the blob it links to, and one of the pins if its model
/// is known.
///
/// # Errors
/// `Corrupt` with the digest expected and the one got. A blob that contradicts its name is removed, so that the next call
/// fetches it again.
pub(crate) fn verify_cached(file: &Path, known: Option<&KnownModel>) -> Result<()> {
    let blob = file.canonicalize().unwrap_or_else(|_| file.to_path_buf());
    let announced = announced_digest(&blob);
    let name = file.to_string_lossy();
    check_digests(&blob, &name, announced.as_ref(), known.map_or(&[], |known| known.pins(&name))).inspect_err(|_| {
        if announced.is_some() {
            // Failing to remove it changes nothing: it will fail the same check again.
            let _ = fs::remove_file(&blob);
        }
    })
}

/// Checks that `file` has the digest that the hub announced for `name`, and that its SHA-256 is one of `pins`, if
/// there are any.
pub(super) fn check_digests(file: &Path, name: &str, announced: Option<&Digest>, pins: &[&str]) -> Result<()> {
    let mut sha256 = None;
    if let Some(announced) = announced {
        let got = announced.of_same_sort(file)?;
        if got != announced.hex() {
            return Err(Error::corrupt(format!("{name} does not have the digest that the hub announced"))
                .with("expected", announced.hex())
                .with("got", got));
        }
        sha256 = matches!(announced, Digest::Sha256(_)).then_some(got);
    }
    if pins.is_empty() {
        return Ok(());
    }
    let got = sha256.map_or_else(|| sha256_file(file), Ok)?;
    if !pins.contains(&got.as_str()) {
        return Err(not_published(name, pins, &got));
    }
    Ok(())
}

pub(super) fn not_published(name: &str, pins: &[&str], got: &str) -> Error {
    Error::corrupt(format!("{name} is not the published file of this model"))
        .with("expected sha256", pins.join(" or "))
        .with("got", got)
}

/// One model's part of the cache folder.
#[derive(Debug)]
pub(super) struct RepoCache {
    folder: PathBuf,
    locks: PathBuf,
}

impl RepoCache {
    pub(super) fn new(cache: &Path, name: &ModelName) -> Self {
        let folder = name.cache_folder();
        Self { folder: cache.join(&folder), locks: cache.join(".locks").join(folder) }
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs").join(digest.hex())
    }

    /// Takes the lock that clients hold while they write a blob; it ends with the returned file.
    pub(super) fn lock(&self, digest: &Digest) -> io::Result<fs::File> {
        fs::create_dir_all(&self.locks)?;
        fs::create_dir_all(self.folder.join("blobs"))?;
        let lock = fs::File::create(self.locks.join(format!("{}.lock", digest.hex())))?;
        lock.lock()?;
        Ok(lock)
    }

    /// Makes `path` of a snapshot lead to a blob.
    pub(super) fn link(&self, commit: &str, path: &str, digest: &Digest) -> io::Result<()> {
        let link = self.snapshot(commit).join(path);
        let parent = link.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent)?;
        let blob = self.blob(digest);
        if link.canonicalize().is_ok_and(|target| blob.canonicalize().is_ok_and(|blob| blob == target)) {
            return Ok(());
        }
        let fresh = parent.join(format!(".{}.{}", digest.hex(), std::process::id()));
        // From snapshots/<commit>/<path> up to the repository's folder: relative, so that the cache can be moved.
        let up = "../".repeat(2 + path.matches('/').count());
        link_or_copy(Path::new(&format!("{up}blobs/{}", digest.hex())), &blob, &fresh)?;
        fs::rename(&fresh, &link)
    }

    /// Notes which commit `main` is at.
    pub(super) fn set_main(&self, commit: &str) -> io::Result<()> {
        let refs = self.folder.join("refs");
        fs::create_dir_all(&refs)?;
        let fresh = refs.join(format!(".main.{}", std::process::id()));
        fs::write(&fresh, commit)?;
        fs::rename(fresh, refs.join("main"))
    }
}

#[cfg(unix)]
fn link_or_copy(relative: &Path, _blob: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(relative, link)
}

/// Links need a privilege elsewhere: the Python client copies then, and so do we.
#[cfg(not(unix))]
fn link_or_copy(_relative: &Path, blob: &Path, link: &Path) -> io::Result<()> {
    fs::copy(blob, link).map(|_| ())
}

/// A commit becomes a folder's name, so nothing but a commit may pass for one.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}
