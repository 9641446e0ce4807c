//! `JOIN ... USING (id)`: `id` is one column, whatever stands around it.
//!
//! DataFusion 55 finds the merged column in a SELECT list. In WHERE, below `-` and in arguments it is ambiguous to it, or, in a
//! subquery, the column of that name of the outer query. Here such a name gets the qualifier that DataFusion takes in a SELECT
//! list, that of the first table. The values that the column has after RIGHT and FULL JOIN are those of [`super::merged`]; the
//! columns of the tables, which have their qualifier in the statement already, are marked for it.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, FunctionArg, FunctionArgExpr, GroupByExpr, Ident, JoinConstraint, JoinOperator, ObjectName,
    OrderByExpr, OrderByKind, Query, ReplaceSelectElement, ReplaceSelectItem, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Statement, TableFactor, TableWithJoins, VisitMut, VisitorMut,
};

use super::any::call_of;
use super::merged::OF_TABLE;
use crate::text::dialect::folded;
use ruvector_udfs::error::{Error, Result};

/// Qualifies the merged columns of a statement.
///
/// # Errors
/// `NotSupported` for `a.*` beside a RIGHT or FULL JOIN if the statement does not tell which columns of `a` it merges.
pub(crate) fn rewrite(statement: &mut Statement) -> Result<()> {
    match statement.visit(&mut Selects) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// The tables of a FROM, and what its joins merge.
#[derive(Default)]
struct Joined {
    /// Qualifiers of the tables; `None` for a table without a name.
    tables: Vec<Option<Vec<Ident>>>,
    /// Names of merged columns, and the column that DataFusion takes for each, where the statement tells.
    merged: Vec<(String, Option<Vec<Ident>>)>,
    /// Columns that are not the merged column of their name.
    apart: Vec<Apart>,
}

/// Columns of a table that RIGHT and FULL JOIN merge with others.
struct Apart {
    table: Vec<Ident>,
    /// `None` of a NATURAL join, which may merge any.
    name: Option<String>,
    /// True if the table is known to have the column.
    is_certain: bool,
}

impl Joined {
    fn of(tables: &TableWithJoins) -> Self {
        let mut joined = Self::of_factor(&tables.relation);
        for join in &tables.joins {
            joined.join(Self::of_factor(&join.relation), &join.join_operator);
        }
        joined
    }

    fn of_factor(factor: &TableFactor) -> Self {
        let table = match factor {
            TableFactor::NestedJoin { table_with_joins, alias: None } => return Self::of(table_with_joins),
            TableFactor::Table { alias: Some(alias), .. }
            | TableFactor::Derived { alias: Some(alias), .. }
            | TableFactor::TableFunction { alias: Some(alias), .. }
            | TableFactor::Function { alias: Some(alias), .. }
            | TableFactor::UNNEST { alias: Some(alias), .. }
            | TableFactor::NestedJoin { alias: Some(alias), .. } => Some(vec![alias.name.clone()]),
            TableFactor::Table { name, args: None, .. } => idents(name),
            _ => None,
        };
        Self { tables: vec![table], ..Self::default() }
    }

    fn join(&mut self, right: Self, operator: &JoinOperator) {
        let (constraint, left_is_partial) = match operator {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint) => (constraint, false),
            JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint)
            | JoinOperator::FullOuter(constraint) => (constraint, true),
            // The columns of one side only.
            JoinOperator::Semi(_) | JoinOperator::LeftSemi(_) | JoinOperator::Anti(_) | JoinOperator::LeftAnti(_) => {
                return;
            }
            JoinOperator::RightSemi(_) | JoinOperator::RightAnti(_) => return *self = right,
            _ => return self.add(right),
        };
        match constraint {
            JoinConstraint::Using(columns) => {
                for column in columns.iter().filter_map(|column| idents(column)?.pop()) {
                    self.merge(column, left_is_partial);
                }
            }
            JoinConstraint::Natural if left_is_partial => {
                let tables = self.tables.iter().flatten().cloned();
                self.apart.extend(tables.map(|table| Apart { table, name: None, is_certain: false }));
            }
            _ => {}
        }
        self.add(right);
    }

    fn merge(&mut self, column: Ident, left_is_partial: bool) {
        let name = folded(&column);
        let known = self.merged.iter().find(|(known, _)| *known == name).and_then(|(_, first)| first.clone());
        let first = match self.tables.as_slice() {
            _ if known.is_some() => known,
            [Some(table)] => Some(table.iter().cloned().chain([column]).collect()),
            _ => None,
        };
        if left_is_partial {
            let is_certain = first.is_some();
            let tables = match &first {
                Some(column) => vec![column[..column.len() - 1].to_vec()],
                None => self.tables.iter().flatten().cloned().collect(),
            };
            let name = Some(name.clone());
            self.apart.extend(tables.into_iter().map(|table| Apart { table, name: name.clone(), is_certain }));
        }
        if self.merged.iter().all(|(known, _)| *known != name) {
            self.merged.push((name, first));
        }
    }

    fn add(&mut self, other: Self) {
        self.tables.extend(other.tables);
        self.apart.extend(other.apart);
        for (name, column) in other.merged {
            if self.merged.iter().all(|(known, _)| *known != name) {
                self.merged.push((name, column));
            }
        }
    }

    /// Returns true if a column may be another than the merged column of its name.
    fn is_apart(&self, column: &[Ident]) -> bool {
        let Some((name, qualifier)) = column.split_last() else { return false };
        !qualifier.is_empty()
            && self.apart.iter().any(|apart| {
                apart.name.as_ref().is_none_or(|of| *of == folded(name)) && is_end(qualifier, &apart.table)
            })
    }
}

