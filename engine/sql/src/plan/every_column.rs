//! `UPDATE SET *` and `INSERT *` in MERGE: every column of the target, from the source's column of the same name.
//!
//! The parser knows neither. In the text the star becomes an assignment to a column named `@*` ([`crate::text::stars`]). When the target is
//! known, before the statement is planned, it becomes an assignment of each of the target's columns ([`expanded`]). Further
//! columns of the source are not read. A column that the source lacks is the planner's error, which names the column.

use datafusion::common::{Result, plan_err};
use datafusion::execution::session_state::SessionState;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{
    Assignment, AssignmentTarget, Expr as SqlExpr, Ident, Merge, MergeAction, MergeInsertKind, ObjectName, Statement,
    TableFactor,
};

use crate::text::dialect::table_reference;
use crate::text::stars::EVERY;

/// The statement with every column of its target for each star that [`crate::text::stars`] found.
///
/// # Errors
/// If there is no such table, or the source of the MERGE has no name that its columns could be told by.
pub(crate) async fn expanded(state: &SessionState, mut statement: DfStatement) -> Result<DfStatement> {
    if let Some(merge) =
        merge_of(&mut statement).filter(|merge| merge.clauses.iter().any(|clause| is_star(&clause.action)))
    {
        expand(state, merge).await?;
    }
    Ok(statement)
}

fn merge_of(statement: &mut DfStatement) -> Option<&mut Merge> {
    match statement {
        DfStatement::Statement(statement) => match statement.as_mut() {
            Statement::Merge(merge) => Some(merge),
            _ => None,
        },
        DfStatement::Explain(explain) => merge_of(&mut explain.statement),
        _ => None,
    }
}

fn is_star(action: &MergeAction) -> bool {
    let is_every = |name: &ObjectName| matches!(name.0.as_slice(), [part] if part.as_ident().is_some_and(|ident| ident.value == EVERY));
    match action {
        MergeAction::Update(update) => matches!(
            update.assignments.as_slice(),
            [Assignment { target: AssignmentTarget::ColumnName(name), .. }] if is_every(name)
        ),
        MergeAction::Insert(insert) => matches!(insert.columns.as_slice(), [name] if is_every(name)),
        MergeAction::Delete { .. } => false,
    }
}

async fn expand(state: &SessionState, merge: &mut Merge) -> Result<()> {
    let TableFactor::Table { name, .. } = &merge.table else { return Ok(()) };
    let target = table_reference(name);
    // That there is no such table is for the planner to say.
    let Ok(schema) = state.schema_for_ref(target.clone()) else { return Ok(()) };
    let Some(table) = schema.table(target.table()).await? else { return Ok(()) };
    let Some(source) = name_of(&merge.source) else {
        return plan_err!("MERGE with *: expected a source with a name, as in USING (...) AS s, got {}", merge.source);
    };
    let columns: Vec<Ident> =
        table.schema().fields().iter().map(|field| Ident::with_quote('"', field.name().as_str())).collect();
    let value = |column: &Ident| SqlExpr::CompoundIdentifier(source.iter().chain([column]).cloned().collect());
    for clause in merge.clauses.iter_mut().filter(|clause| is_star(&clause.action)) {
        match &mut clause.action {
            MergeAction::Update(update) => {
                let assignment = |column: &Ident| Assignment {
                    target: AssignmentTarget::ColumnName(ObjectName::from(vec![column.clone()])),
                    value: value(column),
                };
                update.assignments = columns.iter().map(assignment).collect();
            }
            MergeAction::Insert(insert) => {
                insert.columns = columns.iter().map(|column| ObjectName::from(vec![column.clone()])).collect();
                if let MergeInsertKind::Values(values) = &mut insert.kind
                    && let Some(row) = values.rows.first_mut()
                {
                    row.content = columns.iter().map(value).collect();
                }
            }
            MergeAction::Delete { .. } => {}
        }
    }
    Ok(())
}

/// Qualifier of the columns of a source.
fn name_of(source: &TableFactor) -> Option<Vec<Ident>> {
    match source {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::Function { alias: Some(alias), .. }
        | TableFactor::TableFunction { alias: Some(alias), .. }
        | TableFactor::NestedJoin { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. } => Some(vec![alias.name.clone()]),
        TableFactor::Table { name, alias: None, args: None, .. } => {
            name.0.iter().map(|part| part.as_ident().cloned()).collect()
        }
        _ => None,
    }
}
