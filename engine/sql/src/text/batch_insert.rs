//! `INSERT INTO t VALUES (?, ?)` with many rows of parameters, as `executemany` and JDBC's batches send it.
//!
//! One execution per row would be one transaction and one file per row. The same rows are inserted by few statements
//! with many rows of values each: `INSERT INTO t VALUES ($1, $2), ($3, $4), ...`.

use std::collections::BTreeSet;

use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{Expr, Insert, Parens, Query, SetExpr, Statement, TableObject, Value, Values};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// Parameters of one statement when rows of parameters for an INSERT are put together. A bound of the time to plan it and of the
/// memory of its text.
const INSERT_PARAMETERS_MAX: usize = 4000;

/// One execution: SQL and the values of its parameters.
pub(crate) type BatchExecution = (String, Vec<ScalarValue>);

/// The executions that have the effect of running `sql` once for each of `rows`.
pub(crate) fn executions(sql: &str, rows: Vec<Vec<ScalarValue>>) -> Vec<BatchExecution> {
    let num_parameters = rows.first().map_or(0, Vec::len);
    let insert = if rows.len() > 1 && num_parameters > 0 { simple_insert(sql) } else { None };
    let Some(insert) = insert.filter(|insert| insert.fits(num_parameters)) else {
        return rows.into_iter().map(|values| (sql.to_owned(), values)).collect();
    };
    let rows_per_statement = (INSERT_PARAMETERS_MAX / num_parameters).max(1);
    let batch = |rows: &[Vec<ScalarValue>]| (insert.with_rows(rows.len(), num_parameters), rows.concat());
    rows.chunks(rows_per_statement).map(batch).collect()
}

/// An INSERT of one row of parameters and literals.
struct SimpleInsert {
    insert: Insert,
    row: Vec<Expr>,
}

impl SimpleInsert {
    /// Returns true if the row has all parameters up to `num_parameters` and no other, so that the numbers of the next row
    /// follow on it. The engine refuses the rest.
    fn fits(&self, num_parameters: usize) -> bool {
        let numbers: Option<BTreeSet<_>> = self.numbers().collect();
        numbers.is_some_and(|numbers| numbers.into_iter().eq(1..=num_parameters))
    }

    /// The number of each parameter in the row: `?` counts, `$n` is n. `None` for another name.
    fn numbers(&self) -> impl Iterator<Item = Option<usize>> {
        let names = self.row.iter().filter_map(placeholder);
        names.enumerate().map(|(index, name)| match name.strip_prefix('$') {
            Some(number) => number.parse().ok().filter(|number| *number > 0),
            None => Some(index + 1),
        })
    }

    /// The same statement with `num_rows` rows of parameters.
    fn with_rows(&self, num_rows: usize, num_parameters: usize) -> String {
        let numbers: Vec<_> = self.numbers().flatten().collect();
        let rows = (0..num_rows).map(|index| {
            let mut row = self.row.clone();
            for (name, number) in row.iter_mut().filter_map(placeholder_mut).zip(&numbers) {
                *name = format!("${}", number + index * num_parameters);
            }
            Parens::with_empty_span(row)
        });
        let mut insert = self.insert.clone();
        if let Some(query) = &mut insert.source {
            let values = Values { explicit_row: false, value_keyword: false, rows: rows.collect() };
            *query.body = SetExpr::Values(values);
        }
        Statement::Insert(insert).to_string()
    }
}

/// Reads `sql`, if it is an INSERT of one row and has no clause that a batch could change the meaning of.
fn simple_insert(sql: &str) -> Option<SimpleInsert> {
    let mut statements = Parser::parse_sql(&GenericDialect {}, sql).ok()?;
    let (Some(Statement::Insert(insert)), true) = (statements.pop(), statements.is_empty()) else { return None };
    let plain = matches!(insert.table, TableObject::TableName(_))
        && insert.on.is_none()
        && insert.returning.is_none()
        && !insert.overwrite
        && !insert.replace_into;
    let query = insert.source.as_deref().filter(|_| plain)?;
    let row = only_row(query)?;
    let simple = |expr: &Expr| matches!(expr, Expr::Value(_));
    let row = row.iter().all(simple).then(|| row.to_vec())?;
    Some(SimpleInsert { row, insert })
}

fn only_row(query: &Query) -> Option<&[Expr]> {
    let SetExpr::Values(Values { rows, explicit_row: false, .. }) = query.body.as_ref() else { return None };
    let [row] = rows.as_slice() else { return None };
    let bare = query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none();
    bare.then_some(row.content.as_slice())
}

fn placeholder(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => Some(name),
            _ => None,
        },
        _ => None,
    }
}

fn placeholder_mut(expr: &mut Expr) -> Option<&mut String> {
    match expr {
        Expr::Value(value) => match &mut value.value {
            Value::Placeholder(name) => Some(name),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_share_a_statement() {
        let executions = executions("INSERT INTO t (a, b, c) VALUES (?, 'x', ?)", rows(3, 2));
        let sql = "INSERT INTO t (a, b, c) VALUES ($1, 'x', $2), ($3, 'x', $4), ($5, 'x', $6)";
        assert_eq!(executions, [(sql.to_owned(), rows(1, 6).remove(0))]);
    }

    #[test]
    fn numbered_parameters_keep_their_order() {
        let executions = executions("INSERT INTO main.t VALUES ($2, $1)", rows(2, 2));
        assert_eq!(executions[0].0, "INSERT INTO main.t VALUES ($2, $1), ($4, $3)");
    }

    #[test]
    fn many_rows_are_several_statements() {
        let num_rows = INSERT_PARAMETERS_MAX / 2 + 1;
        let executions = executions("INSERT INTO t VALUES (?, ?)", rows(num_rows, 2));
        let counts: Vec<_> = executions.iter().map(|(_, values)| values.len()).collect();
        assert_eq!(counts, [INSERT_PARAMETERS_MAX, 2]);
    }

    #[test]
    fn other_statements_run_once_per_row() {
        for sql in [
            "UPDATE t SET a = ? WHERE b = ?",
            "INSERT INTO t VALUES (?, ?) RETURNING a",
            "INSERT INTO t SELECT ?, ?",
            "INSERT INTO t VALUES (?, ?), (1, 2)",
            "INSERT INTO t VALUES (?, upper(?))",
            "INSERT INTO t VALUES ($1, $1)",
            "INSERT INTO t VALUES ($2)",
            "not SQL ?, ?",
        ] {
            let executions = executions(sql, rows(3, 2));
            assert_eq!(executions.len(), 3, "{sql}");
            assert!(executions.iter().all(|(statement, _)| statement == sql));
        }
    }

    fn rows(num_rows: usize, num_parameters: usize) -> Vec<Vec<ScalarValue>> {
        let mut next = 0_i64;
        let mut value = || {
            next += 1;
            ScalarValue::from(next)
        };
        (0..num_rows).map(|_| (0..num_parameters).map(|_| value()).collect()).collect()
    }
}
