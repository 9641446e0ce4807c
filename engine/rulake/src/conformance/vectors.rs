//! Conformance checks of vectors: exact values, NULL vectors, and collections without rows.

use arrow::datatypes::DataType;

use super::rule::Rule;
use super::subject::Subject;
use super::test_rows::DIM;
use crate::contract::ScanRequest;
use crate::error::{ErrorKind, Result};
use crate::vector_column::vector_type;

const EMPTY: &str = "conformance_empty";

/// Rows of every kind of vector, in collections of no rows and some.
pub(super) async fn check(subject: &Subject<'_>) -> Result<()> {
    subject.store("conformance_vectors", &[0..30, 30..70]).await?;
    let snapshot = subject.snapshot("conformance_vectors").await?;
    let schema = snapshot.schema();
    let types: Vec<DataType> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
    Rule("vectors are lists of a fixed size").equal(Some(&vector_type(DIM)?), types.get(2))?;
    subject.expect_ids(Rule("vectors come back bit by bit, and NULL as NULL"), snapshot.as_ref(), 0..70).await?;

    subject.store(EMPTY, &[0..0, 0..0]).await?;
    let rule = Rule("a collection may have no rows");
    let empty = rule.ok(subject.backend.snapshot(EMPTY).await)?;
    subject.expect_ids(rule, empty.as_ref(), []).await?;
    let taken = rule.ok(empty.take(&subject.context, &[], &[2, 0]).await)?;
    rule.equal((0, 2), (taken.num_rows(), taken.num_columns()))?;
    subject.append(EMPTY, 0..5).await?;
    let filled = subject.snapshot(EMPTY).await?;
    subject.expect_ids(rule, filled.as_ref(), 0..5).await?;
    let rule = Rule("a pinned state gives its own rows or says GenerationGone");
    match subject.rows(empty.as_ref(), &ScanRequest::default()).await {
        Err(e) if e.kind() == ErrorKind::GenerationGone => Ok(()),
        rows => rule.same(&[], &rule.ok(rows)?),
    }
}
