//! MERGE as a query: the source joined with the target, and for each row of the join the first clause that is about it.

use std::sync::Arc;

use arrow::datatypes::{Field, SchemaRef};
use datafusion::common::{Column, DFSchemaRef, JoinType, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::dml::{MergeIntoAction, MergeIntoClause, MergeIntoClauseKind};
use datafusion::logical_expr::{DmlStatement, Expr, LogicalPlanBuilder, WriteOp, cast, lit, when};
use datafusion::prelude::ident;
use datafusion::scalar::ScalarValue;
use ruvector_rulake::address::ADDRESS_COLUMN;
use ruvector_rulake::backend::delta::ChangeKind;

use super::change::{DELETED_COLUMN, by_address, text_of};
use super::{ChangeQuery, target_of};
use crate::statements::assign::assigned_value;
use ruvector_udfs::error::{Error, Result};

/// The column that is true in each row of the join that has one of the source.
const SOURCE_COLUMN: &str = "_ruvector_source";
/// The column with the number of the clause that a row of the join is for.
const CLAUSE_COLUMN: &str = "_ruvector_clause";

pub(super) fn merge(dml: &DmlStatement) -> Result<ChangeQuery> {
    let WriteOp::MergeInto(op) = &dml.op else {
        return Err(Error::not_supported(format!("{} is not supported", dml.op.name())));
    };
    let table = target_of(dml)?;
    let rows = provider_as_source(Arc::new(table.addressed()));
    let rows = LogicalPlanBuilder::scan(dml.table_name.clone(), rows, None)?.build()?;
    let source_columns = dml.input.schema().columns().into_iter().map(Expr::Column);
    let source = LogicalPlanBuilder::from(dml.input.as_ref().clone())
        .project(source_columns.chain([lit(true).alias(SOURCE_COLUMN)]).collect::<Vec<_>>())?;
    let joined = source.join_on(rows, join_type(&op.clauses), [op.on.clone()])?.build()?;

    let target =
        Target { name: dml.table_name.clone(), schema: table.snapshot().schema(), joined: Arc::clone(joined.schema()) };
    let all: Vec<Expr> = joined.schema().columns().into_iter().map(Expr::Column).collect();
    let clause = clause_of(&op.clauses)?.alias(CLAUSE_COLUMN);
    let chosen = LogicalPlanBuilder::from(joined)
        .project(all.into_iter().chain([clause]).collect::<Vec<_>>())?
        .filter(ident(CLAUSE_COLUMN).is_not_null())?;

    let positions = target.assigned(&op.clauses);
    let mut exprs = vec![target.column(ADDRESS_COLUMN), is_deleted(&op.clauses).alias(DELETED_COLUMN)];
    for position in &positions {
        exprs.push(target.value(*position, &op.clauses)?.alias(target.schema.field(*position).name()));
    }
    let plan = by_address(chosen.project(exprs)?)?;
    Ok(ChangeQuery { kind: ChangeKind::Merge, condition: Some(text_of(&op.on)), columns: positions, plan: Some(plan) })
}

/// The join that has the rows which the clauses are about.
fn join_type(clauses: &[MergeIntoClause]) -> JoinType {
    let has = |wanted: fn(&MergeIntoClauseKind) -> bool| clauses.iter().any(|clause| wanted(&clause.kind));
    let of_source = has(is_of_source);
    let of_target = has(|kind| matches!(kind, MergeIntoClauseKind::NotMatchedBySource));
    match (of_source, of_target) {
        (true, true) => JoinType::Full,
        (true, false) => JoinType::Left,
        (false, true) => JoinType::Right,
        (false, false) => JoinType::Inner,
    }
}

fn is_of_source(kind: &MergeIntoClauseKind) -> bool {
    matches!(kind, MergeIntoClauseKind::NotMatched | MergeIntoClauseKind::NotMatchedByTarget)
}

/// The number of the first clause that is about a row of the join; NULL if there is none.
fn clause_of(clauses: &[MergeIntoClause]) -> Result<Expr> {
    let (in_source, in_target) = (ident(SOURCE_COLUMN), ident(ADDRESS_COLUMN));
    let conditions = clauses.iter().map(|clause| {
        let about = match clause.kind {
            MergeIntoClauseKind::Matched => in_source.clone().is_not_null().and(in_target.clone().is_not_null()),
            MergeIntoClauseKind::NotMatchedBySource => in_source.clone().is_null(),
            MergeIntoClauseKind::NotMatched | MergeIntoClauseKind::NotMatchedByTarget => in_target.clone().is_null(),
        };
        match &clause.predicate {
            Some(predicate) => about.and(predicate.clone()),
            None => about,
        }
    });
    let mut branches = conditions.zip(0_i32..);
    let Some((first, number)) = branches.next() else {
        return Err(Error::invalid_input("MERGE expected a WHEN clause, got none"));
    };
    let mut case = when(first, lit(number));
    for (condition, number) in branches {
        case = case.when(condition, lit(number));
    }
    Ok(case.otherwise(lit(ScalarValue::Int32(None)))?)
}

fn is_deleted(clauses: &[MergeIntoClause]) -> Expr {
    let deletes = clauses.iter().zip(0_i32..).filter(|(clause, _)| matches!(clause.action, MergeIntoAction::Delete));
    ident(CLAUSE_COLUMN).in_list(deletes.map(|(_, number)| lit(number)).collect(), false)
}

/// The table that is changed.
struct Target {
    name: TableReference,
    schema: SchemaRef,
    /// The columns of the source and the table.
    joined: DFSchemaRef,
}

impl Target {
    fn column(&self, name: &str) -> Expr {
        Expr::Column(Column::new(Some(self.name.clone()), name))
    }

    /// The columns that a clause gives values to.
    fn assigned(&self, clauses: &[MergeIntoClause]) -> Vec<usize> {
        let is_assigned = |name: &String| {
            clauses.iter().any(|clause| match &clause.action {
                MergeIntoAction::Insert { .. } => true,
                MergeIntoAction::Update(assignments) => assignments.iter().any(|(column, _)| column == name),
                MergeIntoAction::Delete => false,
            })
        };
        let fields = self.schema.fields().iter().enumerate();
        fields.filter(|(_, field)| is_assigned(field.name())).map(|(position, _)| position).collect()
    }

    /// The value of a column by the clause of the row; the one that it has, where the clause says none.
    fn value(&self, position: usize, clauses: &[MergeIntoClause]) -> Result<Expr> {
        let field = self.schema.field(position);
        let mut branches = Vec::new();
        for (clause, number) in clauses.iter().zip(0_i32..) {
            let value = match &clause.action {
                MergeIntoAction::Delete => None,
                MergeIntoAction::Update(assignments) => {
                    assignments.iter().find(|(column, _)| column == field.name()).map(|(_, value)| value.clone())
                }
                MergeIntoAction::Insert { columns, values } => {
                    let given = match columns.is_empty() {
                        true => Some(position),
                        false => columns.iter().position(|column| column == field.name()),
                    };
                    match given.and_then(|given| values.get(given)) {
                        Some(value) => Some(value.clone()),
                        None if field.is_nullable() => Some(lit(ScalarValue::Null)),
                        None => {
                            return Err(Error::invalid_input(format!(
                                "MERGE ... INSERT gives no value to column {}, which is NOT NULL",
                                field.name()
                            )));
                        }
                    }
                }
            };
            if let Some(value) = value {
                branches.push((number, self.assigned_to(field, value)));
            }
        }
        let mut branches = branches.into_iter();
        let Some((number, value)) = branches.next() else { return Ok(self.column(field.name())) };
        let mut case = when(ident(CLAUSE_COLUMN).eq(lit(number)), value);
        for (number, value) in branches {
            case = case.when(ident(CLAUSE_COLUMN).eq(lit(number)), value);
        }
        Ok(case.otherwise(self.column(field.name()))?)
    }

    fn assigned_to(&self, field: &Field, value: Expr) -> Expr {
        match value {
            Expr::Literal(ScalarValue::Null, _) if field.is_nullable() => {
                cast(lit(ScalarValue::Null), field.data_type().clone())
            }
            value => assigned_value(value, field, &self.joined),
        }
    }
}
