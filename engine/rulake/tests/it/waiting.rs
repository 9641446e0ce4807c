//! Waiters of an entry, and the life of a build without waiters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ruvector_rulake::backend::layer::{Counting, Fault, FaultInjecting, Layered, Operation};
use ruvector_rulake::{Backend, ErrorKind, IndexSpec, LocalBackend, RuLake, SearchOptions};
use tokio::time::timeout;

use crate::support::{context, lake_over, rows, schema};

const LINGER: Duration = Duration::from_secs(1);

/// A lake whose scans hang while `hangs`, and what counts them.
fn hanging_lake(hangs: &Arc<AtomicBool>) -> (Arc<RuLake>, Arc<Counting>) {
    let local = LocalBackend::new("hot");
    local.put("docs", schema(), &[rows(&[1, 2, 3])]).unwrap();
    let hangs = Arc::clone(hangs);
    let fault = move |operation, _| match operation {
        Operation::Scan if hangs.load(Ordering::SeqCst) => Fault::Hang,
        _ => Fault::Pass,
    };
    let counting = Arc::new(Counting::default());
    let hanging = Layered::new(Arc::new(local), Arc::new(FaultInjecting::new(fault)));
    let backend: Arc<dyn Backend> = Arc::new(Layered::new(Arc::new(hanging), Arc::clone(&counting)));
    let lake = RuLake::builder().linger(LINGER).build();
    lake.register_backend(backend).unwrap();
    (Arc::new(lake), counting)
}

async fn entry(lake: Arc<RuLake>) -> Result<usize, ErrorKind> {
    let pinned = lake.pin("hot", "docs", None).await.map_err(|e| e.kind())?;
    let entry = lake.entry(&pinned, &IndexSpec::new("vec"), &context()).await;
    entry.map(|entry| entry.index().len()).map_err(|e| e.kind())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_made_on_for_who_comes_back_and_given_up_when_nobody_does() {
    let hangs = Arc::new(AtomicBool::new(true));
    let (lake, counting) = hanging_lake(&hangs);
    for _ in 0..5 {
        assert!(timeout(LINGER / 10, entry(Arc::clone(&lake))).await.is_err(), "the backend hangs");
    }
    assert_eq!(counting.calls(Operation::Scan), 1, "who comes back waits for what was begun");
    tokio::time::sleep(2 * LINGER).await;
    hangs.store(false, Ordering::SeqCst);
    assert_eq!(entry(Arc::clone(&lake)).await, Ok(3), "a build without waiters begins again");
    assert_eq!((counting.calls(Operation::Scan), lake.cache_stats().primes), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_was_forgotten_while_it_was_made_begins_again() {
    let hangs = Arc::new(AtomicBool::new(true));
    let (lake, counting) = hanging_lake(&hangs);
    assert!(timeout(LINGER / 10, entry(Arc::clone(&lake))).await.is_err(), "the backend hangs");
    hangs.store(false, Ordering::SeqCst);
    lake.invalidate_cache("hot", "docs").unwrap();
    assert_eq!(entry(Arc::clone(&lake)).await, Ok(3));
    tokio::time::sleep(2 * LINGER).await;
    assert_eq!(entry(Arc::clone(&lake)).await, Ok(3));
    assert_eq!((counting.calls(Operation::Scan), lake.cache_stats().primes), (2, 1));
}

/// The search that asked first gives up; the others are answered from what it began.
#[tokio::test(flavor = "multi_thread")]
async fn who_asked_first_may_go() {
    let local = Arc::new(LocalBackend::new("hot"));
    local.put("docs", schema(), &[rows(&[1, 2, 3])]).unwrap();
    let slow = FaultInjecting::new(|operation, _| {
        if operation == Operation::Scan {
            std::thread::sleep(Duration::from_millis(300));
        }
        Fault::Pass
    });
    let backend = Arc::new(Layered::new(local, Arc::new(slow)));
    let lake = Arc::new(lake_over(&backend));
    let first = tokio::spawn(entry(Arc::clone(&lake)));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let others: Vec<_> = (0..10).map(|_| tokio::spawn(entry(Arc::clone(&lake)))).collect();
    first.abort();
    for other in others {
        assert_eq!(other.await.unwrap(), Ok(3));
    }
    assert_eq!(lake.cache_stats().primes, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_not_wanted_is_ended_and_who_still_wants_it_makes_it_again() {
    let hangs = Arc::new(AtomicBool::new(true));
    let (lake, counting) = hanging_lake(&hangs);
    let waits = tokio::spawn(entry(Arc::clone(&lake)));
    let searches = Arc::clone(&lake);
    let searches = tokio::spawn(async move {
        searches.search_one("hot", "docs", &[2.0, -2.0, 1.0, 1.0], 1, &SearchOptions::default()).await
    });
    while counting.calls(Operation::Scan) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let [making] = lake.builds().try_into().unwrap();
    assert_eq!((making.collection.1.as_str(), making.rows_read, making.vectors_total), ("docs", 0, Some(3)));
    tokio::time::sleep(LINGER / 10).await;
    hangs.store(false, Ordering::SeqCst);
    lake.cancel_build("hot", "docs", &IndexSpec::new("vec"));
    assert_eq!(waits.await.unwrap(), Err(ErrorKind::Cancelled));
    assert_eq!(searches.await.unwrap().unwrap()[0].id, 2);
    assert!(lake.builds().is_empty());
    assert_eq!(lake.cache_stats().primes, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_answers_while_another_is_made_in_its_place() {
    let hangs = Arc::new(AtomicBool::new(false));
    let (lake, counting) = hanging_lake(&hangs);
    let (pinned, spec) = (lake.pin("hot", "docs", None).await.unwrap(), IndexSpec::new("vec"));
    let before = lake.entry(&pinned, &spec, &context()).await.unwrap();
    for ends in [true, false] {
        hangs.store(ends, Ordering::SeqCst);
        let (working, pinned, spec) = (Arc::clone(&lake), Arc::clone(&pinned), spec.clone());
        let rebuilt = tokio::spawn(async move { working.rebuild_entry(&pinned, &spec, &context()).await });
        if ends {
            while counting.calls(Operation::Scan) < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(timeout(LINGER, entry(Arc::clone(&lake))).await.unwrap(), Ok(3), "the one before answers");
            lake.cancel_build("hot", "docs", &IndexSpec::new("vec"));
            assert_eq!(rebuilt.await.unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
        } else {
            let made = rebuilt.await.unwrap().unwrap();
            let pinned = lake.pin("hot", "docs", None).await.unwrap();
            let after = lake.entry(&pinned, &IndexSpec::new("vec"), &context()).await.unwrap();
            assert!(Arc::ptr_eq(&made, &after) && !Arc::ptr_eq(&before, &after));
        }
    }
    assert_eq!((lake.cache_stats().primes, lake.cached_entries().len()), (2, 1));
    lake.discard(&pinned, &spec).await.unwrap();
    assert!(lake.cached_entries().is_empty());
}
