//! `x IN (SELECT ...)` is TRUE, FALSE or unknown: NULLs on either side make it unknown where nothing else decides.
//!
//! DataFusion 55 makes joins of these predicates, and gets NOT IN wrong for a constant on the left
//! (apache/datafusion#25340) and for correlated subqueries (#25347, #25480, #25336); inside OR, NOT and CASE an unknown IN is
//! FALSE to it. EXISTS has two values only, so here IN becomes EXISTS wherever the third value can matter:
//!
//! ```text
//! TRUE      EXISTS (rows y of the subquery WHERE y = x)
//! unknown   else, if EXISTS (rows WHERE y IS NULL), or x IS NULL AND EXISTS (rows)
//! FALSE     else
//! ```
//! The parts about NULL are left out where types rule NULL out. A filter keeps rows for which it is TRUE, so there
//! `x IN (...)` stays, and is a semi join; so does `column NOT IN (...)` over a subquery that stands alone, for which
//! DataFusion has a hash join of its own.
//!
//! A correlated subquery that is an aggregate without GROUP BY has a row for every row outside, which DataFusion's joins
//! do not know (the count bug): its value is compared instead. Shapes that would be joined wrongly are `NotSupported`.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, not_impl_err};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::utils::{conjunction, disjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, FetchType, Filter, LogicalPlan, LogicalPlanBuilder, Operator, SkipType, Subquery,
    lit, not, when,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::scalar::ScalarValue;

use super::subquery::{exists, filtered, has_subquery, named, outer, subquery, value_of};

/// Gives IN and EXISTS of a subquery the value that SQL says.
#[derive(Debug)]
pub(crate) struct ThreeValued;

impl AnalyzerRule for ThreeValued {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_down_with_subqueries(rewrite).map(|rewritten| rewritten.data)
    }

    fn name(&self) -> &str {
        "three_valued_in"
    }
}

fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Filter(filter) if has_subquery(&filter.predicate) => {
            let schema = Arc::clone(filter.input.schema());
            let known = known(filter.predicate)?;
            let conjuncts = split_conjunction_owned(known).into_iter().map(|conjunct| is_true(conjunct, &schema, true));
            let Some(predicate) = conjunction(conjuncts.collect::<Result<Vec<_>>>()?) else {
                return not_impl_err!("a filter of nothing");
            };
            Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?)))
        }
        LogicalPlan::Projection(_) => {
            let LogicalPlan::Projection(projection) = &plan else { return Ok(Transformed::no(plan)) };
            if !projection.expr.iter().any(has_subquery) {
                return Ok(Transformed::no(plan));
            }
            let schema = Arc::clone(projection.input.schema());
            plan.map_expressions(|expr| {
                let name = expr.qualified_name();
                let valued = value(known(expr)?, &schema)?;
                Ok(Transformed::yes(named(valued, name)))
            })
        }
        other => Ok(Transformed::no(other)),
    }
}

/// The expression with every subquery in a form that DataFusion's joins take the right way, and `= ANY` as IN.
fn known(expr: Expr) -> Result<Expr> {
    let known = expr.transform_up(|expr| match expr {
        Expr::SetComparison(SetComparison { expr, subquery, op: Operator::Eq, quantifier: SetQuantifier::Any }) => {
            in_one_row(InSubquery { expr, subquery, negated: false }).map(Transformed::yes)
        }
        Expr::SetComparison(SetComparison { expr, subquery, op: Operator::NotEq, quantifier: SetQuantifier::All }) => {
            in_one_row(InSubquery { expr, subquery, negated: true }).map(Transformed::yes)
        }
        Expr::SetComparison(comparison) => {
            check(&comparison.subquery, "ANY or ALL")?;
            Ok(Transformed::no(Expr::SetComparison(comparison)))
        }
        Expr::InSubquery(within) => in_one_row(within).map(Transformed::yes),
        Expr::Exists(exists) => exists_of_one_row(exists).map(Transformed::yes),
        other => Ok(Transformed::no(other)),
    });
    known.map(|known| known.data)
}

/// The parts of a correlated subquery that ends in an aggregate without GROUP BY.
struct OneRow {
    /// The subquery without its HAVING.
    row: LogicalPlan,
    /// The condition of HAVING on the row, as a plan of one column.
    having: Option<LogicalPlan>,
}

