//! Creation of Delta tables, empty or with rows: a table is written in a hidden folder, which gets its name at the end.
//!
//! A table is written in a hidden folder, which gets the table's name after the first commit. A process that ends earlier
//! leaves no table, and no files under its name.

use std::io;
use std::path::Path;

use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use deltalake::DeltaTableBuilder;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::{StructField, StructType};
use deltalake::operations::create::CreateBuilder;
use deltalake::operations::write::WriteBuilder;
use deltalake::protocol::SaveMode;
use ruvector_rabitq::persist::EXTENSION;
use url::Url;

use super::folders::NewFolder;
use super::write::write;
use super::{DeltaBackend, LOG_DIR};
use crate::contract::INDEX_DIR;
use crate::error::{Error, Result, from_delta};
use crate::failpoint::reach;
use crate::vector_column::stored_schema;

/// Errors of a rename to a name that is taken.
const HAS_NAME: [io::ErrorKind; 3] =
    [io::ErrorKind::DirectoryNotEmpty, io::ErrorKind::AlreadyExists, io::ErrorKind::NotADirectory];

/// A table that has no name yet.
struct NewTable {
    folder: NewFolder,
    url: Url,
}

impl DeltaBackend {
    /// Creates an empty table.
    ///
    /// # Errors
    /// `AlreadyExists`; `InvalidInput` for a name or a schema that a table cannot have, or if its folder holds other files.
    /// There is no table on error.
    pub async fn create(&self, collection: &str, schema: &SchemaRef) -> Result<()> {
        let _alone = self.lock(collection).write_owned().await;
        let new = self.begin(collection, schema)?;
        let stored: StructType = stored_schema(schema)
            .as_ref()
            .try_into_kernel()
            .map_err(|e| Error::not_supported("column type in a Delta table").with("reason", e))?;
        let fields: Vec<StructField> = stored.fields().cloned().collect();
        CreateBuilder::new()
            .with_location(new.url.as_str())
            .with_table_name(collection)
            .with_columns(fields)
            .with_save_mode(SaveMode::ErrorIfExists)
            .await
            .map_err(from_delta)?;
        self.publish(collection, new)
    }

    /// Creates a table with the rows of `data`, in one transaction, and returns their number.
    ///
    /// # Errors
    /// As [`DeltaBackend::create`] and [`DeltaBackend::append`]. There is no table on error.
    pub async fn create_with(
        &self,
        collection: &str,
        schema: SchemaRef,
        data: SendableRecordBatchStream,
    ) -> Result<u64> {
        let _alone = self.lock(collection).write_owned().await;
        let new = self.begin(collection, &schema)?;
        let table =
            DeltaTableBuilder::from_url(new.url.clone()).and_then(DeltaTableBuilder::build).map_err(from_delta)?;
        let builder = WriteBuilder::new(table.log_store(), None)
            .with_save_mode(SaveMode::ErrorIfExists)
            .with_table_name(collection);
        let num_rows = write(builder, schema, data).await?;
        self.publish(collection, new)?;
        Ok(num_rows)
    }

    /// Makes the hidden folder of a new table of that name and schema.
    fn begin(&self, collection: &str, schema: &SchemaRef) -> Result<NewTable> {
        let folder = self.folder(collection)?;
        // The path of a table must suit the Delta library.
        self.url(collection)?;
        if schema.fields().is_empty() {
            return Err(Error::invalid_input("a table needs at least one column").with("table", collection));
        }
        if self.exists(collection) {
            return Err(exists_already(collection));
        }
        remove_index_files(&folder);
        if std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(is_taken(collection, &folder));
        }
        let refused = |e| Error::unavailable("table folder cannot be made").with("table", collection).with("reason", e);
        let new = NewFolder::create(&self.root).map_err(refused)?;
        let url = Url::from_directory_path(new.path())
            .map_err(|()| Error::internal("data folder is not absolute").with("path", new.path().display()))?;
        Ok(NewTable { folder: new, url })
    }

    /// Gives a new table its name. From then on it is there.
    fn publish(&self, collection: &str, new: NewTable) -> Result<()> {
        let (folder, url) = (self.folder(collection)?, self.url(collection)?);
        let refused =
            |e: io::Error| Error::unavailable("table cannot be created").with("table", collection).with("reason", e);
        set_location(new.folder.path(), &new.url, &url).map_err(refused)?;
        reach("create_table.committed");
        match new.folder.publish(&folder) {
            Ok(()) => {}
            Err(_) if self.exists(collection) => return Err(exists_already(collection)),
            Err(e) if HAS_NAME.contains(&e.kind()) => return Err(is_taken(collection, &folder)),
            Err(e) => return Err(refused(e)),
        }
        reach("create_table.renamed");
        Ok(())
    }
}

/// Replaces the location that the first commit of a table in `folder` may name: the library notes where it created it.
fn set_location(folder: &Path, from: &Url, to: &Url) -> io::Result<()> {
    let commit = folder.join(LOG_DIR).join(format!("{:020}.json", 0));
    let text = std::fs::read_to_string(&commit)?;
    let without_slash = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
    let from = without_slash(from);
    match text.contains(&from) {
        true => std::fs::write(&commit, text.replace(&from, &without_slash(to))),
        false => Ok(()),
    }
}

/// Removes a folder without a table that holds index files and nothing else: a build may have ended after the drop of its
/// table. Other folders stay.
fn remove_index_files(folder: &Path) {
    let index_dir = folder.join(INDEX_DIR);
    if holds_only(folder, |name| name == Path::new(INDEX_DIR))
        && holds_only(&index_dir, is_index_file)
        && let Err(e) = std::fs::remove_dir_all(folder)
    {
        tracing::warn!(path = %folder.display(), reason = %e, "index files of a dropped table are left");
    }
}

/// Returns true if `folder` is a folder, and all names in it are `ours`.
fn holds_only(folder: &Path, ours: impl Fn(&Path) -> bool) -> bool {
    let Ok(mut entries) = std::fs::read_dir(folder) else { return false };
    entries.all(|entry| entry.is_ok_and(|entry| ours(Path::new(&entry.file_name()))))
}

/// Returns true if `name` is the name of an index file, or of one that is being written.
fn is_index_file(name: &Path) -> bool {
    name.extension().is_some_and(|extension| extension == EXTENSION || extension == "unsaved")
}

fn exists_already(collection: &str) -> Error {
    Error::already_exists("table exists already").with("table", collection)
}

/// The error of a folder with files that no table names.
fn is_taken(collection: &str, folder: &Path) -> Error {
    Error::invalid_input("folder of a new table holds other files")
        .with("table", collection)
        .with("expected", "no such folder, or an empty one")
        .with("got", folder.display())
        .with("advice", "move it away, or choose another name")
}
