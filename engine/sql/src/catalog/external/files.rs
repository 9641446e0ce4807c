//! CSV and JSON files, as DataFusion lists and reads them.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result as DfResult, plan_err};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::prelude::{SessionConfig, SessionContext};
use ruvector_rulake::backend::open_store;
use ruvector_rulake::{Error, Result};
use tokio::sync::OnceCell;
use url::Url;

use super::Definition;
use super::definition::Kind;
use super::partitions::Partitioned;
use ruvector_udfs::names::MAIN;

/// The files of one table.
#[derive(Debug)]
pub(crate) struct Files {
    definition: Definition,
    runtime: Arc<RuntimeEnv>,
    url: ListingTableUrl,
    format: Arc<dyn FileFormat>,
    /// Extension of the files that are read in a folder; other files are passed over. Empty for a single file.
    extension: String,
    made: OnceCell<Arc<dyn TableProvider>>,
}

impl Files {
    /// The files that a definition names. Nothing is read yet.
    ///
    /// # Errors
    /// `InvalidInput` for a location or an option that cannot be used.
    pub(super) fn open(definition: &Definition, runtime: Arc<RuntimeEnv>) -> Result<Self> {
        let compression = compression(definition)?;
        let format: Arc<dyn FileFormat> = match definition.kind {
            Kind::Json => Arc::new(JsonFormat::default().with_file_compression_type(compression)),
            _ => Arc::new(csv(definition)?.with_file_compression_type(compression)),
        };
        let refused =
            |e: DataFusionError| Error::invalid_input("LOCATION cannot be used").with("reason", e.strip_backtrace());
        let is_folder = match definition.is_remote() {
            true => {
                let last = definition.location.rsplit('/').next().unwrap_or_default();
                definition.location.ends_with('/') || !last.contains('.')
            }
            false => Path::new(&definition.location).is_dir(),
        };
        let url = match definition.is_remote() {
            true => {
                let (store, prefix) = open_store(MAIN, &definition.location, &definition.store_options())?;
                // Plans look a store up by scheme and host: two tables may well have these in common and differ in credentials.
                let scheme = format!("external-{}", hex(&definition.name));
                let store_url = ObjectStoreUrl::parse(format!("{scheme}://")).map_err(refused)?;
                runtime.register_object_store(store_url.as_ref(), store);
                let mut url = Url::parse(&format!("{scheme}:///"))
                    .map_err(|e| refused(DataFusionError::External(Box::new(e))))?;
                if let Ok(mut parts) = url.path_segments_mut() {
                    // The last, empty one ends a folder.
                    let end = definition.location.ends_with('/').then_some("");
                    parts.pop_if_empty().extend(prefix.parts().map(|part| part.as_ref().to_owned())).extend(end);
                }
                url
            }
            false => {
                let path = Path::new(&definition.location);
                let url = if is_folder { Url::from_directory_path(path) } else { Url::from_file_path(path) };
                url.map_err(|()| Error::invalid_input("LOCATION is not absolute").with("got", &definition.location))?
            }
        };
        // Not by a text: characters that patterns are made of are names here.
        let url = ListingTableUrl::try_new(url, None);
        let extension = match is_folder {
            false => String::new(),
            true => format
                .get_ext_with_compression(&compression)
                .map_err(|e| Error::invalid_input("files of this kind have no extension").with("reason", e))?,
        };
        let definition = definition.clone();
        Ok(Self { definition, runtime, url: url.map_err(refused)?, format, extension, made: OnceCell::new() })
    }

    /// The table. Its columns are found out once; its files are listed by each statement.
    pub(crate) async fn provider(&self) -> DfResult<Arc<dyn TableProvider>> {
        Ok(Arc::clone(self.made.get_or_try_init(|| self.make()).await?))
    }

