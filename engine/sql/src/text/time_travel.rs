//! Older states of a table: `t VERSION AS OF 3`, `t TIMESTAMP AS OF '2026-11-21 20:00:00'`, `t FOR SYSTEM_TIME AS OF '...'`.
//!
//! The dialects that parse these clauses differ from ours in much else, and DataFusion ignores what they parse. So they are
//! taken out of the text before it is parsed ([`clause`]), and the table becomes one of the name `t@v3`, which the catalog
//! resolves to that state. `t@v3` may be written by hand too, as in `knn('t@v3', ...)`. No other name has an `@`.

use arrow::array::timezone::Tz;
use arrow::compute::kernels::cast_utils::string_to_datetime;
use datafusion::error::DataFusionError;
use ruvector_rulake::AsOf;

use ruvector_udfs::error::{Error, Result};

/// Separator between the name of a table and the state that is meant.
pub(crate) const MARK: char = '@';
/// The accepted forms of a clause, for the error about one that cannot be understood.
pub(crate) const USAGE: &str =
    "VERSION AS OF number or TIMESTAMP AS OF 'time' right after the name of a table, before its alias";

/// The table and the state that a name with an `@` means; `None` if it has none.
///
/// # Errors
/// `InvalidInput` if it is no state.
pub(crate) fn split_name(name: &str) -> Result<Option<(&str, AsOf)>> {
    let Some((table, state)) = name.split_once(MARK) else { return Ok(None) };
    let version = state.strip_prefix(['v', 'V']).and_then(|digits| digits.parse().ok());
    match version {
        Some(version) => Ok(Some((table, AsOf::Version(version)))),
        None => Ok(Some((table, AsOf::Timestamp(milliseconds(state)?)))),
    }
}

/// The error of a statement that has a clause for an older state and cannot be parsed: the clause may stand at the wrong place.
pub(crate) fn misplaced(error: DataFusionError) -> Error {
    Error::invalid_input(format!("{}; a state of a table is said by {USAGE}", Error::from(error)))
}

/// Milliseconds since 1970 at a time as it is written; UTC unless it says otherwise.
pub(crate) fn milliseconds(time: &str) -> Result<i64> {
    // Not its nanoseconds: they end in 2262.
    let utc: Option<Tz> = "+00:00".parse().ok();
    match utc.and_then(|utc| string_to_datetime(&utc, time).ok()) {
        Some(time) => Ok(time.timestamp_millis()),
        None => Err(Error::invalid_input(format!(
            "state of a table: expected @v and a number, or a time like '2026-11-21 20:00:00' (UTC), got {time}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_states() {
        assert_eq!(split_name("docs").unwrap(), None);
        assert_eq!(split_name("docs@v12").unwrap(), Some(("docs", AsOf::Version(12))));
        for time in ["1970-01-01 00:00:01.5", "1970-01-01T00:00:01.500Z", "1970-01-01T01:00:01.5+01:00"] {
            assert_eq!(split_name(&format!("docs@{time}")).unwrap(), Some(("docs", AsOf::Timestamp(1500))), "{time}");
        }
        for wrong in ["docs@", "docs@v", "docs@v-1", "docs@3", "docs@yesterday"] {
            assert!(split_name(wrong).is_err(), "{wrong}");
        }
    }
}
