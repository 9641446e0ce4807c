//! The ONNX session: token ids in, pooled unit vectors out.

use std::path::Path;

use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session, SessionInputValue};
use ort::value::{TensorElementType, TensorRef, ValueType};
use parking_lot::Mutex;

use crate::config::{ModelConfig, Pooling};
use crate::tokens::TokenBatch;
use crate::{EmbedderOptions, Error, Result, runtime};

/// The names an encoder exported for sentence-transformers may give its inputs.
const INPUT_NAMES: [&str; 3] = ["input_ids", "attention_mask", "token_type_ids"];

/// Outputs in order of preference, with their number of axes: per token, then already pooled.
const OUTPUT_NAMES: [(&str, usize); 3] = [("last_hidden_state", 3), ("token_embeddings", 3), ("sentence_embedding", 2)];

/// A loaded encoder.
pub(crate) struct Model {
    /// One session with all threads rather than a pool with one thread each: a single query gets every core, and
    /// callers take turns at batches of a few milliseconds.
    session: Mutex<Session>,
    has_token_type_ids: bool,
    output: &'static str,
    /// `None` if the model pools by itself.
    pooling: Option<Pooling>,
    dim: usize,
}

impl Model {
    /// # Errors
    /// `NotFound` if there is no ONNX Runtime, `Corrupt` if it cannot read the file, `InvalidInput` if the file's
    /// inputs and outputs are not those of a sentence encoder.
    pub(crate) fn load(onnx: &Path, config: &ModelConfig, options: &EmbedderOptions) -> Result<Self> {
        let session = open_session(onnx, options)?;
        for input in session.inputs() {
            if !INPUT_NAMES.contains(&input.name()) || input.dtype().tensor_type() != Some(TensorElementType::Int64) {
                return Err(Error::invalid_input(format!("{}: this input is not supported", onnx.display()))
                    .with("expected", format_args!("{} of int64", INPUT_NAMES.join(", ")))
                    .with("got", format_args!("{} of {}", input.name(), input.dtype())));
            }
        }
        let has_input = |name: &str| session.inputs().iter().any(|input| input.name() == name);
        for name in &INPUT_NAMES[..2] {
            if !has_input(name) {
                return Err(Error::invalid_input(format!("{}: the model lacks the input {name}", onnx.display())));
            }
        }
        let has_token_type_ids = has_input(INPUT_NAMES[2]);
        let (output, axes, width) = choose_output(onnx, &session)?;
        let dim = match (width, config.hidden_size) {
            (Some(width), Some(hidden)) if axes == 3 && width != hidden => {
                return Err(Error::corrupt("config.json and the model disagree about the dimension")
                    .with("config.json", hidden)
                    .with("model.onnx", width));
            }
            (Some(width), _) => width,
            (None, Some(hidden)) => hidden,
            (None, None) => {
                return Err(Error::invalid_input(format!("{}: the model does not say its dimension", onnx.display()))
                    .with("expected", "hidden_size in config.json"));
            }
        };
        let pooling = (axes == 3).then_some(config.pooling);
        Ok(Self { session: Mutex::new(session), has_token_type_ids, output, pooling, dim })
    }

    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// Returns the unit vectors of a batch, row-major `[num_rows, dim]`.
    pub(crate) fn forward(&self, batch: &TokenBatch) -> Result<Vec<f32>> {
        let failed = |error: ort::Error| Error::internal("inference failed").with_source(error);
        let shape = [batch.num_rows, batch.width];
        let tensor = |data| TensorRef::from_array_view((shape, data)).map(SessionInputValue::from).map_err(failed);
        let mut inputs =
            vec![(INPUT_NAMES[0], tensor(batch.ids.as_slice())?), (INPUT_NAMES[1], tensor(batch.mask.as_slice())?)];
        if self.has_token_type_ids {
            inputs.push((INPUT_NAMES[2], tensor(batch.type_ids.as_slice())?));
        }
        let mut session = self.session.lock();
        let outputs = session.run(inputs).map_err(failed)?;
        let (shape, hidden) = outputs[self.output].try_extract_tensor::<f32>().map_err(failed)?;
        let columns = if self.pooling.is_some() { batch.width } else { 1 };
        if hidden.len() != batch.num_rows * columns * self.dim {
            return Err(Error::corrupt("the model gave an output of the wrong shape")
                .with("expected", format_args!("{} rows, {columns} columns, {} dim", batch.num_rows, self.dim))
                .with("got", shape));
        }
        let mut vectors = match self.pooling {
            None => hidden.to_vec(),
            Some(pooling) => hidden
                .chunks_exact(columns * self.dim)
                .zip(batch.mask.chunks_exact(columns))
                .flat_map(|(tokens, mask)| pool(pooling, tokens, mask, self.dim))
                .collect(),
        };
        vectors.chunks_exact_mut(self.dim).try_for_each(normalize)?;
        Ok(vectors)
    }
}

