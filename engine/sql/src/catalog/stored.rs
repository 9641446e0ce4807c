//! A catalog as one file: named definitions in memory, and the JSON that has them after a restart.
//!
//! Takes changes of the definitions, and replaces the file in one step before a change counts. Each catalog is a [`StoredCatalog`]
//! of its [`Definitions`], and decides which of them may stand beside each other.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};
use ruvector_rulake::atomic_file::{write_atomically, write_atomically_private};
use ruvector_rulake::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::catalog::owner::Owner;

/// The definitions of a catalog, and their form in its file.
pub(crate) trait Definitions: Clone + Default {
    /// The fields of the file after `format_version`, in their order.
    type Stored: Serialize + DeserializeOwned;

    /// Name of the file in the folder of the catalogs.
    const FILE: &'static str;
    /// The catalog, as errors call it.
    const CATALOG: &'static str;
    /// True if a definition may hold a secret. Then only the user of this process may read the file, and no error quotes it.
    const HAS_SECRETS: bool;
    /// The newest format of the file that this version reads, and the one it writes.
    const FORMAT_VERSION: u32 = 1;

    /// Returns what the file has of the definitions.
    fn to_stored(&self) -> Self::Stored;

    /// Returns the definitions that the file has.
    ///
    /// # Errors
    /// Of a value that no definition can have.
    fn from_stored(stored: Self::Stored) -> Result<Self>;
}

/// A catalog whose file is written while its owner lives, and not after. Its `Debug` shows no definitions: they may hold secrets.
pub(crate) struct StoredCatalog<T> {
    path: PathBuf,
    owner: Weak<Owner>,
    current: RwLock<Current<T>>,
}

/// The definitions, and the text of the file that has them.
struct Current<T> {
    definitions: T,
    text: Vec<u8>,
}

#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

#[derive(Serialize)]
struct Versioned<S> {
    format_version: u32,
    #[serde(flatten)]
    stored: S,
}

impl<T: Definitions> StoredCatalog<T> {
    /// Reads the catalog of `owner`; no file is an empty catalog.
    ///
    /// # Errors
    /// `Corrupt` for a damaged file and for a newer format; `Unavailable` if the file cannot be read.
    pub(crate) fn open(owner: &Arc<Owner>) -> Result<Self> {
        let path = owner.folder().join(T::FILE);
        let definitions = match std::fs::read(&path) {
            Ok(bytes) => parse::<T>(&bytes).map_err(|e| e.with("path", path.display()))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => T::default(),
            Err(e) => {
                return Err(Error::unavailable(format!("{} cannot be read", T::CATALOG))
                    .with("path", path.display())
                    .with("reason", e));
            }
        };
        let text = serialise(&definitions)?;
        Ok(Self { path, owner: Arc::downgrade(owner), current: RwLock::new(Current { definitions, text }) })
    }

    /// The definitions as they are now. Changes wait for as long as the answer is held.
    pub(crate) fn definitions(&self) -> MappedRwLockReadGuard<'_, T> {
        RwLockReadGuard::map(self.current.read(), |current| &current.definitions)
    }

    /// Changes the definitions, and writes the file if its text is another one then.
    ///
    /// # Errors
    /// Errors of `change`; `Unavailable` if the file cannot be written, or this engine does not own it (any more). Nothing is
    /// changed on error.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> Result<R>) -> Result<R> {
        let mut current = self.current.write();
        let mut definitions = current.definitions.clone();
        let answer = change(&mut definitions)?;
        let text = serialise(&definitions)?;
        if current.text != text {
            self.write(&text)?;
        }
        *current = Current { definitions, text };
        Ok(answer)
    }

    /// Replaces the file in one step. [`Owner::remove_temporary_files`] removes what a killed process leaves of that.
    fn write(&self, text: &[u8]) -> Result<()> {
        // The owner stays until the file is written.
        let _owner = self.owner()?;
        match T::HAS_SECRETS {
            true => write_atomically_private(&self.path, text),
            false => write_atomically(&self.path, text),
        }
    }

    fn owner(&self) -> Result<Arc<Owner>> {
        let refused = |reason: &str| {
            Error::unavailable("catalog cannot be written").with("path", self.path.display()).with("reason", reason)
        };
        match self.owner.upgrade() {
            Some(owner) if owner.may_write() => Ok(owner),
            Some(_) => Err(refused("the data folder is read-only")),
            None => Err(refused("its engine was closed")),
        }
    }
}

impl<T> fmt::Debug for StoredCatalog<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredCatalog").field("path", &self.path).finish_non_exhaustive()
    }
}

fn serialise<T: Definitions>(definitions: &T) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(&Versioned { format_version: T::FORMAT_VERSION, stored: definitions.to_stored() })
        .map_err(|e| Error::internal(format!("{} does not serialise", T::CATALOG)).with("reason", e))
}

