//! Replacement of a file in one step: a path and bytes go in; readers see the old file or the new one, also after a crash.
//!
//! A file that was being written when its process was killed is left as `.<unique>.tmp` in its folder.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use ruvector_rabitq::atomic_file::AtomicFile;

use crate::error::{Error, Result};
use crate::failpoint::reach;

/// Replaces the file at `path` by `bytes`: a reader sees the old file or the new one, also after a crash. Missing folders are
/// created.
///
/// # Errors
/// `Unavailable` with the path and the reason.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes, File::options())
}

/// Replaces a file as [`write_atomically`] does. Only its owner may read and write the new file.
///
/// # Errors
/// `Unavailable` with the path and the reason.
pub fn write_atomically_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    replace(path, bytes, options)
}

fn replace(path: &Path, bytes: &[u8], options: OpenOptions) -> Result<()> {
    let write = || -> io::Result<()> {
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        let name = |unique: &str| format!(".{unique}.tmp").into();
        let mut file = AtomicFile::create(path, options, name).map_err(|(_, reason)| reason)?;
        file.file().write_all(bytes)?;
        file.sync()?;
        reach("write_file.temporary");
        file.rename()?;
        reach("write_file.renamed");
        file.sync_folder()
    };
    let refused =
        |e| Error::unavailable("file cannot be written").with("path", path.display()).with("reason", &e).with_source(e);
    write().map_err(refused)
}
