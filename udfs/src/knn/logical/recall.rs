//! The logical node of `recall()`: a sample of queries in, one row out.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, DFSchemaRef, Result, TableReference, plan_err};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

use super::knn::{KnnNode, Target};

/// The name of the relation.
pub(crate) const RECALL_RELATION: &str = "recall";

/// Queries that are measured together, at most: each reads every vector of the table.
pub(crate) const MOST_QUERIES: usize = 10_000;

/// The columns of its answer.
pub(crate) fn columns() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, false);
    let number = |name, data_type| Field::new(name, data_type, false);
    Arc::new(Schema::new(vec![
        text("index"),
        text("kind"),
        text("metric"),
        number("k", DataType::Int64),
        number("queries", DataType::Int64),
        Field::new("recall", DataType::Float64, true),
        Field::new("index_ms", DataType::Float64, true),
        Field::new("exact_ms", DataType::Float64, true),
    ]))
}

/// The recall of the index of `target` for the vectors of `queries`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd)]
pub(crate) struct RecallNode {
    queries: LogicalPlan,
    pub(crate) target: Target,
    pub(crate) k: Expr,
    allowed: Option<LogicalPlan>,
    schema: Schemas,
}

impl RecallNode {
    /// The recall of the index that `search` asks, for each vector of `queries`.
    pub(crate) fn try_new(queries: LogicalPlan, search: KnnNode) -> Result<Self> {
        let KnnNode { target, k, allowed, .. } = search;
        let schema = DFSchema::try_from_qualified_schema(TableReference::bare(RECALL_RELATION), &columns())?;
        Ok(Self { queries, target, k, allowed, schema: Schemas(Arc::new(schema)) })
    }
}

/// Always the same.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Schemas(DFSchemaRef);

impl PartialOrd for Schemas {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        (self == other).then_some(std::cmp::Ordering::Equal)
    }
}

impl fmt::Debug for RecallNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        UserDefinedLogicalNodeCore::fmt_for_explain(self, f)
    }
}

impl UserDefinedLogicalNodeCore for RecallNode {
    fn name(&self) -> &str {
        "Recall"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        std::iter::once(&self.queries).chain(&self.allowed).collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema.0
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.k.clone()]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = &self.target.table;
        write!(f, "Recall: table={}.{}, k={}", table.backend(), table.name(), self.k)
    }

    fn with_exprs_and_inputs(&self, mut exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let (Some(k), true) = (exprs.pop(), exprs.is_empty()) else { return plan_err!("recall() has one expression") };
        let allowed = self.allowed.as_ref().and_then(|_| inputs.pop());
        let (Some(queries), true) = (inputs.pop(), inputs.is_empty()) else {
            return plan_err!("recall() has queries and, with a filter, the rows it allows");
        };
        Ok(Self { queries, k, allowed, ..self.clone() })
    }

    fn necessary_children_exprs(&self, _output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![vec![0]; UserDefinedLogicalNodeCore::inputs(self).len()])
    }
}
