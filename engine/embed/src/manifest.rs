//! `manifest.json`: which bytes a model folder should hold.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::Deserialize;

use crate::config::read_json;
use crate::digest::{cannot_read, sha256_file};
use crate::{Error, Result};

/// The file's name in a model folder.
const MANIFEST: &str = "manifest.json";

/// The manifest that `models/build_minilm.py` writes beside the files it made.
#[derive(Debug, Deserialize)]
struct Manifest {
    files: BTreeMap<String, Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    /// In bytes.
    size: u64,
    sha256: String,
}

/// Checks the files of a model folder against its `manifest.json`; a folder without one passes.
///
/// Every byte is read at each load: 91 MB take a fraction of the time the session takes to start, and a remembered
/// verdict could be wrong.
///
/// # Errors
/// `Corrupt` with the file, what was expected and what was got. `must_list` are files that the manifest may not omit.
pub(crate) fn verify(dir: &Path, must_list: &[&Path]) -> Result<()> {
    let path = dir.join(MANIFEST);
    let Some(json) = read_json(&path)? else { return Ok(()) };
    let manifest: Manifest = serde_json::from_value(json)
        .map_err(|error| Error::corrupt(format!("{} is not a manifest", path.display())).with_source(error))?;
    for file in must_list {
        if !manifest.files.keys().any(|name| dir.join(name) == *file) {
            return Err(Error::corrupt(format!("{} does not list {}", path.display(), file.display())));
        }
    }
    for (name, entry) in &manifest.files {
        if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(Error::corrupt(format!("{} lists a path outside its folder", path.display())).with("got", name));
        }
        let file = dir.join(name);
        let size = file.metadata().map_err(|error| cannot_read(&file, error))?.len();
        if size != entry.size {
            return Err(mismatch(&file).with("expected bytes", entry.size).with("got bytes", size));
        }
        let sha256 = sha256_file(&file)?;
        if !sha256.eq_ignore_ascii_case(&entry.sha256) {
            return Err(mismatch(&file).with("expected sha256", &entry.sha256).with("got", sha256));
        }
    }
    Ok(())
}

fn mismatch(file: &Path) -> Error {
    Error::corrupt(format!("{} is not the file that manifest.json describes; build the model again", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    const SHA256_OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_folder_passes_without_a_manifest_and_with_a_true_one() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("model.onnx"), "abc").unwrap();
        verify(dir.path(), &[]).unwrap();
        write_manifest(dir.path(), "model.onnx", 3, SHA256_OF_ABC);
        verify(dir.path(), &[&dir.path().join("model.onnx")]).unwrap();
    }

    #[test]
    fn a_changed_byte_and_a_changed_length_are_corrupt() {
        let dir = tempfile::tempdir().unwrap();
        write_manifest(dir.path(), "model.onnx", 3, SHA256_OF_ABC);
        for (content, word) in [("abd", "expected sha256"), ("abcd", "expected bytes")] {
            std::fs::write(dir.path().join("model.onnx"), content).unwrap();
            let error = verify(dir.path(), &[]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn a_manifest_may_not_omit_the_model_or_leave_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        write_manifest(dir.path(), "../model.onnx", 3, SHA256_OF_ABC);
        assert_eq!(verify(dir.path(), &[]).unwrap_err().kind(), ErrorKind::Corrupt);
        let model = dir.path().join("model.onnx");
        assert!(verify(dir.path(), &[&model]).unwrap_err().to_string().contains("does not list"));
    }

    fn write_manifest(dir: &Path, name: &str, size: u64, sha256: &str) {
        let json = serde_json::json!({"files": {name: {"size": size, "sha256": sha256}}});
        std::fs::write(dir.join(MANIFEST), json.to_string()).unwrap();
    }
}
