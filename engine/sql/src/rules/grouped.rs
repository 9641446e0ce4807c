//! Two clauses of grouped queries that DataFusion's planner refuses.
//!
//! HAVING makes a query grouped, also without GROUP BY or an aggregate in it: DataFusion 55 asks for one of them, so it gets an
//! aggregate that is always true. ORDER BY the place of a constant orders nothing: DataFusion looks for the constant among the
//! groups, so it is left out.

use std::ops::ControlFlow;

use datafusion::functions_aggregate::all_default_aggregate_functions;
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, Statement, Value, Visit, VisitMut,
    Visitor, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// Rewrites grouped queries in a statement.
pub(crate) fn rewrite(statement: &mut Statement) {
    let _ = statement.visit(&mut Grouped);
}

struct Grouped;

impl VisitorMut for Grouped {
    type Break = ();

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        having(&mut query.body);
        if let SetExpr::Select(select) = query.body.as_ref()
            && is_grouped(select)
            && let Some(order_by) = &mut query.order_by
            && let OrderByKind::Expressions(keys) = &mut order_by.kind
        {
            keys.retain(|key| !is_constant(key, &select.projection));
            if keys.is_empty() {
                query.order_by = None;
            }
        }
        ControlFlow::Continue(())
    }
}

fn has_groups(select: &Select) -> bool {
    match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(groups, modifiers) => !groups.is_empty() || !modifiers.is_empty(),
    }
}

fn is_grouped(select: &Select) -> bool {
    has_groups(select) || select.having.is_some() || select.projection.iter().any(has_aggregate)
}

fn having(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            if !has_groups(select)
                && !select.projection.iter().any(has_aggregate)
                && let Some(having) = select.having.take()
            {
                select.having = Some(match has_aggregate(&having) {
                    true => having,
                    false => with_aggregate(having),
                });
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            having(left);
            having(right);
        }
        _ => {}
    }
}

/// `condition AND count(*) >= 0`.
fn with_aggregate(condition: Expr) -> Expr {
    let always = Parser::new(&GenericDialect {}).try_with_sql("true AND count(*) >= 0");
    match always.and_then(|mut parser| parser.parse_expr()) {
        Ok(Expr::BinaryOp { op, right, .. }) => {
            Expr::BinaryOp { left: Box::new(Expr::Nested(Box::new(condition))), op, right }
        }
        _ => condition,
    }
}

/// Returns true if a key is the place of a constant in the SELECT list.
fn is_constant(key: &OrderByExpr, projection: &[SelectItem]) -> bool {
    let Expr::Value(value) = &key.expr else { return false };
    let Value::Number(place, _) = &value.value else { return false };
    let Some(before) = place.to_string().parse::<usize>().ok().and_then(|place| place.checked_sub(1)) else {
        return false;
    };
    // The places after a wildcard are not known here.
    let is_one = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
    match projection.get(before) {
        Some(SelectItem::UnnamedExpr(Expr::Value(_)) | SelectItem::ExprWithAlias { expr: Expr::Value(_), .. }) => {
            projection[..before].iter().all(is_one)
        }
        _ => false,
    }
}

/// Returns true if there is an aggregate of this query, not only of a query below it.
pub(super) fn has_aggregate(node: &impl Visit) -> bool {
    let mut aggregates = Aggregates { names: aggregate_names(), depth: 0 };
    node.visit(&mut aggregates).is_break()
}

fn aggregate_names() -> Vec<String> {
    let functions = all_default_aggregate_functions();
    functions.iter().flat_map(|f| std::iter::once(f.name().to_owned()).chain(f.aliases().iter().cloned())).collect()
}

struct Aggregates {
    names: Vec<String>,
    depth: usize,
}

impl Visitor for Aggregates {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function)
                if self.depth == 0
                    && function.over.is_none()
                    && self.names.iter().any(|name| function.name.to_string().eq_ignore_ascii_case(name)) =>
            {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}
