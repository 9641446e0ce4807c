//! [`KnnJoinNode`]: the logical node of a search for each row of a plan.
//!
//! Its input is the rows with the query vectors; its output is each row joined with its `k` nearest rows of the table.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::common::{DFSchema, DFSchemaRef, Result, TableReference, plan_err};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

use super::knn::{KnnNode, Nulls, Target};

/// The qualifier of the table's columns: a projection above gives them that of the query.
pub(crate) const JOIN_RELATION: &str = "__knn";

/// The `k` nearest rows to each row of `queries`, whose last column is the query vector: its other columns, then those of
/// the table and the distance.
#[derive(Clone)]
pub(crate) struct KnnJoinNode {
    pub(crate) queries: LogicalPlan,
    /// The parameter that the queries are an array in, counted from 0.
    pub(crate) parameter: Option<usize>,
    /// True if the parameter has no value yet, and gets one when the plan runs ([`crate::knn::parameterize`]).
    pub(crate) is_parameterized: bool,
    pub(crate) target: Target,
    pub(crate) k: Expr,
    /// Yields the addresses of the rows to search among; `None` is all of them.
    pub(crate) allowed: Option<LogicalPlan>,
    /// The place of rows without a distance among the answers; `None` if they are no answers.
    pub(crate) nulls: Option<Nulls>,
    /// True if a query without an answer comes out once, with NULLs.
    pub(crate) outer: bool,
    /// The condition that an answer and its query have to satisfy together, over the columns of this node.
    pub(crate) together: Option<Expr>,
    schema: DFSchemaRef,
}

impl KnnJoinNode {
    /// The searches of `search`, for each row of `queries` in place of its own query.
    pub(crate) fn try_new(queries: LogicalPlan, search: KnnNode, outer: bool) -> Result<Self> {
        let KnnNode { target, k, allowed, nulls, .. } = search;
        let schema = schema(&queries, &target, nulls, outer)?;
        Ok(Self {
            queries,
            parameter: None,
            is_parameterized: false,
            target,
            k,
            allowed,
            nulls,
            outer,
            together: None,
            schema,
        })
    }

    #[expect(clippy::type_complexity, reason = "it is compared, ordered and hashed, and nothing else")]
    fn identity(&self) -> (&LogicalPlan, bool, &Target, [Option<&Expr>; 2], &Option<LogicalPlan>, Option<Nulls>, bool) {
        let exprs = [Some(&self.k), self.together.as_ref()];
        (&self.queries, self.is_parameterized, &self.target, exprs, &self.allowed, self.nulls, self.outer)
    }
}

/// The columns of the answer.
fn schema(queries: &LogicalPlan, target: &Target, nulls: Option<Nulls>, outer: bool) -> Result<DFSchemaRef> {
    let mut of_queries: Vec<_> =
        queries.schema().iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))).collect();
    of_queries.pop();
    let found = target.output_schema(nulls);
    let of_table = found.fields().iter().map(|field| {
        let field = field.as_ref().clone();
        let nullable = field.is_nullable() || outer;
        (Some(TableReference::bare(JOIN_RELATION)), Arc::new(field.with_nullable(nullable)))
    });
    of_queries.extend(of_table);
    Ok(Arc::new(DFSchema::new_with_metadata(of_queries, std::collections::HashMap::new())?))
}

// The schema follows from the rest: it never tells two nodes apart.
impl PartialEq for KnnJoinNode {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for KnnJoinNode {}

impl PartialOrd for KnnJoinNode {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.identity().partial_cmp(&other.identity())
    }
}

impl Hash for KnnJoinNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl fmt::Debug for KnnJoinNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        UserDefinedLogicalNodeCore::fmt_for_explain(self, f)
    }
}

impl UserDefinedLogicalNodeCore for KnnJoinNode {
    fn name(&self) -> &str {
        "KnnJoin"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        (!self.is_parameterized).then_some(&self.queries).into_iter().chain(&self.allowed).collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        std::iter::once(&self.k).chain(&self.together).cloned().collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = &self.target;
        write!(
            f,
            "KnnJoin: table={}.{}, column={}",
            target.table.backend(),
            target.table.name(),
            target.column_name()
        )?;
        write!(f, ", metric={}, k={}", target.metric.0, self.k)?;
        for (is_so, word) in [(self.allowed.is_some(), "filtered"), (target.exact, "exact"), (self.outer, "outer")] {
            if is_so {
                write!(f, ", {word}")?;
            }
        }
        if let Some(together) = &self.together {
            write!(f, ", where={together}")?;
        }
        Ok(())
    }

    fn with_exprs_and_inputs(&self, mut exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let together = self.together.as_ref().and_then(|_| exprs.pop());
        let (Some(k), true) = (exprs.pop(), exprs.is_empty()) else {
            return plan_err!("a join with knn() has a count and perhaps a condition");
        };
        if inputs.len() != UserDefinedLogicalNodeCore::inputs(self).len() {
            return plan_err!("a join with knn() has queries and, with a filter, the rows it allows");
        }
        let allowed = self.allowed.as_ref().and_then(|_| inputs.pop());
        let queries = if self.is_parameterized { self.queries.clone() } else { inputs.remove(0) };
        let schema = schema(&queries, &self.target, self.nulls, self.outer)?;
        Ok(Self { queries, k, allowed, together, schema, ..self.clone() })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let of_allowed = self.allowed.iter().map(|_| vec![0]);
        if self.is_parameterized {
            return Some(of_allowed.collect());
        }
        let query = self.queries.schema().fields().len() - 1;
        let together = self.together.iter().flat_map(|together| together.column_refs());
        let together = together.filter_map(|column| self.schema.maybe_index_of_column(column));
        let wanted = output_columns.iter().copied().chain(together);
        let mut of_queries: Vec<usize> = wanted.filter(|column| *column < query).collect();
        of_queries.push(query);
        of_queries.sort_unstable();
        of_queries.dedup();
        Some(std::iter::once(of_queries).chain(of_allowed).collect())
    }
}
