//! Following: whatever happens to a collection, its entry answers as one that is built anew.

use std::sync::Arc;

use datafusion::prelude::{col, lit};
use ruvector_rabitq::{IndexKind, Metric};
use ruvector_rulake::{DeltaBackend, IndexSpec, RuLake, exact};

use crate::support::{Random, context, lake_over, random_rows, schema, stream, vector};

/// Holds the entry of `lake` against exact search over the same state.
async fn check(lake: &RuLake, spec: &IndexSpec, what: &str) {
    let pinned = lake.pin("main", "docs", None).await.unwrap();
    let entry = lake.entry(&pinned, spec, &context(), None).await.unwrap();
    let snapshot = pinned.snapshot().as_ref();
    for query in [vector(3), vector(-40), [0.1, 7.0, -3.0, 2.0]] {
        let oracle = exact::search(snapshot, "vec", spec.metric, &query, 20, None, &context()).await.unwrap();
        assert_eq!(entry.search(&query, 20, None, None).unwrap(), oracle, "{what}");
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
                    let least = random.below(next as usize) as i64;
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
