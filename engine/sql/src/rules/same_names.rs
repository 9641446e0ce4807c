//! `SELECT id, id`: columns of equal names.
//!
//! DataFusion 55 plans no projection in which two columns have the same name. A statement that it refuses for that is planned
//! again with aliases for such columns; the answer has the names that were written. In a subquery whose columns of one name
//! are different expressions, none keeps the name, so that a reference to it is an error. Its names leave casts out: of
//! `sum(x), sum(x::INT)` the second becomes `sum(coalesce(x::INT))`, which is the same sum.

use std::ops::ControlFlow;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query, Select, SelectItem, SetExpr,
    Statement, Values, VisitMut, VisitorMut,
};

use super::any::call_of;
use super::merged::unmarked_name;
use crate::text::dialect::folded;

/// Begins the aliases; a number follows, a colon, and the name that the statement gives, if it gives one.
const MARK: &str = "__same_";

/// The columns of a statement that get aliases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Columns that are written with equal names.
    Written,
    /// Also columns beside a `*`, which may stand for one of that name.
    BesideStars,
}

/// Returns true if a statement may have been refused for columns of equal names.
pub(crate) fn is_refusal(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::Plan(message) => message.contains("require unique expression names"),
        DataFusionError::SchemaError(error, _) => matches!(
            **error,
            SchemaError::DuplicateQualifiedField { .. }
                | SchemaError::DuplicateUnqualifiedField { .. }
                | SchemaError::AmbiguousReference { .. }
        ),
        _ => false,
    }
}

/// The statement with different names for its columns; `None` if no column gets another one.
pub(crate) fn distinguished(statement: &DfStatement, extent: Extent) -> Option<DfStatement> {
    let mut statement = statement.clone();
    let mut aliases = Aliases { extent, depth: 0, count: 0 };
    let inner = match &mut statement {
        DfStatement::Explain(explain) => explain.statement.as_mut(),
        other => other,
    };
    match inner {
        DfStatement::Statement(inner) if matches!(inner.as_ref(), Statement::Query(_) | Statement::Insert(_)) => {
            let _ = inner.visit(&mut aliases);
        }
        _ => return None,
    }
    (aliases.count > 0).then_some(statement)
}

