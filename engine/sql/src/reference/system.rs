//! Tables about tables, indexes and the engine. An entry for each; add one with the table.

use ruvector_udfs::documentation::{Entry, SYSTEM};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        section: SYSTEM,
        title: "system.indexes",
        syntax: "system.indexes",
        text: "One row for each index, in the order they were declared, then those that are tables.\n\n- Unit: `bytes` of memory; \
               `rows_read`, `vectors_done` and `vectors_total` count.\n- NULL: what is not known now, as the progress of an index \
               that is not being built; `error` without one.",
        arguments: &[
            ("name, backend, collection, vector_column", "What it is called, and what it is over."),
            ("kind, metric, parameters", "As in `CREATE INDEX`; `parameters` are JSON."),
            (
                "state",
                "`building`; `ready`; `stale`: of an older state of the table, from which the next search makes the newest; `cold`: \
                 not in memory, the next search reads or builds it; `failed`: exact search answers.",
            ),
            ("rows_read", "By the build at work."),
            ("vectors_done, vectors_total", "Encoded, and how many there are to encode."),
            ("bytes", "Of memory."),
            ("generation", "The state of the table that it answers from."),
            ("error", "Why it could not be built."),
        ],
        example: "CREATE TABLE docs (id BIGINT, vec FLOAT[2]);
