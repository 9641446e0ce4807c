//! Bounds on the size of a statement's plan, found on its tree before it is planned.
//!
//! A common table is planned once and copied for each reference, so common tables that each name the one before twice are a plan of
//! 2^n scans. Some operators copy their operands ([`copies`]), and again where one is within another. CUBE of n expressions is 2^n
//! sets. The depth of a tree is bounded by [`crate::text::nesting`]; conditions that move down a plan by [`moved`].

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, NamedWindowDefinition, ObjectName, Query, Select, SelectItem, Statement, Visit, Visitor,
};

use crate::text::dialect::folded;
use ruvector_udfs::error::{Error, Result};

mod copies;
pub(crate) mod moved;

/// Queries and tables of a plan, copies included, at most. A bound: a statement itself has at most 1,000.
const RELATIONS_MAX: u64 = 10_000;
/// Visits of queries and tables by one pass of the planner, at most. A bound: 100,000 are a second in a release build.
const VISITS_MAX: u64 = 100_000;
/// Copies of expressions within copies, at most. A bound: so many take a second in a release build.
const COPIES_MAX: u64 = 65_536;
/// Copies of one expression from which on they count. A bound: they are not within many others.
const COPIES_FEW: u64 = 32;
/// Expressions in all grouping sets of a query, at most. A bound: CUBE of 13 has 106,496.
const GROUPED_MAX: u64 = 131_072;

/// Checks the plan that a statement would have.
///
/// # Errors
/// `InvalidInput` that names the limit.
pub(crate) fn check(statement: &Statement) -> Result<()> {
    let mut sizes = Sizes { open: vec![Size::default()], copies: vec![1], ..Sizes::default() };
    match statement.visit(&mut sizes) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(message) => Err(Error::invalid_input(message)),
    }
}

/// The size of a part of a plan.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    /// Queries and tables, copies included.
    relations: u64,
    /// Visits of them in one pass. DataFusion 55 checks a plan in passes that visit a subquery twice, and those below it too.
    visits: u64,
    /// Visits of the text by the resolution of names, which visits a common table and those in it twice.
    resolved: u64,
}

impl Size {
    const RELATION: Self = Self { relations: 1, visits: 1, resolved: 1 };

    fn plus(self, other: Self) -> Self {
        Self {
            relations: self.relations.saturating_add(other.relations),
            visits: self.visits.saturating_add(other.visits),
            resolved: self.resolved.saturating_add(other.resolved),
        }
    }

    fn times(self, factor: Factor) -> Self {
        Self {
            relations: self.relations.saturating_mul(factor.copies),
            visits: self.visits.saturating_mul(factor.visits),
            resolved: self.resolved,
        }
    }
}

/// The factor of the size of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Factor {
    copies: u64,
    visits: u64,
}

impl Factor {
    const fn copies(copies: u64) -> Self {
        Self { copies, visits: copies }
    }

    fn times(self, other: Self) -> Self {
        Self { copies: self.copies * other.copies, visits: self.visits * other.visits }
    }
}

/// Counts relations from the inner queries to the outer ones, and copies of expressions from the outer ones to the inner ones.
#[derive(Default)]
struct Sizes {
    /// The names of the common tables that the queries around define, by their query.
    common: HashMap<*const Query, String>,
    /// The size of each common table that is complete; the largest one of a name.
    of_common: HashMap<String, Size>,
    /// The sizes of the statement, and of the queries and expressions with a factor that have begun.
    open: Vec<Size>,
    /// The factors of expressions that follow.
    factors: HashMap<*const Expr, Factor>,
    /// The expressions with a factor that have begun.
    begun: Vec<(*const Expr, Factor)>,
    /// The copies of an expression that begins: for each one that has begun, the product of the factors around it.
    copies: Vec<u64>,
    /// Copies of expressions within copies.
    copied: u64,
    /// The SELECTs that have begun.
    selects: Vec<Named>,
}

/// The columns of a SELECT that have a name, which HAVING and QUALIFY copy.
#[derive(Default)]
struct Named {
    items: HashMap<*const Expr, String>,
    sizes: HashMap<String, Size>,
}

