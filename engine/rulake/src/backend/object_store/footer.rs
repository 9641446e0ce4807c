//! Parquet footers of a listing: objects of a store go in; schema, row count and list items of each file come out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::datatypes::{Field, SchemaRef};
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectMeta, ObjectStore};
use parking_lot::Mutex;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::file::metadata::ParquetMetaData;

use crate::backend::parquet::file_id;
use crate::error::{Error, Result, from_datafusion};

/// Footers read at a time.
const REQUESTS: usize = 16;
/// Read from the end of a file at once: most footers are within, and are read by one request.
const FOOTER_BYTES_HINT: usize = 64 * 1024;

/// The lengths of the lists of a column of a file that are not NULL, each with the first row that has it.
pub(super) type Lengths = BTreeMap<usize, usize>;

/// Content of the footer of a file.
#[derive(Debug)]
pub(super) struct Footer {
    pub(super) schema: SchemaRef,
    pub(super) num_rows: usize,
    /// The items of each column of lists; a list that is NULL or empty counts as one.
    pub(super) items: HashMap<String, usize>,
    /// The lengths of the first lists of those columns that were looked at, or of all lists.
    pub(super) lengths: Mutex<HashMap<(String, bool), Lengths>>,
}

/// Footers by the identities of their files; see [`file_id`].
pub(super) type KnownFooters = HashMap<String, Arc<Footer>>;

/// The footers of `files`, in their order. Those in `known` are not read.
pub(super) async fn read_footers(
    store: &Arc<dyn ObjectStore>,
    files: &[ObjectMeta],
    known: &KnownFooters,
) -> Result<Vec<Arc<Footer>>> {
    let footer = |file: ObjectMeta| {
        let (store, known) = (Arc::clone(store), known.get(&file_id(&file)).cloned());
        async move {
            match known {
                Some(footer) => Ok(footer),
                None => read(store, file).await.map(Arc::new),
            }
        }
    };
    stream::iter(files.to_vec()).map(footer).buffered(REQUESTS).try_collect().await
}

async fn read(store: Arc<dyn ObjectStore>, file: ObjectMeta) -> Result<Footer> {
    let reader = DFParquetMetadata::new(store.as_ref(), &file).with_metadata_size_hint(Some(FOOTER_BYTES_HINT));
    let metadata = reader.fetch_metadata().await.map_err(|e| from_datafusion(e).with("file", &file.location))?;
    let items = items(&metadata);
    let metadata = metadata.file_metadata();
    let schema = parquet_to_arrow_schema(metadata.schema_descr(), metadata.key_value_metadata()).map_err(|e| {
        Error::corrupt("Parquet footer has a schema that cannot be read").with("file", &file.location).with("reason", e)
    })?;
    let num_rows = usize::try_from(metadata.num_rows())
        .map_err(|_| Error::corrupt("Parquet footer has a negative row count").with("file", &file.location))?;
    Ok(Footer { schema: Arc::new(schema), num_rows, items, lengths: Mutex::default() })
}

/// The items of the columns that have one leaf below them.
fn items(metadata: &ParquetMetaData) -> HashMap<String, usize> {
    let mut items: HashMap<String, usize> = HashMap::new();
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        if let [name, _, ..] = column.column_path().parts() {
            *items.entry(name.clone()).or_default() += usize::try_from(column.num_values()).unwrap_or(0);
        }
    }
    items
}

/// Adds the columns of a file to those of the files before it.
pub(super) fn merge(
    fields: &mut Vec<Arc<Field>>,
    footer: &Footer,
    file: &ObjectMeta,
    in_path: &[String],
) -> Result<()> {
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
