//! Error of the decoders of pages.

/// Fault of a file, in words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Malformed(pub(super) &'static str);
