//! Roles of sessions.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

/// The role of a session: its permissions. Each role includes the permissions of the role before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads: queries, EXPLAIN, SHOW, and settings of its own session.
    Reader,
    /// Changes tables and indexes too.
    Writer,
    /// Reaches files and stores of the server's choosing too, and settings of the whole engine.
    Admin,
}

impl Role {
    /// All roles, the one that may least first.
    pub const ALL: [Self; 3] = [Self::Reader, Self::Writer, Self::Admin];

    /// Its name: `reader`, `writer` or `admin`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Admin => "admin",
        }
    }

    /// Refuses `what` to a role that may less than `needed`.
    ///
    /// # Errors
    /// `PermissionDenied`.
    pub fn check(self, needed: Self, what: &str) -> Result<()> {
        match self >= needed {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::PermissionDenied,
                format!("{what} needs the role {needed}, and this session has the role {self}"),
            )),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::invalid_input(format!("no such role: expected one of {known}, got {name}"))
        })
    }
}
