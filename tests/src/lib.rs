//! End-to-end tests across process borders.
