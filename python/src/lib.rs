//! The native module of the ruvector Python package.
