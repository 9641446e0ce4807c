//! Authorization: the role of a session against the role that a statement needs.
//!
//! A statement is checked twice. [`check_statement`] checks its tree before anything is planned, so that a refusal asks no
//! backend. A statement whose tree is not known to be harmless needs more than a reader. [`check_plan`] checks the plan, which
//! is what will run, however the statement was written. Functions that reach files of the server check the role themselves,
//! where they are planned ([`Role::check`]): they may stand anywhere in a query.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{DdlStatement, LogicalPlan, Statement as PlanStatement};
use datafusion::sql::parser::{ResetStatement, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{ObjectName, Reset, ResetStatement as ResetSql, Set, Statement};

use crate::statements::ParsedStatement;
use ruvector_udfs::error::Result;
use ruvector_udfs::role::Role;

/// Settings of these prefixes are the whole engine's, or say where files are.
const ADMIN_SETTINGS: [&str; 3] = ["datafusion.runtime.", "datafusion.catalog.location", "datafusion.catalog.format"];

/// Refuses a statement that `role` may not run, by its tree.
///
/// # Errors
/// `PermissionDenied`.
pub(crate) fn check_statement(role: Role, parsed: &ParsedStatement) -> Result<()> {
    match parsed {
        ParsedStatement::Index(_) => role.check(Role::Writer, "a statement about indexes"),
        ParsedStatement::IndexTable(_) | ParsedStatement::ExternalTable(_) => {
            role.check(Role::Admin, "CREATE EXTERNAL TABLE")
        }
        ParsedStatement::Backend(_) => role.check(Role::Admin, "a statement about backends"),
        // Which statements is a question of whose they are.
        ParsedStatement::Kill(_) => Ok(()),
        ParsedStatement::Sql { statement, .. } => check_tree(role, statement),
    }
}

fn check_tree(role: Role, statement: &DfStatement) -> Result<()> {
    match statement {
        DfStatement::Statement(statement) => check_sql(role, statement),
        DfStatement::Explain(explain) => check_tree(role, &explain.statement),
        DfStatement::Reset(ResetStatement::Variable(name)) => check_setting(role, &name_of(name)),
        DfStatement::CreateExternalTable(_) => role.check(Role::Admin, "CREATE EXTERNAL TABLE"),
        DfStatement::CopyTo(_) => role.check(Role::Admin, "COPY"),
    }
}

fn check_sql(role: Role, statement: &Statement) -> Result<()> {
    let (needed, what) = match statement {
        Statement::Query(_)
        | Statement::ShowTables { .. }
        | Statement::ShowColumns { .. }
        | Statement::ShowVariable { .. }
        | Statement::ShowVariables { .. }
        | Statement::ShowFunctions { .. }
        | Statement::ShowCreate { .. }
        | Statement::ShowSchemas { .. }
        | Statement::ShowDatabases { .. }
        | Statement::ShowCatalogs { .. }
        | Statement::ExplainTable { .. } => return Ok(()),
        Statement::Explain { statement, .. } => return check_sql(role, statement),
        Statement::Set(set) => return check_set(role, set),
        Statement::Reset(ResetSql { reset: Reset::ConfigurationParameter(name) }) => {
            return check_setting(role, &name_of(name));
        }
        // It would reset those of the engine too.
        Statement::Reset(ResetSql { reset: Reset::ALL }) => (Role::Admin, "RESET ALL"),
        Statement::Insert(_) => (Role::Writer, "INSERT"),
        Statement::Update(_) => (Role::Writer, "UPDATE"),
        Statement::Delete(_) => (Role::Writer, "DELETE"),
        Statement::Merge(_) => (Role::Writer, "MERGE"),
        Statement::Truncate(_) => (Role::Writer, "TRUNCATE"),
        Statement::CreateTable(_) => (Role::Writer, "CREATE TABLE"),
        Statement::Drop { .. } => (Role::Writer, "DROP"),
        Statement::CreateView { .. } => (Role::Writer, "CREATE VIEW"),
        // Whatever it is: it is not known to be harmless.
        _ => (Role::Admin, "this statement"),
    };
    role.check(needed, what)
}

fn check_set(role: Role, set: &Set) -> Result<()> {
    match set {
        Set::SingleAssignment { variable, .. } => check_setting(role, &name_of(variable)),
        Set::ParenthesizedAssignments { variables, .. } => {
            variables.iter().try_for_each(|variable| check_setting(role, &name_of(variable)))
        }
        Set::MultipleAssignments { assignments } => {
            assignments.iter().try_for_each(|assignment| check_setting(role, &name_of(&assignment.name)))
        }
        // SET TIME ZONE and the like: of the session alone.
        _ => Ok(()),
    }
}

/// The name without its quotes: `"datafusion"."runtime".x` is the setting too.
fn name_of(name: &ObjectName) -> String {
    let parts = name.0.iter().map(|part| match part.as_ident() {
        Some(ident) => ident.value.clone(),
        None => part.to_string(),
    });
    parts.collect::<Vec<_>>().join(".")
}

fn check_setting(role: Role, name: &str) -> Result<()> {
    let name = name.replace(['"', '`'], "").to_lowercase();
    match ADMIN_SETTINGS.iter().any(|admin| name.starts_with(admin)) {
        true => role.check(Role::Admin, &format!("the setting {name}")),
        false => Ok(()),
    }
}

/// Refuses a plan that does what `role` may not do, at any depth.
///
/// # Errors
/// `PermissionDenied`.
pub(crate) fn check_plan(role: Role, plan: &LogicalPlan) -> Result<()> {
    if role == Role::Admin {
        return Ok(());
    }
    let mut refused = Ok(());
    plan.apply_with_subqueries(|node| {
        refused = check_node(role, node);
        Ok(if refused.is_ok() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    refused
}

fn check_node(role: Role, node: &LogicalPlan) -> Result<()> {
    match node {
        LogicalPlan::Dml(change) => role.check(Role::Writer, &change.op.to_string()),
        LogicalPlan::Ddl(DdlStatement::CreateExternalTable(_)) => role.check(Role::Admin, "CREATE EXTERNAL TABLE"),
        LogicalPlan::Ddl(DdlStatement::CreateFunction(_) | DdlStatement::DropFunction(_)) => {
            role.check(Role::Admin, "a statement about functions")
        }
        LogicalPlan::Ddl(change) => role.check(Role::Writer, change.name()),
        LogicalPlan::Copy(_) => role.check(Role::Admin, "COPY"),
        LogicalPlan::Statement(PlanStatement::SetVariable(set)) => check_setting(role, &set.variable),
        LogicalPlan::Statement(PlanStatement::ResetVariable(reset)) => check_setting(role, &reset.variable),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use ruvector_udfs::error::ErrorKind;

    use super::*;
    use crate::statements::parse;
    use datafusion::common::config::Dialect;

    fn needed(sql: &str) -> Role {
        let parsed = parse(sql, Dialect::Generic).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let allowed = Role::ALL.into_iter().find(|role| check_statement(*role, &parsed).is_ok());
        allowed.expect("an admin may do everything")
    }

    #[test]
    fn a_reader_reads() {
        for sql in [
            "SELECT 1",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "VALUES (1)",
            "EXPLAIN ANALYZE SELECT 1",
            "SHOW TABLES",
            "SHOW ALL",
            "SHOW ruvector.use_index",
            "SHOW datafusion.runtime.memory_limit",
            "DESCRIBE docs",
            "DESCRIBE HISTORY docs",
            "SET ruvector.use_index = false",
            "SET datafusion.execution.batch_size = 10",
            "SET TIME ZONE 'UTC'",
            "RESET datafusion.execution.batch_size",
        ] {
            assert_eq!(needed(sql), Role::Reader, "{sql}");
        }
    }

    #[test]
    fn a_writer_changes_tables_and_indexes() {
        for sql in [
            "INSERT INTO t VALUES (1)",
            "UPDATE t SET a = 1",
            "DELETE FROM t",
            "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE",
            "TRUNCATE TABLE t",
            "CREATE TABLE t (id BIGINT)",
            "CREATE TABLE t AS SELECT 1 AS a",
            "DROP TABLE t",
            "CREATE INDEX i ON t USING flat (v)",
            "DROP INDEX i",
            "REINDEX i",
            "EXPLAIN INSERT INTO t VALUES (1)",
            "EXPLAIN ANALYZE DELETE FROM t",
            "EXPLAIN VERBOSE CREATE TABLE t AS SELECT 1 AS a",
        ] {
            assert_eq!(needed(sql), Role::Writer, "{sql}");
        }
    }

    #[test]
    fn an_admin_reaches_files_and_the_engine() {
        for sql in [
            "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '/x'",
            "CREATE EXTERNAL TABLE t STORED AS RBPX LOCATION '/x'",
            "EXPLAIN CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/x'",
            "CREATE BACKEND b TYPE memory",
            "DROP BACKEND b",
            "SET datafusion.runtime.memory_limit = '1G'",
            "SET DataFusion.Runtime.memory_limit = '1G'",
            r#"SET "datafusion"."runtime"."memory_limit" = '1G'"#,
            r#"SET "datafusion.runtime.memory_limit" = '1G'"#,
            "RESET datafusion.runtime.memory_limit",
            "SET datafusion.catalog.location = '/x'",
            "CREATE FUNCTION f() RETURNS BIGINT RETURN 1",
            "GRANT ALL ON t TO u",
        ] {
            assert_eq!(needed(sql), Role::Admin, "{sql}");
        }
    }

    #[test]
    fn a_refusal_names_both_roles() {
        let error = Role::Reader.check(Role::Writer, "INSERT").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert_eq!(error.to_string(), "INSERT needs the role writer, and this session has the role reader");
    }

    #[test]
    fn roles_have_names() {
        for role in Role::ALL {
            assert_eq!(role.name().parse::<Role>().unwrap(), role);
        }
        let error = "root".parse::<Role>().unwrap_err().to_string();
        assert_eq!(error, "no such role: expected one of reader, writer, admin, got root");
    }
}
