//! Other backends are schemas: their collections are searched like tables, and SQL does not change them.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Float32Type, Schema};
use ruvector_rulake::LocalBackend;
use ruvector_rulake::vector_column::vector_type;
use ruvector_sql::ErrorKind;

use crate::support::Database;

fn rows(ids: &[i64]) -> RecordBatch {
    #[expect(clippy::cast_precision_loss, reason = "ids in tests are small")]
    let vectors = ids.iter().map(|id| Some([Some(*id as f32), Some(0.0)]));
    let vectors = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vectors, 2);
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(ids.to_vec())), Arc::new(vectors)];
    let fields = vec![Field::new("id", DataType::Int64, true), Field::new("vec", vector_type(2).unwrap(), true)];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_backend_is_a_schema() {
    let database = Database::temporary().await;
    let hot = Arc::new(LocalBackend::new("hot"));
    let first = rows(&[1, 2, 3]);
    hot.put("docs", first.schema(), &[first]).unwrap();
    database.engine.add_backend(Arc::clone(&hot) as _).unwrap();

    assert_eq!(database.ids("SELECT id FROM hot.docs WHERE id > 1 ORDER BY id LIMIT 5").await, [2, 3]);
    let nearest = "SELECT id FROM knn('hot.docs', [2.9, 0.0], 2) WHERE id < 4";
    assert_eq!(database.ids(nearest).await, [3, 2]);
    hot.append("docs", &rows(&[4, 3])).unwrap();
    assert_eq!(database.ids(nearest).await, [3, 3]);
    assert_eq!(database.ids("SELECT count(*) FROM hot.docs").await, [5]);

    for sql in ["INSERT INTO hot.docs VALUES (9, [1.0, 1.0])", "DELETE FROM hot.docs", "DROP TABLE hot.docs"] {
        let (kind, message) = database.error(sql).await;
        assert_eq!(kind, ErrorKind::NotSupported, "{sql}: {message}");
    }
    assert_eq!(database.ids("SELECT count(*) FROM hot.docs").await, [5]);
}

/// Others replace files whenever they like: a query that was planned before answers from what is there now.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_over_a_file_that_was_replaced_starts_over_once() {
    let folder = tempfile::tempdir().unwrap();
    let write = |ids: &[i64]| {
        let (path, batch) = (folder.path().join("docs.parquet"), rows(ids));
        let file = std::fs::File::create(path).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    };
    write(&[1, 2, 3]);
    let database = Database::temporary().await;
    for consistency in ["fresh", "stale"] {
        let path = folder.path().display();
        let create =
            format!("CREATE BACKEND {consistency} TYPE parquet OPTIONS (path '{path}', consistency '{consistency}')");
        database.run(&create).await;
        for sql in [
            format!("SELECT id FROM knn('{consistency}.docs', [9.0, 0.0], 1)"),
            format!("SELECT max(id) FROM {consistency}.docs"),
            format!("SELECT id FROM knn('{consistency}.docs', [9.0, 0.0], 1, exact => true) WHERE id > 0"),
        ] {
            write(&[1, 2, 3]);
            database.engine.lake().unpin(consistency, "docs").unwrap();
            let answer = database.engine.execute(&database.session, &sql, &[]).await.unwrap();
            write(&[4, 5, 6, 7]);
            let found = crate::support::ids(&answer.collect().await.unwrap());
            assert_eq!(found, [7], "{sql}");
        }
    }
}
