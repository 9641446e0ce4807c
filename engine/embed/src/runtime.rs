//! Finding and loading `libonnxruntime`, once per process.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ort::environment::Environment;
use ort::logging::LogLevel;
use parking_lot::Mutex;

use crate::{EmbedderOptions, Error, Result};

/// The one environment of the process. It is never dropped: ONNX Runtime allows no second one, not even after that.
static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();

/// Held while the library is looked for, so that two first calls do not load it twice.
static LOADING: Mutex<()> = Mutex::new(());

const ENVIRONMENT_VARIABLE: &str = "ORT_DYLIB_PATH";

/// Returns the process's ONNX Runtime environment, loading the library on the first call.
///
/// An explicit place (the option, else `ORT_DYLIB_PATH`) is the only one tried: a mistyped path must not end in some
/// other library. `ort` would load the library by itself on first use, but it panics where this returns an error.
///
/// # Errors
/// `NotFound` with every place tried.
pub(crate) fn environment(options: &EmbedderOptions) -> Result<&'static Environment> {
    let variable = std::env::var_os(ENVIRONMENT_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let candidates = match (&options.onnxruntime, variable) {
        (Some(path), _) => vec![explicit(path, "the option 'onnxruntime'")?],
        (None, Some(path)) => vec![explicit(&path, ENVIRONMENT_VARIABLE)?],
        (None, None) => searched(std::env::current_exe().ok().as_deref().and_then(Path::parent)),
    };
    let _loading = LOADING.lock();
    if let Some(environment) = ENVIRONMENT.get() {
        return Ok(environment);
    }
    let mut tried = Vec::new();
    for path in candidates {
        match ort::init_from(&path) {
            Ok(builder) => {
                let environment = builder
                    .with_name("ruvector")
                    .with_telemetry(false)
                    .build()
                    .map_err(|error| Error::internal("cannot start ONNX Runtime").with_source(error))?;
                // It logs at its most verbose level otherwise, formatting messages that `tracing` then throws away.
                environment.set_log_level(LogLevel::Warning);
                tracing::debug!(path = %path.display(), "loaded ONNX Runtime");
                return Ok(ENVIRONMENT.get_or_init(|| environment));
            }
            Err(error) => tried.push(format!("{} ({error})", path.display())),
        }
    }
    Err(Error::not_found(
        "cannot load the ONNX Runtime library; install the Python package 'onnxruntime' and set ORT_DYLIB_PATH to its \
         libonnxruntime.so, or to the folder that holds it",
    )
    .with("tried", tried.join("; ")))
}

/// Returns the library that a user named: a file, or a folder that holds one.
fn explicit(path: &Path, named_by: &str) -> Result<PathBuf> {
    let found = if path.is_dir() { library_in(path) } else { path.exists().then(|| path.to_path_buf()) };
    // An absolute path, or `ort` would look beside the executable first.
    found.and_then(|path| std::path::absolute(path).ok()).ok_or_else(|| {
        Error::not_found("no ONNX Runtime library at the given place")
            .with("tried", path.display())
            .with("named by", named_by)
    })
}

/// Returns the places to look in if none is given: beside the executable, then the places that the linker searches.
///
/// Without the executable's folder there is nothing to try: `ort` asks for it too before it gives a bare name to the
/// linker, and panics if the system cannot tell.
fn searched(executable_dir: Option<&Path>) -> Vec<PathBuf> {
    let Some(dir) = executable_dir else { return Vec::new() };
    let beside = [dir.to_path_buf(), dir.join("lib"), dir.join("../lib")];
    let by_name: &[&str] = if cfg!(target_os = "windows") {
        &["onnxruntime.dll"]
    } else if cfg!(target_os = "macos") {
        &["libonnxruntime.dylib"]
    } else {
        &["libonnxruntime.so", "libonnxruntime.so.1"]
    };
    beside.iter().filter_map(|dir| library_in(dir)).chain(by_name.iter().map(PathBuf::from)).collect()
}

/// Returns the library in a folder, of several the one with the last name; never one of its provider plug-ins.
fn library_in(dir: &Path) -> Option<PathBuf> {
    let is_library = |name: &str| {
        name.starts_with("libonnxruntime.so")
            || (name.starts_with("libonnxruntime.") && name.ends_with(".dylib"))
            || name == "onnxruntime.dll"
    };
    let entries = std::fs::read_dir(dir).ok()?;
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| is_library(name))
        .max()
        .map(|name| dir.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_folder_is_searched_for_the_library_and_not_its_plug_ins() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(library_in(dir.path()), None);
        for name in ["libonnxruntime_providers_shared.so", "libonnxruntime.so.1.31.1", "onnxruntime.py"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(library_in(dir.path()), Some(dir.path().join("libonnxruntime.so.1.31.1")));
        assert_eq!(searched(Some(dir.path())).first(), Some(&dir.path().join("libonnxruntime.so.1.31.1")));
    }

    #[test]
    fn a_place_that_does_not_exist_is_named_in_the_error() {
        let options = EmbedderOptions { onnxruntime: Some("no/such/lib.so".into()), ..Default::default() };
        let error = environment(&options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("no/such/lib.so"), "{error}");
    }
}
