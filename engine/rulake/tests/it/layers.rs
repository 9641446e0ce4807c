//! Layers around backends: what they count, hold back, refuse and break.

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::physical_plan::{collect, displayable};
use ruvector_rulake::backend::layer::{
    Capped, Counting, Fault, FaultInjecting, Layer, Layered, Operation, Size, Throttled, TimeLimited,
};
use ruvector_rulake::error::from_datafusion;
use ruvector_rulake::{Backend, Error, ErrorKind, IndexSpec, LocalBackend, Result, RowAddress, ScanRequest, Snapshot};

use crate::support::{context, ids, lake_over, rows, schema};

/// Three batches of two rows.
fn local() -> Arc<dyn Backend> {
    let backend = LocalBackend::new("hot");
    backend.put("docs", schema(), &[rows(&[1, 2]), rows(&[3, 4]), rows(&[5, 6])]).unwrap();
    Arc::new(backend)
}

fn layered<L: Layer>(layer: L) -> (Arc<L>, Layered<L>) {
    let layer = Arc::new(layer);
    (Arc::clone(&layer), Layered::new(local(), layer))
}

async fn scan(backend: &dyn Backend) -> Result<Vec<RecordBatch>> {
    let snapshot = backend.snapshot("docs").await?;
    let plan = snapshot.scan(&context(), &ScanRequest::default()).await?;
    collect(plan, context()).await.map_err(from_datafusion)
}

async fn take(backend: &dyn Backend, row: u32) -> Result<RecordBatch> {
    backend.snapshot("docs").await?.take(&context(), &[RowAddress::new(1, row)], &[0]).await
}

