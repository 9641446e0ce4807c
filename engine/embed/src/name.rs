//! Model names, and what is known about a model before it is loaded.

use std::fmt;

use crate::{EmbedderOptions, Error, Result, config, locate};

/// The model that `embed('text')` uses: 384 dimensions, English, 256 tokens of text.
pub const DEFAULT_MODEL: &str = "all-MiniLM-L6-v2";

/// The owner that a short name belongs to, as in sentence-transformers.
const DEFAULT_OWNER: &str = "sentence-transformers";

/// Returns the dimension of a named model without loading it, or `None` if it cannot be told cheaply.
///
/// Looks at a table of known models, then at `config.json` in the folders that [`EmbedderOptions::default`] names.
/// Never asks the hub, so it may be called while a query is planned.
pub fn known_dim(name: &str) -> Option<usize> {
    EmbedderOptions::default().known_dim(name)
}

impl EmbedderOptions {
    /// Returns the dimension that these options give the named model, as [`known_dim`] does for the default options.
    pub fn known_dim(&self, name: &str) -> Option<usize> {
        let name = ModelName::parse(name).ok()?;
        let known = if self.model_dir.is_none() { KnownModel::find(&name) } else { None };
        match known {
            Some(known) => Some(known.dim),
            None => locate::local(&name, self, &mut Vec::new()).ok()??.config_dim(),
        }
    }
}

/// `owner/model`, every character of it safe in a path and in a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelName {
    owner: String,
    model: String,
}

impl ModelName {
    /// # Errors
    /// `InvalidInput` unless `name` is `model` or `owner/model` in letters, digits, `-`, `_` and `.`, neither part
    /// starting with a dot.
    pub(crate) fn parse(name: &str) -> Result<Self> {
        let (owner, model) = name.split_once('/').unwrap_or((DEFAULT_OWNER, name));
        for part in [owner, model] {
            let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if part.is_empty() || part.len() > 96 || part.starts_with('.') || !part.chars().all(safe) {
                return Err(Error::invalid_input("not a model name")
                    .with("expected", "'model' or 'owner/model' in letters, digits, '-', '_' and '.'")
                    .with("got", format_args!("'{}'", name.escape_debug())));
            }
        }
        Ok(Self { owner: owner.to_owned(), model: model.to_owned() })
    }

    /// `owner/model`, as the hub has it.
    pub(crate) fn repo(&self) -> String {
        format!("{}/{}", self.owner, self.model)
    }

    /// `models--owner--model`: the folder in the hub's cache.
    pub(crate) fn cache_folder(&self) -> String {
        format!("models--{}--{}", self.owner, self.model)
    }

    /// Folders below a models folder that may hold the model, best first.
    pub(crate) fn folders(&self) -> Vec<String> {
        if self.owner == DEFAULT_OWNER { vec![self.model.clone(), self.repo()] } else { vec![self.repo()] }
    }
}

/// The name as users write it: without the default owner.
impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.owner != DEFAULT_OWNER {
            write!(f, "{}/", self.owner)?;
        }
        f.write_str(&self.model)
    }
}

/// The facts that are known about a model before any of its files is read.
#[derive(Debug)]
pub(crate) struct KnownModel {
    repo: &'static str,
    pub(crate) dim: usize,
    pub(crate) max_seq_length: usize,
    pub(crate) pooling: config::Pooling,
    /// The commit of the hub's repository that the pins belong to.
    pub(crate) revision: Option<&'static str>,
    /// SHA-256 digests a file may have: (file name without its folder, digests).
    pins: &'static [(&'static str, &'static [&'static str])],
}

const KNOWN_MODELS: &[KnownModel] = &[
    KnownModel {
        repo: "sentence-transformers/all-MiniLM-L6-v2",
        dim: 384,
        max_seq_length: 256,
        pooling: config::Pooling::Mean,
        revision: Some("1110a243fdf4706b3f48f1d95db1a4f5529b4d41"),
        pins: &[
            (
                "model.onnx",
                &[
                    "6fd5d72fe4589f189f8ebc006442dbb529bb7ce38f8082112682524616046452",
                    // What `models/build_minilm.py` writes, so that a mirror may serve it.
                    "c89a509ee4f33b691f601d5c9dcd2a3b2a1af4d58ad31f74369f3e25a49920e3",
                ],
            ),
            ("tokenizer.json", &["be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"]),
        ],
    },
    unpinned("sentence-transformers/all-MiniLM-L12-v2", 384, 128, config::Pooling::Mean),
    unpinned("sentence-transformers/all-mpnet-base-v2", 768, 384, config::Pooling::Mean),
    unpinned("BAAI/bge-small-en-v1.5", 384, 512, config::Pooling::Cls),
    unpinned("BAAI/bge-base-en-v1.5", 768, 512, config::Pooling::Cls),
    unpinned("BAAI/bge-large-en-v1.5", 1024, 512, config::Pooling::Cls),
];

const fn unpinned(repo: &'static str, dim: usize, max_seq_length: usize, pooling: config::Pooling) -> KnownModel {
    KnownModel { repo, dim, max_seq_length, pooling, revision: None, pins: &[] }
}

impl KnownModel {
    pub(crate) fn find(name: &ModelName) -> Option<&'static Self> {
        let repo = name.repo();
        KNOWN_MODELS.iter().find(|known| known.repo == repo)
    }

    /// Returns the SHA-256 digests that `file` (a path in the repository) may have; empty if it is not pinned.
    pub(crate) fn pins(&self, file: &str) -> &'static [&'static str] {
        let name = file.rsplit('/').next().unwrap_or(file);
        self.pins.iter().find(|(pinned, _)| *pinned == name).map_or(&[], |(_, digests)| digests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_short_name_belongs_to_sentence_transformers() {
        let short = ModelName::parse(DEFAULT_MODEL).unwrap();
        let long = ModelName::parse("sentence-transformers/all-MiniLM-L6-v2").unwrap();
        assert_eq!(short, long);
        assert_eq!(long.to_string(), DEFAULT_MODEL);
        assert_eq!(short.repo(), "sentence-transformers/all-MiniLM-L6-v2");
        assert_eq!(short.cache_folder(), "models--sentence-transformers--all-MiniLM-L6-v2");
        assert_eq!(short.folders(), ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"]);
        assert_eq!(ModelName::parse("BAAI/bge-small-en-v1.5").unwrap().to_string(), "BAAI/bge-small-en-v1.5");
    }

    #[test]
    fn a_name_that_could_leave_its_folder_is_refused() {
        for name in ["", "..", "../x", "a/../b", "a/b/c", "/etc", "a b", "a?b", "a/", "/a", "ä", ".hidden", "a\\b"] {
            assert_eq!(ModelName::parse(name).unwrap_err().kind(), ErrorKind::InvalidInput, "{name}");
        }
    }

    #[test]
    fn the_dimension_of_a_known_model_needs_no_file() {
        assert_eq!(known_dim(DEFAULT_MODEL), Some(384));
        assert_eq!(known_dim("sentence-transformers/all-mpnet-base-v2"), Some(768));
        assert_eq!(known_dim("nobody/no-such-model"), None);
        assert_eq!(known_dim("not a name"), None);
    }
}