/// Returns true if a qualifier is the name of a table, or the end of it.
fn is_end(qualifier: &[Ident], table: &[Ident]) -> bool {
    qualifier.len() <= table.len()
        && qualifier.iter().rev().zip(table.iter().rev()).all(|(part, of)| folded(part) == folded(of))
}

fn idents(name: &ObjectName) -> Option<Vec<Ident>> {
    name.0.iter().map(|part| part.as_ident().cloned()).collect()
}

/// All SELECTs of a statement.
struct Selects;

impl VisitorMut for Selects {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        let Query { body, order_by, .. } = query;
        let keys = match order_by.as_mut().map(|order_by| &mut order_by.kind) {
            Some(OrderByKind::Expressions(keys)) => keys.as_mut_slice(),
            _ => &mut [],
        };
        match set_expr(body, keys) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

fn set_expr(body: &mut SetExpr, keys: &mut [OrderByExpr]) -> Result<()> {
    match body {
        SetExpr::Select(body) => select(body, keys),
        SetExpr::SetOperation { left, right, .. } => {
            set_expr(left, &mut [])?;
            set_expr(right, &mut [])
        }
        _ => Ok(()),
    }
}

fn select(select: &mut Select, keys: &mut [OrderByExpr]) -> Result<()> {
    let mut joined = Joined::default();
    select.from.iter().for_each(|tables| joined.add(Joined::of(tables)));
    if joined.merged.is_empty() && joined.apart.is_empty() {
        return Ok(());
    }
    let aliases: Vec<String> = select.projection.iter().filter_map(alias_of).collect();
    for item in &mut select.projection {
        projected(item, &joined)?;
    }
    select.from.iter_mut().for_each(|tables| conditions(tables, &joined));
    let Select { selection, group_by, having, qualify, prewhere, named_window, sort_by, distinct, .. } = select;
    let mut everywhere = Columns { joined: &joined, hidden: &[], depth: 0 };
    let _ = (selection, having, qualify).visit_all(&mut everywhere);
    let _ = (prewhere, named_window, distinct).visit_all(&mut everywhere);
    // Names of the answer come first in these.
    let mut behind = Columns { joined: &joined, hidden: &aliases, depth: 0 };
    if let GroupByExpr::Expressions(groups, modifiers) = group_by {
        let _ = (groups, modifiers, sort_by).visit_all(&mut behind);
    }
    for key in keys.iter_mut().filter(|key| !matches!(key.expr, Expr::Identifier(_))) {
        let _ = key.visit(&mut behind);
    }
    Ok(())
}

/// The conditions of joins.
fn conditions(tables: &mut TableWithJoins, joined: &Joined) {
    if let TableFactor::NestedJoin { table_with_joins, .. } = &mut tables.relation {
        conditions(table_with_joins, joined);
    }
    for join in &mut tables.joins {
        if let TableFactor::NestedJoin { table_with_joins, .. } = &mut join.relation {
            conditions(table_with_joins, joined);
        }
        if let Some(JoinConstraint::On(condition)) = constraint_of(&mut join.join_operator) {
            let _ = condition.visit(&mut Columns { joined, hidden: &[], depth: 0 });
        }
    }
}

fn constraint_of(operator: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint)
        | JoinOperator::Semi(constraint)
        | JoinOperator::LeftSemi(constraint)
        | JoinOperator::RightSemi(constraint)
        | JoinOperator::Anti(constraint)
        | JoinOperator::LeftAnti(constraint)
        | JoinOperator::RightAnti(constraint) => Some(constraint),
        _ => None,
    }
}

