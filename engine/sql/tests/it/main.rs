//! SQL through the engine, the one way in, over real Delta tables.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod answers;
mod answers_joins;
mod answers_optimizer;
mod assign;
mod backends;
mod bad_input;
mod batch;
mod create_backend;
mod create_table;
mod dialects;
mod dml;
mod embed;
mod external;
mod federated;
mod index_tables;
mod indexes;
mod killed;
mod knn;
mod knn_random;
mod limits;
mod magnitudes;
mod merge;
mod order_by;
mod prepared;
mod random_tables;
mod restart;
mod running;
mod support;
mod table_names;
mod time_travel;
mod vector_sql;
mod vectors;