#[tokio::test]
async fn counting_shows_what_a_cache_asked_for() {
    let (counting, backend) = layered(Counting::default());
    let backend = Arc::new(backend);
    let (lake, spec) = (lake_over(&backend), IndexSpec::new("vec"));
    for _ in 0..3 {
        let pinned = lake.pin(backend.id(), "docs", None).await.unwrap();
        lake.entry(&pinned, &spec, &context()).await.unwrap();
    }
    assert_eq!(counting.calls(Operation::Snapshot), 3);
    assert_eq!(counting.calls(Operation::Scan), 1, "the others were hits");
    assert_eq!(counting.calls(Operation::Batch), 4, "the last finds the end");
    let of_vectors = counting.given();
    assert_eq!((of_vectors.batches, of_vectors.rows), (3, 6));
    // A vector of 4 coordinates and an address.
    assert!(of_vectors.bytes >= 6 * (16 + 8), "{of_vectors:?}");

    take(backend.as_ref(), 1).await.unwrap();
    assert_eq!(counting.calls(Operation::Take), 1);
    assert_eq!(counting.given().rows, 7);
    assert_eq!(backend.snapshot("none").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!((counting.calls(Operation::Snapshot), counting.failures(Operation::Snapshot)), (5, 1));
    assert_eq!(Operation::ALL.map(|operation| counting.failures(operation)).iter().sum::<u64>(), 1);
}

#[tokio::test]
async fn bytes_are_those_of_the_rows_that_were_given() {
    let (counting, backend) = layered(Counting::default());
    let snapshot = backend.snapshot("docs").await.unwrap();
    let request = ScanRequest { projection: Some(vec![0]), limit: Some(1), ..ScanRequest::default() };
    collect(snapshot.scan(&context(), &request).await.unwrap(), context()).await.unwrap();
    assert_eq!(counting.given(), Size { batches: 1, rows: 1, bytes: 8 });
}

#[tokio::test]
async fn what_needs_no_answer_passes_by_the_layer() {
    let (counting, backend) = layered(Counting::default());
    let (outer, inner) = (backend.snapshot("docs").await.unwrap(), local().snapshot("docs").await.unwrap());
    assert_eq!((backend.id(), backend.has_generations()), ("hot", true));
    assert_eq!((outer.data_ref(), outer.schema(), outer.num_rows()), (inner.data_ref(), inner.schema(), Some(6)));
    assert_eq!((outer.parts().len(), outer.index_dir()), (inner.parts().len(), None));
    assert_eq!(outer.file_name(RowAddress::new(2, 0)), "batch 2");
    assert_eq!(counting.calls(Operation::Scan) + counting.calls(Operation::Take), 0);
    let plan = outer.scan(&context(), &ScanRequest::default()).await.unwrap();
    assert!(displayable(plan.as_ref()).indent(false).to_string().starts_with("LayeredExec: layer=Counting"));
}

#[tokio::test]
async fn what_hangs_is_given_up() {
    let limit = Duration::from_millis(50);
    for operation in [Operation::List, Operation::Snapshot, Operation::Scan, Operation::Batch, Operation::Take] {
        let hanging = Layered::new(local(), Arc::new(FaultInjecting::once(operation, 0, Fault::Hang)));
        let backend = Layered::new(Arc::new(hanging), Arc::new(TimeLimited::new(limit)));
        let started = Instant::now();
        let error = match operation {
            Operation::List => backend.list().await.unwrap_err(),
            Operation::Take => take(&backend, 0).await.unwrap_err(),
            _ => scan(&backend).await.unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let message = error.to_string();
        for part in ["backend did not answer", "backend hot", &format!("operation {operation}"), "limit 50ms"] {
            assert!(message.contains(part), "{message}");
        }
        assert!(started.elapsed() >= limit);
        assert_eq!(message.contains("collection docs"), operation != Operation::List, "{message}");
        scan(&backend).await.expect("the next one is answered");
    }
}

#[tokio::test]
async fn a_scan_that_falls_silent_is_given_up_by_who_builds_an_index() {
    let hanging = Layered::new(local(), Arc::new(FaultInjecting::once(Operation::Batch, 2, Fault::Hang)));
    let backend = Layered::new(Arc::new(hanging), Arc::new(TimeLimited::new(Duration::from_millis(50))));
    let backend = Arc::new(backend);
    let (lake, spec) = (lake_over(&backend), IndexSpec::new("vec"));
    let pinned = lake.pin(backend.id(), "docs", None).await.unwrap();
    let error = lake.entry(&pinned, &spec, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(lake.cached_entries().is_empty(), "nothing half made is left");
    assert_eq!(lake.entry(&pinned, &spec, &context()).await.unwrap().index().len(), 6);
}

#[tokio::test]
async fn caps_count_what_a_scan_gives_in_all() {
    let (_, fits) = layered(Capped::new().with_rows_max(6));
    assert_eq!(scan(&fits).await.unwrap().len(), 3);
    let snapshot = fits.snapshot("docs").await.unwrap();
    let plan = snapshot.scan(&context(), &ScanRequest::default()).await.unwrap();
    for _ in 0..2 {
        collect(Arc::clone(&plan), context()).await.expect("a plan that runs again starts from nothing");
    }

    let (_, tight) = layered(Capped::new().with_rows_max(5));
    let error = scan(&tight).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    for part in ["backend hot", "collection docs", "rows at most 5", "got 6"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    take(&tight, 0).await.unwrap();
    let (_, none) = layered(Capped::new().with_rows_max(0));
    assert!(take(&none, 0).await.unwrap_err().to_string().contains("operation take, rows at most 0, got 1"));

    let (_, bytes) = layered(Capped::new().with_bytes_max(100));
    let error = scan(&bytes).await.unwrap_err();
    assert!(error.to_string().contains("bytes at most 100, got "), "{error}");
    take(&bytes, 0).await.unwrap();
    assert_eq!(bytes.list().await.unwrap(), ["docs"]);
}

/// A backend that notes how many ask it at a time.
#[derive(Debug, Default)]
struct Busy {
    now: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl Backend for Busy {
    fn id(&self) -> &'static str {
        "busy"
    }

    async fn list(&self) -> Result<Vec<String>> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        Ok(Vec::new())
    }

    async fn snapshot(&self, _collection: &str) -> Result<Arc<dyn Snapshot>> {
        Err(Error::not_found("no such collection"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_operations_at_a_time() {
    for operations_max in [1, 3] {
        let busy = Arc::new(Busy::default());
        let throttled = Throttled::new().with_operations_max(NonZeroUsize::new(operations_max).unwrap());
        let backend = Arc::new(Layered::new(Arc::clone(&busy) as _, Arc::new(throttled)));
        let asking: Vec<_> = (0..30)
            .map(|_| {
                let backend = Arc::clone(&backend);
                tokio::spawn(async move { backend.list().await.map(drop) })
            })
            .collect();
        for asked in asking {
            asked.await.unwrap().unwrap();
        }
        assert_eq!(busy.most.load(Ordering::SeqCst), operations_max);
    }
}

#[tokio::test]
async fn so_many_bytes_per_second() {
    let bytes = {
        let (counting, backend) = layered(Counting::default());
        scan(&backend).await.unwrap();
        counting.given().bytes
    };
    // The last of three batches waits for the first two to be paid for: two thirds of 300 ms.
    let bytes_per_second = NonZeroU64::new(bytes * 10 / 3).unwrap();
    let (_, backend) = layered(Throttled::new().with_bytes_per_second_max(bytes_per_second));
    let started = Instant::now();
    assert_eq!(scan(&backend).await.unwrap().len(), 3);
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(195), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_permit_is_enough_for_scans_and_takes_at_once() {
    let (_, backend) = layered(Throttled::new().with_operations_max(NonZeroUsize::MIN));
    let backend = Arc::new(backend);
    let working: Vec<_> = (0..20)
        .map(|_| {
            let backend = Arc::clone(&backend);
            tokio::spawn(async move {
                let rows: usize = scan(backend.as_ref()).await.unwrap().iter().map(RecordBatch::num_rows).sum();
                (rows, ids(&take(backend.as_ref(), 1).await.unwrap()))
            })
        })
        .collect();
    for worked in working {
        assert_eq!(worked.await.unwrap(), (6, vec![4]));
    }
}

#[tokio::test]
async fn faults_happen_as_told() {
    let (_, backend) = layered(FaultInjecting::once(Operation::Batch, 1, Fault::Cut));
    assert_eq!(scan(&backend).await.unwrap().len(), 1, "the stream ends after its first batch");
    assert_eq!(scan(&backend).await.unwrap().len(), 3);

    let (_, backend) = layered(FaultInjecting::once(Operation::Batch, 2, Fault::Fail(ErrorKind::GenerationGone)));
    let error = scan(&backend).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GenerationGone);
    assert!(error.to_string().contains("number 2"), "{error}");

    let (_, backend) = layered(FaultInjecting::new(|operation, number| match operation {
        Operation::Snapshot if number % 2 == 0 => Fault::Fail(ErrorKind::Unavailable),
        Operation::Verify => Fault::Cut,
        _ => Fault::Pass,
    }));
    assert_eq!(backend.snapshot("docs").await.unwrap_err().kind(), ErrorKind::Unavailable);
    let snapshot = backend.snapshot("docs").await.unwrap();
    assert_eq!(snapshot.verify().await.unwrap_err().kind(), ErrorKind::InvalidInput, "only a stream can be cut");
}
