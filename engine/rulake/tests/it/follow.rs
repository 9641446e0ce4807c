//! Following: after any change of a collection, its entry answers as a new one does.

use std::sync::Arc;

use datafusion::prelude::{col, lit};
use ruvector_rabitq::{Dim, IndexKind, Metric, SearchParams, VectorBatch};
use ruvector_rulake::{DeltaBackend, IndexSpec, LocalBackend, RuLake, exact};

use crate::support::{Random, context, lake_over, random_rows, rows, schema, stream, vector};

/// Holds the entry of `lake` against exact search over the same state.
async fn check(lake: &RuLake, spec: &IndexSpec, what: &str) {
    let pinned = lake.pin("main", "docs", None).await.unwrap();
    let entry = lake.entry(&pinned, spec, &context()).await.unwrap();
    let snapshot = pinned.snapshot().as_ref();
    for query in [vector(3), vector(-40), [0.1, 7.0, -3.0, 2.0]] {
        let oracle = exact::search(snapshot, "vec", spec.metric, &query, 20, None, &context()).await.unwrap();
        assert_eq!(entry.search(&query, &SearchParams::new(20)).unwrap(), oracle, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_changes_of_a_delta_table_are_followed() {
    const SEED: u64 = 11;
    println!("seed {SEED}");
    for kind in [IndexKind::RabitqPlus, IndexKind::FlatF32] {
        let folder = tempfile::tempdir().unwrap();
        let backend = Arc::new(DeltaBackend::open("main", folder.path()).unwrap());
        let lake = lake_over(&backend);
        let spec = IndexSpec { kind, metric: Metric::L2, ..IndexSpec::new("vec") };
        let mut random = Random::new(SEED);
        let mut next = 3000;
        backend.create_with("docs", schema(), stream(random_rows(&mut random, 0..next))).await.unwrap();
        check(&lake, &spec, "built").await;
        for step in 0..12 {
            let what = match random.below(4) {
                0 | 1 => {
                    let more = 1 + random.below(200) as i64;
                    backend.append("docs", stream(random_rows(&mut random, next..next + more))).await.unwrap();
                    next += more;
                    "append"
                }
                2 => {
                    let modulus = 5 + random.below(90) as i64;
                    backend.delete("docs", Some((col("id") % lit(modulus)).eq(lit(1_i64)))).await.unwrap();
                    "delete"
                }
                _ => {
                    let least = random.below(next.try_into().unwrap()) as i64;
                    backend.delete("docs", Some(col("id").between(lit(least), lit(least + 50)))).await.unwrap();
                    "delete a range"
                }
            };
            check(&lake, &spec, &format!("{kind}, step {step}: {what}")).await;
        }
        let stats = lake.cache_stats();
        assert_eq!((stats.primes, stats.loads), (1, 0), "{kind}: the rest was followed: {stats:?}");
        assert!(stats.follows >= 10, "{kind}: {stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_changes_in_memory_are_followed() {
    const SEED: u64 = 12;
    println!("seed {SEED}");
    for kind in IndexKind::ALL {
        let backend = Arc::new(LocalBackend::new("main"));
        let lake = lake_over(&backend);
        let mut random = Random::new(SEED);
        backend.put("docs", schema(), &[random_rows(&mut random, 0..3000)]).unwrap();
        let spec = IndexSpec { kind, ..IndexSpec::new("vec") };
        // Kinds without originals, or that look into some lists only, answer nearly.
        let exact = matches!(kind, IndexKind::RabitqPlus | IndexKind::FlatF32 | IndexKind::RabitqAsym);
        for step in 0..30 {
            let first = random.below(3500) as i64;
            let few = first..first + 1 + random.below(60) as i64;
            match random.below(3) {
                0 => backend.append("docs", &random_rows(&mut random, few)).unwrap(),
                1 => _ = backend.upsert("docs", &random_rows(&mut random, few)).unwrap(),
                _ => _ = backend.remove("docs", &few.collect::<Vec<_>>()).unwrap(),
            }
            if exact {
                check(&lake, &spec, &format!("{kind}, step {step}")).await;
            } else {
                let pinned = lake.pin("main", "docs", None).await.unwrap();
                let entry = lake.entry(&pinned, &spec, &context()).await.unwrap();
                let built = RuLake::new();
                built.register_backend(Arc::clone(&backend) as _).unwrap();
                let pinned = built.pin("main", "docs", None).await.unwrap();
                let anew = built.entry(&pinned, &spec, &context()).await.unwrap();
                let mut ids = (entry.index().ids(), anew.index().ids());
                ids.0.sort_unstable();
                ids.1.sort_unstable();
                assert_eq!(ids.0, ids.1, "{kind}, step {step}");
            }
        }
        let stats = lake.cache_stats();
        assert_eq!(stats.primes, 1, "{kind}: {stats:?}");
        assert!(stats.follows >= 25, "{kind}: {stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_grows_out_of_its_lists_is_built_anew() {
    let backend = Arc::new(LocalBackend::new("main"));
    let lake = lake_over(&backend);
    let mut random = Random::new(13);
    backend.put("docs", schema(), &[random_rows(&mut random, 0..100)]).unwrap();
    check(&lake, &IndexSpec::new("vec"), "built").await;
    backend.append("docs", &random_rows(&mut random, 100..500)).unwrap();
    check(&lake, &IndexSpec::new("vec"), "grown").await;
    assert_eq!((lake.cache_stats().primes, lake.cache_stats().follows), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_an_older_state_is_not_disturbed() {
    let backend = Arc::new(LocalBackend::new("main"));
    let lake = lake_over(&backend);
    backend.put("docs", schema(), &[rows(&[1, 2, 3])]).unwrap();
    let spec = IndexSpec::new("vec");
    let old = lake.pin("main", "docs", None).await.unwrap();
    let held = lake.entry(&old, &spec, &context()).await.unwrap();
    backend.append("docs", &rows(&[9])).unwrap();
    check(&lake, &spec, "followed").await;
    let nearest = |entry: &ruvector_rulake::Entry| entry.search(&vector(9), &SearchParams::new(1)).unwrap()[0].id;
    assert_eq!(nearest(&held), 2, "the entry in use is as it was");
    drop(held);
    let again = lake.entry(&old, &spec, &context()).await.unwrap();
    assert_eq!(nearest(&again), 2, "and so is one that is made again");
    drop(again);
    check(&lake, &spec, "and back").await;
}

/// Another dimension is another table: what was made of the old one is no beginning.
#[tokio::test(flavor = "multi_thread")]
async fn vectors_of_another_dimension_are_built_anew() {
    let backend = Arc::new(LocalBackend::new("main"));
    let lake = lake_over(&backend);
    backend.put("docs", schema(), &[rows(&[1, 2, 3])]).unwrap();
    check(&lake, &IndexSpec::new("vec"), "before").await;
    let wide = VectorBatch::new(Dim::new(2).unwrap(), &[0.0, 1.0, 2.0, 3.0]).unwrap();
    backend.drop_collection("docs").unwrap();
    backend.upsert_vectors("docs", &[1, 2], wide).unwrap();
    let pinned = lake.pin("main", "docs", None).await.unwrap();
    let entry = lake.entry(&pinned, &IndexSpec::new("vec"), &context()).await.unwrap();
    assert_eq!((entry.index().dim().get(), entry.index().len()), (2, 2));
}

/// Lists made for vectors that are all gone serve those that came badly.
#[tokio::test(flavor = "multi_thread")]
async fn a_collection_of_which_everything_changed_is_built_anew() {
    let backend = Arc::new(LocalBackend::new("main"));
    let lake = lake_over(&backend);
    let mut random = Random::new(14);
    backend.put("docs", schema(), &[random_rows(&mut random, 0..300)]).unwrap();
    for _ in 0..6 {
        check(&lake, &IndexSpec::new("vec"), "changed").await;
        let first = random.below(200) as i64;
        backend.upsert("docs", &random_rows(&mut random, first..first + 100)).unwrap();
    }
    let stats = lake.cache_stats();
    assert!(stats.primes > 1 && stats.follows > 1, "{stats:?}");
}
