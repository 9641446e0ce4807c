//! [`FederatedNode`]: the logical node that merges the searches of several backends.
//!
//! Its inputs are the projected searches, one for each backend; its output is the `k` nearest rows of all of them.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::common::{DFSchema, DFSchemaRef, Result, TableReference, internal_err, plan_err};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

use crate::knn::RELATION;
use crate::knn::argument::ArgumentName;

/// The column that says which backend a row is from.
pub const BACKEND_COLUMN: &str = "_backend";

/// The `k` nearest rows of its inputs, which have equal columns.
#[derive(Clone)]
pub struct FederatedNode {
    /// One search for each backend that is there, under a projection.
    pub searches: Vec<LogicalPlan>,
    pub(crate) k: Expr,
    /// The name of `k` in errors.
    pub k_name: ArgumentName,
    pub(crate) federation: Federation,
    schema: DFSchemaRef,
}

impl FederatedNode {
    pub(crate) fn try_new(
        searches: Vec<LogicalPlan>,
        (k, k_name): (Expr, ArgumentName),
        federation: Federation,
    ) -> Result<Self> {
        let Some(first) = searches.first() else { return internal_err!("a federated knn() has no backend") };
        // One backend may have NULLs where another allows none.
        let nullable = |field: &FieldRef| field.as_ref().clone().with_nullable(true);
        let columns = Schema::new(first.schema().as_arrow().fields().iter().map(nullable).collect::<Vec<_>>());
        let schema = DFSchema::try_from_qualified_schema(TableReference::bare(RELATION), &columns)?;
        Ok(Self { searches, k, k_name, federation, schema: Arc::new(schema) })
    }

    /// The columns of its answer.
    pub fn columns(&self) -> &SchemaRef {
        self.schema.inner()
    }

    /// The same node with other searches of the same columns.
    pub fn with_searches(&self, searches: Vec<LogicalPlan>) -> Self {
        Self { searches, ..self.clone() }
    }

    fn identity(&self) -> (&[LogicalPlan], &Expr, &Federation) {
        (&self.searches, &self.k, &self.federation)
    }
}

// The schema follows from the searches: it never tells two nodes apart.
impl PartialEq for FederatedNode {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for FederatedNode {}

impl PartialOrd for FederatedNode {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.identity().partial_cmp(&other.identity())
    }
}

impl Hash for FederatedNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl fmt::Debug for FederatedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        UserDefinedLogicalNodeCore::fmt_for_explain(self, f)
    }
}

impl UserDefinedLogicalNodeCore for FederatedNode {
    fn name(&self) -> &str {
        "FederatedKnn"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.searches.iter().collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.k.clone()]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FederatedKnn: k={}, {}", self.k, self.federation)
    }

    fn with_exprs_and_inputs(&self, mut exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let (Some(k), true) = (exprs.pop(), exprs.is_empty()) else {
            return plan_err!("a federated knn() has one expression");
        };
        if inputs.len() != self.searches.len() {
            return plan_err!("a federated knn() has {} searches, got {}", self.searches.len(), inputs.len());
        }
        Ok(Self { k, searches: inputs, ..self.clone() })
    }
}

/// The backends of a federated search, and its treatment of slow and failing ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Hash)]
pub(crate) struct Federation {
    /// The backends that are searched, in the order of the searches.
    pub(crate) backends: Vec<String>,
    /// Collections that are left out: their backend did not answer a request for their state.
    pub(crate) absent: Vec<String>,
    /// The time that each backend has; `None` is no limit.
    pub(crate) timeout: Option<Duration>,
    /// True if the other backends answer when one fails.
    pub(crate) partial: bool,
}

impl fmt::Display for Federation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "backends=[{}]", self.backends.join(", "))?;
        if !self.absent.is_empty() {
            write!(f, ", absent=[{}]", self.absent.join(", "))?;
        }
        if let Some(timeout) = self.timeout {
            write!(f, ", timeout_ms={}", timeout.as_millis())?;
        }
        if self.partial {
            write!(f, ", partial")?;
        }
        Ok(())
    }
}
