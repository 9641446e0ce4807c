//! Bounds of what the shell shows of an answer.

/// Rows the shell reads for a table: its column widths need all rows in memory. `--format csv` and `json` have no limit.
pub(crate) const TABLE_ROWS_MAX: usize = 1000;

/// Width at which the shell cuts a line of text in a table, in characters. Whole values: `--format csv` or `json`.
pub(crate) const TABLE_TEXT_MAX: usize = 100;

/// Floats of a vector that the shell shows in full; of longer ones it shows the first two and the length.
pub(crate) const TABLE_VECTOR_MAX: usize = 4;