fn open_session(onnx: &Path, options: &EmbedderOptions) -> Result<Session> {
    let environment = runtime::environment(options)?;
    let threads = match options.threads {
        Some(0) => return Err(Error::invalid_input("threads must be at least 1").with("got", 0)),
        Some(threads) => threads,
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let builder = || -> ort::Result<_> {
        Ok(Session::builder(environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_intra_threads(threads)?
            .with_inter_threads(1)?
            // A waiting thread must not burn a core that a query's other operators could use. It costs about 6 %.
            .with_intra_op_spinning(false)?
            // Shapes differ from batch to batch: a plan of memory for each would only grow.
            .with_memory_pattern(false)?)
    };
    let mut builder = builder().map_err(|error| Error::internal("cannot set up a session").with_source(error))?;
    builder
        .commit_from_file(onnx)
        .map_err(|error| Error::corrupt(format!("cannot load the model {}", onnx.display())).with_source(error))
}

/// Returns the output to read: its name, its number of axes, and its last dimension if the file states it.
fn choose_output(onnx: &Path, session: &Session) -> Result<(&'static str, usize, Option<usize>)> {
    for (name, axes) in OUTPUT_NAMES {
        let Some(output) = session.outputs().iter().find(|output| output.name() == name) else { continue };
        if let ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } = output.dtype()
            && shape.len() == axes
        {
            return Ok((name, axes, shape.last().and_then(|width| usize::try_from(*width).ok())));
        }
    }
    let got: Vec<String> =
        session.outputs().iter().map(|output| format!("{} of {}", output.name(), output.dtype())).collect();
    let expected = OUTPUT_NAMES.map(|(name, _)| name).join(" or ");
    Err(Error::invalid_input(format!("{}: the model has no output to read", onnx.display()))
        .with("expected", format_args!("{expected} of float32"))
        .with("got", got.join(", ")))
}

/// Returns one vector for a text's tokens, row-major `[mask.len(), dim]`.
fn pool(pooling: Pooling, tokens: &[f32], mask: &[i64], dim: usize) -> Vec<f32> {
    match pooling {
        Pooling::Cls => tokens[..dim].to_vec(),
        Pooling::Mean => {
            let mut sum = vec![0.0; dim];
            for (token, _) in tokens.chunks_exact(dim).zip(mask).filter(|(_, mask)| **mask != 0) {
                for (sum, x) in sum.iter_mut().zip(token) {
                    *sum += x;
                }
            }
            let num_tokens = mask.iter().filter(|mask| **mask != 0).count().max(1);
            sum.iter_mut().for_each(|x| *x /= num_tokens as f32);
            sum
        }
    }
}

/// Scales a vector to length 1. A vector of zeros stays as it is.
fn normalize(vector: &mut [f32]) -> Result<()> {
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if !norm.is_finite() {
        return Err(Error::corrupt("the model gave a vector that is not finite"));
    }
    vector.iter_mut().for_each(|x| *x /= norm.max(1e-12));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_leaves_padding_out_and_cls_takes_the_first_token() {
        let tokens = [1.0, 2.0, 3.0, 4.0, 100.0, 100.0];
        assert_eq!(pool(Pooling::Mean, &tokens, &[1, 1, 0], 2), [2.0, 3.0]);
        assert_eq!(pool(Pooling::Cls, &tokens, &[1, 1, 0], 2), [1.0, 2.0]);
        assert_eq!(pool(Pooling::Mean, &tokens, &[0, 0, 0], 2), [0.0, 0.0]);
    }

    #[test]
    fn a_vector_becomes_a_unit_vector_unless_it_cannot() {
        let mut vector = [3.0, 4.0];
        normalize(&mut vector).unwrap();
        assert_eq!(vector, [0.6, 0.8]);
        normalize(&mut [0.0, 0.0]).unwrap();
        assert_eq!(normalize(&mut [f32::NAN, 0.0]).unwrap_err().kind(), crate::ErrorKind::Corrupt);
    }
}
