//! Backend of Parquet files in an object store: the newest listing is a state, and its generation is a digest of the listing.

mod connect;
mod footer;
mod guard;
mod lengths;
mod secret;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use datafusion::datasource::object_store::ObjectStoreUrl;
use futures::TryStreamExt;
use object_store::path::{Path as ObjectPath, PathPart};
use object_store::{ObjectMeta, ObjectStore};
use parking_lot::Mutex;
use sha3::digest::{ExtendableOutput, Update, XofReader};
use url::Url;

use self::footer::{KnownFooters, merge, read_footers};
use super::hive;
use super::parquet::{DataFile, ParquetFiles, file_id};
use crate::address::RowAddress;
use crate::contract::{Backend, INDEX_DIR, NameRule, Snapshot, check_name};
use crate::error::{Error, ErrorKind, Result, from_object_store};
use crate::vector_column::logical_schema;
use crate::witness::Generation;

pub use self::secret::redact_option;

/// The store behind `url`, read-only, and the path of `url` in it. `id` names it in messages; for URLs and options see
/// [`ObjectStoreBackend::from_url`].
///
/// # Errors
/// `InvalidInput` for a URL or an option that cannot be used. Nothing is asked of the store yet.
pub fn open_store(
    id: &str,
    url: &str,
    options: &BTreeMap<String, String>,
) -> Result<(Arc<dyn ObjectStore>, ObjectPath)> {
    connect::connect(id, &parse_url(url)?, options)
}

fn parse_url(url: &str) -> Result<Url> {
    Url::parse(url).map_err(|e| {
        Error::invalid_input("URL of an object store").with("reason", e).with("got", secret::shown_url(url))
    })
}

const EXTENSION: &str = ".parquet";
const DELTA_LOG: &str = "_delta_log";

/// Parquet files below one prefix of an object store. It only reads them; other programs write them.
///
/// A collection is a folder with `.parquet` files, also in folders of its own (`lang=en/...` makes `lang` a column of
/// strings), or one file `name.parquet`. Names that start with `_` or `.` are passed over. The generation is a digest of
/// the names, sizes, times and entity tags of its files. Columns are those of all files, matched by name. A column of
/// lists of `Float32` is a vector column if the lists of all files have one length, judged by the first rows and the footers.
#[derive(Debug)]
pub struct ObjectStoreBackend {
    id: String,
    store: Arc<dyn ObjectStore>,
    /// URL of the prefix; ends with `/`.
    url: Url,
    store_url: ObjectStoreUrl,
    prefix: ObjectPath,
    index_root: Option<PathBuf>,
    names: NameRule,
    seen: Mutex<HashMap<String, Arc<Seen>>>,
}

/// The newest state seen of a collection.
#[derive(Debug)]
struct Seen {
    files: Arc<ParquetFiles>,
    /// Footers of all its files: the next state shares most of them.
    footers: KnownFooters,
}

impl ObjectStoreBackend {
    /// The collections below the prefix that `url` names: `s3://bucket/prefix`, `gs://bucket/prefix`,
    /// `az://container/prefix`, or an `abfss://` or `https://` address of one of these.
    ///
    /// Options are the store's own: the keys of `object_store`'s `AmazonS3ConfigKey`, `GoogleConfigKey` or
    /// `AzureConfigKey`, in lower case. Beside them: `from_env 'true'` also takes what they leave out from the
    /// environment and from the machine's identity, which are not asked otherwise; `max_retries` (2). An endpoint that is
    /// not there is given up within seconds.
    ///
    /// # Errors
    /// `InvalidInput` for a URL or an option that cannot be used. Nothing is asked of the store yet.
    pub fn from_url(id: impl Into<String>, url: &str, options: &BTreeMap<String, String>) -> Result<Self> {
        let id = id.into();
        let url = parse_url(url)?;
        let (store, prefix) = connect::connect(&id, &url, options)?;
        Ok(Self::at(id, store, url, prefix))
    }

    /// The collections below `prefix` of `store`. `url` names the prefix in witnesses and messages.
    pub fn new(id: impl Into<String>, store: Arc<dyn ObjectStore>, url: Url, prefix: &str) -> Self {
        Self::at(id.into(), store, url, ObjectPath::from(prefix))
    }

    fn at(id: String, store: Arc<dyn ObjectStore>, mut url: Url, prefix: ObjectPath) -> Self {
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        // Plans look a store up by scheme and host: two backends may well have these in common and differ in credentials.
        let store_url = ObjectStoreUrl::parse(format!("rulake-{}://", uuid::Uuid::new_v4().simple()))
            .expect("letters and digits are a scheme");
        Self { id, store, url, store_url, prefix, index_root: None, names: NameRule::default(), seen: Mutex::default() }
    }

