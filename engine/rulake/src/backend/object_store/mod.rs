//! Parquet files in an object store.

mod connect;
mod footer;
mod guard;
mod secret;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::physical_plan::collect;
use futures::TryStreamExt;
use object_store::path::{Path as ObjectPath, PathPart};
use object_store::{ObjectMeta, ObjectStore};
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use sha3::digest::{ExtendableOutput, Update, XofReader};
use tokio::sync::OnceCell;
use url::Url;

use self::footer::{Footer, Footers, merge, read_footers};
use super::parquet::{DataFile, ParquetFiles, file_id};
use super::{Backend, INDEX_DIR, ScanRequest, Snapshot, check_name};
use crate::address::RowAddress;
use crate::error::{Error, ErrorKind, Result, from_datafusion, from_object_store};
use crate::vectors::{DIM_KEY, logical_schema};
use crate::witness::Generation;

pub use self::secret::shown_value;

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

/// Rows looked at for the dimension of lists.
const ROWS_LOOKED_AT: usize = 1024;
const EXTENSION: &str = ".parquet";
const DELTA_LOG: &str = "_delta_log";

/// Parquet files below one prefix of an object store. It only reads them; other programs write them.
///
/// A collection is a folder with `.parquet` files, also in folders of its own (`lang=en/...` makes `lang` a column of
/// strings), or one file `name.parquet`. Names that start with `_` or `.` are passed over. The generation is a digest of
/// the names, sizes, times and entity tags of its files. Columns are those of all files, matched by name. A column of
/// lists of `Float32` is a vector column if the lists at its beginning have one length.
#[derive(Debug)]
pub struct ObjectStoreBackend {
    id: String,
    store: Arc<dyn ObjectStore>,
    /// Of the prefix; ends with `/`.
    url: Url,
    store_url: ObjectStoreUrl,
    prefix: ObjectPath,
    index_root: Option<PathBuf>,
    seen: Mutex<HashMap<String, Arc<Seen>>>,
}

