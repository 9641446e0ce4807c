//! VALUES below INSERT: the types of its rows are its own.
//!
//! DataFusion 55 gives every VALUES of an INSERT, or of a CREATE TABLE with columns, the types of the table that is written,
//! wherever in the statement it stands. Here the VALUES that are the rows to be written keep them; any other becomes a relation,
//! which is planned by itself.

use std::ops::ControlFlow;

use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::sql::sqlparser::ast::{Query, Select, SetExpr, Statement, TableFactor, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// Makes relations of the VALUES in a statement that are not its own rows.
pub(crate) fn separate(statement: &mut Statement) {
    if matches!(statement, Statement::Insert(_) | Statement::CreateTable(_)) {
        let _ = statement.visit(&mut Nested { depth: 0 });
    }
}

struct Nested {
    depth: usize,
}

impl VisitorMut for Nested {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        if self.depth > 0 || !matches!(*query.body, SetExpr::Values(_)) {
            select_values(&mut query.body);
        }
        ControlFlow::Continue(())
    }
}

fn select_values(body: &mut SetExpr) {
    match body {
        SetExpr::Values(_) => {
            if let Some(mut select) = select_all_of_values() {
                if let Some(TableFactor::Derived { subquery, .. }) =
                    select.from.first_mut().map(|from| &mut from.relation)
                {
                    std::mem::swap(subquery.body.as_mut(), body);
                }
                *body = SetExpr::Select(Box::new(select));
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            select_values(left);
            select_values(right);
        }
        _ => {}
    }
}

/// `SELECT * FROM (VALUES ...)`, parsed because its tree has dozens of fields.
fn select_all_of_values() -> Option<Select> {
    let mut parser = Parser::new(&GenericDialect {}).try_with_sql("SELECT * FROM (VALUES (0))").ok()?;
    match *parser.parse_query().ok()?.body {
        SetExpr::Select(select) => Some(*select),
        _ => None,
    }
}

/// Plans `(VALUES ...)` in FROM.
#[derive(Debug)]
pub(crate) struct ValuesPlanner;

impl RelationPlanner for ValuesPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::Derived { lateral: false, subquery, alias, sample: None } = relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let is_plain = subquery.with.is_none() && subquery.order_by.is_none() && subquery.limit_clause.is_none();
        let rows = match subquery.body.as_ref() {
            SetExpr::Values(values) if is_plain && subquery.fetch.is_none() && !values.value_keyword => &values.rows,
            _ => {
                let relation = TableFactor::Derived { lateral: false, subquery, alias, sample: None };
                return Ok(RelationPlanning::Original(Box::new(relation)));
            }
        };
        let mut values = Vec::with_capacity(rows.len());
        for row in rows {
            let exprs = row.content.iter().map(|expr| context.sql_to_expr(expr.clone(), &DFSchema::empty()));
            values.push(exprs.collect::<Result<Vec<_>>>()?);
        }
        let plan = LogicalPlanBuilder::values(values)?.build()?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}