/// The subquery as one row, if it is an aggregate without GROUP BY, under projections and perhaps a HAVING.
fn one_row(plan: &LogicalPlan) -> Result<Option<OneRow>> {
    Ok(match plan {
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => {
            Some(OneRow { row: plan.clone(), having: None })
        }
        LogicalPlan::Filter(filter) => match filter.input.as_ref() {
            LogicalPlan::Aggregate(aggregate)
                if aggregate.group_expr.is_empty() && !filter.predicate.contains_outer() =>
            {
                let having = LogicalPlanBuilder::from(Arc::clone(&filter.input))
                    .project([filter.predicate.clone().alias("__having")])?
                    .build()?;
                Some(OneRow { row: filter.input.as_ref().clone(), having: Some(having) })
            }
            _ => None,
        },
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Distinct(_) => {
            let [input] = plan.inputs()[..] else { return Ok(None) };
            match one_row(input)? {
                Some(OneRow { row, having }) => {
                    Some(OneRow { row: plan.with_new_exprs(plan.expressions(), vec![row])?, having })
                }
                None => None,
            }
        }
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => one_row(&sort.input)?,
        LogicalPlan::Limit(limit) => match (limit.get_skip_type()?, limit.get_fetch_type()?) {
            (SkipType::Literal(0), FetchType::Literal(None | Some(1..))) => one_row(&limit.input)?,
            _ => None,
        },
        _ => None,
    })
}

/// The predicate that HAVING keeps the row.
fn kept(having: LogicalPlan) -> Expr {
    Expr::IsTrue(Box::new(Expr::ScalarSubquery(subquery(having))))
}

fn in_one_row(within: InSubquery) -> Result<Expr> {
    if within.subquery.outer_ref_columns.is_empty() {
        return Ok(Expr::InSubquery(within));
    }
    let Some(OneRow { row, having }) = one_row(&within.subquery.subquery)? else {
        check(&within.subquery, "IN")?;
        return Ok(Expr::InSubquery(within));
    };
    let equal = within.expr.as_ref().clone().eq(Expr::ScalarSubquery(subquery(row)));
    let found = match having {
        None => equal,
        Some(having) => when(kept(having), equal).otherwise(lit(false))?,
    };
    Ok(if within.negated { not(found) } else { found })
}

fn exists_of_one_row(exists: Exists) -> Result<Expr> {
    if exists.subquery.outer_ref_columns.is_empty() {
        return Ok(Expr::Exists(exists));
    }
    if let LogicalPlan::Limit(limit) = exists.subquery.subquery.as_ref()
        && matches!(limit.get_fetch_type()?, FetchType::Literal(Some(0)))
    {
        return Ok(lit(exists.negated));
    }
    let found = match one_row(&exists.subquery.subquery)? {
        Some(OneRow { having: None, .. }) => lit(true),
        Some(OneRow { having: Some(having), .. }) => kept(having),
        None => {
            check(&exists.subquery, "EXISTS")?;
            return Ok(Expr::Exists(exists));
        }
    };
    Ok(if exists.negated { not(found) } else { found })
}

/// Checks that a correlated subquery means the same once its condition on the outer query is that of a join.
fn check(subquery: &Subquery, what: &str) -> Result<()> {
    if subquery.outer_ref_columns.is_empty() {
        return Ok(());
    }
    let mut top = subquery.subquery.as_ref();
    // The rows of EXISTS are not looked at, only whether there is one.
    let is_exists = what == "EXISTS";
    loop {
        top = match top {
            _ if !is_exists => break,
            LogicalPlan::Projection(projection) => &projection.input,
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            LogicalPlan::Limit(limit)
                if matches!(limit.get_skip_type()?, SkipType::Literal(0))
                    && matches!(limit.get_fetch_type()?, FetchType::Literal(None | Some(1..))) =>
            {
                &limit.input
            }
            _ => break,
        };
    }
    top.apply(|plan| {
        let wrong = match plan {
            LogicalPlan::Limit(_) => "LIMIT or OFFSET",
            LogicalPlan::Sort(sort) if sort.fetch.is_some() => "LIMIT",
            LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => "an aggregate without GROUP BY",
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        match plan.all_out_ref_exprs().is_empty() {
            true => Ok(TreeNodeRecursion::Continue),
            false => not_impl_err!(
                "{what} over a subquery in which {wrong} is over rows that refer to the outer query: write it as a join"
            ),
        }
    })?;
    Ok(())
}

/// A predicate that is TRUE for the same rows, and has no unknown IN. `at_top` says whether it is a conjunct of a filter.
fn is_true(predicate: Expr, schema: &DFSchema, at_top: bool) -> Result<Expr> {
    if !has_subquery(&predicate) {
        return Ok(predicate);
    }
    match predicate {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let at_top = at_top && op == Operator::And;
            let (left, right) = (is_true(*left, schema, at_top)?, is_true(*right, schema, at_top)?);
            Ok(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right))))
        }
        Expr::Not(negated) => is_false(*negated, schema, at_top),
        Expr::InSubquery(within) if within.negated => is_not_in(within, schema, at_top),
        Expr::InSubquery(within) => Ok(Expr::InSubquery(within)),
        other => value(other, schema),
    }
}

