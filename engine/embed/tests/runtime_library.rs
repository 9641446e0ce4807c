//! A wrong ONNX Runtime path is an error. A process of its own, since a library once loaded stays.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use ruvector_embed::{Embedder, EmbedderOptions, ErrorKind};

#[test]
fn a_path_that_is_no_runtime_library_is_an_error_that_names_it() {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny");
    let dir = tempfile::tempdir().unwrap();
    let junk = dir.path().join("libonnxruntime.so");
    std::fs::write(&junk, "not a library").unwrap();
    // A file that does not exist, a file that is no library, the folder that holds it, an empty folder.
    for path in [dir.path().join("absent.so"), junk, dir.path().to_path_buf(), dir.path().join("empty")] {
        if path.ends_with("empty") {
            std::fs::create_dir(&path).unwrap();
        }
        let options = EmbedderOptions { onnxruntime: Some(path.clone()), ..Default::default() };
        let error = Embedder::load(&tiny, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}