    /// The collection at `url`, of which the last part names a folder or a file, and its name in the backend.
    ///
    /// # Errors
    /// As [`from_url`](Self::from_url); `InvalidInput` for a URL without a path.
    pub fn of_collection(
        id: impl Into<String>,
        url: &str,
        options: &BTreeMap<String, String>,
    ) -> Result<(Self, String)> {
        let id = id.into();
        let mut url = parse_url(url)?;
        let (store, path) = connect::connect(&id, &url, options)?;
        let Some(name) = path.filename().map(str::to_owned) else {
            return Err(Error::invalid_input("LOCATION of a table")
                .with("expected", "a folder or file below the root of a bucket")
                .with("got", secret::shown_url(url.as_str())));
        };
        let prefix: ObjectPath = path.parts().take(path.parts().count() - 1).collect();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().pop();
        }
        Ok((Self::at(id, store, url, prefix).with_any_names(), name))
    }

    /// Accepts every name of a folder or file as the name of a collection.
    #[must_use]
    pub fn with_any_names(self) -> Self {
        Self { names: NameRule::FileName, ..self }
    }

    /// Sets the folder of index files, with a sub-folder for each collection. Without it, none are kept.
    #[must_use]
    pub fn with_index_root(self, folder: PathBuf) -> Self {
        Self { index_root: Some(folder), ..self }
    }

    /// The path of a name below the prefix. The name is parsed, not encoded: objects keep letters of any script.
    fn child(&self, name: &str) -> Result<ObjectPath> {
        let part =
            PathPart::parse(name).map_err(|e| Error::invalid_input("not the name of an object").with("reason", e))?;
        Ok(self.prefix.clone().join(part))
    }

    /// The URL of a collection.
    fn data_ref(&self, collection: &str) -> String {
        let mut url = self.url.clone();
        match url.path_segments_mut() {
            Ok(mut parts) => {
                parts.pop_if_empty().push(collection);
            }
            Err(()) => return format!("{}{collection}", self.url),
        }
        url.into()
    }

    fn not_found(&self, collection: &str) -> Error {
        Error::not_found("no such collection").with("backend", &self.id).with("collection", collection)
    }

    /// The files of a collection, sorted by path.
    async fn files(&self, collection: &str) -> Result<Vec<ObjectMeta>> {
        let folder = self.child(collection)?;
        let mut files: Vec<ObjectMeta> = Vec::new();
        let mut listing = self.store.list(Some(&folder));
        while let Some(object) = listing.try_next().await.map_err(|e| self.unreadable(e))? {
            let inside: Vec<String> = match object.location.prefix_match(&folder) {
                Some(parts) => parts.map(|part| part.as_ref().to_owned()).collect(),
                None => continue,
            };
            if inside.first().is_some_and(|name| name == DELTA_LOG) {
                return Err(Error::not_supported("a Delta table as a folder of Parquet files")
                    .with("backend", &self.id)
                    .with("collection", collection)
                    .with("expected", "a Delta backend: files of older versions are in the folder too"));
            }
            if inside.iter().all(|name| !name.starts_with(['_', '.'])) && is_parquet(&object.location) {
                files.push(object);
            }
        }
        if files.is_empty() {
            let single = self.child(&format!("{collection}{EXTENSION}"))?;
            match object_store::ObjectStoreExt::head(self.store.as_ref(), &single).await {
                Ok(object) => files.push(object),
                Err(object_store::Error::NotFound { .. }) => return Err(self.not_found(collection)),
                Err(e) => return Err(self.unreadable(e)),
            }
        }
        files.sort_by(|a, b| a.location.cmp(&b.location));
        RowAddress::base(files.len())?;
        Ok(files)
    }

    fn unreadable(&self, error: object_store::Error) -> Error {
        let error = from_object_store(error);
        // A store that was opened by its URL says it already.
        match error.context().iter().any(|(name, _)| *name == "backend") {
            true => error,
            false => error.with("backend", &self.id),
        }
    }

    /// Pins the state that a listing shows. Of files in `known` nothing is read.
    async fn pin(&self, collection: &str, listing: Vec<ObjectMeta>, known: &KnownFooters) -> Result<Seen> {
        let folder = self.child(collection)?;
        let footers = read_footers(&self.store, &listing, known).await?;
        let partitions: Vec<Vec<(String, Option<String>)>> =
            listing.iter().map(|file| partition_values(&folder, &file.location)).collect();
        let partition_columns: Vec<String> =
            partitions.first().map(|values| values.iter().map(|(name, _)| name.clone()).collect()).unwrap_or_default();
        let mut fields: Vec<Arc<Field>> = Vec::new();
        for ((file, footer), values) in listing.iter().zip(&footers).zip(&partitions) {
            if !values.iter().map(|(name, _)| name).eq(&partition_columns) {
                return Err(Error::invalid_input("files are in folders of different columns")
                    .with("file", &file.location)
                    .with("expected", partition_columns.join("/"))
                    .with("got", values.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join("/")));
            }
            merge(&mut fields, footer, file, &partition_columns)?;
        }
        lengths::mark_vectors(&self.store, &self.store_url, &mut fields, &listing, &footers).await?;
        let in_path = partition_columns.iter().map(|name| Arc::new(Field::new(name, DataType::Utf8, true)));
        let stored = Arc::new(Schema::new(fields.into_iter().chain(in_path).collect::<Vec<_>>()));
        let generation = Generation::Opaque(digest(&listing));
        let by_file = listing.iter().map(file_id).zip(footers.iter().cloned()).collect();
        let files = listing.into_iter().zip(footers).zip(partitions);
        let files = files.map(|((file, footer), values)| DataFile::of_object(file, footer.num_rows, values));
        let data_ref = self.data_ref(collection);
        let files = ParquetFiles {
            data_ref,
            generation,
            schema: logical_schema(&stored)?,
            stored,
            partition_columns,
            files: files.collect(),
            index_dir: self.index_root.as_ref().map(|root| root.join(INDEX_DIR).join(collection)),
            store: Arc::clone(&self.store),
            store_url: self.store_url.clone(),
            footers: Arc::default(),
        };
        Ok(Seen { files: Arc::new(files), footers: by_file })
    }
}