INSERT INTO docs VALUES (1, [1.0, 0.0]), (2, NULL);
CREATE INDEX docs_vec ON docs (vec);
SELECT name, kind, state, vectors_done, error FROM system.indexes;
-- docs_vec | rabitq_plus | ready | 1 | NULL",
    },
    Entry {
        section: SYSTEM,
        title: "system.queries",
        syntax: "system.queries",
        text: "One row for each statement that runs, and for each of the last hundred that ended, in the order they began. Who is no \
               admin sees only their own.\n\n- Unit: `elapsed_ms` in milliseconds; `began` is a time in UTC; `rows` counts.\n- \
               NULL: `user` on a server without sign-in, `error` without one.",
        arguments: &[
            ("id", "For `KILL`."),
            (
                "state",
                "`running`, `done`, `failed`; `cancelled` if it was killed, took too long, or its client stopped reading.",
            ),
            ("user, role, session", "Whose it is."),
            ("kind, statement", "What it is: as `query` or `insert`, and the text without secrets."),
            ("began, elapsed_ms", "When, and for how long it ran until its last row was read."),
            ("rows", "How many it handed out or changed."),
            ("error", "Why it did not do what it should."),
        ],
        example: "SELECT state, kind, left(statement, 19) FROM system.queries WHERE state = 'running';
-- running | query | SELECT state, kind,",
    },
    Entry {
        section: SYSTEM,
        title: "system.backends",
        syntax: "system.backends",
        text: "One row for each backend, by name. Each is asked for its collections when the table is read.\n\n- Unit: `ttl_ms` in \
               milliseconds.\n- NULL: `consistency` and `ttl_ms` where the backend does not say them, `collections` where it \
               does not answer.",
        arguments: &[
            ("name", "The schema of its tables."),
            ("kind", "As in `CREATE BACKEND`; `program` if a program added it."),
            ("location", "Path or URL."),
            ("options", "JSON; what is secret is `***`."),
            ("consistency, ttl_ms", "As in `CREATE BACKEND`."),
            ("collections", "How many it has."),
            ("status", "`ok`, or why it does not answer."),
        ],
        example: "CREATE BACKEND lake TYPE parquet OPTIONS (path '$LAKE');
SELECT name, kind, collections, status FROM system.backends;
-- lake | parquet | 2 | ok
-- main | delta | 0 | ok",
    },
    Entry {
        section: SYSTEM,
        title: "system.cache",
        syntax: "system.cache",
        text: "One row for each collection and index in memory.\n\n- Unit: `bytes` of memory, `prime_ms` in milliseconds; the other \
               numbers count.\n- NULL: never.",
        arguments: &[
            ("backend, collection", "Whose it is; an entry that several share has a row for each."),
            ("vector_column, metric, kind, seed, rerank_factor", "What it is an index of."),
            ("generation, witness", "The state it answers from, and its seal."),
            ("vectors, bytes", "How many, and the memory they take."),
            (
                "hits, misses, loads, primes, follows",
                "How often the collection's entries were found, missing, read, built, followed.",
            ),
            ("prime_ms", "The time spent building and following."),
        ],
        example: "CREATE TABLE docs (id BIGINT, vec FLOAT[2]);
INSERT INTO docs VALUES (1, [1.0, 0.0]);
CREATE INDEX docs_vec ON docs (vec);
SELECT id FROM knn('docs', [1.0, 0.0], 1);
-- 1
SELECT collection, kind, vectors, primes, hits FROM system.cache;
-- docs | rabitq_plus | 1 | 1 | 1",
    },
    Entry {
        section: SYSTEM,
        title: "system.bundles",
        syntax: "system.bundles",
        text: "The bundle of every collection that answers come from, as `publish_bundle` would write it: one row for each \
               witness in memory.\n\n- Unit: `dim` in coordinates.\n- NULL: never.",
        arguments: &[
            ("backend, collection", "Whose it is."),
            ("data_ref", "URI of the bytes of record."),
            ("dim, rotation_seed, rerank_factor", "Of its index."),
            ("generation", "The state."),
            ("witness", "SHAKE-256 over the columns before it, from `data_ref` on."),
            ("format_version", "Of the file."),
        ],
        example: "CREATE TABLE docs (id BIGINT, vec FLOAT[2]);
INSERT INTO docs VALUES (1, [1.0, 0.0]);
CREATE INDEX docs_vec ON docs (vec) WITH (seed = 7);
SELECT collection, dim, rotation_seed, length(witness) FROM system.bundles;
-- docs | 2 | 7 | 64",
    },
    Entry {
        section: SYSTEM,
        title: "DESCRIBE HISTORY",
        syntax: "DESCRIBE HISTORY table\ntable_history('table')",
        text: "The changes of a Delta table that are still known, newest first: the versions that `VERSION AS OF` reads, and the \
               times of `TIMESTAMP AS OF`. Other kinds of tables have none, which is an error.\n\n- Unit: `timestamp` is in \
               milliseconds, UTC.\n- NULL: `operation` and `parameters` where the writer did not say them.",
        arguments: &[
            ("version", "The number of the state that the change made; the first is 0."),
            ("timestamp", "When."),
            ("operation", "What was done, as the writer called it."),
            ("parameters", "How; JSON."),
        ],
        example: "CREATE TABLE docs (id BIGINT, vec FLOAT[2]);
INSERT INTO docs VALUES (1, [1.0, 0.0]);
SELECT version, operation FROM table_history('docs');
-- 1 | WRITE
-- 0 | CREATE TABLE
DESCRIBE HISTORY docs;
-- ...",
    },
    Entry {
        section: SYSTEM,
        title: "SHOW, DESCRIBE",
        syntax: "SHOW TABLES\nSHOW COLUMNS FROM table\nSHOW { setting | ALL }\nSHOW FUNCTIONS [LIKE 'pattern']\nDESCRIBE { table | query }",
        text: "What there is, as DataFusion tells it: the tables of all schemas, columns and their types, settings of the session \
               (`ruvector.*` and DataFusion's own), functions. The same and more is in `information_schema`.\n\n- NULL: the \
               value of a setting that is not set.",
        arguments: &[],
        example: "CREATE TABLE docs (id BIGINT NOT NULL, vec FLOAT[2]);
DESCRIBE docs;
-- id | Int64 | NO
-- vec | FixedSizeList(2 x Float32) | YES
DESCRIBE SELECT id, _distance FROM knn('docs', [1.0, 0.0], 1);
-- id | Int64 | NO
-- _distance | Float32 | NO
SHOW ruvector.use_index;
-- ruvector.use_index | true
SELECT table_name FROM information_schema.tables WHERE table_schema = 'main';
-- docs",
    },
];
