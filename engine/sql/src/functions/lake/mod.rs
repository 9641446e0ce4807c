//! Operations of the lake as table functions: `SELECT * FROM publish_bundle('docs', '/shared/docs')`.
//!
//! | function | does | answers |
//! |---|---|---|
//! | `publish_bundle(table, folder)` | writes the bundle of the table's state and its first index | `witness` |
//! | `refresh_from_bundle(table, folder)` | forgets what is cached, if the bundle names another state | `result` |
//! | `save_cache(table, folder)` | writes what is cached, and the bundle | `path`, a row for each index file |
//! | `warm_cache(table, folder)` | reads it back | `vectors` |
//! | `invalidate_cache(table)` | forgets what is cached | `result` |
//!
//! The functions with a folder need the role admin, `invalidate_cache` needs the role writer. Nothing is done while a statement
//! is planned: an operation runs when its rows are pulled.

mod call;

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::DataType;
use ruvector_rulake::{Error, Result, RuLake};

use crate::catalog::index::IndexCatalog;
use ruvector_udfs::role::Role;

pub(crate) use call::LakeFunction;

/// Operation of a function.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    PublishBundle,
    RefreshFromBundle,
    SaveCache,
    WarmCache,
    InvalidateCache,
}

impl Operation {
    pub(crate) const ALL: [Self; 5] =
        [Self::PublishBundle, Self::RefreshFromBundle, Self::SaveCache, Self::WarmCache, Self::InvalidateCache];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PublishBundle => "publish_bundle",
            Self::RefreshFromBundle => "refresh_from_bundle",
            Self::SaveCache => "save_cache",
            Self::WarmCache => "warm_cache",
            Self::InvalidateCache => "invalidate_cache",
        }
    }

    /// The role that may call it: folders are of the caller's choosing.
    pub(super) fn needed_role(self) -> Role {
        if self.takes_folder() { Role::Admin } else { Role::Writer }
    }

    /// Returns true if it reads or writes a folder.
    fn takes_folder(self) -> bool {
        !matches!(self, Self::InvalidateCache)
    }

    /// The name and type of the one column it answers.
    fn column(self) -> (&'static str, DataType) {
        match self {
            Self::PublishBundle => ("witness", DataType::Utf8),
            Self::RefreshFromBundle | Self::InvalidateCache => ("result", DataType::Utf8),
            Self::SaveCache => ("path", DataType::Utf8),
            Self::WarmCache => ("vectors", DataType::Int64),
        }
    }

    async fn run(
        self,
        lake: &RuLake,
        indexes: &IndexCatalog,
        backend: &str,
        collection: &str,
        folder: PathBuf,
    ) -> Result<ArrayRef> {
        let text = |values: Vec<String>| -> ArrayRef { Arc::new(StringArray::from(values)) };
        Ok(match self {
            Self::PublishBundle => {
                let declared = indexes.of_table(backend, collection);
                let spec = declared.first().map(|index| &index.spec);
                text(vec![lake.publish_bundle(backend, collection, spec, &folder).await?])
            }
            Self::RefreshFromBundle => {
                known(lake, backend, collection).await?;
                let result = lake.refresh_from_bundle_dir(backend, collection, &folder).await?;
                text(vec![result.name().to_owned()])
            }
            Self::SaveCache => {
                let paths = lake.save_cache_to_dir(backend, collection, &folder).await?;
                text(paths.iter().map(|path| path.display().to_string()).collect())
            }
            Self::WarmCache => {
                let vectors = lake.warm_from_dir(backend, collection, &folder).await?;
                Arc::new(Int64Array::from_iter([i64::try_from(vectors).ok()]))
            }
            Self::InvalidateCache => {
                known(lake, backend, collection).await?;
                lake.invalidate_cache(backend, collection)?;
                text(vec!["INVALIDATED".to_owned()])
            }
        })
    }
}

/// Checks that there is such a collection: a typing error would else look like success.
async fn known(lake: &RuLake, backend: &str, collection: &str) -> Result<()> {
    let collections = lake.backend(backend)?.list().await?;
    match collections.iter().any(|known| known == collection) {
        true => Ok(()),
        false => Err(Error::not_found("no such collection").with("backend", backend).with("collection", collection)),
    }
}
