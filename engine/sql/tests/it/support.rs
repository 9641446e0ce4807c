//! An engine to ask, and answers to look at.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Int64Type};
use datafusion::execution::SessionStateBuilder;
use datafusion::scalar::ScalarValue;
use ruvector_sql::{Answer, Engine, EngineConfig, Error, ErrorKind, Session};

pub(crate) struct Database {
    pub(crate) engine: Arc<Engine>,
    pub(crate) session: Arc<Session>,
}

impl Database {
    pub(crate) async fn temporary() -> Self {
        Self::open(EngineConfig::default()).await
    }

    pub(crate) async fn open(config: EngineConfig) -> Self {
        let engine = Engine::open(config).await.unwrap();
        let session = engine.session();
        Self { engine, session }
    }

    pub(crate) async fn try_query(&self, sql: &str, params: &[ScalarValue]) -> Result<Vec<RecordBatch>, Error> {
        self.engine.execute(&self.session, sql, params).await?.collect().await
    }

    pub(crate) async fn query(&self, sql: &str) -> Vec<RecordBatch> {
        self.try_query(sql, &[]).await.unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    /// Rows changed by a statement that changes something.
    pub(crate) async fn run(&self, sql: &str) -> u64 {
        match self.engine.execute(&self.session, sql, &[]).await {
            Ok(Answer::Count(rows)) => rows,
            Ok(Answer::Rows(_)) => panic!("{sql} answered rows"),
            Err(e) => panic!("{sql}: {e}"),
        }
    }

    pub(crate) async fn error(&self, sql: &str) -> (ErrorKind, String) {
        match self.try_query(sql, &[]).await {
            Ok(_) => panic!("{sql} was accepted"),
            Err(e) => (e.kind(), e.to_string()),
        }
    }

    /// Takes every logical and physical optimizer rule out of the session.
    pub(crate) fn without_optimizer_rules(&self) {
        let context = self.session.context();
        for rule in context.state().optimizers() {
            assert!(context.remove_optimizer_rule(rule.name()));
        }
        let state = context.state_ref();
        let bare =
            SessionStateBuilder::new_from_existing(state.read().clone()).with_physical_optimizer_rules(Vec::new());
        *state.write() = bare.build();
        assert!(context.state().optimizers().is_empty() && context.state().physical_optimizers().is_empty());
    }

    /// The first column, as integers.
    pub(crate) async fn ids(&self, sql: &str) -> Vec<i64> {
        ids(&self.query(sql).await)
    }
}

pub(crate) fn ids(batches: &[RecordBatch]) -> Vec<i64> {
    batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

pub(crate) fn distances(batches: &[RecordBatch]) -> Vec<f32> {
    let last =
        |batch: &RecordBatch| batch.column(batch.num_columns() - 1).as_primitive::<Float32Type>().values().to_vec();
    batches.iter().flat_map(last).collect()
}

pub(crate) fn vector(values: &[f32]) -> ScalarValue {
    let values: Vec<ScalarValue> = values.iter().map(|value| ScalarValue::from(*value)).collect();
    ScalarValue::List(ScalarValue::new_list(&values, &arrow::datatypes::DataType::Float32, true))
}
