//! [`Embedder`]: the parts above, put together.

use std::fmt;
use std::path::Path;

use crate::config::ModelConfig;
use crate::locate::{self, ModelFolder};
use crate::model::Model;
use crate::name::{KnownModel, ModelName};
use crate::tokens::{PADDED_TOKENS_MAX, TextTokenizer, plan_batches};
use crate::{Control, EmbedderOptions, Error, Result};

/// Texts tokenised at a time. Enough of them to sort by length, few enough that a million texts do not lie in memory
/// as tokens.
const WINDOW_TEXTS: usize = 4096;

/// A sentence encoder: texts in, unit vectors out. Share it between threads freely.
///
/// The vector of a text does not depend on the texts it is embedded with, nor on their order.
pub struct Embedder {
    name: String,
    tokenizer: TextTokenizer,
    model: Model,
}

impl Embedder {
    /// Finds the model called `name` and loads it. Blocks, and may download about 90 MB.
    ///
    /// `name` is `model` or `owner/model`; without an owner it is one of sentence-transformers. Looks in the places
    /// that [`EmbedderOptions`] describes, in that order. A download is checked against the digest that the hub
    /// announces and, for [`DEFAULT_MODEL`](crate::DEFAULT_MODEL), against digests built into this crate.
    ///
    /// # Errors
    /// `InvalidInput` for a name that is none or a model of an unsupported kind; `NotFound` with every place tried;
    /// `Unavailable` if the hub had to be asked and did not answer; `Corrupt` if a file failed its check.
    pub fn from_pretrained(name: &str, options: &EmbedderOptions) -> Result<Self> {
        let name = ModelName::parse(name)?;
        let folder = locate::resolve(&name, options)?;
        // The label of an explicit folder says nothing about what is in it.
        let known = if options.model_dir.is_none() { KnownModel::find(&name) } else { None };
        Self::open(name.to_string(), &folder, known, options)
    }

    /// Loads the model in the folder `dir`: `model.onnx` or `onnx/model.onnx`, `tokenizer.json`, and the
    /// sentence-transformers files beside them. Its name is the folder's.
    ///
    /// # Errors
    /// As [`from_pretrained`](Self::from_pretrained), except that nothing is searched or downloaded.
    pub fn load(dir: &Path, options: &EmbedderOptions) -> Result<Self> {
        let folder = ModelFolder::open(dir).ok_or_else(|| locate::no_model_in(dir))?;
        let full = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
        let name = full.file_name().map_or_else(|| dir.display().to_string(), |name| name.to_string_lossy().into());
        Self::open(name, &folder, None, options)
    }

    fn open(
        name: String,
        folder: &ModelFolder,
        known: Option<&'static KnownModel>,
        options: &EmbedderOptions,
    ) -> Result<Self> {
        folder.verify(known)?;
        let config = ModelConfig::read(folder.dir(), known)?;
        let tokenizer = TextTokenizer::load(folder.tokenizer(), config.max_seq_length)?;
        let model = Model::load(folder.onnx(), &config, options)?;
        tracing::info!(name, dir = %folder.dir().display(), dim = model.dim(), ?config, "loaded an embedding model");
        Ok(Self { name, tokenizer, model })
    }

    /// The model's name, without the owner if that is sentence-transformers.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Coordinates per vector.
    pub fn dim(&self) -> usize {
        self.model.dim()
    }

    /// Returns the unit vector of one text, `dim` floats. The empty text has one too, as in sentence-transformers.
    ///
    /// # Errors
    /// `Corrupt` if the model's output is not what its file promised, or not finite.
    pub fn embed(&self, text: &str) -> Result<Vec<f32>> {
        self.embed_batch(&[text], &Control::default())
    }

    /// Returns the unit vectors of many texts, row-major `[texts.len(), dim]`, in the order of `texts`.
    ///
    /// Texts of similar length share an inference, whatever their order. Blocks; the cores are shared with concurrent
    /// calls batch by batch.
    ///
    /// # Errors
    /// As [`embed`](Self::embed), and `Cancelled` once `control.cancel` is set: then no vectors are returned.
    pub fn embed_batch(&self, texts: &[&str], control: &Control<'_>) -> Result<Vec<f32>> {
        let dim = self.dim();
        let mut vectors = vec![0.0; texts.len() * dim];
        let mut done = 0;
        for (window, out) in texts.chunks(WINDOW_TEXTS).zip(vectors.chunks_mut(WINDOW_TEXTS * dim)) {
            control.check(done, texts.len())?;
            let encodings = self.tokenizer.encode(window)?;
            let lengths: Vec<usize> = encodings.iter().map(|encoding| encoding.len()).collect();
            for rows in plan_batches(&lengths, PADDED_TOKENS_MAX) {
                control.check(done, texts.len())?;
                let batch = self.model.forward(&self.tokenizer.pad(&encodings, &rows))?;
                for (row, vector) in rows.iter().zip(batch.chunks_exact(dim)) {
                    out[row * dim..(row + 1) * dim].copy_from_slice(vector);
                }
                done += rows.len();
                control.report(done);
            }
        }
        Ok(vectors)
    }
}

impl fmt::Debug for Embedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedder").field("name", &self.name).field("dim", &self.dim()).finish_non_exhaustive()
    }
}

/// Threads may share an [`Embedder`], and errors may cross them.
const _: fn() = || {
    fn check<T: Send + Sync>() {}
    check::<Embedder>();
    check::<Error>();
};