impl Sizes {
    /// Adds to the innermost part that has begun.
    fn add(&mut self, size: Size) -> ControlFlow<String> {
        let Some(open) = self.open.last_mut() else { return ControlFlow::Continue(()) };
        *open = open.plus(size);
        if open.relations > RELATIONS_MAX {
            return ControlFlow::Break(format!(
                "expected at most {RELATIONS_MAX} queries and tables with the copies of common tables and of subqueries, got more"
            ));
        }
        match open.visits.max(open.resolved) > VISITS_MAX {
            true => ControlFlow::Break(format!(
                "expected at most {VISITS_MAX} visits of queries and tables, two for each subquery or common table around them, \
                 got more"
            )),
            false => ControlFlow::Continue(()),
        }
    }

    /// Counts the copies of an expression that begins.
    fn copy(&mut self) -> ControlFlow<String> {
        let copies = self.copies.last().copied().unwrap_or(1);
        if copies >= COPIES_FEW {
            self.copied = self.copied.saturating_add(copies);
        }
        match self.copied > COPIES_MAX {
            true => ControlFlow::Break(format!(
                "expected at most {COPIES_MAX} copies of expressions for CASE, BETWEEN, coalesce() and others that are within \
                 each other, got more"
            )),
            false => ControlFlow::Continue(()),
        }
    }
}

