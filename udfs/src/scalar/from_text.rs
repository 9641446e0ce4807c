//! `CAST('[1, 2.5]' AS FLOAT[2])`: a vector from text, as drivers without arrays write it.
//!
//! Arrow casts no text to lists. DataFusion plans such a cast all the same, and it would fail when it runs, so here it
//! becomes a call of a function, before types are looked at.

use std::sync::Arc;

use arrow::array::AsArray;
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
use ruvector_rulake::vectors::dim_of;

use super::vectors::{VectorsBuilder, answer, rows_to_compute};

/// The rule that lets text be cast to a vector.
pub(crate) fn rule() -> Arc<dyn AnalyzerRule + Send + Sync> {
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
        let is_text = dim_of(target.data_type()).is_some() && text.get_type(schema).is_ok_and(|is| is.is_string());
        if !is_text {
            return Ok(Transformed::no(expr));
        }
        let signature = Signature::any(1, Volatility::Immutable);
        let function = VectorFromText { target: Arc::clone(target), strict, signature };
        let call = ScalarFunction::new_udf(Arc::new(ScalarUDF::from(function)), vec![text.as_ref().clone()]);
        Ok(Transformed::yes(Expr::ScalarFunction(call)))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct VectorFromText {
    target: FieldRef,
    /// Whether other text is an error; else it is NULL.
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
                wrong = append(text, dim, out).err();
                wrong.is_none()
            });
            if let Some(got) = wrong.filter(|_| self.strict) {
                return exec_err!("CAST of text to FLOAT[{dim}]: expected {dim} numbers as in '[0.5, 1.0]', got {got}");
            }
        }
        answer(&args.args, builder.finish()?)
    }
}

/// Appends the numbers of `text`, or says what it is instead.
fn append(text: &str, dim: usize, out: &mut Vec<f32>) -> Result<(), String> {
    let Some(inner) = text.trim().strip_prefix('[').and_then(|text| text.strip_suffix(']')) else {
        return Err(format!("'{}'", beginning(text)));
    };
    let (start, inner) = (out.len(), inner.trim());
    if !inner.is_empty() {
        for number in inner.split(',').map(str::trim) {
            out.push(number.parse().map_err(|_| format!("'{}'", beginning(number)))?);
        }
    }
    match out.len() - start {
        got if got == dim => Ok(()),
        got => Err(format!("{got}")),
    }
}

/// As much of a text as a message should repeat.
fn beginning(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
