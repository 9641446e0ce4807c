//! The table `system.queries`: reads the statements that the engine knows (`running`), and returns those that the session
//! may see.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::common::Result;
use datafusion::execution::TaskContext;

use super::SystemTable;
use crate::running::registry::RunningStatements;
use crate::running::statement::{Principal, RunningStatement, SQL_CHARS_MAX};
use crate::text::kind::statement_kind;
use crate::text::redact::redact_sql;

/// `system.queries`: one row for each statement that runs, and for each of the last hundred that ended.
///
/// | column | |
/// |---|---|
/// | `id` | for `KILL` |
/// | `state` | `running`, `done`, `failed`, `cancelled` |
/// | `user`, `role`, `session` | whose it is |
/// | `kind`, `statement` | what it is, without secrets |
/// | `began`, `elapsed_ms` | when, and for how long it ran |
/// | `rows` | how many it handed out or changed |
/// | `error` | why it did not do what it should |
#[derive(Debug)]
pub(crate) struct QueriesTable {
    statements: RunningStatements,
    schema: SchemaRef,
}

impl QueriesTable {
    pub(crate) fn new(statements: RunningStatements) -> Self {
        let text = |name| Field::new(name, DataType::Utf8, true);
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            text("state"),
            text("user"),
            text("role"),
            text("session"),
            text("kind"),
            text("statement"),
            Field::new("began", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
            Field::new("elapsed_ms", DataType::Float64, true),
            Field::new("rows", DataType::Int64, true),
            text("error"),
        ]));
        Self { statements, schema }
    }
}

#[async_trait]
impl SystemTable for QueriesTable {
    fn name(&self) -> &'static str {
        "queries"
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The statements that the session may see: its user's own, or all.
    async fn rows(&self, context: &TaskContext) -> Result<RecordBatch> {
        let principal = context.session_config().get_extension::<Principal>();
        // A session of a program that has our tables, and is none of ours, may do everything.
        let may_see = |query: &RunningStatement| {
            principal.as_ref().is_none_or(|principal| principal.may_see(query.principal.user.as_deref()))
        };
        let queries: Vec<_> = self.statements.list().into_iter().filter(|query| may_see(query)).collect();
        let text = |value: fn(&RunningStatement) -> Option<String>| -> ArrayRef {
            Arc::new(queries.iter().map(|query| value(query)).collect::<StringArray>())
        };
        let number = |value: fn(&RunningStatement) -> u64| -> ArrayRef {
            Arc::new(queries.iter().map(|query| i64::try_from(value(query)).ok()).collect::<Int64Array>())
        };
        let began = queries.iter().map(|query| {
            let since = query.began.duration_since(UNIX_EPOCH).ok()?;
            i64::try_from(since.as_micros()).ok()
        });
        let elapsed = queries.iter().map(|query| Some(query.elapsed().as_secs_f64() * 1e3));
        let columns: Vec<ArrayRef> = vec![
            number(|query| query.id),
            text(|query| Some(query.state().to_owned())),
            text(|query| query.principal.user.as_deref().map(str::to_owned)),
            text(|query| Some(query.principal.role.name().to_owned())),
            text(|query| Some(query.session.clone())),
            text(|query| Some(statement_kind(&query.sql).to_owned())),
            text(|query| Some(redact_sql(&query.sql, SQL_CHARS_MAX))),
            Arc::new(began.collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
            Arc::new(elapsed.collect::<Float64Array>()),
            number(RunningStatement::rows),
            text(|query| query.error().map(str::to_owned)),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}
