use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::physical_plan::collect;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore};
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use sha3::digest::{ExtendableOutput, Update, XofReader};
use tokio::sync::OnceCell;
use url::Url;

use super::parquet::{DataFile, ParquetFiles};
use super::{Backend, INDEX_DIR, ScanRequest, Snapshot, check_name};
use crate::address::RowAddress;
use crate::error::{Error, Result, from_datafusion};
use crate::vectors::{DIM_KEY, logical_schema};
use crate::witness::Generation;

/// Footers read at a time.
const REQUESTS: usize = 16;
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
    /// The newest state seen of each collection.
    seen: Mutex<HashMap<String, Arc<ParquetFiles>>>,
}

/// What the footer of a file says.
#[derive(Debug)]
struct Footer {
    schema: SchemaRef,
    num_rows: usize,
}

impl ObjectStoreBackend {
    /// The collections below `prefix` of `store`. `url` names the prefix in witnesses and messages.
    pub fn new(id: impl Into<String>, store: Arc<dyn ObjectStore>, mut url: Url, prefix: &str) -> Self {
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        // Plans look a store up by scheme and host: two backends may well have these in common and differ in credentials.
        let store_url = ObjectStoreUrl::parse(format!("rulake-{}://", uuid::Uuid::new_v4().simple()))
            .expect("letters and digits are a scheme");
        let prefix = ObjectPath::from(prefix);
        Self { id: id.into(), store, url, store_url, prefix, index_root: None, seen: Mutex::default() }
    }

    /// Keeps index files in `folder`, in a sub-folder for each collection, instead of nowhere.
    #[must_use]
    pub fn with_index_root(self, folder: PathBuf) -> Self {
        Self { index_root: Some(folder), ..self }
    }

    fn not_found(&self, collection: &str) -> Error {
        Error::not_found("no such collection").with("backend", &self.id).with("collection", collection)
    }

    /// The files of a collection, sorted by path.
    async fn files(&self, collection: &str) -> Result<Vec<ObjectMeta>> {
        let folder = self.prefix.clone().join(collection);
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
            let single = self.prefix.clone().join(format!("{collection}{EXTENSION}"));
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
        Error::unavailable("store does not answer").with("backend", &self.id).with("reason", error)
    }

    /// Pins the state that a listing shows.
    async fn pin(&self, collection: &str, listing: Vec<ObjectMeta>) -> Result<ParquetFiles> {
        let folder = self.prefix.clone().join(collection);
        let footers: Vec<Footer> = stream::iter(listing.clone())
            .map(|file| footer(Arc::clone(&self.store), file))
            .buffered(REQUESTS)
            .try_collect()
            .await?;
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
        let files = listing.into_iter().zip(footers).zip(partitions);
        let files = files.map(|((file, footer), values)| data_file(file, footer.num_rows, values));
        let data_ref = self.url.join(collection).map_or_else(|_| format!("{}{collection}", self.url), String::from);
        Ok(ParquetFiles {
            data_ref,
            generation,
            schema: logical_schema(&stored)?,
            stored,
            partition_columns,
            files: files.collect(),
            index_dir: self.index_root.as_ref().map(|root| root.join(INDEX_DIR).join(collection)),
            store: Arc::clone(&self.store),
            store_url: self.store_url.clone(),
        })
    }

    /// Gives lists of floats their dimension, if the rows at the beginning have one.
    async fn mark_vectors(&self, fields: &mut [Arc<Field>], files: &[ObjectMeta], footers: &[Footer]) -> Result<()> {
        for field in fields {
            let DataType::List(item) = field.data_type() else { continue };
            if item.data_type() != &DataType::Float32 || field.metadata().contains_key(DIM_KEY) {
                continue;
            }
            for (file, footer) in files.iter().zip(footers) {
                if footer.num_rows == 0 || footer.schema.field_with_name(field.name()).is_err() {
                    continue;
                }
                let lengths = self.lengths(file, footer, field).await?;
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
            files: vec![data_file(file.clone(), footer.num_rows, Vec::new())],
            index_dir: None,
            store: Arc::clone(&self.store),
            store_url: self.store_url.clone(),
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
                self.seen.lock().remove(collection);
                return Err(e);
            }
        };
        let seen = self.seen.lock().get(collection).cloned();
        if let Some(seen) = seen.filter(|seen| *seen.generation() == Generation::Opaque(digest(&listing))) {
            return Ok(seen);
        }
        let files = Arc::new(self.pin(collection, listing).await?);
        self.seen.lock().insert(collection.to_owned(), Arc::clone(&files));
        Ok(files)
    }
}

async fn footer(store: Arc<dyn ObjectStore>, file: ObjectMeta) -> Result<Footer> {
    let reader = DFParquetMetadata::new(store.as_ref(), &file);
    let named = |e| from_datafusion(e).with("file", &file.location);
    let metadata = reader.fetch_metadata().await.map_err(named)?;
    let schema = reader.fetch_schema().await.map_err(named)?;
    let num_rows = usize::try_from(metadata.file_metadata().num_rows())
        .map_err(|_| Error::corrupt("Parquet footer has a negative row count").with("file", &file.location))?;
    Ok(Footer { schema: Arc::new(schema), num_rows })
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

/// Adds the columns of a file to those of the files before it.
fn merge(fields: &mut Vec<Arc<Field>>, footer: &Footer, file: &ObjectMeta, in_path: &[String]) -> Result<()> {
    for field in footer.schema.fields() {
        if in_path.contains(field.name()) {
            return Err(Error::invalid_input("column is in the file and in the names of its folders")
                .with("file", &file.location)
                .with("column", field.name()));
        }
        match fields.iter().find(|known| known.name() == field.name()) {
            // Missing in other files: NULL there.
            None => fields.push(Arc::new(field.as_ref().clone().with_nullable(true))),
            Some(known) if known.data_type() == field.data_type() => {}
            Some(known) => {
                return Err(Error::invalid_input("column has another type than in the files before")
                    .with("file", &file.location)
                    .with("column", field.name())
                    .with("expected", known.data_type())
                    .with("got", field.data_type()));
            }
        }
    }
    Ok(())
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
