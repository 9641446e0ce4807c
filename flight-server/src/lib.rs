//! The Arrow Flight SQL server and the ruvector command.
