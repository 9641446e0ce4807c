//! Texts to token ids, and token ids to batches.

use std::path::Path;

use tokenizers::{Encoding, PreTokenizerWrapper, Tokenizer, TruncationParams};

use crate::{Error, Result};

/// Tokens of one inference, padding included. Below 256 the calls cost more than the work; above 1,024 a batch leaves
/// the CPU's caches: measured on two cores, 256 to 1,024 are level and 2,048 is slower.
pub(crate) const PADDED_TOKENS_MAX: usize = 512;

/// Bytes of a text that are tokenised first, for each token that the model reads. A bound: a token of usual text has fewer.
const FIRST_BYTES_PER_TOKEN: usize = 16;
/// Bytes of a text that are tokenised, at most. A bound: a tokenizer keeps the place of each of them, and makes a token of it
/// in the worst case.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Texts tokenised at a time, whose tokens beyond those that the model reads are in memory.
const TEXTS_AT_A_TIME: usize = 64;

/// Turns texts into token ids, without padding.
pub(crate) struct TextTokenizer {
    inner: Tokenizer,
    pad_id: i64,
    max_seq_length: usize,
    /// True if words are tokenised one by one, so that the tokens of a text begin with those of its first words.
    by_words: bool,
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
        let by_words = matches!(inner.get_pre_tokenizer(), Some(PreTokenizerWrapper::BertPreTokenizer(_)));
        Ok(Self { inner, pad_id: i64::from(pad_id), max_seq_length, by_words })
    }

    /// Returns one encoding per text, in order, on all cores.
    ///
    /// Of a long text, the first words are tokenised until there are more tokens than the model reads.
    ///
    /// # Errors
    /// `InvalidInput` if 1 MiB of a longer text has not as many tokens.
    pub(crate) fn encode(&self, texts: &[&str]) -> Result<Vec<Encoding>> {
        let first_bytes = self.max_seq_length.saturating_mul(FIRST_BYTES_PER_TOKEN).clamp(1, TEXT_BYTES_MAX);
        let failed = |error: tokenizers::Error| Error::internal("the tokenizer failed").with_source(error);
        let mut encodings = Vec::with_capacity(texts.len());
        for texts in texts.chunks(TEXTS_AT_A_TIME) {
            let pieces: Vec<&str> = texts.iter().map(|text| self.first_words(text, first_bytes)).collect();
            let of_pieces = self.inner.encode_batch_fast(pieces.clone(), true).map_err(failed)?;
            for ((text, mut piece), mut encoding) in texts.iter().zip(pieces).zip(of_pieces) {
                let mut bytes = first_bytes;
                // What was cut off is there if the piece has more tokens than the model reads.
                while piece.len() < text.len() && encoding.take_overflowing().is_empty() {
                    if bytes == TEXT_BYTES_MAX {
                        return Err(Error::invalid_input("text is too long for its first tokens to be found")
                            .with("expected", format!("{} tokens in {TEXT_BYTES_MAX} bytes", self.max_seq_length))
                            .with("got", format!("{} bytes", text.len())));
                    }
                    bytes = bytes.saturating_mul(4).min(TEXT_BYTES_MAX);
                    piece = self.first_words(text, bytes);
                    encoding = self.inner.encode_fast(piece, true).map_err(failed)?;
                }
                encoding.take_overflowing();
                encodings.push(encoding);
            }
        }
        Ok(encodings)
    }

    /// The words that end within so many bytes: all of a shorter text, none if no word can be told to end there.
    ///
    /// It ends before a space that a letter or digit follows: nothing that a tokenizer does to one of the two words
    /// depends on the other one.
    fn first_words<'a>(&self, text: &'a str, bytes_max: usize) -> &'a str {
        if text.len() <= bytes_max {
            return text;
        }
        if !self.by_words {
            // Its tokens may depend on all of it.
            return if text.len() <= TEXT_BYTES_MAX { text } else { "" };
        }
        let bytes = text.as_bytes();
        let begins_word =
            |at: usize| text.get(at..).and_then(|rest| rest.chars().next()).is_some_and(char::is_alphanumeric);
        let is_end = |at: &usize| matches!(bytes[*at], b' ' | b'\n' | b'\t') && begins_word(at + 1);
        &text[..(0..bytes_max).rev().find(is_end).unwrap_or(0)]
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
    fn the_first_words_of_a_long_text_have_the_tokens_of_the_whole() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny/tokenizer.json");
        let tokenizer = TextTokenizer::load(&path, 24).unwrap();
        let long_word = "a".repeat(5000);
        for text in [
            "the cat is on the wall ".repeat(5000),
            "cat, wall; ".repeat(5000),
            "cat\nwall\t".repeat(5000),
            "Katze e\u{301} \u{301}x café ".repeat(5000),
            format!("{} cat {}", " ".repeat(5000), "wall cat ".repeat(5000)),
            format!("{long_word} cat {}", "wall ".repeat(5000)),
            format!("{long_word} {long_word} cat"),
            "日本 cat".repeat(5000),
            "日本".repeat(5000),
            long_word,
            " ".repeat(5000),
            String::new(),
        ] {
            let encodings = tokenizer.encode(&["cat", &text]).unwrap();
            let whole = tokenizer.inner.encode_fast(text.as_str(), true).unwrap();
            assert_eq!(encodings[1].get_ids(), whole.get_ids(), "{text:.60}");
            assert_eq!(encodings[0].get_ids(), tokenizer.inner.encode_fast("cat", true).unwrap().get_ids());
            assert!(encodings[1].get_overflowing().is_empty());
        }
    }

    #[test]
    fn a_text_is_not_tokenised_beyond_what_is_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny/tokenizer.json");
        let tokenizer = TextTokenizer::load(&path, 24).unwrap();
        let long = "cat ".repeat(1_000_000);
        assert!(tokenizer.first_words(&long, 24 * FIRST_BYTES_PER_TOKEN).len() <= 24 * FIRST_BYTES_PER_TOKEN);
        assert_eq!(tokenizer.encode(&[&long]).unwrap()[0].len(), 24);
        let error = tokenizer.encode(&[&"a".repeat(TEXT_BYTES_MAX + 1)]).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("expected"), "{error}");
    }

    #[test]
    fn ties_keep_their_order_and_a_long_text_stands_alone() {
        assert_eq!(plan_batches(&[2, 900, 2, 3], 6), vec![vec![1], vec![3, 0], vec![2]]);
        assert_eq!(plan_batches(&[0, 0], 4), vec![vec![0, 1]]);
        assert!(plan_batches(&[], 4).is_empty());
    }
}
