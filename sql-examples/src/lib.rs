//! SQL lessons that are tests.
