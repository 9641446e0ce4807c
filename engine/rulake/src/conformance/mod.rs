//! Conformance suite: the rules that every backend must keep, checked by one call.
//!
//! The author of a backend says by a [`Fixture`] how a collection is stored and changed.
//! [`check`] stores some, changes them, reads them in every way that a query may, and returns
//! an error that names the first rule that is broken:
//!
//! * **Names.** The id is not empty; the list is sorted; a collection that is not there is `NotFound`; a name that would
//!   leave the backend's folder is `InvalidInput` or `NotFound`; spaces and letters of any script may be in a name, if the
//!   fixture says so.
//! * **States.** Two snapshots without a change between them have equal generations, unless the backend has none, and
//!   after a change another one, also after a collection was removed and stored again. A pinned snapshot gives the rows
//!   of its state or says `GenerationGone`, never a mixture. Parts of one id hold the same rows in every state.
//! * **Scans.** Rows come as they were stored, vectors bit by bit and NULL as NULL, in the columns asked for, in their
//!   order, also none of them; a limit is kept; parts are disjoint and cover the whole; pruning loses no row that
//!   matches. Addresses are distinct, lie in parts, and come in the order of parts within a partition.
//! * **Takes.** A row is taken as it was scanned, in the order asked for.
//! * **Crowds.** All of this also while many read and one writes.

mod crowds;
mod fixture;
mod names;
mod random;
mod rule;
mod scans;
mod states;
mod subject;
mod takes;
mod test_rows;
mod vectors;

use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use self::rule::Rule;
use self::subject::Subject;
use crate::error::Result;

pub use fixture::Fixture;

/// Checks every rule of backends. Takes seconds; needs a Tokio runtime.
///
/// # Errors
/// `Internal` that names the broken `rule`, the expected value and the value found; errors of the fixture.
pub async fn check(fixture: &dyn Fixture) -> Result<()> {
    let subject = Subject::new(fixture);
    let all = async {
        names::check(&subject).await?;
        vectors::check(&subject).await?;
        scans::check(&subject).await?;
        takes::check(&subject).await?;
        states::check(&subject).await?;
        crowds::check(&subject).await
    };
    let checked = AssertUnwindSafe(all).catch_unwind().await;
    let checked = checked.unwrap_or_else(|_| Err(Rule("a backend does not panic").broken()));
    checked.map_err(|e| e.with("backend", subject.backend.id()))
}