/// Visits some parts of a SELECT.
trait SelectParts {
    fn visit_all(self, columns: &mut Columns<'_>) -> ControlFlow<()>;
}

impl<A: VisitMut, B: VisitMut, C: VisitMut> SelectParts for (&mut A, &mut B, &mut C) {
    fn visit_all(self, columns: &mut Columns<'_>) -> ControlFlow<()> {
        self.0.visit(columns)?;
        self.1.visit(columns)?;
        self.2.visit(columns)
    }
}

fn alias_of(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        _ => None,
    }
}

fn projected(item: &mut SelectItem, joined: &Joined) -> Result<()> {
    let mut columns = Columns { joined, hidden: &[], depth: 0 };
    match item {
        // Under the name that it has.
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(column)) if joined.is_apart(column) => {
            let Some(alias) = column.last().cloned() else { return Ok(()) };
            let expr = of_table(Expr::CompoundIdentifier(std::mem::take(column)));
            *item = SelectItem::ExprWithAlias { expr, alias };
        }
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(table), options) => {
            let table = idents(table).unwrap_or_default();
            let mut items = options.opt_replace.take().map(|replace| replace.items).unwrap_or_default();
            for apart in joined.apart.iter().filter(|apart| is_end(&table, &apart.table)) {
                let Some(name) = apart.name.as_ref().filter(|_| apart.is_certain) else {
                    return Err(Error::not_supported(format!(
                        "{}.* beside a RIGHT or FULL JOIN that merges columns of several tables is not supported: write the \
                         columns",
                        ObjectName::from(table)
                    )));
                };
                let column_name = Ident::with_quote('"', name.clone());
                if items.iter().any(|item| item.column_name == column_name) {
                    continue;
                }
                let column = Expr::CompoundIdentifier(table.iter().cloned().chain([column_name.clone()]).collect());
                items.push(Box::new(ReplaceSelectElement { expr: of_table(column), column_name, as_keyword: true }));
            }
            options.opt_replace = (!items.is_empty()).then_some(ReplaceSelectItem { items });
        }
        item => {
            let _ = item.visit(&mut columns);
        }
    }
    Ok(())
}

fn of_table(column: Expr) -> Expr {
    call_of(OF_TABLE, vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(column))])
}

/// The columns of one SELECT, not those of the subqueries in it.
struct Columns<'a> {
    joined: &'a Joined,
    /// Names that mean something else here.
    hidden: &'a [String],
    /// The number of subqueries, lambdas and paths of fields around the expression.
    depth: usize,
}

impl Columns<'_> {
    fn is_scope(expr: &Expr) -> bool {
        match expr {
            Expr::Lambda(_) => true,
            Expr::CompoundFieldAccess { access_chain, .. } => {
                access_chain.iter().any(|access| matches!(access, AccessExpr::Dot(_)))
            }
            _ => false,
        }
    }
}

impl VisitorMut for Columns<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.depth += usize::from(Self::is_scope(expr));
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) if self.depth == 0 => {
                let name = folded(name);
                let of = self.joined.merged.iter().find(|(merged, _)| *merged == name && !self.hidden.contains(merged));
                if let Some((_, Some(column))) = of {
                    *expr = Expr::CompoundIdentifier(column.clone());
                }
            }
            // Below a subquery too: it refers to the table by its qualifier.
            Expr::CompoundIdentifier(column) if self.joined.is_apart(column) => *expr = of_table(expr.clone()),
            _ => self.depth -= usize::from(Self::is_scope(expr)),
        }
        ControlFlow::Continue(())
    }
}
