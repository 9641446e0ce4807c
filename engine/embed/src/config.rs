//! The JSON files beside a model: sequence length, pooling, dimension.

use std::path::Path;

use serde_json::Value;

use crate::digest::cannot_read;
use crate::name::KnownModel;
use crate::{Error, Result};

/// The method that makes one sentence vector from token vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// The mean over the tokens that are not padding.
    Mean,
    /// The vector of the first token.
    Cls,
}

/// The contents of the JSON files beside a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelConfig {
    /// Tokens of a text that are read, `[CLS]` and `[SEP]` included; the rest is cut off.
    pub(crate) max_seq_length: usize,
    pub(crate) pooling: Pooling,
    /// The model's dimension, if `config.json` is there.
    pub(crate) hidden_size: Option<usize>,
}

/// Room for `[CLS]`, one token and `[SEP]`; and more than any sentence model reads.
const MAX_SEQ_LENGTH_RANGE: std::ops::RangeInclusive<usize> = 3..=32_768;

impl ModelConfig {
    /// Reads the folder of a model as sentence-transformers does. Where a file is missing, `known` fills in; without
    /// that, the length is the model's position table and the pooling is the mean.
    ///
    /// The `truncation` and `padding` inside `tokenizer.json` are not used: that of all-MiniLM-L6-v2 cuts at 128 tokens
    /// and pads every text to 128, while the model was made for 256.
    ///
    /// # Errors
    /// `InvalidInput` for a pooling other than mean or cls, or a model with a layer after pooling that the ONNX file
    /// does not hold; `Corrupt` for a file that is not JSON or holds no sensible number.
    pub(crate) fn read(dir: &Path, known: Option<&KnownModel>) -> Result<Self> {
        let config = read_json(&dir.join("config.json"))?.unwrap_or(Value::Null);
        let max_seq_length = match read_json(&dir.join("sentence_bert_config.json"))? {
            Some(json) => number(&json, "max_seq_length"),
            None => None,
        }
        .or(known.map(|known| known.max_seq_length))
        .or_else(|| number(&config, "max_position_embeddings"))
        .unwrap_or(512);
        if !MAX_SEQ_LENGTH_RANGE.contains(&max_seq_length) {
            return Err(Error::corrupt(format!("{}: max_seq_length is out of range", dir.display()))
                .with("expected", format_args!("{MAX_SEQ_LENGTH_RANGE:?}"))
                .with("got", max_seq_length));
        }
        if let Some(modules) = read_json(&dir.join("modules.json"))? {
            check_modules(dir, &modules)?;
        }
        let pooling = match read_json(&dir.join("1_Pooling").join("config.json"))? {
            Some(json) => read_pooling(dir, &json)?,
            None => known.map_or(Pooling::Mean, |known| known.pooling),
        };
        Ok(Self { max_seq_length, pooling, hidden_size: number(&config, "hidden_size") })
    }
}

/// Returns `hidden_size` of a folder's `config.json`, or `None` if it cannot be had.
pub(crate) fn hidden_size(dir: &Path) -> Option<usize> {
    number(&read_json(&dir.join("config.json")).ok()??, "hidden_size")
}

fn read_pooling(dir: &Path, json: &Value) -> Result<Pooling> {
    let mut modes: Vec<&str> = json
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| value.as_bool() == Some(true))
        .filter_map(|(key, _)| key.strip_prefix("pooling_mode_"))
        .collect();
    if let Some(mode) = json.get("pooling_mode").and_then(Value::as_str) {
        modes.push(mode);
    }
    match modes.as_slice() {
        ["mean_tokens" | "mean"] => Ok(Pooling::Mean),
        ["cls_token" | "cls"] => Ok(Pooling::Cls),
        other => Err(Error::invalid_input(format!("{}: this pooling is not supported", dir.display()))
            .with("expected", "mean or cls")
            .with("got", if other.is_empty() { "none".to_owned() } else { other.join(" and ") })),
    }
}

/// Refuses a model whose vectors go through a layer that is not in the ONNX file.
fn check_modules(dir: &Path, modules: &Value) -> Result<()> {
    let kinds = modules.as_array().into_iter().flatten().filter_map(|module| module.get("type")?.as_str());
    for kind in kinds {
        let kind = kind.rsplit('.').next().unwrap_or(kind);
        if !matches!(kind, "Transformer" | "Pooling" | "Normalize") {
            return Err(Error::invalid_input(format!("{}: this model has an unsupported layer", dir.display()))
                .with("expected", "Transformer, Pooling, Normalize")
                .with("got", kind));
        }
    }
    Ok(())
}

fn number(json: &Value, key: &str) -> Option<usize> {
    usize::try_from(json.get(key)?.as_u64()?).ok()
}

pub(crate) fn read_json(path: &Path) -> Result<Option<Value>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot_read(path, error)),
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| Error::corrupt(format!("{} is not JSON", path.display())).with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::name::{DEFAULT_MODEL, ModelName};

    #[test]
    fn the_files_of_minilm_say_256_tokens_and_mean() {
        let dir = folder(&[
            ("config.json", r#"{"hidden_size": 384, "max_position_embeddings": 512}"#),
            ("sentence_bert_config.json", r#"{"max_seq_length": 256}"#),
            ("1_Pooling/config.json", r#"{"pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}"#),
        ]);
        let config = ModelConfig::read(dir.path(), None).unwrap();
        let expected = ModelConfig { max_seq_length: 256, pooling: Pooling::Mean, hidden_size: Some(384) };
        assert_eq!(config, expected);
        assert_eq!(hidden_size(dir.path()), Some(384));
    }

    #[test]
    fn a_known_model_fills_in_for_missing_files() {
        let dir = folder(&[("config.json", r#"{"hidden_size": 384, "max_position_embeddings": 512}"#)]);
        let known = KnownModel::find(&ModelName::parse(DEFAULT_MODEL).unwrap());
        assert_eq!(ModelConfig::read(dir.path(), known).unwrap().max_seq_length, 256);
        assert_eq!(ModelConfig::read(dir.path(), None).unwrap().max_seq_length, 512);
    }

    #[test]
    fn pooling_is_mean_or_cls_or_an_error() {
        let pooling = |json: &str| {
            let dir = folder(&[("1_Pooling/config.json", json)]);
            ModelConfig::read(dir.path(), None).map(|config| config.pooling).map_err(|error| error.kind())
        };
        assert_eq!(pooling(r#"{"pooling_mode_cls_token": true}"#), Ok(Pooling::Cls));
        assert_eq!(pooling(r#"{"pooling_mode": "mean"}"#), Ok(Pooling::Mean));
        assert_eq!(pooling(r#"{"pooling_mode_max_tokens": true}"#), Err(ErrorKind::InvalidInput));
        let both = r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}"#;
        assert_eq!(pooling(both), Err(ErrorKind::InvalidInput));
        assert_eq!(pooling("{"), Err(ErrorKind::Corrupt));
    }

    #[test]
    fn a_dense_layer_and_an_absurd_length_are_refused() {
        let dense = folder(&[("modules.json", r#"[{"type": "sentence_transformers.models.Dense"}]"#)]);
        assert_eq!(ModelConfig::read(dense.path(), None).unwrap_err().kind(), ErrorKind::InvalidInput);
        let short = folder(&[("sentence_bert_config.json", r#"{"max_seq_length": 1}"#)]);
        assert_eq!(ModelConfig::read(short.path(), None).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }
}
