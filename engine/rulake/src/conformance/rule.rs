//! Rules of the conformance suite: an observed result goes in; `Ok`, or an error that names the broken rule, comes out.

use std::fmt::Debug;

use crate::error::{Error, ErrorKind, Result};

/// No value in a message is longer than this many characters.
const CHARACTERS_MAX: usize = 400;
const BROKEN: &str = "backend breaks a rule";

/// A rule of backends, in words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule(pub(super) &'static str);

impl Rule {
    /// The error that says that the rule is broken.
    pub(super) fn broken(self) -> Error {
        Error::internal(BROKEN).with("rule", self.0)
    }

    /// Checks a condition; `got` is what was seen.
    pub(super) fn holds(self, holds: bool, got: impl Debug) -> Result<()> {
        if holds { Ok(()) } else { Err(self.broken().with("got", short(got))) }
    }

    /// Checks that two values are equal.
    pub(super) fn equal<T: PartialEq + Debug>(self, expected: T, got: T) -> Result<()> {
        if expected == got {
            return Ok(());
        }
        Err(self.broken().with("expected", short(expected)).with("got", short(got)))
    }

    /// Checks that there are the same rows in the same order.
    pub(super) fn same<T: PartialEq + Debug>(self, expected: &[T], got: &[T]) -> Result<()> {
        let at = expected.iter().zip(got).position(|(expected, got)| expected != got);
        let at = at.unwrap_or(expected.len().min(got.len()));
        if at == expected.len() && at == got.len() {
            return Ok(());
        }
        Err(self
            .broken()
            .with("rows expected", expected.len())
            .with("rows got", got.len())
            .with("at", at)
            .with("expected", short(expected.get(at)))
            .with("got", short(got.get(at))))
    }

    /// Passes on what the rule says must not fail; an error that names a rule stays as it is.
    pub(super) fn ok<T>(self, outcome: Result<T>) -> Result<T> {
        outcome.map_err(|e| match e.message() {
            BROKEN => e,
            _ => self.broken().with("reason", &e).with_source(e),
        })
    }

    /// Checks that something fails, with one of some kinds of error.
    pub(super) fn fails<T: Debug>(self, outcome: Result<T>, kinds: &[ErrorKind]) -> Result<()> {
        match outcome {
            Err(e) if kinds.contains(&e.kind()) => Ok(()),
            Err(e) => Err(self
                .broken()
                .with("expected", short(kinds))
                .with("got", short(e.kind()))
                .with("reason", &e)
                .with_source(e)),
            Ok(got) => Err(self.broken().with("expected", short(kinds)).with("got", short(got))),
        }
    }
}

fn short(value: impl Debug) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
