//! History of a Delta table: a version or a time goes in, a pinned older state comes out; the commits of the log, newest first.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use serde::Deserialize;

use super::{DeltaSnapshot, LOG_DIR};
use crate::contract::{AsOf, Commit, Snapshot};
use crate::error::{Error, Result, from_delta, from_object_store};

/// Commits that are read at the same time.
const COMMITS_READ_AT_ONCE: usize = 16;
/// Property of a table whose commits have their time in the log: the times of copied files mean nothing.
const TIMES_IN_COMMITS: &str = "delta.enableInCommitTimestamps";

/// Pins a version of the table of `newest`, and returns its number.
pub(super) async fn pin(newest: &Arc<DeltaSnapshot>, as_of: AsOf) -> Result<(u64, Arc<dyn Snapshot>)> {
    let newest_version = newest.version()?;
    let version = match as_of {
        AsOf::Version(version) => version,
        AsOf::Timestamp(time) => version_at(newest, time).await?,
    };
    if version == newest_version {
        return Ok((version, Arc::clone(newest) as _));
    }
    if version > newest_version {
        return Err(Error::invalid_input("table has no such version")
            .with("expected", format!("0 to {newest_version}"))
            .with("got", version));
    }
    let mut table = newest.table().clone();
    table.load_version(version).await.map_err(|e| gone(version).with("reason", from_delta(e)))?;
    // Index files beside the table are those of its newest state.
    let older = DeltaSnapshot::new(table, None).await?;
    match older.missing_file(newest).await? {
        Some(file) => Err(gone(version).with("file that is not there", file)),
        None => Ok((version, Arc::new(older))),
    }
}

fn gone(version: u64) -> Error {
    Error::invalid_input("version of the table is not kept any more")
        .with("expected", "one whose log and files were not removed, as VACUUM does")
        .with("got", version)
}

/// The newest version that was committed by a time.
async fn version_at(newest: &DeltaSnapshot, time: i64) -> Result<u64> {
    let state = newest.table().snapshot().map_err(from_delta)?.snapshot();
    let in_commits = state.metadata().configuration().get(TIMES_IN_COMMITS).is_some_and(|value| value == "true");
    let commits = if in_commits {
        history(newest).await?.into_iter().map(|commit| (commit.version, commit.timestamp_ms)).collect()
    } else {
        let files = commit_files(newest).await?;
        files.iter().map(|(version, file)| (*version, file.last_modified.timestamp_millis())).collect::<Vec<_>>()
    };
    let found = commits.iter().filter(|(_, committed)| *committed <= time).map(|(version, _)| *version).max();
    found.ok_or_else(|| {
        let earliest = commits.iter().map(|(_, committed)| *committed).min();
        Error::invalid_input("table was not there at that time")
            .with("expected, in milliseconds since 1970, at least", earliest.unwrap_or_default())
            .with("got", time)
    })
}

/// The commits whose files are still there, newest first.
pub(super) async fn history(newest: &DeltaSnapshot) -> Result<Vec<Commit>> {
    let store = store_of(newest);
    let read = commit_files(newest).await?.into_iter().map(|(version, file)| {
        let store = Arc::clone(&store);
        async move {
            let bytes = store.get(&file.location).await.map_err(from_object_store)?.bytes().await;
            let info = info_of(&bytes.map_err(from_object_store)?);
            let timestamp = info.as_ref().and_then(|info| info.in_commit_timestamp);
            Ok(Commit {
                version,
                timestamp_ms: timestamp.unwrap_or_else(|| file.last_modified.timestamp_millis()),
                parameters: info.as_ref().and_then(|info| Some(info.operation_parameters.as_ref()?.to_string())),
                operation: info.and_then(|info| info.operation),
            })
        }
    });
    let mut commits: Vec<Commit> = stream::iter(read).buffer_unordered(COMMITS_READ_AT_ONCE).try_collect().await?;
    commits.sort_by_key(|commit| std::cmp::Reverse(commit.version));
    Ok(commits)
}

/// A writer's information on its commit, as far as it is of use here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommitInfo {
    operation: Option<String>,
    operation_parameters: Option<serde_json::Value>,
    in_commit_timestamp: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Action {
    commit_info: Option<CommitInfo>,
}

/// The information on a commit. Writers may leave it out, and choose its content.
fn info_of(commit: &[u8]) -> Option<CommitInfo> {
    let lines = commit.split(|byte| *byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice::<Action>(line).ok()).find_map(|action| action.commit_info)
}

fn store_of(snapshot: &DeltaSnapshot) -> Arc<dyn ObjectStore> {
    snapshot.table().log_store().object_store(None)
}

/// The commits up to this version, by their numbers.
async fn commit_files(newest: &DeltaSnapshot) -> Result<Vec<(u64, ObjectMeta)>> {
    let (store, last) = (store_of(newest), newest.version()?);
    let mut listing = store.list(Some(&ObjectPath::from(LOG_DIR)));
    let mut found = Vec::new();
    while let Some(file) = listing.next().await {
        let file = file.map_err(from_object_store)?;
        let number = file.location.filename().and_then(|name| name.strip_suffix(".json")).map(str::parse::<u64>);
        // Files in sub-folders are no commits.
        let is_commit = file.location.parts().count() == 2;
        if let (Some(Ok(version)), true) = (number, is_commit)
            && version <= last
        {
            found.push((version, file));
        }
    }
    Ok(found)
}
