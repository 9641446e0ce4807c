//! `knn(..., backends => [...])`, and how old an answer may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use arrow::array::{ArrayRef, AsArray, FixedSizeListArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Float32Type, Schema};
use ruvector_rulake::backend::layer::{Fault, FaultInjecting, Layered, Operation};
use ruvector_rulake::vector_column::vector_type;
use ruvector_rulake::{ErrorKind as LakeErrorKind, LocalBackend};
use ruvector_sql::ErrorKind;

use crate::support::Database;

fn rows(ids: &[i64], with_note: bool) -> RecordBatch {
    #[expect(clippy::cast_precision_loss, reason = "ids in tests are small")]
    let vectors = ids.iter().map(|id| Some([Some(*id as f32), Some(0.0)]));
    let vectors = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vectors, 2);
    let mut columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(ids.to_vec())), Arc::new(vectors)];
    let mut fields = vec![Field::new("id", DataType::Int64, true), Field::new("vec", vector_type(2).unwrap(), true)];
    if with_note {
        columns.push(Arc::new(StringArray::from_iter_values(ids.iter().map(i64::to_string))));
        fields.push(Field::new("note", DataType::Utf8, true));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

const WELL: u8 = 0;
const DOWN: u8 = 1;
const HANGING: u8 = 2;
const HANGING_ROWS: u8 = 3;

/// Two backends with a collection `docs`, and the mood of the second.
async fn two_backends() -> (Database, Arc<LocalBackend>, Arc<AtomicU8>) {
    let database = Database::temporary().await;
    let (hot, cold) = (Arc::new(LocalBackend::new("hot")), Arc::new(LocalBackend::new("cold")));
    for (backend, ids, with_note) in [(&hot, [1, 5, 9].as_slice(), true), (&cold, &[2, 4, 6, 8], false)] {
        let rows = rows(ids, with_note);
        backend.put("docs", rows.schema(), &[rows]).unwrap();
    }
    let mood = Arc::new(AtomicU8::new(WELL));
    let seen = Arc::clone(&mood);
    let moody = FaultInjecting::new(move |operation, _| match (seen.load(Ordering::SeqCst), operation) {
        (DOWN, _) => Fault::Fail(LakeErrorKind::Unavailable),
        (HANGING, Operation::Snapshot) | (HANGING_ROWS, Operation::Scan | Operation::Take) => Fault::Hang,
        _ => Fault::Pass,
    });
    database.engine.add_backend(hot).unwrap();
    database.engine.add_backend(Arc::new(Layered::new(Arc::clone(&cold) as _, Arc::new(moody)))).unwrap();
    (database, cold, mood)
}

fn names(batches: &[RecordBatch]) -> Vec<String> {
    let names = |batch: &RecordBatch| {
        batch.column(0).as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>()
    };
    batches.iter().flat_map(names).collect()
}

const BOTH: &str = "knn('docs', [5.0, 0.0], 4, backends => ['hot', 'cold'])";

#[tokio::test(flavor = "multi_thread")]
async fn the_nearest_of_all_backends_come_first() {
    let (database, ..) = two_backends().await;
    assert_eq!(database.ids(&format!("SELECT id FROM {BOTH}")).await, [5, 4, 6, 2]);
    let found = database.query(&format!("SELECT _backend FROM {BOTH}")).await;
    assert_eq!(names(&found), ["hot", "cold", "cold", "cold"]);
    let columns = database.query(&format!("SELECT * FROM {BOTH}")).await[0].schema();
    let columns: Vec<&str> = columns.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(columns, ["id", "vec", "_distance", "_backend"], "the columns that both have");

    // A WHERE is a filter in every backend, and a range on the distance; joins and aliases work as on any relation.
    assert_eq!(database.ids(&format!("SELECT id FROM {BOTH} WHERE id <> 4 AND id > 1")).await, [5, 6, 2, 8]);
    assert_eq!(database.ids(&format!("SELECT n.id FROM {BOTH} n WHERE n._distance <= 1.0")).await, [5, 4, 6]);
    let filtered = "knn('docs', [5.0, 0.0], 2, backends => ['cold', 'hot'], filter => id < 4)";
    assert_eq!(database.ids(&format!("SELECT id FROM {filtered}")).await, [2, 1]);
    let counted = format!("SELECT count(*) FROM {BOTH} a JOIN {BOTH} b ON a.id = b.id");
    assert_eq!(database.ids(&counted).await, [4]);
    database.without_optimizer_rules();
    assert_eq!(database.ids(&format!("SELECT id FROM {BOTH} WHERE id <> 4 AND id > 1")).await, [5, 6, 2, 8]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_fails_fails_the_answer_or_is_left_out() {
    let (database, _, mood) = two_backends().await;
    let asked = |more: &str| format!("SELECT id FROM knn('docs', [5.0, 0.0], 4, backends => ['hot', 'cold']{more})");
    for (state, word) in [(DOWN, "cold"), (HANGING, "backend cold, milliseconds at most 200"), (HANGING_ROWS, "200")] {
        mood.store(state, Ordering::SeqCst);
        let (kind, message) = database.error(&asked(", timeout_ms => 200")).await;
        assert_eq!(kind, ErrorKind::Unavailable, "{message}");
        assert!(message.contains(word), "{message}");
        assert_eq!(database.ids(&asked(", timeout_ms => 200, partial => true")).await, [5, 1, 9]);
    }
    let (kind, message) =
        database.error("SELECT id FROM knn('docs', [5.0, 0.0], 4, backends => ['cold', 'none'], partial => true, timeout_ms => 100)").await;
    assert_ne!(kind, ErrorKind::Internal, "{message}");
    mood.store(WELL, Ordering::SeqCst);
    assert_eq!(database.ids(&asked("")).await, [5, 4, 6, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn consistency_is_said_per_call() {
    let (database, cold, mood) = two_backends().await;
    let nearest = |more: &str| format!("SELECT id FROM knn('cold.docs', [7.1, 0.0], 1{more})");
    assert_eq!(database.ids(&nearest("")).await, [8]);
    cold.append("docs", &rows(&[7], false)).unwrap();
    for stale in [", consistency => 'stale'", ", consistency => 'eventual', ttl_ms => 60000", ", ttl_ms => 60000"] {
        assert_eq!(database.ids(&nearest(stale)).await, [8], "{stale}");
    }
    assert_eq!(database.ids(&nearest(", consistency => 'FRESH'")).await, [7]);
    mood.store(DOWN, Ordering::SeqCst);
    let (kind, _) = database.error(&nearest("")).await;
    assert_eq!(kind, ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused() {
    let (database, ..) = two_backends().await;
    let wide = Arc::new(LocalBackend::new("wide"));
    let vectors = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>([Some([Some(1.0_f32); 3])], 3);
    let column: ArrayRef = Arc::new(vectors);
    let batch = RecordBatch::try_from_iter([("vec", column)]).unwrap();
    wide.put("docs", batch.schema(), &[batch]).unwrap();
    database.engine.add_backend(wide).unwrap();
    for (arguments, word) in [
        ("'docs', [5.0, 0.0], 4, backends => []", "expected an array of names"),
        ("'docs', [random(), 0.0], 4, backends => ['hot', 'cold']", "the same for all backends"),
        (
            "'docs', (SELECT vec FROM hot.docs ORDER BY random() LIMIT 1), 4, backends => ['hot', 'cold']",
            "the same for all backends",
        ),
        ("'docs', [5.0, 0.0], 4, backends => 'hot'", "expected an array of names"),
        ("'docs', [5.0, 0.0], 4, backends => ['hot', 'hot']", "hot twice"),
        ("'hot.docs', [5.0, 0.0], 4, backends => ['hot']", "expected the name of a collection"),
        ("(SELECT * FROM hot.docs), [5.0, 0.0], 4, backends => ['hot']", "expected the name of a collection"),
        ("'docs', [5.0, 0.0], 4, backends => ['hot', 'wide']", "vectors of 2 numbers"),
        ("'docs', [5.0, 0.0], 4, backends => ['hot', 'none']", "none"),
        ("'hot.docs', [5.0, 0.0], 4, timeout_ms => 5", "backends"),
        ("'hot.docs', [5.0, 0.0], 4, partial => true", "backends"),
        ("'docs', [5.0, 0.0], 4, backends => ['hot'], timeout_ms => 0", "at least 1"),
        ("'docs', [5.0, 0.0], 4, backends => ['hot'], partial => 'yes'", "expected true or false"),
        ("'hot.docs', [5.0, 0.0], 4, consistency => 'soon'", "expected fresh, eventual, stale or frozen"),
        ("'hot.docs', [5.0, 0.0], 4, consistency => 'stale', ttl_ms => 5", "expected eventual"),
        ("'hot.docs', [5.0, 0.0], 4, consistency => 7", "expected a string"),
    ] {
        let (kind, message) = database.error(&format!("SELECT id FROM knn({arguments})")).await;
        assert!(matches!(kind, ErrorKind::InvalidInput | ErrorKind::NotFound), "{arguments}: {kind:?} {message}");
        assert!(message.contains(word), "{arguments}: {message}");
    }
    let (_, message) = database.error(&format!("SELECT id FROM {BOTH} WHERE _backend = 'hot'")).await;
    assert!(message.contains("name the backends to search in backends"), "{message}");
    let two = "SELECT 1 FROM knn('hot.docs', [5.0, 0.0], 1, consistency => 'stale') a, \
               knn('hot.docs', [5.0, 0.0], 1, consistency => 'fresh') b";
    let (_, message) = database.error(two).await;
    assert!(message.contains("a statement reads a table in one state"), "{message}");
}

/// All are asked for their state at once: one that hangs does not keep the others from being asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_hangs_keeps_no_other_from_being_asked() {
    let database = Arc::new(Database::temporary().await);
    let asked = Arc::new(AtomicU8::new(0));
    for name in ["first", "second", "third"] {
        let asked = Arc::clone(&asked);
        let hanging = FaultInjecting::new(move |operation, _| match operation {
            Operation::Snapshot => {
                asked.fetch_add(1, Ordering::SeqCst);
                Fault::Hang
            }
            _ => Fault::Pass,
        });
        let backend = Layered::new(Arc::new(LocalBackend::new(name)), Arc::new(hanging));
        database.engine.add_backend(Arc::new(backend)).unwrap();
    }
    let query =
        "SELECT id FROM knn('docs', [5.0, 0.0], 4, backends => ['first', 'second', 'third'], timeout_ms => 600000)";
    let running = tokio::spawn({
        let database = Arc::clone(&database);
        async move { database.ids(query).await }
    });
    for _ in 0..1000 {
        if asked.load(Ordering::SeqCst) == 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    running.abort();
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}
