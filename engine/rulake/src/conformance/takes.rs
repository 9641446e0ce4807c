//! Conformance checks of takes: rows read by address are compared with the rows of a scan.

use super::random::Random;
use super::rule::Rule;
use super::subject::Subject;
use super::test_rows::{COLUMNS, Row, read};
use crate::address::RowAddress;
use crate::contract::Snapshot;
use crate::error::Result;

const COLLECTION: &str = "conformance_takes";

/// Rows taken by their addresses, against those of a scan.
pub(super) async fn check(subject: &Subject<'_>) -> Result<()> {
    subject.store(COLLECTION, &[0..40, 40..41, 41..1500, 1500..1510]).await?;
    let snapshot = subject.snapshot(COLLECTION).await?;
    let rows: Vec<(RowAddress, Row)> = subject
        .expect_ids(Rule("a collection has the rows that were stored"), snapshot.as_ref(), 0..1510)
        .await?
        .into_iter()
        .collect();
    let every: Vec<usize> = (0..rows.len()).collect();
    let backwards: Vec<usize> = every.iter().rev().copied().collect();
    for wanted in [&every[..], &backwards, &every[7..8], &[]] {
        for projection in [&[0, 1, 2][..], &[2, 0], &[1], &[]] {
            check_one(subject, snapshot.as_ref(), &rows, wanted, projection).await?;
        }
    }
    let mut random = Random(3);
    for _ in 0..40 {
        let mut wanted = random.some_of(rows.len());
        wanted.truncate(1 + random.below(300));
        let projection = random.some_of(COLUMNS.len());
        check_one(subject, snapshot.as_ref(), &rows, &wanted, &projection).await?;
    }
    Ok(())
}

async fn check_one(
    subject: &Subject<'_>,
    snapshot: &dyn Snapshot,
    rows: &[(RowAddress, Row)],
    wanted: &[usize],
    projection: &[usize],
) -> Result<()> {
    let rule = Rule("rows are taken as they were scanned, in the order asked for");
    let addresses: Vec<RowAddress> = wanted.iter().map(|row| rows[*row].0).collect();
    let taken = rule.ok(snapshot.take(&subject.context, &addresses, projection).await)?;
    let schema = snapshot.schema();
    let columns = |fields: &arrow::datatypes::Schema| -> Vec<_> {
        fields.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
    };
    let all = columns(&schema);
    let expected: Vec<_> = projection.iter().map(|column| all[*column].clone()).collect();
    Rule("a take gives the columns asked for, in their order").equal(expected, columns(&taken.schema()))?;
    let expected: Vec<Row> =
        wanted.iter().map(|row| projection.iter().map(|column| rows[*row].1[*column].clone()).collect()).collect();
    rule.same(&expected, &read(rule, &taken)?)
}