    async fn make(&self) -> DfResult<Arc<dyn TableProvider>> {
        let mut config = SessionConfig::new();
        config.options_mut().sql_parser.map_string_types_to_utf8view = false;
        let context = SessionContext::new_with_config_rt(config, Arc::clone(&self.runtime));
        let declared = match &self.definition.columns {
            Some(columns) => Some(declared(&context, columns).await?),
            None => None,
        };
        let (partitioned_by, state) = (&self.definition.partitioned_by, context.state());
        let partitions: Vec<(String, DataType)> = partitioned_by
            .iter()
            .map(|column| {
                let field = declared.as_ref().and_then(|schema| schema.field_with_name(column).ok());
                (column.clone(), field.map_or(DataType::Utf8, |field| field.data_type().clone()))
            })
            .collect();
        let options = ListingOptions::new(Arc::clone(&self.format))
            .with_file_extension(&self.extension)
            .with_table_partition_cols(partitioned_by.iter().map(|name| (name.clone(), DataType::Utf8)).collect());
        let of_files = match declared {
            Some(schema) => schema,
            None => options.infer_schema(&state, &self.url).await?,
        };
        let fields = of_files.fields().iter().filter(|field| !partitioned_by.contains(field.name()));
        let schema = Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()));
        if schema.fields().is_empty() {
            return plan_err!("table {}: no columns were found at {}", self.definition.name, self.definition.location);
        }
        if self.definition.kind == Kind::Csv
            && let Some(field) = schema.fields().iter().find(|field| field.data_type().is_nested())
        {
            return plan_err!(
                "column {} of a CSV file: expected a plain type, got {}; declare it VARCHAR and cast it, as in \
                 CAST(string_to_array(btrim(vec, '[]'), ',') AS FLOAT[2])",
                field.name(),
                field.data_type()
            );
        }
        let config = ListingTableConfig::new(self.url.clone()).with_listing_options(options).with_schema(schema);
        let files = ListingTable::try_new(config)?;
        Ok(match partitions.is_empty() {
            true => Arc::new(files),
            false => Arc::new(Partitioned::new(files, &partitions)),
        })
    }
}

/// The columns that a statement declared.
async fn declared(context: &SessionContext, columns: &str) -> DfResult<SchemaRef> {
    let sql = format!("CREATE EXTERNAL TABLE declared ({columns}) STORED AS CSV LOCATION 'nowhere'");
    match context.state().create_logical_plan(&sql).await? {
        LogicalPlan::Ddl(DdlStatement::CreateExternalTable(create)) => {
            Ok(Arc::new(create.schema.as_ref().as_arrow().clone()))
        }
        other => plan_err!("columns of an external table, got {}", other.display()),
    }
}

fn csv(definition: &Definition) -> Result<CsvFormat> {
    let has_header = match definition.options.get("has_header").map(String::as_str) {
        None => true,
        Some(value) if value.eq_ignore_ascii_case("true") => true,
        Some(value) if value.eq_ignore_ascii_case("false") => false,
        Some(other) => return Err(wrong("has_header", "true or false", other)),
    };
    let mut format = CsvFormat::default().with_has_header(has_header);
    if let Some(delimiter) = byte(definition, "delimiter")? {
        format = format.with_delimiter(delimiter);
    }
    if let Some(quote) = byte(definition, "quote")? {
        format = format.with_quote(quote);
    }
    Ok(format.with_escape(byte(definition, "escape")?).with_comment(byte(definition, "comment")?))
}

fn byte(definition: &Definition, key: &str) -> Result<Option<u8>> {
    match definition.options.get(key).map(|value| (value.as_str(), value.as_bytes())) {
        None => Ok(None),
        Some((_, [byte])) => Ok(Some(*byte)),
        Some((r"\t", _)) => Ok(Some(b'\t')),
        Some((other, _)) => Err(wrong(key, "one ASCII character or \\t", other)),
    }
}

fn compression(definition: &Definition) -> Result<FileCompressionType> {
    let Some(value) = definition.options.get("compression") else { return Ok(FileCompressionType::UNCOMPRESSED) };
    value.parse().map_err(|_| wrong("compression", "gzip, bzip2, xz, zstd or uncompressed", value))
}

fn wrong(key: &str, expected: &str, got: &str) -> Error {
    Error::invalid_input(format!("option {key}")).with("expected", expected).with("got", got)
}

/// A name as letters and digits, which the scheme of a URL is made of.
fn hex(name: &str) -> String {
    name.bytes().map(|byte| format!("{byte:02x}")).collect()
}