impl Visitor for Sizes {
    type Break = String;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<String> {
        for table in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.common.insert(std::ptr::from_ref(table.query.as_ref()), table.alias.name.value.to_lowercase());
        }
        self.open.push(Size::RELATION);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<String> {
        let size = self.open.pop().unwrap_or_default();
        match self.common.remove(&std::ptr::from_ref(query)) {
            Some(name) => {
                let known = self.of_common.entry(name).or_default();
                known.relations = size.relations.max(known.relations);
                known.visits = size.visits.max(known.visits);
                known.resolved = 1;
                self.add(Size { resolved: size.resolved.saturating_mul(2), ..Size::default() })
            }
            None => self.add(size),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<String> {
        check_grouping_sets(&select.group_by)?;
        check_windows(&select.named_window)?;
        if let Some(condition) = &select.selection {
            copies::of_condition(condition, &mut self.factors);
        }
        let items = select.projection.iter().filter_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } => Some((std::ptr::from_ref(expr), folded(alias))),
            _ => None,
        });
        let items: HashMap<_, _> = items.collect();
        for item in items.keys() {
            // Its size is found by itself.
            self.factors.entry(*item).or_insert(Factor::copies(1));
        }
        self.selects.push(Named { items, sizes: HashMap::new() });
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _select: &Select) -> ControlFlow<String> {
        self.selects.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<String> {
        let place = std::ptr::from_ref(expr);
        let given = self.factors.remove(&place);
        let own = copies::of(expr, given == Some(copies::FILTER), &mut self.factors);
        let factor = match (given, own) {
            (Some(given), Some(own)) => Some(given.times(own)),
            (given, own) => given.or(own),
        };
        if let Some(factor) = factor {
            let around = self.copies.last().copied().unwrap_or(1);
            self.begun.push((place, factor));
            self.copies.push(around.saturating_mul(factor.copies));
            self.open.push(Size::default());
        }
        if let (Expr::Identifier(ident), Some(select)) = (expr, self.selects.last())
            && let Some(size) = select.sizes.get(&folded(ident)).copied()
        {
            self.add(size)?;
        }
        self.copy()
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<String> {
        let place = std::ptr::from_ref(expr);
        let Some((_, factor)) = self.begun.pop_if(|(begun, _)| *begun == place) else {
            return ControlFlow::Continue(());
        };
        self.copies.pop();
        let size = self.open.pop().unwrap_or_default().times(factor);
        if let Some(select) = self.selects.last_mut()
            && let Some(name) = select.items.remove(&place)
            && size.relations > 0
        {
            select.sizes.insert(name, size);
        }
        self.add(size)
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<String> {
        let common = match relation.0.as_slice() {
            [name] => name.as_ident().and_then(|name| self.of_common.get(&name.value.to_lowercase())),
            _ => None,
        };
        let size = common.copied().unwrap_or(Size::RELATION);
        self.add(size)
    }
}

/// Named windows are planned once more for each use: one with a subquery, within another, would be planned k^n times.
fn check_windows(windows: &[NamedWindowDefinition]) -> ControlFlow<String> {
    match windows.iter().any(has_subquery) {
        true => ControlFlow::Break("WINDOW: expected no subquery in a named window: write it after OVER".to_owned()),
        false => ControlFlow::Continue(()),
    }
}

/// Returns true if there is a query in a part of a statement.
pub(crate) fn has_subquery(part: &impl Visit) -> bool {
    struct Subqueries;

    impl Visitor for Subqueries {
        type Break = ();

        fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }

    part.visit(&mut Subqueries).is_break()
}

fn check_grouping_sets(group_by: &GroupByExpr) -> ControlFlow<String> {
    let GroupByExpr::Expressions(groups, _) = group_by else { return ControlFlow::Continue(()) };
    let (mut sets, mut expressions) = (1_u64, 0_u64);
    for group in groups {
        let (factor, items) = match group {
            Expr::Cube(items) => {
                let elements = u32::try_from(items.len()).unwrap_or(u32::MAX);
                (2_u64.saturating_pow(elements), items)
            }
            Expr::Rollup(items) => (items.len() as u64 + 1, items),
            Expr::GroupingSets(items) => (items.len() as u64, items),
            _ => {
                expressions += 1;
                continue;
            }
        };
        sets = sets.saturating_mul(factor);
        expressions += items.iter().map(|item| item.len() as u64).sum::<u64>();
    }
    let grouped = sets.saturating_mul(expressions);
    match sets > 1 && grouped > GROUPED_MAX {
        true => ControlFlow::Break(format!(
            "GROUP BY: expected at most {GROUPED_MAX} expressions in all grouping sets, got {grouped}"
        )),
        false => ControlFlow::Continue(()),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::{DuckDbDialect, GenericDialect};
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn checked(sql: &str) -> Result<()> {
        let parser = Parser::new(&GenericDialect {}).with_recursion_limit(1_000);
        check(&parser.try_with_sql(sql).unwrap().parse_statement().unwrap())
    }

    fn doubling(levels: usize) -> String {
        let tables: Vec<_> =
            (1..levels).map(|i| format!("a{i} AS (SELECT a.x FROM a{} a, A{} b)", i - 1, i - 1)).collect();
        format!("WITH a0 AS (SELECT 1 AS x), {} SELECT count(*) FROM a{}", tables.join(", "), levels - 1)
    }

    #[test]
    fn copies_of_common_tables_are_counted() {
        checked(&doubling(10)).unwrap();
        for sql in [doubling(26), doubling(400), format!("SELECT * FROM ({}) AS x", doubling(20))] {
            let error = checked(&sql).unwrap_err().to_string();
            assert!(error.contains("common tables"), "{error}");
        }
        let chain: Vec<_> = (1..300).map(|i| format!("a{i} AS (SELECT x FROM a{})", i - 1)).collect();
        checked(&format!("WITH a0 AS (SELECT 1 AS x), {} SELECT * FROM a299", chain.join(", "))).unwrap();
        let inner = |levels| {
            (0..levels).fold("SELECT 1".to_owned(), |sql, i| format!("WITH a{i} AS ({sql}) SELECT * FROM a{i}"))
        };
        checked(&inner(10)).unwrap();
        checked(&inner(18)).unwrap_err();
        // A table of the same name is another one.
        checked(&format!("SELECT * FROM main.a9, ({}) AS x", doubling(10))).unwrap();
    }

    #[test]
    fn copies_of_subqueries_are_counted() {
        let case = |condition: &str| format!("SELECT CASE WHEN {condition} THEN 1 ELSE 2 END FROM t");
        for (around, levels_max) in [
            ("SELECT (@) + 1", 15),
            ("SELECT a FROM t WHERE a IN (@) AND b = 1", 14),
            ("SELECT a FROM t WHERE NOT a IN (@)", 14),
            ("SELECT a FROM t WHERE a = 0 OR a NOT IN (@)", 4),
            ("SELECT a IN (@) AS a FROM t", 4),
            (case("EXISTS (@)").as_str(), 6),
            (case("(@) BETWEEN 0 AND 3").as_str(), 4),
            (case("((1, 2) IN (SELECT x, 2 FROM (@) q)) IS NULL").as_str(), 3),
            ("SELECT a FROM t WHERE a >= ALL (@)", 5),
            ("SELECT a FROM t WHERE a <> ANY (@)", 5),
            ("SELECT max(a) + (@) AS x FROM t HAVING x + x + x > 0", 4),
        ] {
            let nested = |levels| (0..levels).fold("SELECT 1".to_owned(), |sql: String, _| around.replace('@', &sql));
            checked(&nested(levels_max)).unwrap_or_else(|e| panic!("{around}: {e}"));
            assert!(checked(&nested(levels_max + 2)).is_err(), "{around}");
            assert!(checked(&format!("DELETE FROM t WHERE a IN ({})", nested(levels_max + 2))).is_err(), "{around}");
        }
        let window = checked("SELECT sum(1) OVER w FROM t WINDOW w AS (ORDER BY (SELECT 1))").unwrap_err().to_string();
        assert!(window.contains("expected no subquery in a named window"), "{window}");
        checked("SELECT sum(1) OVER w FROM t WINDOW w AS (ORDER BY a)").unwrap();
    }

    #[test]
    fn copies_of_expressions_are_counted() {
        for around in [
            "coalesce(@, 1)",
            "\"coalesce\"(@, 1)",
            "Nvl(@, 1)",
            "length(concat_ws(',', @, 'b'))",
            "map('k', @)",
            "abs(CASE WHEN a > 0 THEN @ END)",
            "CASE WHEN @ BETWEEN 1 AND 2 THEN 1 ELSE 2 END",
            "CASE WHEN @ THEN b ELSE c END",
            "CASE WHEN @ = ALL([1, 2]) THEN 1 ELSE 2 END",
            "CASE WHEN 1 < ANY([@, 2]) THEN 1 ELSE 2 END",
            "CASE WHEN floor(@) = 1 THEN 1 ELSE 2 END",
            "CASE WHEN floor(@) IS DISTINCT FROM 1 THEN 1 ELSE 2 END",
            "CASE WHEN date_part('year', @) IN (1, 2, 3) THEN a ELSE b END",
            "CASE WHEN (@) IS NULL THEN a END",
        ] {
            let nested = |levels| (0..levels).fold("a".to_owned(), |sql: String, _| around.replace('@', &sql));
            checked(&format!("SELECT {} FROM t", nested(3))).unwrap_or_else(|e| panic!("{around}: {e}"));
            assert!(checked(&format!("SELECT {} FROM t", nested(20))).is_err(), "{around}");
            assert!(checked(&format!("UPDATE t SET a = {}", nested(20))).is_err(), "{around}");
        }
        let lambdas = (0..20).fold("1".to_owned(), |sql, i| format!("array_transform([1], x{i} -> {sql})"));
        let parsed = Parser::parse_sql(&DuckDbDialect {}, &format!("SELECT {lambdas}")).unwrap();
        check(&parsed[0]).unwrap_err();
        let list = (0..200_000).map(|i| (i - 100_000).to_string()).collect::<Vec<_>>().join(", ");
        let branches = (0..5_000).map(|i| format!("WHEN a = {i} THEN upper(b || '{i}')")).collect::<Vec<_>>().join(" ");
        let chain = (0..40).fold("0".to_owned(), |sql, i| format!("CASE WHEN a = {i} THEN {i} ELSE {sql} END"));
        for flat in [
            format!("coalesce(a IN ({list}), false)"),
            vec!["coalesce(a, 1)"; 5_000].join(" , "),
            format!("CASE {branches} ELSE '' END"),
            chain,
        ] {
            checked(&format!("SELECT {flat} FROM t")).unwrap();
        }
    }

    #[test]
    fn grouping_sets_are_counted() {
        let items = |n: usize| (0..n).map(|i| format!("id + {i}")).collect::<Vec<_>>().join(", ");
        for (sql, is_taken) in [
            (format!("GROUP BY CUBE ({})", items(12)), true),
            (format!("GROUP BY CUBE ({})", items(30)), false),
            (format!("GROUP BY CUBE ({})", items(200)), false),
            (format!("GROUP BY CUBE ({}), CUBE ({})", items(8), items(8)), false),
            (format!("GROUP BY ROLLUP ({})", items(100)), true),
            (format!("GROUP BY ROLLUP ({})", items(1000)), false),
            (format!("GROUP BY {}", items(1000)), true),
        ] {
            assert_eq!(checked(&format!("SELECT count(*) FROM docs {sql}")).is_ok(), is_taken, "{sql}");
        }
    }
}
