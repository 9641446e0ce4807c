//! Every kernel gives the same answers, bit by bit: a kernel is chosen once for a process, so each runs in its own.

#![allow(clippy::unwrap_used, reason = "a test that unwraps an error fails with its message")]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Command;

use roaring::RoaringTreemap;
use ruvector_rabitq::{BuildParams, Hit, IndexKind, Metric, SearchParams, cpu_features};

mod data;

use data::{batch, clustered};

const LABEL: &str = "kernel and answers:";

#[test]
fn every_kernel_gives_the_same_answers() {
    let outputs: Vec<(&str, String)> =
        cpu_features().available.into_iter().map(|kernel| (kernel, answers_of(kernel))).collect();
    for (kernel, output) in &outputs {
        let answers = output.strip_prefix(kernel).unwrap_or_else(|| panic!("{kernel} was forced, but {output} ran"));
        assert_eq!(answers, &outputs[0].1[outputs[0].0.len()..], "{kernel} and {}", outputs[0].0);
    }
}

/// Runs the other test of this file in a process of its own, and returns the line it prints.
fn answers_of(kernel: &str) -> String {
    let this = std::env::current_exe().unwrap();
    let output = Command::new(this)
        .args(["--exact", "answers_are_printed", "--nocapture"])
        .env("RUVECTOR_KERNEL", kernel)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{kernel}: {text}{}", String::from_utf8_lossy(&output.stderr));
    let (_, line) = text.split_once(LABEL).unwrap_or_else(|| panic!("{kernel} printed no answers: {text}"));
    line.lines().next().unwrap().trim().to_owned()
}

/// A hash for each kind and metric.
#[test]
fn answers_are_printed() {
    let mut hashes = Vec::new();
    for kind in IndexKind::ALL {
        // The other kinds have no choice.
        let has_choice = matches!(kind, IndexKind::RabitqAsym | IndexKind::IvfRabitq);
        for keep_originals in if has_choice { vec![true, false] } else { vec![true] } {
            for metric in Metric::ALL {
                let mut hasher = DefaultHasher::new();
                for (dim, num_vectors) in [(5, 300), (200, 700), (1100, 100)] {
                    let params = BuildParams::new(metric).with_originals(keep_originals);
                    hash_answers(kind, &params, dim, num_vectors, &mut hasher);
                }
                hashes.push(format!("{:x}", hasher.finish()));
            }
        }
    }
    println!("{LABEL} {} {}", cpu_features().kernel, hashes.join(" "));
}

fn hash_answers(kind: IndexKind, params: &BuildParams, dim: usize, num_vectors: usize, hasher: &mut impl Hasher) {
    let values = clustered(dim as u64, num_vectors, dim);
    let mut index = kind.build(None, batch(dim, &values), params, None).unwrap();
    let added = clustered(7, 50, dim);
    index.add_batch(&(10_000..10_050).collect::<Vec<u64>>(), batch(dim, &added)).unwrap();
    index.remove(&(0..num_vectors as u64).step_by(13).collect::<Vec<u64>>());
    let filter: RoaringTreemap = (0..11_000).filter(|id| id % 5 != 0).collect();
    // So many that those of a batch go by list.
    let queries = clustered(dim as u64 + 1, 80, dim);
    let searches = [
        SearchParams::new(10).with_rerank_factor(1),
        SearchParams::new(10).with_rerank_factor(1).with_nprobe(3),
        SearchParams::new(3).with_filter(&filter),
        SearchParams::new(num_vectors),
    ];
    for params in &searches {
        let answers = index.search_batch(batch(dim, &queries), params).unwrap();
        answers.iter().for_each(|hits| hash_hits(hits, hasher));
    }
    for query in queries.chunks_exact(dim).take(9) {
        let hits = index.search(query, &searches[0]).unwrap();
        hash_hits(&hits, hasher);
        hash_hits(&index.range_search(query, hits[5].distance, None).unwrap(), hasher);
    }
}

fn hash_hits(hits: &[Hit], hasher: &mut impl Hasher) {
    assert!(!hits.is_empty());
    hits.iter().for_each(|hit| (hit.id, hit.distance.to_bits()).hash(hasher));
}
