//! The columns that UPDATE assigns to, as the statement names them.
//!
//! DataFusion plans `SET s.a = 1` as an assignment to the column `a`, and takes the last of several assignments to one
//! column.

use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    Assignment, AssignmentTarget, CastKind, Delete, Expr as SqlExpr, FromTable, Ident, ObjectName, Statement,
    TableFactor, Update,
};

use crate::text::dialect::folded;
use ruvector_udfs::error::{Error, Result};

/// Reduces the assigned names of an UPDATE to the names of columns. A DELETE from a table with an alias becomes an UPDATE that
/// assigns nothing ([`deletes`]): DataFusion forgets the alias of a DELETE.
///
/// # Errors
/// `NotSupported` for a field of a struct; `InvalidInput` for a column that is assigned twice.
pub(crate) fn check_assignments(statement: &mut Statement) -> Result<()> {
    if let Statement::Delete(delete) = statement
        && let Some(update) = of_alias(delete)
    {
        *statement = update;
    }
    let Statement::Update(Update { table, assignments, .. }) = statement else { return Ok(()) };
    let TableFactor::Table { name, alias, .. } = &table.relation else { return Ok(()) };
    let table = match alias {
        Some(alias) => vec![folded(&alias.name)],
        None => parts(name),
    };
    let mut assigned = Vec::new();
    for assignment in assignments {
        let AssignmentTarget::ColumnName(target) = &mut assignment.target else { continue };
        let mut names = parts(target);
        let Some(column) = names.pop() else { continue };
        let of_table = names.iter().rev().zip(table.iter().rev()).all(|(a, b)| a == b);
        if !of_table {
            return Err(Error::not_supported(format!(
                "UPDATE of a field of a struct: expected SET column = value, got SET {target}"
            )));
        }
        if assigned.contains(&column) {
            return Err(Error::invalid_input(format!(
                "UPDATE assigns to a column once: expected one value for {column}, got several"
            )));
        }
        *target = ObjectName::from(vec![Ident::with_quote('"', column.as_str())]);
        assigned.push(column);
    }
    Ok(())
}

fn of_alias(delete: &Delete) -> Option<Statement> {
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
    let [table] = from.as_slice() else { return None };
    let TableFactor::Table { alias: Some(_), .. } = &table.relation else { return None };
    Some(Statement::Update(Update {
        update_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        table: table.clone(),
        assignments: Vec::new(),
        from: None,
        selection: delete.selection.clone(),
        returning: None,
        output: None,
        or: None,
        order_by: Vec::new(),
        limit: None,
    }))
}

/// Returns true if an UPDATE stands for a DELETE.
pub(super) fn deletes(statement: &DfStatement) -> bool {
    let DfStatement::Statement(statement) = statement else { return false };
    matches!(statement.as_ref(), Statement::Update(update) if update.assignments.is_empty())
}

/// The number of casts that the text of an UPDATE has around the value of a column. The planner adds one of its own, to the type
/// of the column.
pub(super) fn written_casts(statement: &DfStatement, column: &str) -> usize {
    let DfStatement::Statement(statement) = statement else { return 0 };
    let Statement::Update(Update { assignments, .. }) = statement.as_ref() else { return 0 };
    let assigned = assignments.iter().find(|assignment| match &assignment.target {
        AssignmentTarget::ColumnName(name) => parts(name).last().is_some_and(|last| last == column),
        AssignmentTarget::Tuple(_) => false,
    });
    assigned.map_or(0, |Assignment { value, .. }| casts(value))
}

fn casts(expr: &SqlExpr) -> usize {
    match expr {
        SqlExpr::Nested(inner) => casts(inner),
        SqlExpr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, .. } => 1 + casts(expr),
        SqlExpr::TypedString(_) => 1,
        _ => 0,
    }
}

fn parts(name: &ObjectName) -> Vec<String> {
    name.0.iter().filter_map(|part| part.as_ident().map(folded)).collect()
}
