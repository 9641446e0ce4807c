//! Vectors as text, as drivers without arrays and pgvector write them: `CAST('[1, 2.5]' AS FLOAT[2])`, and
//! `CAST(vec AS VARCHAR)`, which is `[1,2.5]`. A vector that becomes text and a vector again is the same.
//!
//! Arrow casts no text to lists. DataFusion plans such a cast all the same, and it would fail when it runs, so here it
//! becomes a call of a function, before types are looked at.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Float32Builder, ListArray, ListBuilder, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Float32Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, exec_err};
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::function_rewrite::ApplyFunctionRewrites;
use ruvector_rulake::vector_column::dim_of;

use super::vectors::{Vectors, VectorsBuilder, answer, rows_to_compute};

/// The rule that lets text be cast to a vector, and a vector to text.
pub fn rule() -> Arc<dyn AnalyzerRule + Send + Sync> {
    Arc::new(ApplyFunctionRewrites::new(vec![Arc::new(CastsOfText)]))
}

#[derive(Debug)]
struct CastsOfText;

impl FunctionRewrite for CastsOfText {
    fn name(&self) -> &str {
        "casts_of_text_to_vectors"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let (text, target, strict) = match &expr {
            Expr::Cast(Cast { expr: text, field }) => (text, field, true),
            Expr::TryCast(TryCast { expr: text, field }) => (text, field, false),
            _ => return Ok(Transformed::no(expr)),
        };
        // A column of an outer query has no type here; nor has it one that matters.
        let Ok(from) = text.get_type(schema) else { return Ok(Transformed::no(expr)) };
        let signature = Signature::any(1, Volatility::Immutable);
        let target = Arc::clone(target);
        let function = if dim_of(target.data_type()).is_some() && from.is_string() {
            ScalarUDF::from(VectorFromText { target, strict, signature })
        } else if dim_of(&from).is_some() && target.data_type().is_string() {
            ScalarUDF::from(TextOfVector { target, signature })
        } else {
            return Ok(Transformed::no(expr));
        };
        let call = ScalarFunction::new_udf(Arc::new(function), vec![text.as_ref().clone()]);
        Ok(Transformed::yes(Expr::ScalarFunction(call)))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TextOfVector {
    target: FieldRef,
    signature: Signature,
}

impl ScalarUDFImpl for TextOfVector {
    fn name(&self) -> &str {
        "text_of_vector"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.target.data_type().clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [vectors] = args.args.as_slice() else {
            return exec_err!("CAST expected one vector, got {}", args.args.len());
        };
        let num_rows = rows_to_compute(&args.args, args.number_rows);
        let vectors = Vectors::<Float32Type>::new(vectors)?;
        let texts: StringArray = (0..num_rows).map(|row| vectors.get(row).map(text_of)).collect();
        answer(&args.args, cast(&texts, self.target.data_type())?)
    }
}

/// The shortest text that is read as the same vector: `[1,2.5,1e-30]`.
fn text_of(vector: &[f32]) -> String {
    let mut text = String::with_capacity(2 + 10 * vector.len());
    text.push('[');
    for (i, value) in vector.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        // Writing to a string cannot fail. What has many zeros is written with an exponent.
        let _ = match value.abs() {
            plain if plain == 0.0 || (1e-5..1e15).contains(&plain) => write!(text, "{comma}{value}"),
            _ => write!(text, "{comma}{value:e}"),
        };
    }
    text.push(']');
    text
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct VectorFromText {
    target: FieldRef,
    /// True if text that is no vector of the target type is an error. Otherwise the result of such text is NULL.
    strict: bool,
    signature: Signature,
}

impl ScalarUDFImpl for VectorFromText {
    fn name(&self) -> &str {
        "vector_from_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.target.data_type().clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [text] = args.args.as_slice() else { return exec_err!("CAST expected one text, got {}", args.args.len()) };
        let num_rows = rows_to_compute(&args.args, args.number_rows);
        let text = cast(&text.to_array(num_rows)?, &DataType::Utf8)?;
        let dim = dim_of(self.target.data_type()).unwrap_or(0);
        let mut builder = VectorsBuilder::<Float32Type>::new(self.target.data_type(), num_rows);
        for text in text.as_string::<i32>() {
            let Some(text) = text else {
                builder.append_null();
                continue;
            };
            let mut wrong = None;
            builder.append_with(|out| {
                let start = out.len();
                wrong = match append(text, out) {
                    Ok(()) => Some(out.len() - start).filter(|got| *got != dim).map(|got| got.to_string()),
                    Err(got) => Some(got),
                };
                wrong.is_none()
            });
            if let Some(got) = wrong.filter(|_| self.strict) {
                return exec_err!("CAST of text to FLOAT[{dim}]: expected {dim} numbers as in '[0.5, 1.0]', got {got}");
            }
        }
        answer(&args.args, builder.finish()?)
    }
}

/// Texts as lists of Float32; NULL stays NULL.
///
/// # Errors
/// If a text is no vector.
pub fn vectors(texts: &dyn Array) -> Result<ListArray> {
    let texts = cast(texts, &DataType::Utf8)?;
    let mut builder = ListBuilder::new(Float32Builder::new());
    let mut values = Vec::new();
    for text in texts.as_string::<i32>() {
        values.clear();
        if let Some(Err(got)) = text.map(|text| append(text, &mut values)) {
            return exec_err!("text is not a vector: expected numbers as in '[0.5, 1.0]', got {got}");
        }
        builder.values().append_slice(&values);
        builder.append(text.is_some());
    }
    Ok(builder.finish())
}

/// Returns true if a text is meant to be a vector.
pub fn is_vector(text: &str) -> bool {
    text.trim_start().starts_with('[')
}

/// Appends the numbers of `text`, or says what it is instead.
fn append(text: &str, out: &mut Vec<f32>) -> Result<(), String> {
    let Some(inner) = text.trim().strip_prefix('[').and_then(|text| text.strip_suffix(']')) else {
        return Err(format!("'{}'", beginning(text)));
    };
    let inner = inner.trim();
    if !inner.is_empty() {
        for number in inner.split(',').map(str::trim) {
            let value: Option<f32> = number.parse().ok().filter(|value: &f32| value.is_finite());
            out.push(value.ok_or_else(|| format!("'{}'", beginning(number)))?);
        }
    }
    Ok(())
}

/// The part of a text that a message repeats.
fn beginning(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
