use std::path::Path;

use tokenizers::{Encoding, Tokenizer, TruncationParams};

use crate::{Error, Result};

/// Tokens of one inference, padding included. Below 256 the calls cost more than the work; above 1,024 a batch leaves
/// the CPU's caches: measured on two cores, 256 to 1,024 are level and 2,048 is slower.
pub(crate) const PADDED_TOKENS_MAX: usize = 512;

/// Turns texts into token ids, without padding.
pub(crate) struct TextTokenizer {
    inner: Tokenizer,
    pad_id: i64,
}

impl TextTokenizer {
    /// Loads `tokenizer.json`, to cut each text at `max_seq_length` tokens.
    pub(crate) fn load(path: &Path, max_seq_length: usize) -> Result<Self> {
        let corrupt = |error: tokenizers::Error| {
            Error::corrupt(format!("{} is not a tokenizer", path.display())).with_source(error)
        };
        let mut inner = Tokenizer::from_file(path).map_err(corrupt)?;
        let pad_id = match inner.get_padding() {
            Some(padding) => padding.pad_id,
            None => ["[PAD]", "<pad>"].into_iter().find_map(|token| inner.token_to_id(token)).unwrap_or(0),
        };
        let truncation = TruncationParams { max_length: max_seq_length, ..Default::default() };
        inner.with_padding(None).with_truncation(Some(truncation)).map_err(corrupt)?;
        Ok(Self { inner, pad_id: i64::from(pad_id) })
    }

    /// Returns one encoding per text, in order, on all cores.
    pub(crate) fn encode(&self, texts: &[&str]) -> Result<Vec<Encoding>> {
        self.inner
            .encode_batch_fast(texts.to_vec(), true)
            .map_err(|error| Error::internal("the tokenizer failed").with_source(error))
    }

    /// Lays the chosen encodings side by side, padded to the longest.
    pub(crate) fn pad(&self, encodings: &[Encoding], rows: &[usize]) -> TokenBatch {
        // At least one column: an empty text gives [CLS] and [SEP] in BERT, but other tokenizers may give nothing.
        let width = rows.iter().map(|row| encodings[*row].len()).max().unwrap_or(0).max(1);
        let mut batch = TokenBatch {
            num_rows: rows.len(),
            width,
            ids: Vec::with_capacity(rows.len() * width),
            mask: Vec::with_capacity(rows.len() * width),
            type_ids: Vec::with_capacity(rows.len() * width),
        };
        for (i, row) in rows.iter().enumerate() {
            let encoding = &encodings[*row];
            batch.ids.extend(encoding.get_ids().iter().map(|id| i64::from(*id)));
            batch.mask.extend(encoding.get_attention_mask().iter().map(|mask| i64::from(*mask)));
            batch.type_ids.extend(encoding.get_type_ids().iter().map(|id| i64::from(*id)));
            batch.ids.resize((i + 1) * width, self.pad_id);
            batch.mask.resize((i + 1) * width, 0);
            batch.type_ids.resize((i + 1) * width, 0);
        }
        batch
    }
}

/// The inputs of one inference; each vector is row-major `[num_rows, width]`.
#[derive(Debug)]
pub(crate) struct TokenBatch {
    pub(crate) num_rows: usize,
    pub(crate) width: usize,
    pub(crate) ids: Vec<i64>,
    /// 1 for a token, 0 for padding.
    pub(crate) mask: Vec<i64>,
    pub(crate) type_ids: Vec<i64>,
}

/// Groups texts of similar length: each group times its longest member stays within `padded_tokens_max`, and a text
/// longer than that stands alone.
///
/// Longest first, ties by position, so that the same texts always make the same batches.
pub(crate) fn plan_batches(lengths: &[usize], padded_tokens_max: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|row| std::cmp::Reverse(lengths[*row]));
    let mut batches = Vec::new();
    let mut rest = order.as_slice();
    while let Some(longest) = rest.first() {
        let rows = (padded_tokens_max / lengths[*longest].max(1)).clamp(1, rest.len());
        let (batch, after) = rest.split_at(rows);
        batches.push(batch.to_vec());
        rest = after;
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_in_one_batch_and_no_batch_exceeds_the_budget() {
        let lengths: Vec<usize> = (0..1000).map(|i| 2 + (i * 7919) % 255).collect();
        let batches = plan_batches(&lengths, 512);
        let mut rows: Vec<usize> = batches.iter().flatten().copied().collect();
        rows.sort_unstable();
        assert_eq!(rows, (0..1000).collect::<Vec<_>>());
        for batch in &batches {
            let longest = batch.iter().map(|row| lengths[*row]).max().unwrap();
            assert!(longest * batch.len() <= 512);
        }
    }

    #[test]
    fn ties_keep_their_order_and_a_long_text_stands_alone() {
        assert_eq!(plan_batches(&[2, 900, 2, 3], 6), vec![vec![1], vec![3, 0], vec![2]]);
        assert_eq!(plan_batches(&[0, 0], 4), vec![vec![0, 1]]);
        assert!(plan_batches(&[], 4).is_empty());
    }
}
