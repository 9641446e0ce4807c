//! Searching a table: by an index that is declared over the column, else by reading every vector.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::UInt64Type;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use roaring::RoaringTreemap;
use ruvector_rabitq::{Hit, Metric, SearchParams, VectorBatch};
use ruvector_rulake::error::to_datafusion;
use ruvector_rulake::{RowAddress, ScanRequest, cpu_bound, exact};

use super::node::Target;
use crate::index::IndexDefinition;
use crate::settings::Settings;

/// What a search found.
pub(super) struct Found {
    /// For each query the nearest rows, nearest first.
    pub(super) answers: Vec<Vec<Hit>>,
    /// Whether it is known that every row of the table has a vector.
    pub(super) complete: bool,
}

impl Target {
    /// The same search, where it does not say how, as the session says.
    pub(crate) fn with_settings(mut self, options: &ConfigOptions) -> Self {
        let settings = Settings::of(options);
        self.exact |= !settings.use_index;
        self.rerank_factor = self.rerank_factor.or(settings.rerank_factor);
        self.nprobe = self.nprobe.or(settings.nprobe);
        self
    }

    /// The declared index that answers, if one does.
    pub(crate) fn index(&self) -> Option<&IndexDefinition> {
        let column = self.column_name();
        let fits = |index: &&IndexDefinition| index.spec.column == column && index.spec.metric == self.metric.0;
        self.table.indexes.iter().filter(|_| !self.exact).find(fits)
    }

    /// The nearest rows to each query, among `allowed` if it is given.
    pub(super) async fn search(
        &self,
        queries: VectorBatch<'_>,
        k: usize,
        allowed: Option<&RoaringTreemap>,
        context: &Arc<TaskContext>,
    ) -> Result<Found> {
        let snapshot = self.table.snapshot().as_ref();
        let Some(index) = self.index() else {
            let (column, metric) = (self.column_name(), self.metric.0);
            let answers = exact::search_batch(snapshot, &column, metric, queries, k, allowed, context).await;
            return Ok(Found { answers: answers.map_err(to_datafusion)?, complete: false });
        };
        let entry = self.table.lake.entry(&self.table.pinned, &index.spec, context).await.map_err(to_datafusion)?;
        let params = SearchParams {
            filter: allowed,
            rerank_factor: self.rerank_factor,
            nprobe: self.nprobe,
            ..SearchParams::new(k)
        };
        let answers = match queries.num_vectors() {
            1 => entry.search(queries.values(), &params).map(|hits| vec![hits]),
            _ => cpu_bound(|| entry.search_batch(queries, &params)),
        };
        let complete = snapshot.num_rows() == Some(entry.index().len());
        Ok(Found { answers: answers.map_err(to_datafusion)?, complete })
    }

    /// Up to `most` rows of `allowed` that have no vector, or any rows if `any`.
    pub(super) async fn without_distance(
        &self,
        any: bool,
        most: usize,
        allowed: Option<&RoaringTreemap>,
        context: &Arc<TaskContext>,
    ) -> Result<Vec<RowAddress>> {
        let snapshot = self.table.snapshot();
        let nullable = snapshot.schema().field(self.column).is_nullable();
        let mut found = Vec::new();
        if most == 0 || !(any || nullable) {
            return Ok(found);
        }
        let projection = if any { Vec::new() } else { vec![self.column] };
        let request = ScanRequest {
            projection: Some(projection),
            with_address: true,
            limit: if any && allowed.is_none() { Some(most) } else { None },
            ..ScanRequest::default()
        };
        let plan = snapshot.scan(context, &request).await.map_err(to_datafusion)?;
        let mut batches = execute_stream(plan, Arc::clone(context))?;
        while let Some(batch) = batches.try_next().await? {
            let addresses = batch.column(batch.num_columns() - 1).as_primitive::<UInt64Type>();
            for (row, address) in addresses.values().iter().enumerate() {
                let wanted =
                    (any || batch.column(0).is_null(row)) && allowed.is_none_or(|allowed| allowed.contains(*address));
                if wanted {
                    found.push(RowAddress::from(*address));
                }
                if found.len() == most {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// The columns of some rows, read from the state that was searched.
    pub(super) async fn rows(
        &self,
        addresses: &[RowAddress],
        columns: &[usize],
        context: &Arc<TaskContext>,
    ) -> Result<Option<RecordBatch>> {
        match columns.is_empty() {
            true => Ok(None),
            false => self.table.snapshot().take(context, addresses, columns).await.map(Some).map_err(to_datafusion),
        }
    }
}

/// The distance as the metric's SQL function gives it.
pub(super) fn sql_distance(metric: Metric, distance: f32) -> f32 {
    match metric {
        // The estimate of an index without originals may be below zero.
        Metric::L2 => distance.max(0.0).sqrt(),
        Metric::InnerProduct | Metric::Cosine => distance,
    }
}
