//! Files and folders that settings name.

use std::path::Path;

use super::ConfigError;

/// The bytes of a file that a setting names.
pub fn read(setting: &str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|e| ConfigError::new(format!("{setting}: {} cannot be read: {e}", path.display())))
}

/// Refuses a path that can be no folder of tables.
pub fn check_folder(setting: &str, path: Option<&Path>) -> Result<(), ConfigError> {
    match path {
        Some(path) if path.is_dir() => Ok(()),
        Some(path) if path.exists() => {
            Err(ConfigError::new(format!("{setting}: expected a folder, got the file {}", path.display())))
        }
        Some(path) if is_address(path) => Err(ConfigError::new(format!(
            "{setting}: expected a folder, got what may be an address, {}: a server is reached with --remote grpc://{}, and a \
             folder of that name is ./{}",
            path.display(),
            path.display(),
            path.display()
        ))),
        // It is made, but not what it is in: a mistyped path would be an empty database.
        Some(path) if !is_in_a_folder(path) => Err(ConfigError::new(format!(
            "{setting}: expected a folder, or a new one in a folder that exists, got {}",
            path.display()
        ))),
        _ => Ok(()),
    }
}

/// True if a path reads as `HOST:PORT`.
fn is_address(path: &Path) -> bool {
    let parts = path.to_str().and_then(|text| text.rsplit_once(':'));
    parts.is_some_and(|(host, port)| !host.is_empty() && !host.contains(['/', '\\']) && port.parse::<u16>().is_ok())
}

fn is_in_a_folder(path: &Path) -> bool {
    match path.parent() {
        // A single name: it is in the working directory.
        Some(parent) if parent.as_os_str().is_empty() => true,
        Some(parent) => parent.is_dir(),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_tables_is_made_in_one_that_exists() {
        let folder = tempfile::tempdir().unwrap();
        let checked = |path: &Path| check_folder("engine.data", Some(path)).map_err(|e| e.to_string());
        for path in [folder.path(), &folder.path().join("new"), Path::new("new"), Path::new("./new")] {
            assert_eq!(checked(path), Ok(()), "{}", path.display());
        }
        let typo = folder.path().join("typo").join("data");
        let error = checked(&typo).unwrap_err();
        assert!(error.starts_with("engine.data: expected a folder, or a new one in a folder that exists"), "{error}");
        assert!(!typo.exists());
        for address in ["localhost:50051", "[::1]:50051", "10.0.0.1:1"] {
            let error = checked(Path::new(address)).unwrap_err();
            assert!(error.contains(&format!("grpc://{address}")), "{error}");
        }
        assert_eq!(checked(Path::new("./localhost:50051")), Ok(()));
        std::fs::write(folder.path().join("file"), "x").unwrap();
        assert!(checked(&folder.path().join("file")).unwrap_err().contains("got the file"));
        assert!(checked(&folder.path().join("file").join("data")).is_err());
    }
}
