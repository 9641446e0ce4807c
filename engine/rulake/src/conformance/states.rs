//! Conformance checks of states: generations, parts and pinned snapshots across appends, deletions and a removal.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::rule::Rule;
use super::subject::{Addressed, Subject};
use super::test_rows::{COLUMNS, Row, read};
use crate::address::RowAddress;
use crate::contract::Snapshot;
use crate::error::{ErrorKind, Result};

const COLLECTION: &str = "conformance_states";

/// A pinned snapshot, and the rows that it had then.
struct PinnedRows {
    snapshot: Arc<dyn Snapshot>,
    rows: Addressed,
}

/// A collection through its changes.
pub(super) async fn check(subject: &Subject<'_>) -> Result<()> {
    subject.store(COLLECTION, &[0..10, 10..400]).await?;
    let mut ids: Vec<i64> = (0..400).collect();
    let mut pinned = vec![pin(subject, &[], &ids).await?];
    for added in [400..401, 401..900, 900..920] {
        subject.append(COLLECTION, added.clone()).await?;
        ids.extend(added);
        let state = pin(subject, &pinned, &ids).await?;
        pinned.push(state);
    }
    for gone in [&[3, 10, 399, 400][..], &[0, 919]] {
        match subject.fixture.delete(COLLECTION, gone).await {
            Err(e) if e.kind() == ErrorKind::NotSupported => break,
            deleted => deleted?,
        }
        ids.retain(|id| !gone.contains(id));
        let state = pin(subject, &pinned, &ids).await?;
        pinned.push(state);
    }
    match subject.fixture.remove(COLLECTION).await {
        Err(e) if e.kind() == ErrorKind::NotSupported => return Ok(()),
        removed => removed?,
    }
    let absent = subject.backend.snapshot(COLLECTION).await;
    Rule("a collection that was removed is NotFound").fails(absent, &[ErrorKind::NotFound])?;
    let listed = Rule("collections can be listed").ok(subject.backend.list().await)?;
    Rule("a collection that was removed is not listed").holds(!listed.iter().any(|name| name == COLLECTION), listed)?;
    subject.store(COLLECTION, &[0..10, 10..400]).await?;
    pin(subject, &pinned, &(0..400).collect::<Vec<_>>()).await.map(drop)
}

/// Pins the newest state, which must have the rows of `ids`, and holds it against those before.
async fn pin(subject: &Subject<'_>, before: &[PinnedRows], ids: &[i64]) -> Result<PinnedRows> {
    let snapshot = subject.snapshot(COLLECTION).await?;
    let rule = Rule("a change is seen by the next snapshot, whole");
    let rows = subject.expect_ids(rule, snapshot.as_ref(), ids.iter().copied()).await?;
    Rule("the newest state is there").ok(snapshot.verify().await)?;
    Rule("the URI of a collection is not empty").holds(!snapshot.data_ref().is_empty(), snapshot.data_ref())?;

    let again = subject.snapshot(COLLECTION).await?;
    match subject.backend.has_generations() {
        true => Rule("without a change generations are equal").equal(snapshot.generation(), again.generation())?,
        false => Rule("where generations tell nothing, every snapshot has its own")
            .holds(snapshot.generation() != again.generation(), again.generation())?,
    }
    let again = subject.expect_ids(rule, again.as_ref(), ids.iter().copied()).await?;
    Rule("without a change rows keep their addresses").holds(again == rows, ids.len())?;

    let now = PinnedRows { snapshot, rows };
    for old in before {
        let (new, old_generation) = (now.snapshot.generation(), old.snapshot.generation());
        Rule("after a change the generation is another").holds(new != old_generation, new)?;
        Rule("the URI of a collection stays").equal(old.snapshot.data_ref(), now.snapshot.data_ref())?;
        same_parts(old, &now)?;
        unchanged(subject, old).await?;
    }
    Ok(now)
}

/// Parts of one id hold the same rows under the same numbers, as far as they are not deleted.
fn same_parts(old: &PinnedRows, new: &PinnedRows) -> Result<()> {
    let rule = Rule("parts of one id hold the same rows");
    let by_part = |state: &PinnedRows| {
        let mut parts: Vec<BTreeMap<u32, Row>> = vec![BTreeMap::new(); state.snapshot.parts().len()];
        for (address, row) in &state.rows {
            if let Some(part) = parts.get_mut(address.file()) {
                part.insert(address.row(), row.clone());
            }
        }
        parts
    };
    let (old_parts, new_parts) = (old.snapshot.parts(), new.snapshot.parts());
    let (old_rows, new_rows) = (by_part(old), by_part(new));
    let positions: HashMap<&str, usize> =
        old_parts.iter().enumerate().map(|(position, part)| (part.id.as_str(), position)).collect();
    for (part, rows) in new_parts.iter().zip(&new_rows) {
        let Some(position) = positions.get(part.id.as_str()) else { continue };
        let (old_part, old_rows) = (&old_parts[*position], &old_rows[*position]);
        for (row, values) in rows {
            match old_rows.get(row) {
                Some(old) => rule.equal(old, values)?,
                None => rule.holds(old_part.deleted.contains(*row), (&part.id, row, values))?,
            }
        }
        for row in old_rows.keys().filter(|row| !rows.contains_key(row)) {
            rule.holds(part.deleted.contains(*row), (&part.id, row))?;
        }
    }
    Ok(())
}

/// Checks that a pinned state has the rows that it had when it was pinned, or is `GenerationGone`.
async fn unchanged(subject: &Subject<'_>, pinned: &PinnedRows) -> Result<()> {
    let rule = Rule("a pinned state gives its own rows or says GenerationGone");
    let unless_gone = |outcome: Result<()>| match outcome {
        Err(e) if e.kind() == ErrorKind::GenerationGone => Ok(()),
        outcome => rule.ok(outcome),
    };
    match subject.addressed(pinned.snapshot.as_ref()).await {
        Ok(rows) => rule.same(&pinned.rows.iter().collect::<Vec<_>>(), &rows.iter().collect::<Vec<_>>())?,
        Err(e) => unless_gone(Err(e))?,
    }
    unless_gone(pinned.snapshot.verify().await)?;
    let every: Vec<usize> = (0..COLUMNS.len()).collect();
    let addresses: Vec<RowAddress> = pinned.rows.keys().rev().step_by(3).copied().collect();
    match pinned.snapshot.take(&subject.context, &addresses, &every).await {
        Ok(taken) => {
            let expected: Vec<Row> = pinned.rows.values().rev().step_by(3).cloned().collect();
            rule.same(&expected, &read(rule, &taken)?)
        }
        Err(e) => unless_gone(Err(e)),
    }
}
