//! Backend under check: test rows are stored through the fixture, and read back by scan, sorted or by address.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, collect_partitioned};
use datafusion::prelude::SessionConfig;

use super::fixture::Fixture;
use super::rule::Rule;
use super::test_rows::{COLUMNS, Row, Value, batch, read, row};
use crate::address::RowAddress;
use crate::contract::{Backend, ScanRequest, Snapshot};
use crate::error::{Result, from_datafusion};

/// The rows of a state by their addresses.
pub(super) type Addressed = BTreeMap<RowAddress, Row>;

const TYPES: Rule = Rule("a scan gives columns of the types that were stored");

/// The backend under check, and the ways to read it.
pub(super) struct Subject<'a> {
    pub(super) fixture: &'a dyn Fixture,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) context: Arc<TaskContext>,
}

impl<'a> Subject<'a> {
    pub(super) fn new(fixture: &'a dyn Fixture) -> Self {
        // Several partitions and small batches, so that a limit and an order have something to get wrong.
        let config = SessionConfig::new().with_target_partitions(4).with_batch_size(256);
        let context = Arc::new(TaskContext::default().with_session_config(config));
        Self { fixture, backend: fixture.backend(), context }
    }

    /// Stores the rows of ranges of ids, a part for each.
    pub(super) async fn store(&self, collection: &str, parts: &[Range<i64>]) -> Result<()> {
        let batches = parts.iter().map(|ids| batch(ids.clone())).collect::<Result<Vec<_>>>()?;
        self.fixture.store(collection, &batches).await
    }

    pub(super) async fn append(&self, collection: &str, ids: Range<i64>) -> Result<()> {
        self.fixture.append(collection, &batch(ids)?).await
    }

    pub(super) async fn snapshot(&self, collection: &str) -> Result<Arc<dyn Snapshot>> {
        Rule("a collection that was stored can be read").ok(self.backend.snapshot(collection).await)
    }

    /// The batches of a scan, by partition.
    pub(super) async fn scan(&self, snapshot: &dyn Snapshot, request: &ScanRequest) -> Result<Vec<Vec<RecordBatch>>> {
        self.run(snapshot.scan(&self.context, request).await?).await
    }

    /// The rows of a scan, sorted.
    pub(super) async fn rows(&self, snapshot: &dyn Snapshot, request: &ScanRequest) -> Result<Vec<Row>> {
        sorted(&self.scan(snapshot, request).await?)
    }

    /// The batches of a plan, by partition.
    pub(super) async fn run(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Vec<Vec<RecordBatch>>> {
        collect_partitioned(plan, Arc::clone(&self.context)).await.map_err(from_datafusion)
    }

    /// The rows of a state by their addresses.
    ///
    /// # Errors
    /// A broken rule of addresses; errors of the backend, unchanged.
    pub(super) async fn addressed(&self, snapshot: &dyn Snapshot) -> Result<Addressed> {
        let request = ScanRequest { with_address: true, ..ScanRequest::default() };
        let partitions = self.scan(snapshot, &request).await?;
        let (parts, mut addressed) = (snapshot.parts(), Addressed::new());
        for partition in &partitions {
            let mut last_part = 0;
            for batch in partition {
                for mut values in read(TYPES, batch)? {
                    let Some(Value::Address(address)) = values.pop() else {
                        return Err(Rule("the last column of a scan with addresses is one, and is never NULL").broken());
                    };
                    let address = RowAddress::from(address);
                    let place = (address.file(), address.row());
                    let part = parts.get(address.file());
                    Rule("addresses lie in the parts of their state").holds(part.is_some(), (place, parts.len()))?;
                    let deleted = part.is_some_and(|part| part.deleted.contains(address.row()));
                    Rule("rows that a part says are deleted do not come").holds(!deleted, place)?;
                    Rule("a partition of a scan gives the parts in their order").holds(last_part <= place.0, place)?;
                    last_part = place.0;
                    let before = addressed.insert(address, values);
                    Rule("addresses of a scan are distinct").holds(before.is_none(), place)?;
                }
            }
        }
        if let Some(rows) = snapshot.num_rows() {
            Rule("the number of rows is that of a scan").equal(addressed.len(), rows)?;
        }
        Ok(addressed)
    }

    /// The rows of a state by their addresses; they must be those of some ids.
    pub(super) async fn expect_ids(
        &self,
        rule: Rule,
        snapshot: &dyn Snapshot,
        ids: impl IntoIterator<Item = i64> + Send,
    ) -> Result<Addressed> {
        let schema = snapshot.schema();
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        Rule("the schema has the columns that were stored, in their order").equal(COLUMNS.to_vec(), names)?;
        let mut expected: Vec<Row> = ids.into_iter().map(row).collect();
        expected.sort_unstable();
        let addressed = rule.ok(self.addressed(snapshot).await)?;
        let mut got: Vec<&Row> = addressed.values().collect();
        got.sort_unstable();
        rule.same(&expected.iter().collect::<Vec<_>>(), &got)?;
        Ok(addressed)
    }
}

/// The rows of batches, sorted.
pub(super) fn sorted(partitions: &[Vec<RecordBatch>]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for batch in partitions.iter().flatten() {
        rows.extend(read(TYPES, batch)?);
    }
    rows.sort_unstable();
    Ok(rows)
}
