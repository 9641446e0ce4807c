//! Every inner loop of every kernel of this CPU, on one thread, beside the rate at which the memory can be read.
//!
//! Criterion times each loop; the table at the end holds them against one another and against the memory. All loops give
//! the same numbers whatever the kernel, or there is nothing to time.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use ruvector_benches::timing::{read, shortest, ticks_per_second};
use ruvector_rabitq::bench::Data;
use ruvector_rabitq::cpu_features;

const SEED: u64 = 42;
const PADDED_DIMS: [usize; 3] = [128, 384, 1536];
/// Size of the codes: several times the cache of a core.
const BYTES: usize = 16 << 20;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .configure_from_args();
    let numbers: Vec<u64> = (0..BYTES as u64 / 8).collect();
    let mut group = criterion.benchmark_group("memory");
    group.throughput(Throughput::Bytes(BYTES as u64));
    group.bench_function("read", |bencher| bencher.iter(|| black_box(read(black_box(&numbers)))));
    group.finish();

    let ceiling = BYTES as f64 / shortest(|| _ = black_box(read(black_box(&numbers)))).as_secs_f64();
    let ticks = ticks_per_second();
    let mut rows = Vec::new();
    for padded_dim in PADDED_DIMS {
        let data = Data::new(padded_dim, BYTES, SEED);
        let expected: Vec<u64> = data.loops("scalar").iter().map(|inner| inner.checksum()).collect();
        for kernel in cpu_features().available {
            for (inner, expected) in data.loops(kernel).iter().zip(&expected) {
                assert_eq!(inner.checksum(), *expected, "{kernel}, {}: the results are wrong", inner.name);
                let mut group = criterion.benchmark_group(format!("{} of {padded_dim}", inner.name));
                group.throughput(Throughput::Bytes(inner.bytes as u64));
                group.bench_function(kernel, |bencher| bencher.iter(|| black_box(inner.run())));
                group.finish();
                let seconds = shortest(|| _ = black_box(inner.run())).as_secs_f64();
                let rate = inner.bytes as f64 / seconds;
                let cycles =
                    ticks.map_or("-".to_owned(), |ticks| format!("{:.1}", seconds * ticks / inner.num_vectors as f64));
                let megabytes = inner.bytes as f64 / 1e6;
                rows.push(format!(
                    "| {} | {padded_dim} | {kernel} | {megabytes:.1} | {:.1} | {:.0} % | {cycles} |",
                    inner.name,
                    rate / 1e9,
                    100.0 * rate / ceiling
                ));
            }
        }
    }
    criterion.final_summary();
    let mut table = format!(
        "One thread. It reads {:.1} GB/s of {} MB. Cycles are those of the constant clock.\n\n\
         | loop | dim | kernel | MB | GB/s | of reading | cycles per vector |\n\
         |:--|--:|:--|--:|--:|--:|--:|\n",
        ceiling / 1e9,
        BYTES >> 20
    );
    rows.iter().for_each(|row| table.extend([row.as_str(), "\n"]));
    println!("\n{table}");
    let out = concat!(env!("CARGO_MANIFEST_DIR"), "/out");
    if let Err(error) = std::fs::create_dir_all(out).and_then(|()| std::fs::write(format!("{out}/kernels.md"), table)) {
        eprintln!("{out}/kernels.md is not written: {error}");
    }
}
