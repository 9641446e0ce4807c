//! Files that were written once are written still, byte for byte, by every kernel, and are read.
//!
//! The bytes of a file are a promise: the format, the rotation, the centroids and the codes. A change to any of them fails
//! here. Where it is meant, `RUVECTOR_WRITE_GOLDEN=1 cargo test -p ruvector-rabitq --test golden` writes the files again, and
//! the major version in `persist/format.rs` goes up if a file of the last release can no longer be read.

use std::path::{Path, PathBuf};
use std::process::Command;

use ruvector_rabitq::{
    BuildParams, Dim, IndexKind, Metric, SearchParams, VectorBatch, VectorIndex, cpu_features, load_any,
};

/// Variable of a process that is to print checksums.
const PRINT_CHECKSUMS: &str = "RUVECTOR_PRINT_CHECKSUMS";

/// A golden file and the ids nearest to the [`query`].
const GOLDEN: [(&str, IndexKind, Metric, [u64; 5]); 2] = [
    (
        "v2-rabitq_plus.rbpx",
        IndexKind::RabitqPlus,
        Metric::L2,
        [8_589_944_566, 8_589_944_560, 8_589_944_545, 4_294_977_238, 8_589_944_527],
    ),
    (
        "v2-ivf_rabitq.rbpx",
        IndexKind::IvfRabitq,
        Metric::Cosine,
        [8_589_944_560, 8_589_944_545, 8_589_944_566, 4_294_977_238, 8_589_944_569],
    ),
];

#[test]
fn golden_files_are_written_and_read_as_ever() {
    for (name, kind, metric, nearest) in GOLDEN {
        let index = golden(kind, metric);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        if std::env::var_os("RUVECTOR_WRITE_GOLDEN").is_some() {
            index.save(&path).expect("a golden file can be written");
        }
        let expected = std::fs::read(&path).expect("the golden file is there");
        let got = saved(index.as_ref());
        let differs = expected.iter().zip(&got).position(|(a, b)| a != b).unwrap_or(expected.len().min(got.len()));
        assert!(
            expected == got,
            "{name}: {} bytes, then {}; they differ from byte {differs}",
            expected.len(),
            got.len()
        );

        let loaded = load_any(&path).expect("a golden file can be read");
        assert_eq!((loaded.kind(), loaded.metric(), loaded.dim().get(), loaded.len()), (kind, metric, 40, 70));
        assert_eq!(loaded.attributes().get("witness").map(String::as_str), Some("00ff"));
        let hits = loaded
            .search(&query(), &SearchParams::new(5).with_rerank_factor(1))
            .expect("a golden index can be searched");
        assert_eq!(
            hits,
            index
                .search(&query(), &SearchParams::new(5).with_rerank_factor(1))
                .expect("so can the one it was made from")
        );
        assert_eq!(hits.iter().map(|hit| hit.id).collect::<Vec<_>>(), nearest, "{name}");
    }
}

#[test]
fn every_kernel_writes_the_same_bytes() {
    if std::env::var_os(PRINT_CHECKSUMS).is_some() {
        println!("checksums {} {:?}", cpu_features().kernel, checksums());
        return;
    }
    let expected = checksums();
    for kernel in cpu_features().available {
        // A kernel is chosen once in a process.
        let output = Command::new(std::env::current_exe().expect("this test runs from a file"))
            .args(["every_kernel_writes_the_same_bytes", "--exact", "--nocapture"])
            .env("RUVECTOR_KERNEL", kernel)
            .env(PRINT_CHECKSUMS, "1")
            .output()
            .expect("this test can be run again");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(printed.contains(&format!("checksums {kernel} {expected:?}")), "not {expected:?} but {printed}");
    }
}

/// Checksums of the files of all kinds and metrics, with dimensions that fill their last 64 and that do not.
fn checksums() -> Vec<u32> {
    let mut checksums = Vec::new();
    for kind in IndexKind::ALL {
        for metric in Metric::ALL {
            for dim in [40, 192] {
                let mut index = build(kind, metric, dim, 700, &BuildParams::new(metric).with_nlist(20));
                index.remove(&[index.ids()[3], index.ids()[500]]);
                index.add(5, &values(2, dim)).expect("the id is new");
                checksums.push(crc32fast::hash(&saved(index.as_ref())));
            }
        }
    }
    checksums
}

fn golden(kind: IndexKind, metric: Metric) -> Box<dyn VectorIndex> {
    let params = BuildParams::new(metric).with_nlist(5).with_nprobe(5).with_originals(true);
    let mut index = build(kind, metric, 40, 70, &params);
    index.attributes_mut().insert("witness".to_owned(), "00ff".to_owned());
    index
}

fn build(
    kind: IndexKind,
    metric: Metric,
    dim: usize,
    num_vectors: usize,
    params: &BuildParams,
) -> Box<dyn VectorIndex> {
    assert_eq!(params.metric, metric);
    let values = values(1, num_vectors * dim);
    let vectors = VectorBatch::new(Dim::new(dim).expect("a dimension"), &values).expect("finite vectors");
    let ids: Vec<u64> = (0..num_vectors as u64).map(|row| (row % 3) << 32 | (10_000 - row)).collect();
    kind.build(Some(&ids), vectors, params, None).expect("an index can be built")
}

fn query() -> Vec<f32> {
    values(3, 40)
}

/// Numbers in -1..1 that are the same on every machine: the first words of Knuth's MMIX generator.
fn values(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(next).collect()
}

fn saved(index: &dyn VectorIndex) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path: PathBuf = folder.path().join("index.rbpx");
    index.save(&path).expect("an index can be saved");
    std::fs::read(&path).expect("what was saved can be read")
}
