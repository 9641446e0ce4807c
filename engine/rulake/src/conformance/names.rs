//! Conformance checks of names: the backend's id, the list of collections, and names that a backend must refuse.

use super::rule::Rule;
use super::subject::Subject;
use crate::error::{ErrorKind, Result};

/// Names that must not be taken for a path out of the backend, or into its own files.
const NO_NAMES: [&str; 20] = [
    "",
    ".",
    "..",
    "../conformance",
    "..\\conformance",
    "conformance/../../etc",
    "conformance/..",
    "/etc",
    "/",
    "\\\\host\\share",
    "C:\\conformance",
    "file:///etc",
    "~",
    "%2e%2e",
    "%2e%2e%2fetc",
    "conformance\0",
    "conformance\n",
    ".hidden",
    "_ruvector",
    "\u{2025}/etc",
];

pub(super) async fn check(subject: &Subject<'_>) -> Result<()> {
    let backend = &subject.backend;
    Rule("the id of a backend is not empty").holds(!backend.id().is_empty(), backend.id())?;

    let mut plain = vec!["conformance_b", "conformance_a", "conformance-1.2"];
    if subject.fixture.has_unicode_names() {
        plain.extend(["conformance a", "conformance Zürich 文書"]);
    }
    for (name, ids) in plain.iter().zip([0..3, 3..5, 5..6, 6..10, 10..12]) {
        subject.store(name, std::slice::from_ref(&ids)).await?;
        let snapshot = subject.snapshot(name).await?;
        subject.expect_ids(Rule("a collection has the rows that were stored"), snapshot.as_ref(), ids).await?;
    }
    let listed = Rule("collections can be listed").ok(backend.list().await)?;
    Rule("the list is sorted and names each collection once").holds(listed.is_sorted_by(|a, b| a < b), &listed)?;
    for name in plain {
        Rule("the list names every collection").holds(listed.iter().any(|listed| listed == name), (name, &listed))?;
    }

    let absent = backend.snapshot("conformance_absent").await;
    Rule("a collection that is not there is NotFound").fails(absent, &[ErrorKind::NotFound])?;
    for name in NO_NAMES.into_iter().map(str::to_owned).chain(["c".repeat(5000)]) {
        let outcome = backend.snapshot(&name).await;
        Rule("what is no name of a collection is InvalidInput or NotFound")
            .fails(outcome, &[ErrorKind::InvalidInput, ErrorKind::NotFound])
            .map_err(|e| e.with("name", format!("{:?}", name.chars().take(40).collect::<String>())))?;
    }
    let after = Rule("collections can be listed").ok(backend.list().await)?;
    Rule("asking for what is not there makes nothing").equal(listed, after)
}
