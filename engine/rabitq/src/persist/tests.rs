use std::path::PathBuf;

use super::format::{FIXED_BYTES, Header, SECTION_BYTES};
use super::*;
use crate::error::ErrorKind;
use crate::index::{BuildParams, Hit, SearchParams};
use crate::metric::Metric;
use crate::test_data::clustered;
use crate::vector::{Dim, VectorBatch};

const SEED: u64 = 5;

#[test]
fn every_kind_and_metric_round_trips() {
    let folder = tempfile::tempdir().unwrap();
    for kind in IndexKind::ALL {
        for metric in Metric::ALL {
            for num_vectors in [0, 1, 100] {
                let mut index = build(kind, metric, 65, num_vectors);
                index.attributes_mut().insert("witness".to_owned(), "00ff".to_owned());
                index.attributes_mut().insert("files".to_owned(), "a.parquet\nb.parquet ü".to_owned());
                let path = folder.path().join(format!("{kind}-{metric}-{num_vectors}.rbpx"));
                save(index.as_ref(), &path).unwrap();
                let loaded = load_any(&path).unwrap();
                assert_eq!((loaded.kind(), loaded.dim(), loaded.len()), (kind, index.dim(), num_vectors));
                assert_eq!(loaded.build_params(), index.build_params());
                assert_eq!(loaded.attributes(), index.attributes());
                assert_eq!(loaded.ids(), index.ids());
                assert_eq!(answers(loaded.as_ref()), answers(index.as_ref()));
                assert_eq!(loaded.memory_bytes(), index.memory_bytes());
                assert_eq!(bytes_of(loaded.as_ref()), bytes_of(index.as_ref()));
            }
        }
    }
}

#[test]
fn bytes_do_not_depend_on_the_number_of_threads() {
    let bytes = |num_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(num_threads).build().unwrap();
        pool.install(|| bytes_of(build(IndexKind::RabitqPlus, Metric::Cosine, 384, 2500).as_ref()))
    };
    assert!(bytes(1) == bytes(4));
}

/// The bytes of a format, of the rotation and of the codes are a promise: a change here needs a new major version.
#[test]
fn bytes_of_a_file_never_change() {
    let crcs =
        Metric::ALL.map(|metric| crc32fast::hash(&bytes_of(build(IndexKind::RabitqPlus, metric, 100, 50).as_ref())));
    assert_eq!(crcs, [3_364_400_599, 3_901_302_327, 4_062_188_834]);
    assert_eq!(crc32fast::hash(&bytes_of(build(IndexKind::FlatF32, Metric::L2, 100, 50).as_ref())), 3_580_035_281);
}

#[test]
fn every_truncation_is_corrupt() {
    for kind in IndexKind::ALL {
        let bytes = small_file(kind);
        for len in 0..bytes.len() {
            assert_corrupt(&bytes[..len], &format!("{kind} cut at {len}"));
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_corrupt(&longer, &format!("{kind} with a byte more"));
    }
}

#[test]
fn a_damaged_file_is_named() {
    let file = TestFile::new();
    std::fs::write(&file.path, b"rbpx").unwrap();
    let error = load_any(&file.path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(error.to_string(), format!("index file is truncated: path {}", file.path.display()));
}

#[test]
fn every_flipped_byte_is_corrupt() {
    for kind in IndexKind::ALL {
        let bytes = small_file(kind);
        for i in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xFF] {
                let mut flipped = bytes.clone();
                flipped[i] ^= flip;
                assert_corrupt(&flipped, &format!("{kind} byte {i} flipped by {flip:#x}"));
            }
        }
    }
}

/// A forged checksum gets a file past the first check; what it says must still be impossible to act on.
#[test]
fn a_lying_header_is_corrupt_and_takes_no_memory() {
    let bytes = small_file(IndexKind::RabitqPlus);
    type Lie = fn(&mut Header);
    let lies: [(&str, Lie); 9] = [
        ("dim 0", |header| header.dim = 0),
        ("dim", |header| header.dim = 16_384),
        ("padded_dim", |header| header.padded_dim = 128),
        ("num_vectors", |header| header.num_vectors = u64::from(u32::MAX)),
        ("num_vectors beyond all", |header| header.num_vectors = u64::MAX),
        ("epsilon", |header| header.epsilon = f32::NAN),
        ("section offset", |header| header.sections[1].offset = u64::MAX - 63),
        ("section length", |header| header.sections[1].len = u64::MAX / 2),
        ("section twice", |header| header.sections[1].id = 1),
    ];
    for (name, lie) in lies {
        let header_len = format::header_len(8);
        let mut header = Header::from_bytes(&bytes[..header_len]).unwrap();
        lie(&mut header);
        let mut forged = header.to_bytes();
        forged.extend(&bytes[header_len..]);
        assert_corrupt(&forged, name);
    }
}

