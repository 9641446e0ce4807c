//! `(a, b) IN (SELECT x, y ...)`.
//!
//! DataFusion 55 plans IN of a subquery for one column. Here the comparison of rows becomes EXISTS over the subquery, which is
//! TRUE where a row has equal values, and unknown where no row has but one would, were its NULLs known:
//!
//! ```text
//! TRUE      EXISTS (SELECT 1 FROM (subquery) AS r(x, y) WHERE r.x = a AND r.y = b)
//! unknown   else, if EXISTS (... WHERE (r.x = a) IS NOT FALSE AND (r.y = b) IS NOT FALSE)
//! FALSE     else
//! ```
//! A conjunct of WHERE asks for the first alone, and NOT IN for the second.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, Query, Select, SetExpr, Statement, TableFactor, VisitMut, VisitorMut,
    visit_expressions,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::grouped::has_aggregate;

/// Rewrites IN of rows in a statement.
pub(crate) fn rewrite(statement: &mut Statement) {
    let _ = statement.visit(&mut RowsIn::default());
}

#[derive(Default)]
struct RowsIn {
    count: usize,
}

impl VisitorMut for RowsIn {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.filters(&mut query.body);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(within) = Within::of(expr) {
            let mut value = parsed(match within.negated {
                false => "CASE WHEN 1 THEN true WHEN 2 THEN NULL ELSE false END",
                true => "CASE WHEN 1 THEN false WHEN 2 THEN NULL ELSE true END",
            });
            if let Expr::Case { conditions, .. } = &mut value {
                for (when, may_be) in conditions.iter_mut().zip([false, true]) {
                    when.condition = self.exists(&within, may_be);
                }
            }
            *expr = value;
        }
        ControlFlow::Continue(())
    }
}

/// `(a, b) [NOT] IN (subquery)`.
struct Within {
    values: Vec<Expr>,
    subquery: Query,
    negated: bool,
}

impl Within {
    fn of(expr: &Expr) -> Option<Self> {
        let Expr::InSubquery { expr, subquery, negated } = expr else { return None };
        let Expr::Tuple(values) = expr.as_ref() else { return None };
        // An aggregate would be one of the subquery.
        let is_call_of_groups = |expr: &Expr| has_aggregate(expr) || has_window(expr);
        if values.iter().any(is_call_of_groups) {
            return None;
        }
        Some(Self { values: values.clone(), subquery: subquery.as_ref().clone(), negated: *negated })
    }
}

fn has_window(expr: &Expr) -> bool {
    let found = visit_expressions(expr, |expr| match expr {
        Expr::Function(call) if call.over.is_some() => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

impl RowsIn {
    fn filters(&mut self, body: &mut SetExpr) {
        match body {
            SetExpr::Select(select) => {
                let Select { selection: Some(condition), .. } = select.as_mut() else { return };
                self.conjunct(condition);
            }
            SetExpr::SetOperation { left, right, .. } => {
                self.filters(left);
                self.filters(right);
            }
            _ => {}
        }
    }

    /// A condition of which only TRUE counts.
    fn conjunct(&mut self, condition: &mut Expr) {
        match condition {
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                self.conjunct(left);
                self.conjunct(right);
            }
            Expr::Nested(condition) => self.conjunct(condition),
            condition => {
                if let Some(within) = Within::of(condition) {
                    let mut exists = self.exists(&within, within.negated);
                    if let Expr::Exists { negated, .. } = &mut exists {
                        *negated = within.negated;
                    }
                    *condition = exists;
                }
            }
        }
    }

    /// The predicate that a row of the subquery has the values, or, with `may_be`, that a row has none that differs.
    fn exists(&mut self, within: &Within, may_be: bool) -> Expr {
        self.count += 1;
        let rows = format!("__rows_{}", self.count);
        let columns: Vec<String> = (0..within.values.len()).map(|at| format!("{rows}_{at}")).collect();
        let conditions = columns.iter().enumerate().map(|(at, column)| match may_be {
            true => format!("({rows}.{column} = {VALUE}{at}) IS NOT FALSE"),
            false => format!("{rows}.{column} = {VALUE}{at}"),
        });
        let conditions = conditions.collect::<Vec<_>>().join(" AND ");
        let mut exists =
            parsed(&format!("EXISTS (SELECT 1 FROM (SELECT 1) AS {rows}({}) WHERE {conditions})", columns.join(", ")));
        let _ = exists.visit(&mut Placeholders(within));
        exists
    }
}

/// Begins the names that stand for the values, in a template.
const VALUE: &str = "__value_";

/// Puts the values and the subquery in their places.
struct Placeholders<'a>(&'a Within);

impl VisitorMut for Placeholders<'_> {
    type Break = ();

    /// After the visit of the place: the subquery that is put there has tables of its own.
    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Derived { subquery, .. } = factor {
            **subquery = self.0.subquery.clone();
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Identifier(name) = &*expr else { return ControlFlow::Continue(()) };
        let place = name.value.strip_prefix(VALUE).and_then(|place| place.parse::<usize>().ok());
        if let Some(value) = place.and_then(|place| self.0.values.get(place)) {
            *expr = Expr::Nested(Box::new(value.clone()));
        }
        ControlFlow::Continue(())
    }
}

/// A template, which is right.
fn parsed(template: &str) -> Expr {
    let parsed = Parser::new(&GenericDialect {}).try_with_sql(template).and_then(|mut parser| parser.parse_expr());
    parsed.unwrap_or(Expr::Identifier(Ident::new("")))
}
