//! Consistency of answers: the bound on the age of the state that a search answers from.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};

/// Default bound on the age of a state under EVENTUAL. A search asks the backend again if the last question is older.
pub const DEFAULT_TTL: Duration = Duration::from_secs(5);

/// Bound on the age of the state that a search answers from. In every mode an answer comes from one state as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Consistency {
    /// The backend is asked for its generation before every search; if it does not answer, neither does the search.
    #[default]
    Fresh,
    /// The backend is asked if that was last done longer ago than this.
    Eventual(Duration),
    /// The backend is asked once, and never again until the collection is invalidated. `FROZEN` is another name.
    Stale,
}

impl Consistency {
    /// The mode of that name: `fresh`, `eventual` (with `ttl`, or [`DEFAULT_TTL`]), `stale` or `frozen`, in any case.
    ///
    /// # Errors
    /// `InvalidInput` for another name, or for a `ttl` with another mode than `eventual`.
    pub fn parse(name: &str, ttl: Option<Duration>) -> Result<Self> {
        let mode = match name.to_ascii_lowercase().as_str() {
            "fresh" => Self::Fresh,
            "eventual" => Self::Eventual(ttl.unwrap_or(DEFAULT_TTL)),
            "stale" | "frozen" => Self::Stale,
            _ => {
                return Err(Error::invalid_input("no such consistency")
                    .with("expected", "fresh, eventual, stale or frozen")
                    .with("got", format!("{name:?}")));
            }
        };
        match (mode, ttl) {
            (Self::Fresh | Self::Stale, Some(_)) => Err(Error::invalid_input("a ttl belongs to another consistency")
                .with("expected", "eventual")
                .with("got", mode)),
            _ => Ok(mode),
        }
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fresh => "fresh",
            Self::Eventual(_) => "eventual",
            Self::Stale => "stale",
        })
    }
}

impl FromStr for Consistency {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::parse(name, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case() {
        let second = Duration::from_secs(1);
        assert_eq!("FRESH".parse::<Consistency>().unwrap(), Consistency::Fresh);
        assert_eq!("frozen".parse::<Consistency>().unwrap(), Consistency::Stale);
        assert_eq!(Consistency::parse("Eventual", Some(second)).unwrap(), Consistency::Eventual(second));
        assert_eq!("eventual".parse::<Consistency>().unwrap(), Consistency::Eventual(DEFAULT_TTL));
        assert!(Consistency::parse("fresh", Some(second)).unwrap_err().to_string().contains("expected eventual"));
        assert!("never".parse::<Consistency>().is_err());
    }
}
