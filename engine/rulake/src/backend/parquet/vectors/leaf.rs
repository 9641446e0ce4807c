//! Leaf column of a column of vectors: a footer goes in; the position of the leaf and the meaning of its levels come out.

use parquet::basic::{Encoding, Repetition};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use super::levels::ListLevels;
use super::values::{self, Number};

/// Position of the column of items, the form of its values, and the meaning of its levels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf {
    pub(super) index: usize,
    pub(super) number: Number,
    pub(super) levels: ListLevels,
}

impl Leaf {
    /// The leaf of a list of numbers called `column`, if the file has one, written in a way that is read here.
    pub(super) fn find(metadata: &ParquetMetaData, column: &str) -> Option<Self> {
        let schema = metadata.file_metadata().schema_descr();
        let mut leaves = (0..schema.num_columns()).filter(|leaf| schema.get_column_root(*leaf).name() == column);
        let (Some(index), None) = (leaves.next(), leaves.next()) else { return None };
        let (root, leaf) = (schema.get_column_root(index), schema.column(index));
        let number = Number::of(&leaf)?;
        if leaf.path().parts().len() != 3 || !root.is_group() {
            return None;
        }
        let [middle] = root.get_fields() else { return None };
        let repetition = |node: &parquet::schema::types::Type| node.get_basic_info().repetition();
        let is_list = middle.is_group()
            && middle.get_fields().len() == 1
            // Older writers mean a list of structs by these names.
            && middle.name() != "array"
            && !middle.name().ends_with("_tuple")
            && repetition(middle) == Repetition::REPEATED
            && repetition(root) != Repetition::REPEATED
            && repetition(leaf.self_type()) != Repetition::REPEATED;
        let nullable = repetition(root) == Repetition::OPTIONAL;
        let item = u8::try_from(leaf.max_def_level()).ok()?;
        let found = Self { index, number, levels: ListLevels { item, in_list: u8::from(nullable) + 1, nullable } };
        let is_known = metadata.row_groups().iter().all(|group| is_known(group.column(index)));
        (is_list && is_known).then_some(found)
    }
}

/// Returns true if the pages of a chunk can be read here.
fn is_known(chunk: &ColumnChunkMetaData) -> bool {
    let known = |encoding| encoding == Encoding::RLE || values::is_known(encoding);
    chunk.file_path().is_none() && chunk.encodings().all(known)
}
