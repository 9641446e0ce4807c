//! MERGE: the source is read once, in this session; what the clauses say goes to the Delta library's own operation.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ExprSchema, TableReference};
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::dml::{MergeIntoAction, MergeIntoClauseKind, MergeIntoOp};
use datafusion::logical_expr::expr_fn::cast;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{
    BinaryExpr, DmlStatement, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, ScalarUDF, WriteOp,
};
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use ruvector_rulake::backend::delta::{Assignment, Merge, MergeAction, MergeClause, MergeRows, SOURCE, TARGET};
use ruvector_rulake::vectors::dim_of;

use super::analyze;
use super::predicate::refuse_volatile;
use super::storable::{Fault, Storable};
use super::subquery::resolve_subqueries;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::one_state::of_one_state;

/// Runs MERGE and returns the number of rows that it inserted, updated and deleted.
pub(super) async fn merge(engine: &Engine, state: &SessionState, table: &str, dml: DmlStatement) -> Result<u64> {
    // Types are those of the target from here on.
    let LogicalPlan::Dml(dml) = analyze(state, &LogicalPlan::Dml(dml))? else {
        return Err(Error::not_supported("MERGE of this kind is not supported"));
    };
    let WriteOp::MergeInto(op) = &dml.op else {
        return Err(Error::not_supported(format!("{} is not supported", dml.op.name())));
    };
    let mut sides = Sides::new(&dml)?;
    let op = resolved(state, op.as_ref().clone()).await?;
    let on = sides.condition(op.on)?;
    let mut clauses = Vec::new();
    for clause in op.clauses {
        clauses.push(MergeClause {
            rows: rows_of(clause.kind),
            predicate: clause.predicate.map(|predicate| sides.of_delta(predicate)).transpose()?,
            action: sides.action(clause.action)?,
        });
    }
    let plan = sides.source_plan(&dml.input)?;
    let physical = state.create_physical_plan(&plan).await?;
    let schema = sides.source_schema(&plan);
    let batches = of_one_state(execute_stream(physical, state.task_ctx())?, &plan)?.try_collect::<Vec<_>>().await?;
    let merge = Merge { schema, source: batches, on, clauses, whole_target: sides.float_keys };
    let merged = engine.main().merge(table, merge).await;
    merged.map_err(|e| sides.fault.lock().take().unwrap_or(e).into())
}

/// The operation without subqueries and with nothing that changes from call to call.
async fn resolved(state: &SessionState, op: MergeIntoOp) -> Result<MergeIntoOp> {
    let mut exprs = Vec::new();
    for expr in op.exprs() {
        let expr = resolve_subqueries(state, expr.clone()).await?;
        refuse_volatile(&expr)?;
        exprs.push(expr);
    }
    Ok(op.with_new_exprs(exprs)?)
}

fn rows_of(kind: MergeIntoClauseKind) -> MergeRows {
    match kind {
        MergeIntoClauseKind::Matched => MergeRows::Matched,
        MergeIntoClauseKind::NotMatched | MergeIntoClauseKind::NotMatchedByTarget => MergeRows::OnlyInSource,
        MergeIntoClauseKind::NotMatchedBySource => MergeRows::OnlyInTarget,
    }
}

/// The two sides of a MERGE: how columns are called in the statement, and how for the Delta library.
struct Sides {
    target: TableReference,
    target_schema: SchemaRef,
    source: DFSchema,
    both: DFSchema,
    /// The name of each column of the source, and after them of each key that is computed from them.
    names: Vec<String>,
    keys: Vec<Expr>,
    /// Whether rows are matched by floats: files are not left out by their smallest and largest number then, for NaN is in
    /// neither.
    float_keys: bool,
    fault: Fault,
}

impl Sides {
    fn new(dml: &DmlStatement) -> Result<Self> {
        let target_schema = dml.target.schema();
        let source = dml.input.schema().as_ref().clone();
        let both = DFSchema::try_from_qualified_schema(dml.table_name.clone(), &target_schema)?.join(&source)?;
        let mut sides = Self {
            target: dml.table_name.clone(),
            target_schema,
            source: source.clone(),
            both,
            names: Vec::new(),
            keys: Vec::new(),
            float_keys: false,
            fault: Fault::default(),
        };
        for field in source.fields() {
            sides.add_name(field.name());
        }
        Ok(sides)
    }

    /// A name for a column of the source that no other one has.
    fn add_name(&mut self, wanted: &str) -> String {
        let others = (2..).map(|i| format!("{wanted}_{i}"));
        let free = std::iter::once(wanted.to_owned()).chain(others).find(|name| !self.names.contains(name));
        let name = free.unwrap_or_else(|| wanted.to_owned());
        self.names.push(name.clone());
        name
    }

