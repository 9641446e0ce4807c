//! The logical node of `knn()`.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, DFSchemaRef, Result, TableReference, plan_err};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, UserDefinedLogicalNodeCore, col, utils::conjunction,
};
use ruvector_rabitq::Metric;
use ruvector_rulake::address::ADDRESS_COLUMN;
use ruvector_rulake::vector_type::VectorType;

use crate::collection::CollectionTable;
use crate::knn::argument::ArgumentName;
use crate::knn::{DISTANCE_COLUMN, RELATION};

/// The `k` nearest rows of a collection, nearest first, with their distance as the last column.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd)]
pub struct KnnNode {
    pub(crate) target: Target,
    pub(crate) k: Expr,
    pub(crate) query: Query,
    /// Yields the addresses of the rows to search among; `None` is all of them.
    pub allowed: Option<LogicalPlan>,
    /// The place of rows without a distance among the answers; `None` if they are no answers.
    pub nulls: Option<Nulls>,
    schema: Schema,
}

/// The source of the query vector.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd)]
pub enum Query {
    /// A plan of one row and one column.
    Plan(LogicalPlan),
    /// A parameter, counted from 0, whose value is given when the plan runs ([`crate::knn::parameterize`]).
    Parameter(usize),
}

impl Query {
    /// The plan that yields it.
    pub fn plan(&self) -> Option<&LogicalPlan> {
        match self {
            Self::Plan(plan) => Some(plan),
            Self::Parameter(_) => None,
        }
    }
}

/// The table, the column and the options of a search.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd)]
pub struct Target {
    pub(crate) table: CollectionTable,
    /// The name under which filters know the table's columns.
    pub name: TableReference,
    /// Position of the vector column.
    pub column: usize,
    pub(crate) metric: MetricKey,
    /// True if every vector is read instead of an index.
    pub exact: bool,
    pub(crate) rerank_factor: Option<usize>,
    /// Lists that the search looks into; only some kinds have a use for it.
    pub nprobe: Option<usize>,
    /// The name of the query vectors in errors.
    pub query_name: ArgumentName,
    /// The name of `k` in errors.
    pub k_name: ArgumentName,
}

/// The place of rows without a distance in the answer: those without a vector, or all if the query is NULL. In `knn()` they are
/// never an answer; in an ORDER BY they are sorted like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub enum Nulls {
    /// Before all other rows.
    First,
    /// After all other rows.
    Last,
}

/// A metric that plans can order and hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MetricKey(pub Metric);

impl PartialOrd for MetricKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.0.to_string().partial_cmp(&other.0.to_string())
    }
}

/// The node's schema: it follows from the target, so that it never tells two nodes apart.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Schema(DFSchemaRef);

impl PartialOrd for Schema {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        (self == other).then_some(std::cmp::Ordering::Equal)
    }
}

impl Target {
    /// Coordinates per vector.
    pub fn dim(&self) -> usize {
        let schema = self.table.snapshot().schema();
        VectorType::of(schema.field(self.column)).expect("the column was checked to hold vectors").dim
    }

    /// The name of the vector column.
    pub fn column_name(&self) -> String {
        self.table.snapshot().schema().field(self.column).name().clone()
    }

    /// The answer's columns: those of the table that can be read, then the distance.
    pub fn output_schema(&self, nulls: Option<Nulls>) -> arrow::datatypes::SchemaRef {
        let distance = Arc::new(Field::new(DISTANCE_COLUMN, DataType::Float32, nulls.is_some()));
        let schema = self.table.readable();
        Arc::new(arrow::datatypes::Schema::new(schema.fields().iter().cloned().chain([distance]).collect::<Vec<_>>()))
    }
}

impl KnnNode {
    pub(crate) fn try_new(target: Target, query: LogicalPlan, k: Expr, nulls: Option<Nulls>) -> Result<Self> {
        let columns = target.output_schema(nulls);
        let schema = DFSchema::try_from_qualified_schema(TableReference::bare(RELATION), &columns)?;
        let query = Query::Plan(query);
        Ok(Self { target, k, query, allowed: None, nulls, schema: Schema(Arc::new(schema)) })
    }

    /// The same search among the rows for which all of `predicates` hold, beside those that it has already.
    pub fn with_filter(mut self, predicates: Vec<Expr>) -> Result<Self> {
        let Some(predicate) = conjunction(predicates) else { return Ok(self) };
        let rows = match self.allowed.take() {
            // Under the projection are the rows with all their columns.
            Some(LogicalPlan::Projection(addresses)) => Arc::unwrap_or_clone(addresses.input),
            Some(other) => {
                return plan_err!("the rows that knn() may answer are not a projection: {}", other.display());
            }
            None => {
                let source = provider_as_source(Arc::new(self.target.table.addressed()));
                LogicalPlanBuilder::scan(self.target.name.clone(), source, None)?.build()?
            }
        };
        let rows = LogicalPlanBuilder::from(rows).filter(predicate)?;
        self.allowed = Some(rows.project([col(ADDRESS_COLUMN)])?.build()?);
        Ok(self)
    }
}

impl fmt::Debug for KnnNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        UserDefinedLogicalNodeCore::fmt_for_explain(self, f)
    }
}

impl UserDefinedLogicalNodeCore for KnnNode {
    fn name(&self) -> &str {
        "Knn"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.query.plan().into_iter().chain(&self.allowed).collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema.0
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.k.clone()]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = &self.target;
        write!(f, "Knn: table={}.{}, column={}", target.table.backend(), target.table.name(), target.column_name())?;
        write!(f, ", metric={}, k={}", target.metric.0, self.k)?;
        if self.allowed.is_some() {
            write!(f, ", filtered")?;
        }
        if target.exact {
            write!(f, ", exact")?;
        }
        Ok(())
    }

    fn with_exprs_and_inputs(&self, mut exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let (Some(k), true) = (exprs.pop(), exprs.is_empty()) else {
            return plan_err!("knn() has one expression");
        };
        if inputs.len() != UserDefinedLogicalNodeCore::inputs(self).len() {
            return plan_err!("knn() has a query and, with a filter, the rows it allows");
        }
        let allowed = self.allowed.as_ref().and_then(|_| inputs.pop());
        let query = match &self.query {
            Query::Plan(_) => Query::Plan(inputs.remove(0)),
            open => open.clone(),
        };
        Ok(Self { k, query, allowed, ..self.clone() })
    }

    fn necessary_children_exprs(&self, _output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        // Each input has the one column that the node reads.
        Some(vec![vec![0]; UserDefinedLogicalNodeCore::inputs(self).len()])
    }
}

/// The number of a parameter `$1, $2, ...`, from 0.
pub(crate) fn parameter_position(placeholder: &Placeholder) -> Option<usize> {
    placeholder.id.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1)
}
