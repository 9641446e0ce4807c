//! Many clients at a server for minutes: searches, scans, ingests and cancelled queries, mixed.
//!
//! It holds three things: nothing fails but by a limit that answers as documented, the server's memory does not grow after the
//! first minute, and answers stay right. Times are reported, not judged.

mod client;
mod server;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use client::{Client, Outcome};
use ruvector_bench_service::{Failure, Report, SEED, median_of};
use server::Server;
use tokio::task::JoinSet;

/// Memory of this share above that of the second minute counts as growth.
const GROWTH_MAX: f64 = 1.10;

fn main() -> Result<(), Failure> {
    let (mut out, mut ruvector, mut clients, mut seconds) =
        (PathBuf::from("benches/out"), PathBuf::from("target/release/ruvector"), 256, 300);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--out" => out = PathBuf::from(value),
            "--ruvector" => ruvector = PathBuf::from(value),
            "--clients" => clients = value.parse()?,
            "--seconds" => seconds = value.parse()?,
            other => {
                let usage = "usage: [--out folder] [--ruvector binary] [--clients n] [--seconds n]";
                return Err(format!("{usage}, got {other}").into());
            }
        }
    }
    eprintln!("seed {SEED}: {clients} clients for {seconds} s");
    let runtime = tokio::runtime::Runtime::new()?;
    let mut report = Report::default();
    runtime.block_on(soak(&ruvector, clients, Duration::from_secs(seconds), &mut report))?;
    report.write(&out, "soak")
}

async fn soak(ruvector: &std::path::Path, clients: usize, time: Duration, report: &mut Report) -> Result<(), Failure> {
    let mut server = Server::start(ruvector)?;
    client::prepare(&server.address).await?;
    let end = Instant::now() + time;
    let mut running = JoinSet::new();
    for number in 0..clients {
        let mut client = Client::connect(&server.address, number as u64).await?;
        running.spawn(async move { client.run(end).await });
    }
    let started = Instant::now();
    let mut memory = Vec::new();
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_secs(1).min(end - Instant::now())).await;
        memory.push((started.elapsed(), server.memory_mebibytes()?));
        if memory.len().is_multiple_of(30) {
            eprintln!("{:4} s: {:.0} MiB", started.elapsed().as_secs(), memory[memory.len() - 1].1);
        }
    }
    let mut outcomes: BTreeMap<&str, Outcome> = BTreeMap::new();
    while let Some(ended) = running.join_next().await {
        for (name, outcome) in ended?? {
            outcomes.entry(name).or_default().add(outcome);
        }
    }
    for (name, outcome) in &outcomes {
        eprintln!("{name:>10}: {outcome}");
    }
    let unexpected: Vec<_> = outcomes.values().flat_map(|outcome| &outcome.unexpected).collect();
    let answered: usize = outcomes.values().map(|outcome| outcome.times.len()).sum();
    let limited: usize = outcomes.values().map(|outcome| outcome.limited).sum();
    for message in unexpected.iter().take(10) {
        eprintln!("unexpected: {message}");
    }
    report.target(
        &format!(
            "{clients} clients for {} s, searches, scans, ingests, cancels: errors that are no limit",
            time.as_secs()
        ),
        "none",
        format!("{} ({answered} statements answered, {limited} told to try again)", unexpected.len()),
        unexpected.is_empty(),
    );
    for (name, outcome) in &outcomes {
        let (median, p99) = outcome.percentiles();
        let measured = format!("{median:.1} ms, p99 {p99:.1} ms, {} times", outcome.times.len());
        report.target(&format!("{name}: p50 and p99"), "reported", measured, true);
    }
    // The first minute is for caches to fill.
    let of = |from: f64, to: f64| {
        let within = |at: &Duration| (from..to).contains(&at.as_secs_f64());
        let found: Vec<f64> = memory.iter().filter(|(at, _)| within(at)).map(|(_, mebibytes)| *mebibytes).collect();
        (!found.is_empty()).then(|| median_of(found))
    };
    let total = time.as_secs_f64();
    if let (Some(early), Some(late)) = (of(60.0, 120.0_f64.min(total)), of((total - 60.0).max(60.0), total + 1.0)) {
        report.target(
            "memory of the server in the last minute, beside the second",
            "no growth (at most 1.1x)",
            format!("{:.2}x ({early:.0} MiB, then {late:.0} MiB)", late / early),
            late <= early * GROWTH_MAX,
        );
    }
    server.stop()
}
