//! Layout of the files of a table: its stored schema goes in, the properties of a Parquet writer come out.

use arrow::datatypes::{DataType, Schema};
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

/// Rows of a page. The winners of a search lie anywhere, and each costs a page of every column that is asked for: with
/// Parquet's usual 20,000 rows a text costs its megabyte.
const PAGE_ROWS: usize = 1024;
/// Bytes of a page, about.
const PAGE_BYTES: usize = 128 * 1024;

/// Target for the bytes of a row group. A writer holds one in memory, and a reader reads a column of one at once.
const ROW_GROUP_BYTES: usize = 16 << 20;

/// The layout of files of these columns, as they are stored.
///
/// Pages are small, for rows that are taken one by one; so are dictionaries, each of which has to be read for any of its
/// rows. Coordinates of vectors have no dictionary, no compression and no statistics: nearly each is another number, so
/// that these cost time and find nothing.
pub(super) fn writer_properties(stored: &Schema) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_dictionary_page_size_limit(PAGE_BYTES)
        .set_write_batch_size(PAGE_ROWS)
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES));
    for field in stored.fields() {
        let (DataType::List(item) | DataType::LargeList(item)) = field.data_type() else { continue };
        if !item.data_type().is_floating() {
            continue;
        }
        let coordinates = ColumnPath::new(vec![field.name().clone(), "list".to_owned(), item.name().clone()]);
        properties = properties
            .set_column_dictionary_enabled(coordinates.clone(), false)
            .set_column_compression(coordinates.clone(), Compression::UNCOMPRESSED)
            .set_column_statistics_enabled(coordinates, EnabledStatistics::None);
    }
    properties.build()
}
