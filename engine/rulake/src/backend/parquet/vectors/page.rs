//! Page of lists: a decompressed page goes in; its levels and its encoded values come out.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::Page;

use super::levels::{Levels, ListLevels};
use super::malformed::Malformed;

/// A page of lists.
#[derive(Debug)]
pub(super) struct ListPage {
    pub(super) levels: Levels,
    /// The values of the items that are there.
    pub(super) values: Bytes,
    pub(super) encoding: Encoding,
    pub(super) dictionary: Option<Arc<[f32]>>,
}

impl ListPage {
    pub(super) fn new(page: Page, levels: ListLevels, dictionary: Option<Arc<[f32]>>) -> Result<Self, Malformed> {
        let (repetition, definition, values, num_values, encoding) = match page {
            Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, .. } => {
                if (def_level_encoding, rep_level_encoding) != (Encoding::RLE, Encoding::RLE) {
                    return Err(Malformed("a page has levels of an encoding that the footer does not name"));
                }
                let (repetition, rest) = with_length(&buf)?;
                let (definition, values) = with_length(&rest)?;
                (repetition, definition, values, num_values, encoding)
            }
            Page::DataPageV2 { buf, num_values, encoding, def_levels_byte_len, rep_levels_byte_len, .. } => {
                let (repetition, rest) = split(&buf, rep_levels_byte_len as usize)?;
                let (definition, values) = split(&rest, def_levels_byte_len as usize)?;
                (repetition, definition, values, num_values, encoding)
            }
            Page::DictionaryPage { .. } => return Err(Malformed("a dictionary is not the first page")),
        };
        let levels = Levels::read(&repetition, &definition, num_values as usize, levels)?;
        Ok(Self { levels, values, encoding, dictionary })
    }
}

/// Splits bytes that begin with a length: returns as many bytes as it says, and the rest.
fn with_length(bytes: &Bytes) -> Result<(Bytes, Bytes), Malformed> {
    let (length, rest) = bytes.split_first_chunk().ok_or(TRUNCATED)?;
    let length = u32::from_le_bytes(*length) as usize;
    split(&bytes.slice_ref(rest), length)
}

fn split(bytes: &Bytes, at: usize) -> Result<(Bytes, Bytes), Malformed> {
    match at <= bytes.len() {
        true => Ok((bytes.slice(..at), bytes.slice(at..))),
        false => Err(TRUNCATED),
    }
}

const TRUNCATED: Malformed = Malformed("a page ends before its levels do");
