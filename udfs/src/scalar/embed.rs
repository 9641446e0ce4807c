//! `embed(text [, model])`: the text as a unit vector, `FixedSizeList<Float32>[dim]`; NULL for NULL.
//!
//! It is synchronous, so that it stands anywhere an expression may; it is volatile, so that it never runs while a query is
//! planned. A bounded memory of texts embedded lately makes a constant cost one run of the model per query, not one per
//! batch. Texts of one batch are embedded together, equal ones once.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, FixedSizeListArray, Float32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;
use lru::LruCache;
use parking_lot::Mutex;
use ruvector_embed::{Control, DEFAULT_MODEL, Embedder, EmbedderOptions};
use ruvector_rulake::error::to_datafusion;
use ruvector_rulake::vector_column::vector_type;

use crate::documentation::{Facts, TEXT};
use crate::role::Role;

/// The name of the function.
pub const EMBED: &str = "embed";

/// Texts remembered per engine. At 384 coordinates that is 6 MB of vectors.
const REMEMBERED_TEXTS_MAX: NonZeroUsize = NonZeroUsize::new(4096).expect("4096 is not 0");

/// (model, text) and its vector, latest used first.
type Remembered = LruCache<(String, String), Arc<[f32]>>;

/// The models of an engine, loaded when first used, and the texts embedded lately.
#[derive(Debug)]
pub struct Models {
    options: EmbedderOptions,
    loaded: Mutex<HashMap<String, Arc<Embedder>>>,
    remembered: Mutex<Remembered>,
}

impl Models {
    /// Models that are found and loaded by these options.
    pub fn new(options: EmbedderOptions) -> Self {
        Self { options, loaded: Mutex::default(), remembered: Mutex::new(LruCache::new(REMEMBERED_TEXTS_MAX)) }
    }

    /// The dimension of a model's vectors; loads the model if nothing cheaper tells.
    fn dim(&self, model: &str) -> Result<usize> {
        match self.options.known_dim(model) {
            Some(dim) => Ok(dim),
            None => Ok(self.get(model)?.dim()),
        }
    }

    fn get(&self, model: &str) -> Result<Arc<Embedder>> {
        if let Some(embedder) = self.loaded.lock().get(model) {
            return Ok(Arc::clone(embedder));
        }
        // Loading twice at once is possible and harmless: one of the two is kept.
        let embedder = blocking(|| Embedder::from_pretrained(model, &self.options)).map_err(external)?;
        Ok(Arc::clone(self.loaded.lock().entry(model.to_owned()).or_insert_with(|| Arc::new(embedder))))
    }

    /// The vectors of `texts`, in order.
    fn embed(&self, model: &str, texts: &[Option<&str>]) -> Result<Vec<Option<Arc<[f32]>>>> {
        let key = |text: &str| (model.to_owned(), text.to_owned());
        let mut known: HashMap<&str, Arc<[f32]>> = HashMap::new();
        let mut unknown: Vec<&str> = Vec::new();
        {
            let mut remembered = self.remembered.lock();
            let mut seen = std::collections::HashSet::new();
            for text in texts.iter().flatten().copied().filter(|text| seen.insert(*text)) {
                match remembered.get(&key(text)) {
                    Some(vector) => drop(known.insert(text, Arc::clone(vector))),
                    None => unknown.push(text),
                }
            }
        }
        if !unknown.is_empty() {
            let embedder = self.get(model)?;
            let vectors = blocking(|| embedder.embed_batch(&unknown, &Control::default())).map_err(external)?;
            let mut remembered = self.remembered.lock();
            for (text, vector) in unknown.iter().zip(vectors.chunks_exact(embedder.dim())) {
                let vector: Arc<[f32]> = vector.into();
                remembered.put(key(text), Arc::clone(&vector));
                known.insert(text, vector);
            }
        }
        Ok(texts.iter().map(|text| text.and_then(|text| known.get(text).cloned())).collect())
    }
}

/// Runs CPU work that takes long; the other tasks of this worker thread move elsewhere.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

