//! Exact search over Parquet files, however they are written, against all vectors compared one by one.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float32Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{cast, concat_batches, sort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Field, Fields, Float32Type, Int64Type, Schema, UInt64Type};
use datafusion::physical_plan::collect;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::schema::types::ColumnPath;
use roaring::RoaringTreemap;
use ruvector_rabitq::{Dim, Hit, Metric, VectorBatch};
use ruvector_rulake::backend::layer::{Counting, Layered, Operation};
use ruvector_rulake::vector_type::DIM_KEY;
use ruvector_rulake::{
    Backend, DeltaBackend, Error, ErrorKind, FsBackend, RowAddress, ScanRequest, Snapshot, VectorRequest, exact,
};

use crate::support::{Random, context, lake_over, rows, schema, stream, vector};

const DIM: usize = 12;

type Rows = Vec<Option<Vec<f32>>>;

/// Vectors of few different coordinates, some equal, some NULL.
fn some_rows(random: &mut Random, count: usize, with_null: bool) -> Rows {
    let coordinate = |random: &mut Random| (random.signed() * 40.0).round();
    let row = |random: &mut Random| match random.below(9) {
        0 if with_null => None,
        1 => Some(vec![1.0; DIM]),
        _ => Some((0..DIM).map(|_| coordinate(random)).collect()),
    };
    (0..count).map(|_| row(random)).collect()
}

fn lists(rows: &Rows, item: &Arc<Field>) -> ArrayRef {
    let lengths = rows.iter().map(|row| row.as_ref().map_or(0, Vec::len));
    let values: Float32Array = rows.iter().flatten().flatten().copied().collect();
    let nulls: NullBuffer = rows.iter().map(Option::is_some).collect();
    let nulls = Some(nulls).filter(|nulls| nulls.null_count() > 0);
    Arc::new(ListArray::new(Arc::clone(item), OffsetBuffer::from_lengths(lengths), Arc::new(values), nulls))
}

fn list_type(item_nullable: bool) -> (Arc<Field>, DataType) {
    let item = Arc::new(Field::new_list_field(DataType::Float32, item_nullable));
    (Arc::clone(&item), DataType::List(item))
}

/// A table whose vectors are its third column, behind one that has several leaves itself.
fn table(vectors: ArrayRef, nullable: bool) -> RecordBatch {
    let len = vectors.len();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..len as i64));
    let words: ArrayRef = Arc::new(StringArray::from_iter((0..len).map(|i| (i % 3 > 0).then(|| format!("{i}")))));
    let inner = Fields::from(vec![Field::new("a", DataType::Int64, false), Field::new("vec", DataType::Utf8, true)]);
    let nested = StructArray::new(inner.clone(), vec![Arc::clone(&ids), words], None);
    let dim = [(DIM_KEY.to_owned(), DIM.to_string())].into();
    let fields = vec![
        Field::new("nested", DataType::Struct(inner), false),
        Field::new("id", DataType::Int64, false),
        Field::new("vec", vectors.data_type().clone(), nullable).with_metadata(dim),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![Arc::new(nested), ids, vectors]).unwrap()
}

fn write(path: &Path, batch: &RecordBatch, properties: WriterPropertiesBuilder) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let properties = properties.set_max_row_group_row_count(Some(150)).build();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// Small pages, of which there are several in a row group.
fn small_pages() -> WriterPropertiesBuilder {
    WriterProperties::builder().set_data_page_row_count_limit(17).set_write_batch_size(50)
}

async fn open(folder: &Path) -> Arc<dyn Snapshot> {
    FsBackend::open("lake", folder).unwrap().snapshot("docs").await.unwrap()
}

fn address(file: usize, row: usize) -> u64 {
    RowAddress::new(file.try_into().unwrap(), row.try_into().unwrap()).into()
}