/// The name of a column as the statement has it.
pub(crate) fn written_name(plan: &LogicalPlan, name: &str) -> String {
    let Some((_, given)) = name.strip_prefix(MARK).and_then(|rest| rest.split_once(':')) else {
        return unmarked_name(name);
    };
    if !given.is_empty() {
        return given.to_owned();
    }
    let mut found = None;
    // An error would be one of the closure, which has none.
    let _ = plan.apply_with_subqueries(|plan| {
        for expr in plan.expressions() {
            if let Expr::Alias(alias) = &expr
                && alias.name == name
                && !matches!(alias.expr.as_ref(), Expr::Column(column) if column.name == name)
            {
                found = Some(alias.expr.qualified_name().1);
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found.map_or_else(|| name.to_owned(), |found| unmarked_name(&found))
}

struct Aliases {
    extent: Extent,
    depth: usize,
    count: usize,
}

impl VisitorMut for Aliases {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        let mut calls = Calls::default();
        calls.of(query);
        calls.renames = true;
        calls.of(query);
        self.count += calls.count;
        self.set_expr(&mut query.body);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

impl Aliases {
    fn set_expr(&mut self, body: &mut SetExpr) {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::SetOperation { left, right, .. } => {
                self.set_expr(left);
                self.set_expr(right);
            }
            _ => {}
        }
    }

    fn select(&mut self, select: &mut Select) {
        let is_star = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
        let all = self.extent == Extent::BesideStars && select.projection.iter().any(is_star);
        let items = select.projection.clone();
        for (at, item) in items.iter().enumerate() {
            let same = |(other_at, other): &(usize, &SelectItem)| *other_at != at && have_same_name(item, other);
            let others: Vec<_> = items.iter().enumerate().filter(same).collect();
            let is_first = others.iter().all(|(other, _)| *other > at);
            let ambiguous = self.depth > 1 && others.iter().any(|(_, other)| !are_same(item, other));
            if all || (!others.is_empty() && (!is_first || ambiguous)) {
                self.alias(&mut select.projection[at]);
            }
        }
    }

    fn alias(&mut self, item: &mut SelectItem) {
        let (expr, given) = match item {
            SelectItem::UnnamedExpr(expr) => (expr, String::new()),
            SelectItem::ExprWithAlias { expr, alias } => (expr, folded(alias)),
            _ => return,
        };
        self.count += 1;
        let alias = Ident::with_quote('"', format!("{MARK}{}:{given}", self.count));
        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
    }
}

/// The calls in one query that differ in casts alone.
#[derive(Default)]
struct Calls {
    /// The calls, each without its casts and as it is.
    found: Vec<(String, String)>,
    /// True while calls get other names.
    renames: bool,
    /// The expressions that have begun, from a call that got another name on: the calls in it are as they were.
    renamed: usize,
    depth: usize,
    count: usize,
}

impl Calls {
    fn of(&mut self, query: &mut Query) {
        if let SetExpr::Select(select) = query.body.as_mut() {
            let _ = select.projection.visit(self);
            let _ = select.having.visit(self);
            let _ = select.qualify.visit(self);
            let _ = query.order_by.visit(self);
        }
    }
}

impl VisitorMut for Calls {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<()> {
        if self.renamed > 0 {
            self.renamed += 1;
            return ControlFlow::Continue(());
        }
        if self.depth > 0 || !matches!(expr, SqlExpr::Function(_)) {
            return ControlFlow::Continue(());
        }
        let (bare, whole) = (without_casts(expr).to_string().to_lowercase(), expr.to_string().to_lowercase());
        if !self.renames {
            if !self.found.iter().any(|(_, known)| *known == whole) {
                self.found.push((bare, whole));
            }
            return ControlFlow::Continue(());
        }
        let place = self.found.iter().filter(|(known, _)| *known == bare).position(|(_, known)| *known == whole);
        if let (Some(times), SqlExpr::Function(call)) = (place, expr)
            && let FunctionArguments::List(arguments) = &mut call.args
        {
            self.renamed = usize::from(times > 0);
            for _ in 0..times {
                for argument in &mut arguments.args {
                    if matches!(argument, FunctionArg::Unnamed(FunctionArgExpr::Expr(_))) {
                        self.count += 1;
                        *argument =
                            FunctionArg::Unnamed(FunctionArgExpr::Expr(call_of("coalesce", vec![argument.clone()])));
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _expr: &mut SqlExpr) -> ControlFlow<()> {
        self.renamed = self.renamed.saturating_sub(1);
        ControlFlow::Continue(())
    }
}

/// The name that a column gets, and the qualifier that tells it from others of that name.
fn name_of(item: &SelectItem) -> Option<(String, Option<String>)> {
    let expr = match item {
        SelectItem::ExprWithAlias { alias, .. } => return Some((folded(alias), None)),
        SelectItem::UnnamedExpr(expr) => without_casts(expr),
        _ => return None,
    };
    match &expr {
        SqlExpr::Identifier(ident) => Some((folded(ident), None)),
        SqlExpr::CompoundIdentifier(idents) => {
            let (name, qualifiers) = idents.split_last()?;
            Some((folded(name), Some(qualifiers.iter().map(folded).collect::<Vec<_>>().join("."))))
        }
        expr => Some((expr.to_string().to_lowercase(), None)),
    }
}

/// An expression without its casts and subqueries: DataFusion's names have none.
fn without_casts(expr: &SqlExpr) -> SqlExpr {
    struct Casts;

    impl VisitorMut for Casts {
        type Break = ();

        fn post_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<()> {
            match expr {
                SqlExpr::Cast { expr: inner, .. } => *expr = inner.as_ref().clone(),
                SqlExpr::Exists { subquery, .. } | SqlExpr::InSubquery { subquery, .. } => {
                    subquery.with = None;
                    subquery.order_by = None;
                    subquery.limit_clause = None;
                    *subquery.body =
                        SetExpr::Values(Values { explicit_row: false, value_keyword: false, rows: Vec::new() });
                }
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }

    let mut bare = expr.clone();
    let _ = bare.visit(&mut Casts);
    bare
}

fn have_same_name(a: &SelectItem, b: &SelectItem) -> bool {
    match (name_of(a), name_of(b)) {
        (Some((a, qualifier_a)), Some((b, qualifier_b))) => {
            a == b && (qualifier_a == qualifier_b || qualifier_a.is_none() || qualifier_b.is_none())
        }
        _ => false,
    }
}

/// Returns true if two columns of one name have the same values.
fn are_same(a: &SelectItem, b: &SelectItem) -> bool {
    let expr = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.to_string().to_lowercase()),
        _ => None,
    };
    expr(a) == expr(b)
}