/// A predicate that is TRUE for the rows for which `predicate` is FALSE.
fn is_false(predicate: Expr, schema: &DFSchema, at_top: bool) -> Result<Expr> {
    match predicate {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let other = if op == Operator::And { Operator::Or } else { Operator::And };
            let at_top = at_top && op == Operator::Or;
            let (left, right) = (is_false(*left, schema, at_top)?, is_false(*right, schema, at_top)?);
            Ok(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), other, Box::new(right))))
        }
        Expr::Not(twice) => is_true(*twice, schema, at_top),
        Expr::InSubquery(within) if within.negated => Ok(Expr::InSubquery(InSubquery { negated: false, ..within })),
        Expr::InSubquery(within) => is_not_in(within, schema, at_top),
        other => Ok(not(value(other, schema)?)),
    }
}

/// A predicate that is TRUE for the rows for which `x NOT IN (...)` is.
fn is_not_in(within: InSubquery, schema: &DFSchema, at_top: bool) -> Result<Expr> {
    let parts = InPredicates::of(&within, schema)?;
    let alone = within.subquery.outer_ref_columns.is_empty();
    if alone && (parts.unknown.is_none() || (at_top && is_column(&within.expr))) {
        return Ok(Expr::InSubquery(InSubquery { negated: true, ..within }));
    }
    let found = not(parts.found);
    Ok(match parts.unknown {
        Some(unknown) => found.and(not(unknown)),
        None => found,
    })
}

fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) => true,
        Expr::Cast(cast) => is_column(&cast.expr),
        _ => false,
    }
}

/// The expression with the value of each IN spelled out.
fn value(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let valued = expr.transform_up(|expr| match expr {
        Expr::InSubquery(within) => {
            let parts = InPredicates::of(&within, schema)?;
            let found = match parts.unknown {
                None => return Ok(Transformed::no(Expr::InSubquery(within))),
                Some(unknown) => when(parts.found, lit(true))
                    .when(unknown, Expr::Literal(ScalarValue::Boolean(None), None))
                    .otherwise(lit(false))?,
            };
            Ok(Transformed::yes(if within.negated { not(found) } else { found }))
        }
        other => Ok(Transformed::no(other)),
    });
    valued.map(|valued| valued.data)
}

/// The predicates that `x IN (...)` is TRUE, and that it is unknown if it is not TRUE.
struct InPredicates {
    found: Expr,
    /// `None` if it never is.
    unknown: Option<Expr>,
}

impl InPredicates {
    fn of(within: &InSubquery, schema: &DFSchema) -> Result<Self> {
        if within.expr.contains_outer() || has_subquery(&within.expr) {
            return not_impl_err!(
                "IN (SELECT ...) of {}, which is of another query, where NULL decides: select it as a column first",
                within.expr
            );
        }
        let (plan, x) = (within.subquery.subquery.as_ref(), within.expr.as_ref());
        let y = value_of(plan);
        let mut unknown = Vec::new();
        if plan.schema().field(0).is_nullable() {
            unknown.push(exists(filtered(plan, y.clone().is_null())?)?);
        }
        if x.nullable(schema)? {
            unknown.push(x.clone().is_null().and(exists(plan.clone())?));
        }
        let found = exists(filtered(plan, y.eq(outer(x, schema)?))?)?;
        Ok(Self { found, unknown: disjunction(unknown) })
    }
}