fn external(error: ruvector_embed::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// `embed(text [, model])`, for a session of `role`.
pub fn function(models: Arc<Models>, role: Role) -> ScalarUDF {
    let documentation = Facts {
        section: TEXT,
        text: "Returns the vector of a text, by a model that runs in this process. Texts of a batch are embedded together.",
        arguments: &[
            ("text", "What to embed."),
            ("model?", "The name of the model, a constant; all-MiniLM-L6-v2 if nothing is said."),
        ],
        returns: "`FLOAT[dim]`, with the dimension of the model",
        unit: "none: the norm is 1",
        nulls: "NULL if `text` is NULL",
        example: "SELECT vector_dims(embed('big fish'));\n-- 384",
    };
    ScalarUDF::from(Embed {
        models: Shared(models),
        role,
        signature: Signature::user_defined(Volatility::Volatile),
        documentation: documentation.documentation(EMBED),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Embed {
    models: Shared,
    role: Role,
    signature: Signature,
    documentation: Documentation,
}

impl Embed {
    /// The error of a model, as the role may hear it: only an admin hears of the folders of this machine.
    fn told(&self, model: &str, error: DataFusionError) -> DataFusionError {
        match error {
            DataFusionError::External(source) if self.role < Role::Admin => {
                match source.downcast::<ruvector_embed::Error>() {
                    Ok(error) => external(without_paths(model, *error)),
                    Err(source) => DataFusionError::External(source),
                }
            }
            error => error,
        }
    }
}

/// The error with its message alone, and without that if a path may be in it. The log has all of it.
fn without_paths(model: &str, error: ruvector_embed::Error) -> ruvector_embed::Error {
    tracing::warn!(model, %error, "embed() failed");
    let message = error.message().to_owned();
    // The name of a model may have a slash in it too.
    match message.replace(model, "").contains(['/', '\\']) {
        true => error.with_message(format!("model {model} cannot be used: the log of the server says why")),
        false => error.with_message(message),
    }
}

/// Equal if it is the same.
#[derive(Debug, Clone)]
struct Shared(Arc<Models>);

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Shared {}

impl std::hash::Hash for Shared {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl ScalarUDFImpl for Embed {
    fn name(&self) -> &str {
        EMBED
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        // The dimension follows from the model's name, which only `return_field_from_args` sees.
        plan_err!("embed() has a type only with its arguments")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let model = match args.scalar_arguments {
            [_] => DEFAULT_MODEL.to_owned(),
            [_, Some(model)] => match model.try_as_str() {
                Some(Some(model)) => model.to_owned(),
                _ => return plan_err!("embed() argument model: expected a string, got {model}"),
            },
            [_, None] => return plan_err!("embed() argument model: expected a constant"),
            other => return plan_err!("embed() expected text and an optional model, got {} arguments", other.len()),
        };
        let data_type =
            vector_type(self.models.0.dim(&model).map_err(|e| self.told(&model, e))?).map_err(to_datafusion)?;
        Ok(Arc::new(Field::new(self.name(), data_type, true)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        if !(1..=2).contains(&arg_types.len()) {
            return plan_err!("embed() expected text and an optional model, got {} arguments", arg_types.len());
        }
        let text = |data_type: &DataType| match data_type {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => Ok(DataType::Utf8),
            DataType::Dictionary(_, value) if value.is_string() => Ok(DataType::Utf8),
            other => plan_err!("embed() expected a string, got {other}"),
        };
        arg_types.iter().map(text).collect()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let model = match args.args.get(1) {
            None => DEFAULT_MODEL.to_owned(),
            Some(ColumnarValue::Scalar(model)) => model.try_as_str().flatten().unwrap_or(DEFAULT_MODEL).to_owned(),
            Some(ColumnarValue::Array(_)) => return exec_err!("embed() argument model: expected a constant"),
        };
        let dim = self.models.0.dim(&model).map_err(|e| self.told(&model, e))?;
        let embed = |texts: &[Option<&str>]| self.models.0.embed(&model, texts).map_err(|e| self.told(&model, e));
        match args.args.first() {
            Some(ColumnarValue::Scalar(text)) => {
                let vectors = embed(&[text.try_as_str().flatten()])?;
                Ok(ColumnarValue::Scalar(ScalarValue::FixedSizeList(Arc::new(vector_array(&vectors, dim)?))))
            }
            Some(ColumnarValue::Array(texts)) => {
                let texts: ArrayRef = cast(texts, &DataType::Utf8)?;
                let texts: Vec<Option<&str>> = texts.as_string::<i32>().iter().collect();
                Ok(ColumnarValue::Array(Arc::new(vector_array(&embed(&texts)?, dim)?)))
            }
            None => exec_err!("embed() expected text"),
        }
    }
}

fn vector_array(vectors: &[Option<Arc<[f32]>>], dim: usize) -> Result<FixedSizeListArray> {
    let mut values = Vec::with_capacity(vectors.len() * dim);
    for vector in vectors {
        match vector {
            Some(vector) => values.extend_from_slice(vector),
            None => values.extend(std::iter::repeat_n(0.0, dim)),
        }
    }
    let DataType::FixedSizeList(item, size) = vector_type(dim).map_err(to_datafusion)? else {
        return exec_err!("vectors are fixed-size lists");
    };
    let nulls: NullBuffer = vectors.iter().map(Option::is_some).collect();
    Ok(FixedSizeListArray::try_new(item, size, Arc::new(Float32Array::from(values)), Some(nulls))?)
}
