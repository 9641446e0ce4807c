//! Processes that die at any moment, or work on the same folder: nothing that was acknowledged is lost, and nothing wrong is
//! served.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ruvector_rabitq::SearchParams;
use ruvector_rulake::{Backend, DeltaBackend, ErrorKind, IndexSpec, RuLake, SearchOptions, exact};

use crate::support::{Random, context, lake_over, random_rows, schema, stream, vector};

const FOLDER: &str = "RULAKE_CRASH_FOLDER";
const ROUND: &str = "RULAKE_CRASH_ROUND";
const KILLS: u64 = 60;
const SEED: u64 = 77;

/// Starts this program again as a process that works in `folder` until it is killed, or to its end if `round` is 0.
fn worker(folder: &Path, round: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::worker_process", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Not a test: what the other tests start and kill. It appends, follows, saves and primes, and says what is done.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it is started by the other tests of this module"]
async fn worker_process() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    let folder = PathBuf::from(folder);
    let backend = Arc::new(DeltaBackend::open("main", &folder.join("data")).unwrap());
    let mut random = Random::new(SEED + round * 1000 + u64::from(std::process::id()));
    println!("ready");
    for step in 0..if round == 0 { 8 } else { u64::MAX } {
        // A new lake primes or loads, the next searches follow.
        let lake = lake_over(&backend);
        for _ in 0..3 {
            check(&lake, &backend).await;
            let first = i64::try_from(random.below(1 << 40)).unwrap();
            backend.append("docs", stream(random_rows(&mut random, first..first + 40))).await.unwrap();
            println!("appended {first}");
        }
        check(&lake, &backend).await;
        lake.save_cache_to_dir("main", "docs", &folder.join("saved")).await.unwrap();
        println!("saved {step}");
    }
}

/// Holds an answer against exact search over the same state.
async fn check(lake: &RuLake, backend: &Arc<DeltaBackend>) {
    let pinned = lake.pin("main", "docs", None).await.unwrap();
    let entry = lake.entry(&pinned, &IndexSpec::new("vec"), &context()).await.unwrap();
    let snapshot = pinned.snapshot().as_ref();
    let oracle = exact::search(snapshot, "vec", IndexSpec::new("vec").metric, &vector(3), 10, None, &context()).await;
    assert_eq!(entry.search(&vector(3), &SearchParams::new(10)).unwrap(), oracle.unwrap());
    assert_eq!(lake.search_one("main", "docs", &vector(3), 1, &SearchOptions::default()).await.unwrap().len(), 1);
    assert_eq!(backend.id(), "main");
}

async fn table(folder: &Path) -> Arc<DeltaBackend> {
    let backend = Arc::new(DeltaBackend::open("main", &folder.join("data")).unwrap());
    let mut random = Random::new(SEED);
    backend.create_with("docs", schema(), stream(random_rows(&mut random, 0..2000))).await.unwrap();
    backend
}

/// The numbers after `word` in what a process said.
fn said(child: Child, word: &str) -> Vec<i64> {
    let lines = BufReader::new(child.stdout.unwrap()).lines();
    lines.map_while(Result::ok).filter_map(|line| line.strip_prefix(word)?.trim().parse().ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_are_killed_leave_nothing_wrong_behind() {
    println!("seed {SEED}");
    let folder = tempfile::tempdir().unwrap();
    let backend = table(folder.path()).await;
    let mut random = Random::new(SEED);
    let (mut appended, mut warmed) = (Vec::new(), 0);
    for round in 1..=KILLS {
        let mut child = worker(folder.path(), round);
        let delay = 30 + random.below(400) as u64;
        tokio::time::sleep(Duration::from_millis(delay)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        appended.extend(said(child, "appended"));

        // What is beside the table is the index of a state, or nothing.
        check(&lake_over(&backend), &backend).await;
        let lake = lake_over(&backend);
        match lake.warm_from_dir("main", "docs", &folder.path().join("saved")).await {
            Ok(_) => {
                warmed += 1;
                check(&lake, &backend).await;
            }
            Err(e) => assert!(warmed == 0 && e.kind() == ErrorKind::NotFound, "round {round}: {e}"),
        }
    }
    assert!(appended.len() > 20 && warmed > 5, "they got somewhere: {} appends, {warmed} warm", appended.len());
    let snapshot = backend.snapshot("docs").await.unwrap();
    assert!(snapshot.num_rows().unwrap() >= 2000 + 40 * appended.len(), "what was acknowledged is there");
    let left: Vec<_> = std::fs::read_dir(snapshot.index_dir().unwrap()).unwrap().map(|f| f.unwrap().path()).collect();
    println!("{} appends, {warmed} warm, files beside the table: {left:?}", appended.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_share_the_folders_of_index_files() {
    let folder = tempfile::tempdir().unwrap();
    let backend = table(folder.path()).await;
    let workers: Vec<Child> = (0..3).map(|_| worker(folder.path(), 0)).collect();
    for worker in workers {
        let output = worker.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        // Appends to one table may lose against another's; answers may not.
        let lost = said.contains("concurrent") || said.contains("conflict") || said.contains("Transaction");
        assert!(output.status.success() || lost, "{said}");
    }
    check(&lake_over(&backend), &backend).await;
}