/// The nearest rows, found by comparing all of them.
fn oracle(files: &[&Rows], metric: Metric, query: &[f32], k: usize, wanted: impl Fn(u64) -> bool) -> Vec<Hit> {
    let mut hits: Vec<Hit> = Vec::new();
    for (file, rows) in files.iter().enumerate() {
        for (row, vector) in rows.iter().enumerate() {
            let id = address(file, row);
            if let Some(vector) = vector.as_ref().filter(|_| wanted(id)) {
                hits.push(Hit { id, distance: metric.distance(query, vector) });
            }
        }
    }
    hits.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.id.cmp(&b.id)));
    hits.truncate(k);
    hits
}

async fn check(snapshot: &dyn Snapshot, files: &[&Rows], random: &mut Random, what: &str) {
    let dim = files.iter().flat_map(|rows| rows.iter()).flatten().next().unwrap().len();
    for (metric, k) in [(Metric::L2, 10), (Metric::Cosine, 1000), (Metric::InnerProduct, 25)] {
        let query: Vec<f32> = (0..dim).map(|_| random.signed() * 30.0).collect();
        let got = exact::search(snapshot, "vec", metric, &query, k, None, &context()).await.unwrap();
        assert_eq!(got, oracle(files, metric, &query, k, |_| true), "{what}, {metric}");
        let allowed: RoaringTreemap = (0..random.below(40)).map(|_| random.below(400) as u64).collect();
        let got = exact::search(snapshot, "vec", metric, &query, k, Some(&allowed), &context()).await.unwrap();
        assert_eq!(got, oracle(files, metric, &query, k, |id| allowed.contains(id)), "{what}, {metric}, {allowed:?}");
    }
}

/// Scans rows with their vectors, in the order of their addresses.
async fn scan(snapshot: &dyn Snapshot, projection: &[usize]) -> Result<Vec<RecordBatch>, Error> {
    let request = ScanRequest { projection: Some(projection.to_vec()), with_address: true, ..ScanRequest::default() };
    let plan = snapshot.scan(&context(), &request).await?;
    assert_eq!(plan.children().len(), 1, "vectors are put beside other columns");
    let batches = collect(plan, context()).await.map_err(ruvector_rulake::error::from_datafusion)?;
    let schema = batches[0].schema();
    let all = concat_batches(&schema, &batches).unwrap();
    let sorted = sort_to_indices(all.columns().last().unwrap(), None, None).unwrap();
    Ok(vec![take_record_batch(&all, &sorted).unwrap()])
}