#[async_trait]
impl Backend for ObjectStoreBackend {
    fn id(&self) -> &str {
        &self.id
    }

    async fn list(&self) -> Result<Vec<String>> {
        let listing = self.store.list_with_delimiter(Some(&self.prefix)).await.map_err(|e| self.unreadable(e))?;
        let folders = listing.common_prefixes.iter().filter_map(ObjectPath::filename);
        let single = listing.objects.iter().filter_map(|object| object.location.filename()?.strip_suffix(EXTENSION));
        let names: BTreeSet<String> =
            folders.chain(single).filter(|name| check_name(name).is_ok()).map(str::to_owned).collect();
        Ok(names.into_iter().collect())
    }

    async fn snapshot(&self, collection: &str) -> Result<Arc<dyn Snapshot>> {
        self.names.check(collection)?;
        let listing = match self.files(collection).await {
            Ok(listing) => listing,
            Err(e) => {
                if e.kind() == ErrorKind::NotFound {
                    self.seen.lock().remove(collection);
                }
                return Err(e);
            }
        };
        let seen = self.seen.lock().get(collection).cloned();
        let footers = match &seen {
            Some(seen) if *seen.files.generation() == Generation::Opaque(digest(&listing)) => {
                return Ok(Arc::clone(&seen.files) as _);
            }
            Some(seen) => &seen.footers,
            None => &KnownFooters::new(),
        };
        let pinned = Arc::new(self.pin(collection, listing, footers).await?);
        self.seen.lock().insert(collection.to_owned(), Arc::clone(&pinned));
        Ok(Arc::clone(&pinned.files) as _)
    }
}

fn is_parquet(path: &ObjectPath) -> bool {
    path.filename().is_some_and(|name| name.len() > EXTENSION.len() && name.ends_with(EXTENSION))
}

/// The `name=value` folders between a collection and one of its files, in order.
fn partition_values(folder: &ObjectPath, file: &ObjectPath) -> Vec<(String, Option<String>)> {
    let Some(parts) = file.prefix_match(folder) else { return Vec::new() };
    let parts: Vec<_> = parts.map(|part| part.as_ref().to_owned()).collect();
    let folders = parts.split_last().map(|(_, folders)| folders).unwrap_or_default();
    folders.iter().filter_map(|folder| hive::partition(folder)).collect()
}

/// Digest of the metadata of files.
fn digest(files: &[ObjectMeta]) -> String {
    let mut hasher = sha3::Shake256::default();
    let mut text = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    text("rulake-listing-v1");
    for file in files {
        text(file.location.as_ref());
        text(&file.size.to_string());
        text(&file.last_modified.timestamp_nanos_opt().unwrap_or_default().to_string());
        text(file.e_tag.as_deref().unwrap_or_default());
        text(file.version.as_deref().unwrap_or_default());
    }
    let mut digest = [0; 16];
    hasher.finalize_xof().read(&mut digest);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
