//! The agent client: asking other agents, over the A2A protocol, from a query or a program.
//!
//! It will hold the agent card and its signature, sending, streaming and cancelling tasks, policies and budgets. It is
//! empty: nothing in ruvector asks an agent yet.

#![forbid(unsafe_code)]