/// The newest state seen of a collection.
#[derive(Debug)]
struct Seen {
    files: Arc<ParquetFiles>,
    /// Of all its files: the next state shares most of them.
    footers: Footers,
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
        Self { id, store, url, store_url, prefix, index_root: None, seen: Mutex::default() }
    }

    /// Keeps index files in `folder`, in a sub-folder for each collection, instead of nowhere.
    #[must_use]
    pub fn with_index_root(self, folder: PathBuf) -> Self {
        Self { index_root: Some(folder), ..self }
    }

    /// The path of that name below the prefix, as it is: made from the name alone, letters of other scripts would be
    /// written as codes, which is not what objects are called.
    fn child(&self, name: &str) -> Result<ObjectPath> {
        let part =
            PathPart::parse(name).map_err(|e| Error::invalid_input("not the name of an object").with("reason", e))?;
        Ok(self.prefix.clone().join(part))
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
    async fn pin(&self, collection: &str, listing: Vec<ObjectMeta>, known: &Footers) -> Result<Seen> {
        let folder = self.child(collection)?;
        let footers = read_footers(&self.store, &listing, known).await?;
        let partitions: Vec<Vec<(String, String)>> =
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
        self.mark_vectors(&mut fields, &listing, &footers).await?;
        let in_path = partition_columns.iter().map(|name| Arc::new(Field::new(name, DataType::Utf8, true)));
        let stored = Arc::new(Schema::new(fields.into_iter().chain(in_path).collect::<Vec<_>>()));
        let generation = Generation::Opaque(digest(&listing));
        let by_file = listing.iter().map(file_id).zip(footers.iter().cloned()).collect();
        let files = listing.into_iter().zip(footers).zip(partitions);
        let files = files.map(|((file, footer), values)| data_file(file, footer.num_rows, values));
        let data_ref = self.url.join(collection).map_or_else(|_| format!("{}{collection}", self.url), String::from);
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

    /// Gives lists of floats their dimension, if the rows at the beginning have one.
    async fn mark_vectors(
        &self,
        fields: &mut [Arc<Field>],
        files: &[ObjectMeta],
        footers: &[Arc<Footer>],
    ) -> Result<()> {
        for field in fields {
            let DataType::List(item) = field.data_type() else { continue };
            if item.data_type() != &DataType::Float32 || field.metadata().contains_key(DIM_KEY) {
                continue;
            }
            for (file, footer) in files.iter().zip(footers) {
                if footer.num_rows == 0 || footer.schema.field_with_name(field.name()).is_err() {
                    continue;
                }
                let known = footer.lengths.lock().get(field.name()).cloned();
                let lengths = match known {
                    Some(lengths) => lengths,
                    None => self.lengths(file, footer, field).await?,
                };
                footer.lengths.lock().insert(field.name().clone(), lengths.clone());
                if let (Some(&dim), 1) = (lengths.first(), lengths.len())
                    && dim > 0
                {
                    let mut metadata = field.metadata().clone();
                    metadata.insert(DIM_KEY.to_owned(), dim.to_string());
                    *field = Arc::new(field.as_ref().clone().with_metadata(metadata));
                }
                // The first file that has any says it.
                if !lengths.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The lengths of the first lists of a column of a file.
    async fn lengths(&self, file: &ObjectMeta, footer: &Footer, column: &Arc<Field>) -> Result<BTreeSet<usize>> {
        let schema = Arc::new(Schema::new(vec![Arc::clone(column)]));
        let files = ParquetFiles {
            data_ref: String::new(),
            generation: Generation::Number(0),
            schema: Arc::clone(&schema),
            stored: schema,
            partition_columns: Vec::new(),
            files: [data_file(file.clone(), footer.num_rows, Vec::new())].into(),
            index_dir: None,
            store: Arc::clone(&self.store),
            store_url: self.store_url.clone(),
            footers: Arc::default(),
        };
        let (context, request) =
            (Arc::default(), ScanRequest { limit: Some(ROWS_LOOKED_AT), ..ScanRequest::default() });
        let plan = files.scan(&context, &request).await?;
        let named = |e| from_datafusion(e).with("file", &file.location);
        let mut lengths = BTreeSet::new();
        for batch in collect(plan, context).await.map_err(named)? {
            let lists = batch.column(0).as_list::<i32>();
            let all = lists.offsets().lengths().enumerate();
            lengths.extend(all.filter(|(row, _)| lists.is_valid(*row)).map(|(_, length)| length));
        }
        Ok(lengths)
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
        check_name(collection)?;
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
            None => &Footers::new(),
        };
        let pinned = Arc::new(self.pin(collection, listing, footers).await?);
        self.seen.lock().insert(collection.to_owned(), Arc::clone(&pinned));
        Ok(Arc::clone(&pinned.files) as _)
    }
}

fn data_file(file: ObjectMeta, num_rows: usize, partition_values: Vec<(String, String)>) -> DataFile {
    DataFile {
        path: file.location.clone(),
        bytes: file.size,
        partition_values: partition_values.into_iter().map(|(name, value)| (name, Some(value))).collect(),
        logged_rows: Some(num_rows),
        physical_rows: OnceCell::new(),
        deleted: RoaringBitmap::new(),
        pinned: Some(file),
    }
}

fn is_parquet(path: &ObjectPath) -> bool {
    path.filename().is_some_and(|name| name.len() > EXTENSION.len() && name.ends_with(EXTENSION))
}

/// The `name=value` folders between a collection and one of its files, in order.
fn partition_values(folder: &ObjectPath, file: &ObjectPath) -> Vec<(String, String)> {
    let Some(parts) = file.prefix_match(folder) else { return Vec::new() };
    let parts: Vec<_> = parts.map(|part| part.as_ref().to_owned()).collect();
    let folders = parts.split_last().map(|(_, folders)| folders).unwrap_or_default();
    let split = |name: &String| name.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    folders.iter().filter_map(split).collect()
}

/// A digest of what the store says of some files.
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
