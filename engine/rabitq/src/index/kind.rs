//! Names of the kinds of index: a name goes in, an [`IndexKind`] comes out, and back.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The structure of an index.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IndexKind {
    /// [`FlatF32Index`](crate::FlatF32Index).
    FlatF32,
    /// [`RabitqIndex`](crate::RabitqIndex).
    Rabitq,
    /// [`RabitqAsymIndex`](crate::RabitqAsymIndex).
    RabitqAsym,
    /// [`RabitqPlusIndex`](crate::RabitqPlusIndex).
    RabitqPlus,
    /// [`IvfRabitqIndex`](crate::IvfRabitqIndex).
    IvfRabitq,
}

impl IndexKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::FlatF32, Self::Rabitq, Self::RabitqAsym, Self::RabitqPlus, Self::IvfRabitq];

    /// The name in SQL and in [`FromStr`]: `flat`, `rabitq`, `rabitq_asym`, `rabitq_plus` or `ivf_rabitq`.
    pub fn name(self) -> &'static str {
        match self {
            Self::FlatF32 => "flat",
            Self::Rabitq => "rabitq",
            Self::RabitqAsym => "rabitq_asym",
            Self::RabitqPlus => "rabitq_plus",
            Self::IvfRabitq => "ivf_rabitq",
        }
    }
}

impl fmt::Display for IndexKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for IndexKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            Error::invalid_input("unknown index kind")
                .with("expected", "flat, rabitq, rabitq_asym, rabitq_plus or ivf_rabitq")
                .with("got", format_args!("'{name}'"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_round_trip() {
        for kind in IndexKind::ALL {
            assert_eq!(kind.to_string().parse::<IndexKind>().unwrap(), kind);
        }
        let error = "hnsw".parse::<IndexKind>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown index kind: expected flat, rabitq, rabitq_asym, rabitq_plus or ivf_rabitq, got 'hnsw'"
        );
    }
}
