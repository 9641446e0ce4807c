//! The agent client.