fn parse<T: Definitions>(bytes: &[u8]) -> Result<T> {
    let damaged = |e: serde_json::Error| {
        let error = Error::corrupt(format!("{} is not valid", T::CATALOG));
        match T::HAS_SECRETS {
            // A message of the JSON parser may quote a secret: its line and column are enough.
            true => error.with("line", e.line()).with("column", e.column()),
            false => error.with("reason", e),
        }
    };
    let Version { format_version } = serde_json::from_slice(bytes).map_err(damaged)?;
    if format_version > T::FORMAT_VERSION {
        return Err(Error::corrupt(format!("{} has a newer format", T::CATALOG))
            .with("at most", T::FORMAT_VERSION)
            .with("got", format_version));
    }
    T::from_stored(serde_json::from_slice(bytes).map_err(damaged)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ruvector_rulake::ErrorKind;

    use super::*;

    /// Definitions with a list that is left out where it is empty, as some catalogs have one.
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Things<const SECRET: bool> {
        things: BTreeMap<String, u64>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        dropped: Vec<String>,
    }

    impl<const SECRET: bool> Definitions for Things<SECRET> {
        type Stored = Self;

        const FILE: &'static str = "things.json";
        const CATALOG: &'static str = "catalog of things";
        const HAS_SECRETS: bool = SECRET;

        fn to_stored(&self) -> Self {
            self.clone()
        }

        fn from_stored(stored: Self) -> Result<Self> {
            Ok(stored)
        }
    }

    fn add<const SECRET: bool>(catalog: &StoredCatalog<Things<SECRET>>, name: &str, thing: u64) -> Result<()> {
        catalog.change(|known| match known.things.insert(name.to_owned(), thing) {
            Some(_) => Err(Error::already_exists("thing exists already")),
            None => Ok(()),
        })
    }

    #[tokio::test]
    async fn the_file_has_a_version_and_the_fields_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::claim(folder.path()).await.unwrap();
        let catalog = StoredCatalog::<Things<false>>::open(&owner).unwrap();
        assert!(catalog.definitions().things.is_empty() && !catalog.path.exists());
        add(&catalog, "a", 1).unwrap();
        let text = std::fs::read_to_string(&catalog.path).unwrap();
        assert_eq!(text, "{\n  \"format_version\": 1,\n  \"things\": {\n    \"a\": 1\n  }\n}");
        let noted = catalog.change(|known| {
            known.dropped.push("b".to_owned());
            Ok(known.dropped.len())
        });
        assert_eq!(noted.unwrap(), 1);
        let text = std::fs::read_to_string(&catalog.path).unwrap();
        assert!(text.ends_with("},\n  \"dropped\": [\n    \"b\"\n  ]\n}"), "{text}");
        let again = StoredCatalog::<Things<false>>::open(&owner).unwrap();
        assert_eq!(*again.definitions(), *catalog.definitions());
    }

    #[tokio::test]
    async fn a_change_that_fails_changes_nothing_and_one_of_nothing_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::claim(folder.path()).await.unwrap();
        let catalog = StoredCatalog::<Things<false>>::open(&owner).unwrap();
        add(&catalog, "a", 1).unwrap();
        assert_eq!(add(&catalog, "a", 2).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(catalog.definitions().things["a"], 1);
        std::fs::remove_file(&catalog.path).unwrap();
        catalog.change(|_| Ok(())).unwrap();
        assert!(!catalog.path.exists());
    }

    #[tokio::test]
    async fn a_catalog_is_not_written_after_its_owner_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::claim(folder.path()).await.unwrap();
        let catalog = StoredCatalog::<Things<false>>::open(&owner).unwrap();
        add(&catalog, "a", 1).unwrap();
        let before = std::fs::read(&catalog.path).unwrap();
        drop(owner);
        let error = add(&catalog, "b", 2).unwrap_err();
        assert!(error.to_string().contains("its engine was closed"), "{error}");
        assert_eq!(std::fs::read(&catalog.path).unwrap(), before);
        assert!(!catalog.definitions().things.contains_key("b"));
    }

    #[tokio::test]
    async fn damage_and_newer_formats_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::claim(folder.path()).await.unwrap();
        for (text, part) in [
            ("{", "catalog of things is not valid"),
            ("{\"things\": {}}", "missing field `format_version`"),
            ("{\"format_version\": 1}", "missing field `things`"),
            ("{\"format_version\": 2, \"items\": []}", "catalog of things has a newer format"),
            ("{\"format_version\": 1, \"things\": {\"a\": \"hush\"}}", "hush"),
        ] {
            std::fs::write(owner.folder().join("things.json"), text).unwrap();
            let error = StoredCatalog::<Things<false>>::open(&owner).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{text}");
            let message = error.to_string();
            assert!(message.contains(part) && message.contains("things.json"), "{text}: {message}");
            let message = StoredCatalog::<Things<true>>::open(&owner).unwrap_err().to_string();
            assert!(!message.contains("hush"), "{text}: {message}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_file_with_secrets_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::claim(folder.path()).await.unwrap();
        let catalog = StoredCatalog::<Things<true>>::open(&owner).unwrap();
        add(&catalog, "hush", 1).unwrap();
        assert_eq!(catalog.path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{catalog:?}").contains("hush"));
    }
}