#[test]
fn another_major_version_is_not_supported() {
    let mut bytes = small_file(IndexKind::FlatF32);
    let end = FIXED_BYTES + 3 * SECTION_BYTES;
    bytes[8] = 2;
    let crc = crc32fast::hash(&bytes[..end]);
    bytes[end..end + 4].copy_from_slice(&crc.to_le_bytes());
    let file = TestFile::new();
    std::fs::write(&file.path, &bytes).unwrap();
    let error = load_any(&file.path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSupported);
    assert!(error.to_string().starts_with("index file has another major version: expected 1, got 2.0"), "{error}");
}

#[test]
fn a_missing_file_or_folder_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent").join("index.rbpx");
    assert_eq!(load_any(&path).unwrap_err().kind(), ErrorKind::NotFound);
    let index = build(IndexKind::FlatF32, Metric::L2, 3, 5);
    assert_eq!(save(index.as_ref(), &path).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(save(index.as_ref(), Path::new("/")).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn loading_another_kind_is_refused() {
    let file = TestFile::new();
    save(build(IndexKind::FlatF32, Metric::L2, 3, 5).as_ref(), &file.path).unwrap();
    let error = RabitqPlusIndex::load(&file.path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().starts_with("index file holds another kind: expected rabitq_plus, got flat"), "{error}");
    assert_eq!(FlatF32Index::load(&file.path).unwrap().len(), 5);
}

#[test]
fn saving_replaces_the_old_file_and_leaves_nothing_else() {
    let file = TestFile::new();
    save(build(IndexKind::FlatF32, Metric::L2, 3, 5).as_ref(), &file.path).unwrap();
    save(build(IndexKind::RabitqPlus, Metric::L2, 3, 9).as_ref(), &file.path).unwrap();
    assert_eq!(RabitqPlusIndex::load(&file.path).unwrap().len(), 9);
    // A folder stands where the file should be: the rename fails, and what was written is removed.
    let folder = file.folder.path().join("folder.rbpx");
    std::fs::create_dir(&folder).unwrap();
    assert_eq!(save(build(IndexKind::FlatF32, Metric::L2, 3, 5).as_ref(), &folder).unwrap_err().kind(), ErrorKind::Io);
    let mut names: Vec<_> =
        std::fs::read_dir(file.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["folder.rbpx", "index.rbpx"]);
}

fn build(kind: IndexKind, metric: Metric, dim: usize, num_vectors: usize) -> Box<dyn VectorIndex> {
    let values = clustered(SEED, num_vectors, dim, 4);
    let vectors = VectorBatch::new(Dim::new(dim).unwrap(), &values).unwrap();
    let ids: Vec<u64> =
        (0..num_vectors as u64).map(|row| (row % 2) << 32 | (1000 - row.min(1000)) << 12 | row).collect();
    let params = BuildParams::new(metric).with_seed(SEED).with_rerank_factor(1);
    match kind {
        IndexKind::FlatF32 => Box::new(FlatF32Index::build(Some(&ids), vectors, &params, None).unwrap()),
        IndexKind::RabitqPlus => Box::new(RabitqPlusIndex::build(Some(&ids), vectors, &params, None).unwrap()),
    }
}

fn answers(index: &dyn VectorIndex) -> Vec<Hit> {
    index.search(&vec![0.25; index.dim().get()], &SearchParams::new(7)).unwrap()
}

fn bytes_of(index: &dyn VectorIndex) -> Vec<u8> {
    let file = TestFile::new();
    save(index, &file.path).unwrap();
    std::fs::read(&file.path).unwrap()
}

/// A file of every section, short enough to damage in every place.
fn small_file(kind: IndexKind) -> Vec<u8> {
    let mut index = build(kind, Metric::L2, 3, 5);
    index.attributes_mut().insert("witness".to_owned(), "00ff".to_owned());
    bytes_of(index.as_ref())
}

/// A path in a folder that is removed with it.
struct TestFile {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl TestFile {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.rbpx");
        Self { folder, path }
    }
}

fn assert_corrupt(bytes: &[u8], what: &str) {
    match reader::read_index(bytes, bytes.len() as u64) {
        Ok(_) => panic!("{what}: loaded"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}"),
    }
}
