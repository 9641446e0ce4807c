//! `SELECT s + 1 AS s, unnest(l)`: a column that has the name of a column of the input.
//!
//! DataFusion 55 puts the columns beside `unnest()` into one projection with the columns of the input that they read, and keeps
//! one of each name: of `s + 1 AS s` it keeps the `s` of the input. It computes an expression with an `unnest()` in it after
//! that projection. So such a column becomes `CASE WHEN unnest(l) IS NULL OR true THEN s + 1 END`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectNamePart, Query,
    Select, SelectItem, SetExpr, Statement, Value, Visit, VisitMut, Visitor, VisitorMut,
};

use crate::limits::plan_size::has_subquery;
use crate::text::dialect::folded;
use ruvector_udfs::error::{Error, Result};

/// Expressions in copies of `unnest()` calls, at most. A bound: a list of so many elements is copied once.
const COPIES_MAX: usize = 65_536;
/// The same for calls with a subquery. A bound: the planner visits the subqueries within each other more than once.
const COPIES_OF_SUBQUERIES_MAX: usize = 1_000;

/// Rewrites columns beside `unnest()` in a statement.
///
/// # Errors
/// `NotSupported` if such a column stands beside `unnest()` of a large subquery or a very long list, which are not copied.
pub(crate) fn rewrite(statement: &mut Statement) -> Result<()> {
    match statement.visit(&mut Queries) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(name) => Err(Error::not_supported(format!(
            "column \"{name}\" beside unnest() of a large subquery or list: expected a name that no column of the input has"
        ))),
    }
}

struct Queries;

impl VisitorMut for Queries {
    type Break = String;

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
        body(&mut query.body)
    }
}

fn body(expr: &mut SetExpr) -> ControlFlow<String> {
    match expr {
        SetExpr::Select(list) => select(list),
        SetExpr::SetOperation { left, right, .. } => {
            body(left)?;
            body(right)
        }
        _ => ControlFlow::Continue(()),
    }
}

fn select(select: &mut Select) -> ControlFlow<String> {
    let mut reads = Reads::default();
    for item in &select.projection {
        reads.is_root = true;
        let _ = item.visit(&mut reads);
    }
    let Some(unnest) = reads.certain.or(reads.possible) else { return ControlFlow::Continue(()) };
    let copies_max = if has_subquery(&unnest) { COPIES_OF_SUBQUERIES_MAX } else { COPIES_MAX };
    let mut copies: usize = 0;
    for item in &mut select.projection {
        let SelectItem::ExprWithAlias { expr, alias } = item else { continue };
        let name = folded(alias);
        if !reads.names.contains(&name)
            || matches!(expr, Expr::Identifier(ident) if folded(ident) == name)
            || unnests(expr)
        {
            continue;
        }
        if matches!(expr, Expr::CompoundIdentifier(idents) if idents.last().map(folded).as_ref() == Some(&name)) {
            *item = SelectItem::UnnamedExpr(expr.clone());
            continue;
        }
        copies = copies.saturating_add(reads.parts);
        if copies > copies_max {
            return ControlFlow::Break(name);
        }
        *expr = beside(&unnest, expr.clone());
    }
    ControlFlow::Continue(())
}

/// `CASE WHEN unnest IS NULL OR true THEN expr END`.
fn beside(unnest: &Expr, expr: Expr) -> Expr {
    let condition = Expr::BinaryOp {
        left: Box::new(Expr::IsNull(Box::new(unnest.clone()))),
        op: BinaryOperator::Or,
        right: Box::new(Expr::value(Value::Boolean(true))),
    };
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition, result: expr }],
        else_result: None,
    }
}

fn is_unnest(expr: &Expr) -> bool {
    match expr {
        Expr::Function(call) => match call.name.0.as_slice() {
            [ObjectNamePart::Identifier(name)] => folded(name) == "unnest",
            _ => false,
        },
        _ => false,
    }
}

fn unnests(expr: &Expr) -> bool {
    let mut reads = Reads::default();
    let _ = expr.visit(&mut reads);
    reads.certain.or(reads.possible).is_some()
}

/// The calls of `unnest()` and the columns that the SELECT list of one query reads, and not those below it.
#[derive(Default)]
struct Reads {
    /// A call for a list: only that of a list can be a part of an expression. One without a subquery is preferred.
    certain: Option<Expr>,
    /// A call for a list or a struct.
    possible: Option<Expr>,
    /// The expressions in all calls.
    parts: usize,
    /// The names of the columns outside of the calls.
    names: Vec<String>,
    /// True if the next expression is a whole column.
    is_root: bool,
    queries: usize,
    /// The expressions that have begun, from an outermost call on.
    within: usize,
}

impl Visitor for Reads {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let is_root = std::mem::take(&mut self.is_root);
        if self.within > 0 {
            self.within += 1;
            self.parts += 1;
            return ControlFlow::Continue(());
        }
        if self.queries > 0 {
            return ControlFlow::Continue(());
        }
        match expr {
            Expr::Identifier(ident) => self.names.push(folded(ident)),
            Expr::CompoundIdentifier(idents) => self.names.extend(idents.last().map(folded)),
            expr if is_unnest(expr) => {
                (self.within, self.parts) = (1, self.parts + 1);
                let found = match !is_root || is_of_array(expr) {
                    true => &mut self.certain,
                    false => &mut self.possible,
                };
                if found.as_ref().is_none_or(|found| has_subquery(found) && !has_subquery(expr)) {
                    *found = Some(expr.clone());
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _expr: &Expr) -> ControlFlow<()> {
        self.within = self.within.saturating_sub(1);
        ControlFlow::Continue(())
    }
}

/// Returns true if the argument of a call is written as an array.
fn is_of_array(expr: &Expr) -> bool {
    let Expr::Function(Function { args: FunctionArguments::List(arguments), .. }) = expr else { return false };
    matches!(arguments.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Array(_)))])
}
