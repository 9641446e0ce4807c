//! Data that is elsewhere: backends, federated search, external tables. An entry for each; add one with the statement.

use ruvector_udfs::documentation::{Entry, RELATIONS, STATEMENTS};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        section: RELATIONS,
        title: "knn over several backends",
        syntax: "knn('collection', query, k, backends => ['main', 'lake'] [, timeout_ms => n] [, partial => true] [, name => value ...])",
        text: "The `k` rows nearest to `query` of all collections of that name, searched at the same time: the columns that they \
               have in common, `_distance`, and `_backend`, the schema that a row is from. Conditions of WHERE hold before each \
               search; one on `_backend` is an error.\n\n- Returns: at most `k` rows, nearest first.\n- Unit: `_distance` is \
               in the unit of the metric's function.\n- NULL: rows whose vector is NULL are never among them; a NULL query is \
               an error.",
        arguments: &[
            ("collection", "A name without a schema."),
            ("backends", "An array of different names of schemas."),
            (
                "timeout_ms",
                "How long each backend may take, in milliseconds, at least 1; its own limits if nothing is said.",
            ),
            ("partial", "Whether to answer without a backend that fails; `false` if nothing is said."),
        ],
        example: "CREATE BACKEND lake TYPE parquet OPTIONS (path '$LAKE');
CREATE TABLE docs (id BIGINT, body VARCHAR, vec FLOAT[2]);
INSERT INTO docs VALUES (10, 'a kitten', [0.98, 0.02]);
SELECT id, body, _backend FROM knn('docs', [1.0, 0.0], 2, backends => ['main', 'lake']);
-- 1 | a cat | lake
-- 10 | a kitten | main",
    },
    Entry {
        section: STATEMENTS,
        title: "CREATE BACKEND, DROP BACKEND",
        syntax: "CREATE BACKEND [IF NOT EXISTS] name TYPE { parquet | delta | object_store | memory } [OPTIONS (option value, ...)]\n\
                 DROP BACKEND [IF EXISTS] name",
        text: "A backend is a schema: its collections are tables, which are searched, joined and indexed, and which SQL does not \
               change. `parquet` and `delta` are folders, `object_store` a prefix in a store, `memory` is filled by the \
               program. It is opened before it is kept, and kept over restarts; dropping it drops its indexes and leaves the files.",
        arguments: &[
            ("path", "Of `parquet` and `delta`: the folder."),
            ("url", "Of `object_store`: `s3://`, `gs://` or `az://`; the store's own options go beside it."),
            ("consistency", "How old answers may be: `'fresh'`, `'eventual'`, `'stale'` or `'frozen'`."),
            ("ttl_ms", "How old an answer that is `eventual` may be, in milliseconds."),
        ],
        example: "CREATE BACKEND lake TYPE parquet OPTIONS (path '$LAKE', consistency 'eventual', ttl_ms 500);
SELECT id, body FROM knn('lake.docs', [1.0, 0.0], 1);
-- 1 | a cat
DROP BACKEND lake;",
    },
    Entry {
        section: STATEMENTS,
        title: "CREATE EXTERNAL TABLE",
        syntax: "CREATE EXTERNAL TABLE [IF NOT EXISTS] name [(column type, ...)] STORED AS { PARQUET | DELTA | CSV | JSON | RBPX }\n\
                 LOCATION 'path or URL' [OPTIONS (option value, ...)]\nDROP TABLE name",
        text: "Files that others write, as a table of `main` that SQL reads and does not change. They are read before the table is \
               kept, and stay when it is dropped. `PARQUET` (a file or a folder) and `DELTA` are searched and indexed. `CSV` and \
               `JSON` are read; their columns may be declared. `RBPX` is an index file: a table of its `id`s and, where it keeps \
               them, its vectors.",
        arguments: &[
            ("has_header, delimiter, quote, escape, comment, compression", "Of `CSV`."),
            ("other options", "Those of the object store, as in `CREATE BACKEND`."),
        ],
        example: "CREATE EXTERNAL TABLE docs STORED AS PARQUET LOCATION '$LAKE/docs';
SELECT id, body FROM knn('docs', [1.0, 0.0], 1);
-- 1 | a cat
CREATE EXTERNAL TABLE animals STORED AS CSV LOCATION '$LAKE/animals.csv';
SELECT count(*) FROM animals;
-- 2
CREATE EXTERNAL TABLE words STORED AS RBPX LOCATION '$LAKE/words.rbpx';
SELECT id FROM knn('words', [2.0, 0.0], 1);
-- 10
DELETE FROM docs;
-- error: external table",
    },
];
