//! What of DataFusion's files is not run, and why.

/// Reasons, and files or folders.
pub(super) const FILES: &[(&str, &[&str])] = &[];

/// Reasons, files and the lines of their statements. A statement that answers as it should must not be among them.
pub(super) const STATEMENTS: &[(&str, &str, &[u32])] = &[];
