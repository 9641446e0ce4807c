//! Searching a table: by an index that is declared over the column, else by reading every vector.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::UInt64Type;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::execute_stream;
use datafusion::physical_plan::metrics::{BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder};
use futures::TryStreamExt;
use roaring::RoaringTreemap;
use ruvector_rabitq::{Hit, Metric, SearchParams, SearchStats, VectorBatch, VectorIndex};
use ruvector_rulake::error::to_datafusion;
use ruvector_rulake::exact::{self, Scored};
use ruvector_rulake::{ErrorKind, RowAddress, ScanRequest, cpu_bound};

use crate::declared_index::DeclaredIndex;
use crate::knn::logical::knn::Target;
use crate::settings::Settings;

/// The result of a search.
pub(super) struct SearchAnswers {
    /// For each query the nearest rows, nearest first.
    pub(super) answers: Vec<Vec<Scored>>,
    /// True if every row of the table is known to have a vector.
    pub(super) complete: bool,
}

/// Metrics of searches for EXPLAIN ANALYZE.
#[derive(Clone, Debug)]
pub(super) struct SearchMetrics {
    pub(super) baseline: BaselineMetrics,
    queries: Count,
    lists_probed: Count,
    codes_scanned: Count,
    survivors: Count,
    exact_distances: Count,
    cache_hits: Count,
    index_bytes: Count,
}

impl SearchMetrics {
    pub(super) fn new(metrics: &ExecutionPlanMetricsSet) -> Self {
        let count = |name: &'static str| MetricBuilder::new(metrics).counter(name, 0);
        Self {
            baseline: BaselineMetrics::new(metrics, 0),
            queries: count("queries"),
            lists_probed: count("lists_probed"),
            codes_scanned: count("codes_scanned"),
            survivors: count("survivors"),
            exact_distances: count("exact_distances"),
            cache_hits: count("cache_hits"),
            index_bytes: count("index_bytes"),
        }
    }

    /// Adds a search; what was read of the index are bits of codes and originals.
    fn add(&self, stats: &SearchStats, num_queries: usize, dim: usize) {
        let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        self.queries.add(num_queries);
        self.lists_probed.add(number(stats.lists_probed()));
        self.codes_scanned.add(number(stats.codes_scanned()));
        self.survivors.add(number(stats.survivors()));
        self.exact_distances.add(number(stats.exact_distances()));
        let code_bytes = stats.codes_scanned().saturating_mul(dim.div_ceil(8) as u64);
        let vector_bytes = stats.exact_distances().saturating_mul((dim * size_of::<f32>()) as u64);
        self.index_bytes.add(number(code_bytes.saturating_add(vector_bytes)));
    }
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
    pub(crate) fn index(&self) -> Option<&DeclaredIndex> {
        self.table.index(&self.column_name(), self.metric.0).filter(|_| !self.exact)
    }

    /// Writes the target and the method of the search, for EXPLAIN.
    pub(super) fn fmt_search(&self, f: &mut fmt::Formatter<'_>, k: &str) -> fmt::Result {
        write!(f, "table={}.{}, column={}", self.table.backend(), self.table.name(), self.column_name())?;
        write!(f, ", metric={}, k={k}", self.metric.0)?;
        match self.index() {
            Some(index) => write!(f, ", index={} ({})", index.name, index.spec.kind),
            None => write!(f, ", exact"),
        }?;
        match self.table.unready_index(&self.column_name(), self.metric.0).filter(|_| !self.exact) {
            Some((index, why)) => write!(f, " (index {index} {why})"),
            None => Ok(()),
        }
    }

    /// The nearest rows to each query, among `allowed` if it is given.
    pub(super) async fn search(
        &self,
        queries: VectorBatch<'_>,
        k: usize,
        allowed: Option<&RoaringTreemap>,
        context: &Arc<TaskContext>,
        metrics: &SearchMetrics,
    ) -> Result<SearchAnswers> {
        let snapshot = self.table.snapshot().as_ref();
        let (column, metric) = (self.column_name(), self.metric.0);
        let cached = self.index().is_some_and(|index| self.table.lake.has_entry(&self.table.pinned, &index.spec));
        let entry = match self.exact || !queries.fits(metric) {
            true => None,
            false => self.table.entry(&column, metric, context).await.map_err(to_datafusion)?,
        };
        let by_all = async || {
            let answers = exact::search_batch(snapshot, &column, metric, queries, k, allowed, context).await;
            metrics.queries.add(queries.num_vectors());
            Ok(SearchAnswers { answers: answers.map_err(to_datafusion)?, complete: false })
        };
        let Some(entry) = entry else { return by_all().await };
        metrics.cache_hits.add(usize::from(cached));
        let stats = SearchStats::default();
        let params = SearchParams {
            filter: allowed,
            stats: Some(&stats),
            rerank_factor: self.rerank_factor,
            nprobe: self.nprobe,
            ..SearchParams::new(k)
        };
        let answers = match queries.num_vectors() {
            1 => entry.search(queries.values(), &params).map(|hits| vec![hits]),
            _ => cpu_bound(|| entry.search_batch(queries, &params)),
        };
        let answers = answers.and_then(|answers| {
            let settle = |(query, hits)| settled(entry.index(), metric, query, hits, k);
            let settled: Option<Vec<Vec<Scored>>> = queries.rows().zip(answers).map(settle).collect();
            // It was settled by vectors that may lie in the index file.
            entry.index().verify()?;
            Ok(settled)
        });
        let answers = match answers {
            Ok(Some(answers)) => answers,
            Ok(None) => return by_all().await,
            // The next search makes the index again.
            Err(e) if e.kind() == ErrorKind::Corrupt => {
                tracing::warn!(table = self.table.name(), reason = %e, "index is damaged; exact search answers");
                return by_all().await;
            }
            Err(e) => return Err(to_datafusion(e)),
        };
        metrics.add(&stats, queries.num_vectors(), self.dim());
        let complete = snapshot.num_rows() == Some(entry.index().len());
        Ok(SearchAnswers { answers, complete })
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

/// The answers of an index with exact distances where those that it computes have lost bits to underflow; `None` if that
/// leaves open which rows are the nearest, which only a look at all vectors tells.
fn settled(index: &dyn VectorIndex, metric: Metric, query: &[f32], hits: Vec<Hit>, k: usize) -> Option<Vec<Scored>> {
    let vanished = |hit: &Hit| metric.may_have_vanished(hit.distance) && index.vectors().is_some();
    let last_vanished = hits.len() == k && hits.last().is_some_and(vanished);
    let (mut changed, mut open) = (false, false);
    let score = |hit: Hit| {
        let score = match index.vector(hit.id).filter(|_| vanished(&hit)) {
            Some(vector) => metric.score(query, vector),
            None => f64::from(hit.distance),
        };
        changed |= score != f64::from(hit.distance);
        open |= last_vanished && vanished(&hit) && score != 0.0;
        Scored { id: hit.id, score }
    };
    let mut scored: Vec<Scored> = hits.into_iter().map(score).collect();
    if changed {
        scored.sort_unstable();
    }
    (!open).then_some(scored)
}

/// The distance as the metric's SQL function gives it.
#[expect(clippy::cast_possible_truncation, reason = "SQL has distances in Float32")]
pub(super) fn sql_distance(metric: Metric, score: f64) -> f32 {
    match metric {
        // The estimate of an index without originals may be below zero.
        Metric::L2 => score.max(0.0).sqrt() as f32,
        Metric::InnerProduct | Metric::Cosine => score as f32,
    }
}
