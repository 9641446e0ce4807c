//! Replacement of a file in one step: a path and bytes go in; readers see the old file or the new one, also after a crash.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};
use crate::failpoint::reach;

/// Replaces the file at `path` by `bytes`: a reader sees the old file or the new one, also after a crash.
///
/// # Errors
/// `Unavailable` with the path and the reason.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes, File::options().write(true).create_new(true))
}

/// Replaces a file as [`write_atomically`] does. Only its owner may read and write the new file.
///
/// # Errors
/// `Unavailable` with the path and the reason.
pub fn write_atomically_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    replace(path, bytes, &options)
}

fn replace(path: &Path, bytes: &[u8], options: &OpenOptions) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let dir = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(dir)?;
        let temporary = dir.join(format!(".{}.tmp", uuid::Uuid::new_v4()));
        let result = (|| {
            let mut file = options.open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            reach("write_file.temporary");
            std::fs::rename(&temporary, path)?;
            reach("write_file.renamed");
            File::open(dir)?.sync_all()
        })();
        if result.is_err() {
            // Best effort: the caller needs the reason of the first failure.
            let _ = std::fs::remove_file(&temporary);
        }
        result
    };
    let refused =
        |e| Error::unavailable("file cannot be written").with("path", path.display()).with("reason", &e).with_source(e);
    write().map_err(refused)
}
