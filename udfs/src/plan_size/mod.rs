//! Bounds on the size of a statement's plan, found on its tree before it is planned.
//!
//! A common table is planned once and copied for each reference, so common tables that each name the one before twice are a plan of
//! 2^n scans. CUBE of n expressions is 2^n sets. The depth of a tree is bounded by [`crate::nesting`].

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, GroupByExpr, ObjectName, Query, Select, Statement, Visit, Visitor};

use crate::error::{Error, Result};

/// Queries and tables of a plan, copies included, at most. A bound: a statement itself has at most 1,000.
const RELATIONS_MAX: u64 = 10_000;
/// Expressions in all grouping sets of a query, at most. A bound: CUBE of 13 has 106,496.
const GROUPED_MAX: u64 = 131_072;

/// Checks the plan that a statement would have.
///
/// # Errors
/// `InvalidInput` that names the limit.
pub(crate) fn check(statement: &Statement) -> Result<()> {
    match statement.visit(&mut Sizes::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(message) => Err(Error::invalid_input(message)),
    }
}

/// Counts relations from the inner queries to the outer ones.
#[derive(Default)]
struct Sizes {
    /// The names of the common tables that the queries around define, by their query.
    common: HashMap<*const Query, String>,
    /// The size of each common table that is complete; the largest one of a name.
    of_common: HashMap<String, u64>,
    /// The sizes of the queries that have begun.
    open: Vec<u64>,
}

impl Sizes {
    /// Adds to the innermost query that has begun.
    fn add(&mut self, size: u64) -> ControlFlow<String> {
        let Some(open) = self.open.last_mut() else { return ControlFlow::Continue(()) };
        *open = open.saturating_add(size);
        match *open > RELATIONS_MAX {
            true => ControlFlow::Break(format!(
                "expected at most {RELATIONS_MAX} queries and tables with the copies of common tables, got more"
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
        self.open.push(1);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<String> {
        let size = self.open.pop().unwrap_or(0);
        match self.common.remove(&std::ptr::from_ref(query)) {
            Some(name) => {
                let known = self.of_common.entry(name).or_insert(0);
                *known = size.max(*known);
                ControlFlow::Continue(())
            }
            None => self.add(size),
        }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<String> {
        let common = match relation.0.as_slice() {
            [name] => name.as_ident().and_then(|name| self.of_common.get(&name.value.to_lowercase())),
            _ => None,
        };
        let size = common.copied().unwrap_or(1);
        self.add(size)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<String> {
        let GroupByExpr::Expressions(groups, _) = &select.group_by else { return ControlFlow::Continue(()) };
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
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn checked(sql: &str) -> Result<()> {
        check(&Parser::parse_sql(&GenericDialect {}, sql).unwrap()[0])
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
        // A table of the same name is another one.
        checked(&format!("SELECT * FROM main.a9, ({}) AS x", doubling(10))).unwrap();
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
