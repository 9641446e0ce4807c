//! The physical planner of searches: each logical node becomes the node that runs it.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::Schema;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, Result, internal_err};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{ColumnarValue, Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use datafusion::scalar::ScalarValue;
use ruvector_rulake::operator::OperatorExec;

use super::federated::plan_federated_exec;
use super::join::{KnnJoinExec, Queries};
use super::knn::{Count, Input, KnnExec};
use super::recall::RecallExec;
use crate::knn::argument::{ArgumentName, positive};
use crate::knn::logical::federated::FederatedNode;
use crate::knn::logical::join::KnnJoinNode;
use crate::knn::logical::knn::{KnnNode, Query, Target, parameter_position};
use crate::knn::logical::recall::RecallNode;

/// Plans the nodes of searches: a `Knn` becomes a `KnnExec`, and so on.
#[derive(Debug)]
pub struct KnnExtensionPlanner;

#[async_trait]
impl ExtensionPlanner for KnnExtensionPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        planning_ctx: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let number = |k: &Expr, name: &ArgumentName| {
            let k = planner.create_physical_expr(k, &DFSchema::empty(), session, planning_ctx)?;
            positive(constant(k.as_ref())?, name)
        };
        if let Some(node) = node.as_any().downcast_ref::<FederatedNode>() {
            return plan_federated_exec(node, number(&node.k, &node.k_name)?, physical_inputs).map(Some);
        }
        if let Some(node) = node.as_any().downcast_ref::<KnnJoinNode>() {
            let (queries, allowed) = match (node.parameter.filter(|_| node.is_parameterized), physical_inputs) {
                (Some(position), allowed) => (Queries::Parameter(position), allowed),
                (None, [queries, allowed @ ..]) => (Queries::Plan(Arc::clone(queries)), allowed),
                (None, []) => return internal_err!("a join with knn() has no queries"),
            };
            let target = node.target.clone().with_settings(session.config_options());
            let k = number(&node.k, &node.target.k_name)?;
            let allowed = allowed.first().cloned();
            let exec = KnnJoinExec::try_new(node, target, k, queries, allowed)?;
            let Some(together) = &node.together else { return Ok(Some(OperatorExec::plan(exec))) };
            let together = planner.create_physical_expr(
                together,
                UserDefinedLogicalNodeCore::schema(node),
                session,
                planning_ctx,
            )?;
            return Ok(Some(OperatorExec::plan(exec.with_condition(&together)?)));
        }
        if let Some(node) = node.as_any().downcast_ref::<RecallNode>() {
            let [queries, allowed @ ..] = physical_inputs else { return internal_err!("recall() has no queries") };
            let target = Target { exact: false, ..node.target.clone().with_settings(session.config_options()) };
            let k = number(&node.k, &node.target.k_name)?;
            let (queries, allowed) = (Arc::clone(queries), allowed.first().cloned());
            return Ok(Some(OperatorExec::plan(RecallExec::new(target, k, queries, allowed))));
        }
        let Some(node) = node.as_any().downcast_ref::<KnnNode>() else { return Ok(None) };
        let k = match &node.k {
            Expr::Placeholder(k) if let Some(position) = parameter_position(k) => Count::Parameter(position),
            k => Count::Number(number(k, &node.target.k_name)?),
        };
        let (query, allowed) = match (&node.query, physical_inputs) {
            (Query::Plan(_), [query, allowed @ ..]) => (Input::Plan(Arc::clone(query)), allowed),
            (Query::Parameter(position), allowed) => (Input::Parameter(*position), allowed),
            (Query::Plan(_), []) => return internal_err!("knn() has no query"),
        };
        let target = node.target.clone().with_settings(session.config_options());
        let exec = KnnExec::try_new(target, k, query, allowed.first().cloned(), node.nulls, None)?;
        Ok(Some(OperatorExec::plan(exec)))
    }
}

/// The value of an expression without columns, as a literal.
fn constant(expr: &dyn PhysicalExpr) -> Result<Expr> {
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let one_row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
    let value = match expr.evaluate(&one_row)? {
        ColumnarValue::Scalar(value) => value,
        ColumnarValue::Array(values) => ScalarValue::try_from_array(&values, 0)?,
    };
    Ok(Expr::Literal(value, None))
}
