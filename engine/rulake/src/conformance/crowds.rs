//! Conformance checks of concurrent use: many readers scan a collection during appends, and each must see whole states.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::execution::TaskContext;
use datafusion::physical_plan::collect;

use super::rule::Rule;
use super::subject::{Subject, sorted};
use super::test_rows::row;
use crate::contract::{Backend, ScanRequest};
use crate::error::{ErrorKind, Result, from_datafusion};

const COLLECTION: &str = "conformance_crowds";
const READERS: usize = 16;
/// Rows at the beginning, and rows of each append.
const STEP: i64 = 20;
const APPENDS: i64 = 12;
const RULE: Rule = Rule("while one writes, every reader sees a state, whole");

/// Many readers, each of which must see the rows of some state while one writer adds to them.
pub(super) async fn check(subject: &Subject<'_>) -> Result<()> {
    subject.store(COLLECTION, &[0..STEP / 2, STEP / 2..STEP]).await?;
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (backend, context, done) =
                (Arc::clone(&subject.backend), Arc::clone(&subject.context), Arc::clone(&done));
            tokio::spawn(async move {
                let mut seen = 0;
                // Once more after the last change.
                while !done.load(Ordering::Acquire) {
                    seen = read_once(backend.as_ref(), &context, seen).await?;
                }
                read_once(backend.as_ref(), &context, seen).await
            })
        })
        .collect();
    let mut written = Ok(());
    for append in 1..=APPENDS {
        written = subject.append(COLLECTION, append * STEP..(append + 1) * STEP).await;
        if written.is_err() {
            break;
        }
    }
    done.store(true, Ordering::Release);
    for reader in readers {
        let seen = reader.await.map_err(|e| RULE.broken().with("reason", e))??;
        if written.is_ok() {
            RULE.equal(APPENDS + 1, seen)?;
        }
    }
    written
}

/// Reads the newest state and returns how many steps are in it: `seen` at least.
async fn read_once(backend: &dyn Backend, context: &Arc<TaskContext>, seen: i64) -> Result<i64> {
    let rows: Result<_> = async {
        let snapshot = backend.snapshot(COLLECTION).await?;
        let plan = snapshot.scan(context, &ScanRequest::default()).await?;
        let num_rows = snapshot.num_rows();
        Ok((num_rows, collect(plan, Arc::clone(context)).await.map_err(from_datafusion)?))
    }
    .await;
    let (num_rows, batches) = match rows {
        Ok(rows) => rows,
        Err(e) if e.kind() == ErrorKind::GenerationGone => return Ok(seen),
        Err(e) => return RULE.ok(Err(e)),
    };
    let got = sorted(&[batches])?;
    RULE.equal(got.len(), num_rows.unwrap_or(got.len()))?;
    let steps = i64::try_from(got.len()).unwrap_or(i64::MAX) / STEP;
    RULE.same(&(0..steps * STEP).map(row).collect::<Vec<_>>(), &got)?;
    Rule("a reader never goes back to an older state").holds(steps >= seen, (seen, steps))?;
    Ok(steps)
}