/// A scan gives every row with its id and its vector.
async fn check_scan(snapshot: &dyn Snapshot, files: &[&Rows], what: &str) {
    let dim = snapshot.schema().field(2).data_type().clone();
    for projection in [&[1, 2][..], &[2, 1], &[2], &[2, 0, 2]] {
        let [rows] = <[_; 1]>::try_from(scan(snapshot, projection).await.unwrap()).unwrap();
        let at = |column| projection.iter().position(|projected| *projected == column);
        let (vectors, addresses) = (rows.column(at(2).unwrap()), rows.column(projection.len()));
        assert_eq!(vectors.data_type(), &dim);
        let addresses = addresses.as_primitive::<UInt64Type>();
        let mut row = 0;
        for (file, expected) in files.iter().enumerate() {
            for (i, expected) in expected.iter().enumerate() {
                let got = vectors.is_valid(row).then(|| vectors.as_fixed_size_list().value(row));
                let got = got.map(|vector| vector.as_primitive::<Float32Type>().values().to_vec());
                assert_eq!(&got, expected, "{what}, {projection:?}: row {i} of file {file}");
                assert_eq!(addresses.value(row), address(file, i), "{what}");
                if let Some(id) = at(1) {
                    assert_eq!(rows.column(id).as_primitive::<Int64Type>().value(row), i as i64, "{what}");
                }
                row += 1;
            }
        }
        assert_eq!(row, rows.num_rows(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_write_vectors_is_read() {
    let mut random = Random::new(11);
    let leaf = ColumnPath::from(vec!["vec".to_owned(), "list".to_owned(), "item".to_owned()]);
    type Encode = fn(WriterPropertiesBuilder, ColumnPath) -> WriterPropertiesBuilder;
    let encodings: [(&str, Encode); 4] = [
        ("plain", |properties, leaf| properties.set_column_dictionary_enabled(leaf, false)),
        ("dictionary", |properties, _| properties),
        ("a dictionary that is given up", |properties, _| properties.set_dictionary_page_size_limit(100)),
        ("split", |properties, leaf| {
            let properties = properties.set_column_dictionary_enabled(leaf.clone(), false);
            properties.set_column_encoding(leaf, Encoding::BYTE_STREAM_SPLIT)
        }),
    ];
    for (encoding, encode) in encodings {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            for codec in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(ZstdLevel::default())] {
                for (with_null, item_nullable) in [(true, true), (false, false), (true, false), (false, true)] {
                    let folder = tempfile::tempdir().unwrap();
                    let rows = some_rows(&mut random, 400, with_null);
                    let (item, _) = list_type(item_nullable);
                    let properties = small_pages()
                        .set_writer_version(version)
                        .set_compression(codec)
                        .set_statistics_enabled(EnabledStatistics::Chunk)
                        .set_offset_index_disabled(random.below(2) == 0);
                    let batch = table(lists(&rows, &item), with_null);
                    write(&folder.path().join("docs/a.parquet"), &batch, encode(properties, leaf.clone()));
                    let what = format!("{encoding}, {version:?}, {codec}, NULL: {with_null}, {item_nullable}");
                    let snapshot = open(folder.path()).await;
                    check(snapshot.as_ref(), &[&rows], &mut random, &what).await;
                    check_scan(snapshot.as_ref(), &[&rows], &what).await;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_fixed_size_and_several_files_are_read() {
    let mut random = Random::new(12);
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<Rows> = [3, 400, 151, 1].map(|count| some_rows(&mut random, count, true)).into();
    let (item, _) = list_type(true);
    let fixed = DataType::FixedSizeList(Arc::clone(&item), DIM.try_into().unwrap());
    for (i, rows) in files.iter().enumerate() {
        let vectors = cast(&lists(rows, &item), &fixed).unwrap();
        write(&folder.path().join(format!("docs/{i}.parquet")), &table(vectors, true), small_pages());
    }
    let files: Vec<&Rows> = files.iter().collect();
    let snapshot = open(folder.path()).await;
    check(snapshot.as_ref(), &files, &mut random, "fixed size").await;
    check_scan(snapshot.as_ref(), &files, "fixed size").await;
}

/// Coordinates are small integers, which every type of numbers has.
#[tokio::test(flavor = "multi_thread")]
async fn other_kinds_of_lists_are_vectors_too() {
    let mut random = Random::new(13);
    let rows = some_rows(&mut random, 40, true);
    let (item, _) = list_type(true);
    let double = Arc::new(Field::new_list_field(DataType::Float64, true));
    let half = Arc::new(Field::new_list_field(DataType::Float16, true));
    for other in [
        DataType::LargeList(Arc::clone(&item)),
        DataType::LargeList(Arc::clone(&double)),
        DataType::List(Arc::clone(&double)),
        DataType::List(half),
        DataType::List(Arc::new(Field::new_list_field(DataType::Int8, true))),
        DataType::FixedSizeList(double, i32::try_from(DIM).unwrap()),
    ] {
        let leaf = ColumnPath::from(vec!["vec".to_owned(), "list".to_owned(), "item".to_owned()]);
        let streams = small_pages().set_column_dictionary_enabled(leaf.clone(), false);
        for properties in [small_pages(), streams.set_column_encoding(leaf, Encoding::BYTE_STREAM_SPLIT)] {
            let folder = tempfile::tempdir().unwrap();
            let vectors = cast(&lists(&rows, &item), &other).unwrap();
            let batch = table(vectors, true);
            let fields = batch.schema_ref().fields().iter();
            let fields: Vec<_> = fields.map(|field| field.as_ref().clone().with_metadata(Default::default())).collect();
            let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), batch.columns().to_vec()).unwrap();
            write(&folder.path().join("docs/a.parquet"), &batch, properties);
            let snapshot = open(folder.path()).await;
            assert_eq!(snapshot.schema().field_with_name("vec").unwrap().data_type(), &other);
            check(snapshot.as_ref(), &[&rows], &mut random, &other.to_string()).await;
        }
    }
}

/// Files of other writers: their pages end in the middle of lists, and have no index.
#[tokio::test(flavor = "multi_thread")]
async fn lists_that_go_on_on_the_next_page_are_read() {
    let coordinate = |i: i32| ((i * 7919 % 1000) as f32) / 8.0 - 60.0;
    let row = |i: i32| (![7, 20, 21, 59].contains(&i)).then(|| (0..6).map(|j| coordinate(i * 6 + j)).collect());
    let rows: Rows = (0..60).map(row).collect();
    for name in ["pyarrow_split", "pyarrow_split_dictionary", "duckdb"] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("docs")).unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/fixtures/{name}.parquet"));
        std::fs::copy(fixture, folder.path().join("docs/a.parquet")).unwrap();
        let snapshot = open(folder.path()).await;
        check(snapshot.as_ref(), &[&rows], &mut Random::new(14), name).await;
        for only in 0..60 {
            let allowed = RoaringTreemap::from([only]);
            let context = context();
            let got = exact::search(snapshot.as_ref(), "vec", Metric::L2, &[0.0; 6], 9, Some(&allowed), &context);
            assert_eq!(got.await.unwrap(), oracle(&[&rows], Metric::L2, &[0.0; 6], 9, |id| id == only), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_at_fault_is_named() {
    let (item, _) = list_type(true);
    let at_fault: [(Vec<f32>, &str); 5] = [
        (vec![], "vector has the wrong dimension"),
        (vec![1.0; DIM - 1], "vector has the wrong dimension"),
        (vec![1.0; DIM + 1], "vector has the wrong dimension"),
        (vec![f32::NAN; DIM], "vector is not finite"),
        ([vec![0.0; DIM - 1], vec![f32::INFINITY]].concat(), "vector is not finite"),
    ];
    for (vector, message) in at_fault {
        for row in [0, 16, 17, 149, 150, 399] {
            let folder = tempfile::tempdir().unwrap();
            let mut rows = some_rows(&mut Random::new(15), 400, true);
            rows[row] = Some(vector.clone());
            write(&folder.path().join("docs/a.parquet"), &table(lists(&rows, &item), true), small_pages());
            let error = search_all(open(folder.path()).await.as_ref()).await.unwrap_err();
            assert_names(&error, message, row);
        }
    }
    // A NULL coordinate.
    let folder = tempfile::tempdir().unwrap();
    let values: Float32Array = (0..100 * DIM).map(|i| (i != 61 * DIM + 3).then_some(i as f32)).collect();
    let vectors = ListArray::new(item, OffsetBuffer::from_lengths([DIM; 100]), Arc::new(values), None);
    write(&folder.path().join("docs/a.parquet"), &table(Arc::new(vectors), true), small_pages());
    let snapshot = open(folder.path()).await;
    let error = search_all(snapshot.as_ref()).await.unwrap_err();
    assert_names(&error, "vector has a NULL coordinate", 61);
    // Who only reads it gets it as it is.
    let [rows] = <[_; 1]>::try_from(scan(snapshot.as_ref(), &[2]).await.unwrap()).unwrap();
    let vector = rows.column(0).as_fixed_size_list().value(61);
    assert_eq!((vector.null_count(), vector.is_null(3)), (1, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_names_a_vector_of_another_dimension() {
    let (item, _) = list_type(true);
    for row in [0, 17, 399] {
        let folder = tempfile::tempdir().unwrap();
        let mut rows = some_rows(&mut Random::new(20), 400, true);
        rows[row] = Some(vec![1.0; DIM - 1]);
        write(&folder.path().join("docs/a.parquet"), &table(lists(&rows, &item), true), small_pages());
        let error = scan(open(folder.path()).await.as_ref(), &[1, 2]).await.unwrap_err();
        assert_names(&error, "vector has the wrong dimension", row);
    }
}

async fn search_all(snapshot: &dyn Snapshot) -> Result<Vec<Hit>, Error> {
    exact::search(snapshot, "vec", Metric::L2, &[0.0; DIM], 3, None, &context()).await
}

fn assert_names(error: &Error, message: &str, row: usize) {
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
    assert!(text.contains(message) && text.contains("docs/a.parquet"), "{text}");
    assert!(text.contains(&format!(", row {row},")) || text.ends_with(&format!(", row {row}")), "{text}: row {row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_torn_is_refused() {
    let (item, _) = list_type(true);
    let folder = tempfile::tempdir().unwrap();
    let rows = some_rows(&mut Random::new(16), 400, true);
    let file = folder.path().join("docs/a.parquet");
    write(&file, &table(lists(&rows, &item), true), small_pages().set_compression(Compression::SNAPPY));
    let whole = std::fs::read(&file).unwrap();
    let mut random = Random::new(17);
    for _ in 0..300 {
        let mut torn = whole.clone();
        let at = random.below(torn.len() - 2000);
        torn[at] ^= 1 << random.below(8);
        std::fs::write(&file, torn).unwrap();
        // Without checksums a page may as well hold other numbers; nothing may panic.
        if let Ok(backend) = FsBackend::open("lake", folder.path())
            && let Ok(snapshot) = backend.snapshot("docs").await
            && let Err(error) = search_all(snapshot.as_ref()).await
        {
            assert_ne!(error.kind(), ErrorKind::GenerationGone, "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_deletion_vectors_are_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let backend = DeltaBackend::open("main", folder.path()).unwrap();
    backend.create("docs", &schema()).await.unwrap();
    let ids: Vec<i64> = (0..200).collect();
    backend.append("docs", stream(rows(&ids))).await.unwrap();
    let deleted = [0, 3, 4, 5, 99, 199];
    crate::delta::delete_by_vector(&folder.path().join("docs"), &deleted);
    let snapshot = backend.snapshot("docs").await.unwrap();
    assert_eq!(snapshot.num_rows(), Some(194));
    let expected: Rows = ids.iter().map(|id| Some(vector(*id).to_vec())).collect();
    let query = vector(4);
    let is_there = |id: u64| !deleted.contains(&id);
    let got = exact::search(snapshot.as_ref(), "vec", Metric::L2, &query, 1000, None, &context()).await.unwrap();
    assert_eq!(got, oracle(&[&expected], Metric::L2, &query, 1000, is_there));
    let allowed: RoaringTreemap = [3, 7, 99, 100].into_iter().collect();
    let found = exact::search(snapshot.as_ref(), "vec", Metric::L2, &query, 9, Some(&allowed), &context()).await;
    assert_eq!(found.unwrap(), oracle(&[&expected], Metric::L2, &query, 9, |id| is_there(id) && allowed.contains(id)));
    let column = snapshot.schema().index_of("vec").unwrap();
    let [rows] = <[_; 1]>::try_from(scan(snapshot.as_ref(), &[column]).await.unwrap()).unwrap();
    let got: Vec<Vec<f32>> = (0..rows.num_rows())
        .map(|row| rows.column(0).as_fixed_size_list().value(row).as_primitive::<Float32Type>().values().to_vec())
        .collect();
    let left = ids.iter().filter(|id| is_there(u64::try_from(**id).unwrap())).map(|id| vector(*id).to_vec());
    assert_eq!(got, left.collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_went_away_and_tables_that_lie_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let backend = DeltaBackend::open("main", folder.path()).unwrap();
    backend.create("docs", &schema()).await.unwrap();
    backend.append("docs", stream(rows(&[1, 2, 3]))).await.unwrap();
    let pinned = backend.snapshot("docs").await.unwrap();
    let is_data = |path: &Path| path.extension().is_some_and(|extension| extension == "parquet");
    let files = std::fs::read_dir(folder.path().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let file = files.into_iter().find(|path| is_data(path)).unwrap();
    let search = async || exact::search(pinned.as_ref(), "vec", Metric::L2, &vector(1), 1, None, &context()).await;
    crate::support::write_parquet(&file, &rows(&[1, 2, 3, 4]));
    let error = search().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "more rows than the log says: {error}");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(search().await.unwrap_err().kind(), ErrorKind::GenerationGone);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_as_its_queries_do_also_through_layers() {
    let mut random = Random::new(18);
    let folder = tempfile::tempdir().unwrap();
    let rows = some_rows(&mut random, 400, true);
    let (item, _) = list_type(true);
    write(&folder.path().join("docs/a.parquet"), &table(lists(&rows, &item), true), small_pages());
    let counting = Arc::new(Counting::default());
    let backend = Arc::new(FsBackend::open("lake", folder.path()).unwrap());
    let layered = Layered::new(Arc::clone(&backend) as _, Arc::clone(&counting));
    let queries: Vec<f32> = (0..5 * DIM).map(|_| random.signed() * 30.0).collect();
    let batch = VectorBatch::new(Dim::new(DIM).unwrap(), &queries).unwrap();
    for snapshot in [backend.snapshot("docs").await.unwrap(), layered.snapshot("docs").await.unwrap()] {
        let answers = exact::search_batch(snapshot.as_ref(), "vec", Metric::L2, batch, 7, None, &context()).await;
        let scores =
            |hits: Vec<Hit>| hits.into_iter().map(|hit| exact::Scored { id: hit.id, score: f64::from(hit.distance) });
        let expected: Vec<Vec<exact::Scored>> =
            batch.rows().map(|query| scores(oracle(&[&rows], Metric::L2, query, 7, |_| true)).collect()).collect();
        assert_eq!(answers.unwrap(), expected);
    }
    assert_eq!(counting.calls(Operation::Scan), 1, "a layer sees what is read");
    assert_eq!(counting.given().rows, 400);
    // An index is made of the same vectors.
    let lake = lake_over(&backend);
    let pinned = lake.pin("lake", "docs", None).await.unwrap();
    let entry = lake.entry(&pinned, &ruvector_rulake::IndexSpec::new("vec"), &context()).await.unwrap();
    assert_eq!(entry.index().len(), rows.iter().flatten().count());
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_stand_for_all_rows_and_leave_out_what_nobody_wants() {
    use futures::TryStreamExt;
    let folder = tempfile::tempdir().unwrap();
    let (item, _) = list_type(true);
    let rows = some_rows(&mut Random::new(19), 400, false);
    write(&folder.path().join("docs/a.parquet"), &table(lists(&rows, &item), true), small_pages());
    let snapshot = open(folder.path()).await;
    let allowed = RoaringTreemap::from([20, 301]);
    for allowed in [None, Some(&allowed)] {
        let request = VectorRequest { column: 2, parts: None, allowed };
        let windows = snapshot.vectors(&context(), &request).await.unwrap().try_collect::<Vec<_>>().await.unwrap();
        assert_eq!(windows.iter().map(|window| window.num_rows).sum::<usize>(), 400);
        let given: usize = windows.iter().flat_map(|window| &window.batches).map(RecordBatch::num_rows).sum();
        assert_eq!(given, if allowed.is_none() { 400 } else { 2 });
    }
}
