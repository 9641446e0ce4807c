//! Conformance checks of scans: projections, addresses, parts, limits and pruning, compared with the stored rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::scalar::ScalarValue;

use super::random::Random;
use super::rule::Rule;
use super::subject::{Addressed, Subject, sorted};
use super::test_rows::{COLUMNS, Row, Value};
use crate::address::{ADDRESS_COLUMN, RowAddress};
use crate::contract::{ScanRequest, Snapshot};
use crate::error::{Result, from_datafusion};

const COLLECTION: &str = "conformance_scans";

/// Scans of all shapes, against one of everything.
pub(super) async fn check(subject: &Subject<'_>) -> Result<()> {
    subject.store(COLLECTION, &[0..7, 7..8, 8..21, 21..21, 21..26, 26..2026]).await?;
    let snapshot = subject.snapshot(COLLECTION).await?;
    let rule = Rule("a collection has the rows that were stored");
    let rows = subject.expect_ids(rule, snapshot.as_ref(), 0..2026).await?;
    let num_parts = snapshot.parts().len();
    let state = PinnedScans { subject, snapshot: snapshot.as_ref(), rows: &rows };

    for projection in [vec![], vec![0], vec![2], vec![2, 1, 0], vec![1, 2]] {
        let projected = ScanRequest { projection: Some(projection), ..ScanRequest::default() };
        state.check(&projected).await?;
        state.check(&ScanRequest { with_address: true, ..projected.clone() }).await?;
        state.check(&ScanRequest { as_stored: true, ..projected }).await?;
    }
    for limit in [0, 1, 5, 256, 257, rows.len() - 1, rows.len(), rows.len() + 10, usize::MAX] {
        state.check(&ScanRequest { limit: Some(limit), ..ScanRequest::default() }).await?;
    }
    let mut covered = 0;
    for part in 0..num_parts {
        covered += state.check(&ScanRequest { parts: Some(vec![part]), ..ScanRequest::default() }).await?;
    }
    Rule("the parts of a state cover it").equal(rows.len(), covered)?;
    state.check(&ScanRequest { parts: Some(vec![]), with_address: true, ..ScanRequest::default() }).await?;

    let mut random = Random(1);
    for _ in 0..60 {
        let request = ScanRequest {
            projection: (!random.one_in(4)).then(|| random.some_of(COLUMNS.len())),
            with_address: random.one_in(2),
            parts: random.one_in(2).then(|| random.some_of(num_parts)),
            limit: random.one_in(3).then(|| random.below(rows.len())),
            as_stored: random.one_in(4),
            pruning: None,
        };
        state.check(&request).await?;
    }
    state.check_pruning().await
}

/// A pinned state, and all its rows.
struct PinnedScans<'a> {
    subject: &'a Subject<'a>,
    snapshot: &'a dyn Snapshot,
    rows: &'a Addressed,
}

impl PinnedScans<'_> {
    /// Checks one scan and returns how many rows it gave.
    async fn check(&self, request: &ScanRequest) -> Result<usize> {
        self.check_unnamed(request).await.map_err(|e| e.with("request", format!("{request:?}")))
    }

    async fn check_unnamed(&self, request: &ScanRequest) -> Result<usize> {
        let rule = Rule("a scan gives the rows that were asked for");
        let every: Vec<usize> = (0..COLUMNS.len()).collect();
        let projection = request.projection.as_ref().unwrap_or(&every);
        let plan = rule.ok(self.snapshot.scan(&self.subject.context, request).await)?;
        let got: Vec<_> = plan.schema().fields().iter().map(|field| field.name().clone()).collect();
        let mut expected: Vec<_> = projection.iter().map(|column| COLUMNS[*column].to_owned()).collect();
        if request.with_address {
            expected.push(ADDRESS_COLUMN.to_owned());
            let last = plan.schema().fields().last().map(|field| field.data_type().clone());
            Rule("addresses are UInt64").equal(Some(DataType::UInt64), last)?;
        }
        Rule("a scan gives the columns asked for, in their order").equal(expected, got)?;
        if !request.as_stored {
            let schema = self.snapshot.schema();
            let of_plan = plan.schema();
            let types = projection.iter().zip(of_plan.fields());
            for (column, got) in types {
                Rule("a scan gives columns of the types of the schema")
                    .equal(schema.field(*column).data_type(), got.data_type())?;
            }
        }

        let in_parts = |address: &RowAddress| request.parts.as_ref().is_none_or(|all| all.contains(&address.file()));
        let mut expected: Vec<Row> = Vec::new();
        for (address, row) in self.rows.iter().filter(|(address, _)| in_parts(address)) {
            let mut projected: Row = projection.iter().map(|column| row[*column].clone()).collect();
            projected.extend(request.with_address.then_some(Value::Address(u64::from(*address))));
            expected.push(projected);
        }
        expected.sort_unstable();
        // A plan may be run again.
        let again = rule.ok(reset_plan_states(Arc::clone(&plan)).map_err(from_datafusion))?;
        for plan in [plan, again] {
            let partitions = rule.ok(self.subject.run(Arc::clone(&plan)).await)?;
            for batch in partitions.iter().flatten() {
                Rule("batches have the schema of their plan").equal(plan.schema(), batch.schema())?;
            }
            let got = sorted(&partitions)?;
            match request.limit {
                None => rule.same(&expected, &got)?,
                Some(limit) => {
                    Rule("a scan stops after so many rows").equal(limit.min(expected.len()), got.len())?;
                    are_among(rule, &expected, &got)?;
                }
            }
        }
        Ok(request.limit.unwrap_or(usize::MAX).min(expected.len()))
    }

    /// Checks that pruning leaves out no row that matches.
    async fn check_pruning(&self) -> Result<()> {
        let rule = Rule("pruning leaves out no row that matches, and gives none that is not there");
        let every: Vec<Row> = {
            let mut rows: Vec<_> = self.rows.values().cloned().collect();
            rows.sort_unstable();
            rows
        };
        for bound in [-1, 7, 25, 2025, 9999] {
            let id = Arc::new(Column::new(COLUMNS[0], 0));
            let literal = Arc::new(Literal::new(ScalarValue::Int64(Some(bound))));
            let above = Arc::new(BinaryExpr::new(id, Operator::Gt, literal));
            let request = ScanRequest { pruning: Some(above), ..ScanRequest::default() };
            let got = rule.ok(self.subject.rows(self.snapshot, &request).await)?;
            are_among(rule, &every, &got)?;
            let matches = |row: &&Row| matches!(row.first(), Some(Value::Integer(id)) if *id > bound);
            let (expected, got): (Vec<_>, Vec<_>) =
                (every.iter().filter(matches).collect(), got.iter().filter(matches).collect());
            rule.same(&expected, &got)?;
        }
        Ok(())
    }
}

/// Checks that each of `got` is one of `all`, and none oftener.
fn are_among(rule: Rule, all: &[Row], got: &[Row]) -> Result<()> {
    let mut left: BTreeMap<&Row, usize> = BTreeMap::new();
    for row in all {
        *left.entry(row).or_default() += 1;
    }
    for row in got {
        match left.get_mut(row).filter(|left| **left > 0) {
            Some(left) => *left -= 1,
            None => return Err(rule.broken().with("got", format!("{row:?}"))),
        }
    }
    Ok(())
}