    /// The expression over the columns of the two tables that the Delta library joins. It stores vectors as lists; to the
    /// statement they are vectors.
    fn of_delta(&self, expr: Expr) -> Result<Expr> {
        let renamed = expr.transform(|expr| match expr {
            Expr::Column(column) if self.is_of_target(&column) => {
                let data_type = self.target_schema.field_with_name(&column.name)?.data_type().clone();
                let plain = Expr::Column(Column::new(Some(TARGET), column.name));
                Ok(Transformed::yes(match dim_of(&data_type) {
                    Some(_) => cast(plain, data_type),
                    None => plain,
                }))
            }
            Expr::Column(column) => {
                let name = &self.names[self.source.index_of_column(&column)?];
                Ok(Transformed::yes(Expr::Column(Column::new(Some(SOURCE), name))))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(renamed.data)
    }

    fn is_of_target(&self, column: &Column) -> bool {
        match &column.relation {
            Some(relation) => *relation == self.target && self.target_schema.field_with_name(&column.name).is_ok(),
            None => !self.source.has_column(column) && self.target_schema.field_with_name(&column.name).is_ok(),
        }
    }

    /// ON. The library leaves out files of the target by what it makes of this condition, and it understands comparisons of
    /// a column with a column only; the rest is put so that it does not try.
    fn condition(&mut self, on: Expr) -> Result<Expr> {
        let mut all = Vec::new();
        for part in split_conjunction_owned(on) {
            let part = self.with_computed_key(part)?;
            let plain = self.is_plain_comparison(&part)?;
            let part = self.of_delta(part)?;
            all.push(if plain { part } else { part.is_true() });
        }
        Ok(all.into_iter().reduce(Expr::and).unwrap_or_else(|| datafusion::prelude::lit(true)))
    }

    /// `t.id = lower(s.id)`, with the right side as one more column of the source: rows are matched by columns then.
    fn with_computed_key(&mut self, part: Expr) -> Result<Expr> {
        let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = part else { return Ok(part) };
        let (left, right) = (self.computed_key(*left)?, self.computed_key(*right)?);
        Ok(left.eq(right))
    }

    fn computed_key(&mut self, side: Expr) -> Result<Expr> {
        let columns = side.column_refs();
        let plain = matches!(side, Expr::Column(_) | Expr::Literal(..));
        if plain || columns.is_empty() || columns.iter().any(|column| self.is_of_target(column)) {
            return Ok(side);
        }
        // It has no qualifier, so no column of either side may be called so.
        let mut wanted = "computed_key".to_owned();
        while self.both.fields().iter().any(|field| *field.name() == wanted) {
            wanted.push('_');
        }
        let name = self.add_name(&wanted);
        let field = Arc::new(Field::new(&name, side.get_type(&self.both)?, true));
        self.keys.push(side);
        let key = DFSchema::new_with_metadata(vec![(None, field)], Default::default())?;
        (self.source, self.both) = (self.source.join(&key)?, self.both.join(&key)?);
        Ok(Expr::Column(Column::new_unqualified(name)))
    }

    fn is_plain_comparison(&mut self, part: &Expr) -> Result<bool> {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = part else { return Ok(false) };
        let (Some(left), Some(right)) = (column_of(left), column_of(right)) else { return Ok(false) };
        if *op != Operator::Eq || self.is_of_target(left) == self.is_of_target(right) {
            return Ok(false);
        }
        self.float_keys |= [left, right]
            .into_iter()
            .any(|column| self.both.field_from_column(column).is_ok_and(|field| field.data_type().is_floating()));
        Ok(true)
    }

    fn action(&self, action: MergeIntoAction) -> Result<MergeAction> {
        Ok(match action {
            MergeIntoAction::Delete => MergeAction::Delete,
            MergeIntoAction::Update(assignments) => MergeAction::Update(self.assignments(assignments)?),
            MergeIntoAction::Insert { columns, values } => {
                let columns = match columns.is_empty() {
                    true => self.target_schema.fields().iter().map(|field| field.name().clone()).collect(),
                    false => columns,
                };
                let missing = self
                    .target_schema
                    .fields()
                    .iter()
                    .find(|field| !field.is_nullable() && !columns.contains(field.name()));
                if let Some(field) = missing {
                    let message =
                        format!("MERGE ... INSERT gives no value to column {}, which is NOT NULL", field.name());
                    return Err(Error::invalid_input(message));
                }
                MergeAction::Insert(self.assignments(columns.into_iter().zip(values).collect())?)
            }
        })
    }

    fn assignments(&self, assignments: Vec<(String, Expr)>) -> Result<Vec<Assignment>> {
        let of_delta = |(name, value): (String, Expr)| {
            let field = self.target_schema.field_with_name(&name).map_err(DataFusionError::from)?;
            let value = self.of_delta(value.cast_to(field.data_type(), &self.both)?)?;
            let is_checked = dim_of(field.data_type()).is_some() || !field.is_nullable();
            let value = match is_checked {
                true => ScalarUDF::from(Storable::new(field, Arc::clone(&self.fault))).call(vec![value]),
                false => value,
            };
            Ok((name, value))
        };
        assignments.into_iter().map(of_delta).collect()
    }

    /// The source with its columns named apart, and the computed keys after them.
    fn source_plan(&self, input: &LogicalPlan) -> Result<LogicalPlan> {
        let columns = input.schema().columns().into_iter().map(Expr::Column);
        let named = columns.chain(self.keys.iter().cloned()).zip(&self.names).map(|(expr, name)| expr.alias(name));
        Ok(LogicalPlanBuilder::from(input.clone()).project(named.collect::<Vec<_>>())?.build()?)
    }

    fn source_schema(&self, plan: &LogicalPlan) -> SchemaRef {
        let fields = plan.schema().fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// The column that an expression is, whatever type it is made.
fn column_of(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Cast(cast) => column_of(&cast.expr),
        _ => None,
    }
}
