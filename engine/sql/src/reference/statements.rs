//! Types and statements. An entry for each; add one with the statement.

use ruvector_udfs::documentation::{Entry, STATEMENTS, TYPES};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        section: TYPES,
        title: "FLOAT[dim]",
        syntax: "FLOAT[dim]",
        text: "A vector of `dim` coordinates, each a Float32, at most 16384 of them. It is written as an array, `[0.5, 1.0]`, or \
               as text, `CAST('[0.5, 1.0]' AS FLOAT[2])`, without the cast beside another vector; `CAST(v AS VARCHAR)` is \
               `[0.5,1]`. An array, a list or a column of any numbers becomes one by INSERT or a cast. One with another number of coordinates is an error that names both numbers, and so is, in a \
               table, a coordinate that is NULL or not finite. A vector may be NULL as a whole.",
        arguments: &[],
        example: "SELECT vector_dims(CAST([1, 2, 3] AS FLOAT[3])), CAST('[1, 2.5]' AS FLOAT[2]);
-- 3 | [1, 2.5]
SELECT CAST([1, 2] AS FLOAT[3]);
-- error: length 2",
    },
    Entry {
        section: TYPES,
        title: "Vector columns",
        syntax: "FLOAT[dim], DOUBLE[dim], TINYINT[dim]\nlists of FLOAT, DOUBLE, half-precision floats, TINYINT or TINYINT UNSIGNED, as other tools write them",
        text: "A column of lists of numbers is searched where it is, in the type in which it is stored: Delta's `array<float>` \
               and `array<double>`, lists and fixed-size lists of Parquet files and of Arrow. SELECT returns that type. A search \
               computes with Float32: each coordinate becomes the nearest one. The dimension is that of the type; for a list it is \
               that of its table, or else the length of the first list. A row with another length, a NULL coordinate, NaN or \
               infinity (of Float32) is an error of the search that names file, row, expected and got. Where several columns hold vectors, \
               `column =>` names one; a column of a declared dimension goes before lists.",
        arguments: &[],
        example: "CREATE TABLE docs (id BIGINT, vec DOUBLE[2]);
INSERT INTO docs VALUES (1, [0.1, 16777217.0]), (2, [0.0, 1.0]);
SELECT id, vec FROM knn('docs', [0, 0], 1);
-- 2 | [0, 1]
INSERT INTO docs VALUES (3, [1, 2, 3]);
-- error: dimension",
    },
    Entry {
        section: TYPES,
        title: "Values of columns",
        syntax: "INSERT INTO name ..., CREATE TABLE name (columns) AS ..., ingest",
        text: "A value is written as it is, or the statement fails, names the column, the row and the value, and writes \
               nothing: a fraction into an integer, a number out of range, digits that a DECIMAL has no place for, parts of \
               a microsecond, a time of day into a DATE, a point in time with a zone into a column without one or the other \
               way round, text that is no value of the type. Only FLOAT and DOUBLE columns round: fractions to the nearest \
               number, integers not, and coordinates of vectors all of them. Fields of structs are matched by name; a missing \
               one is NULL. A CAST that is written out converts by its own rules. Columns that a query or an ingest makes \
               have types that hold their values: unsigned integers the next wider signed type (of 64 bits DECIMAL(20, 0)), \
               points in time with a zone their instant in UTC, times microseconds. A column that is declared UNSIGNED has \
               that type too and refuses what is not of its own. INTERVAL, TIME and durations are not kept.",
        arguments: &[],
        example: "CREATE TABLE t (i INT, f FLOAT);
INSERT INTO t VALUES (2.0, 0.1), ('3', NULL);
SELECT i FROM t ORDER BY i;
-- 2
-- 3
INSERT INTO t (i) VALUES (1.9);
-- error: column \"i\" cannot hold the value: row 0, expected Int32, got 1.9 (Float64)
INSERT INTO t (i) SELECT CAST(1.9 AS INT);",
    },
    Entry {
        section: STATEMENTS,
        title: "CREATE TABLE",
        syntax: "CREATE [OR REPLACE] TABLE [IF NOT EXISTS] name (column type [NOT NULL], ...)\n\
                 CREATE [OR REPLACE] TABLE [IF NOT EXISTS] name AS query",
        text: "Makes a Delta table in the default backend. Made of a query, its columns have the types of the query's answer. \
               What would not be kept is an error: keys, CHECK, defaults, IDENTITY and generated columns, COLLATE, COMMENT, a \
               length of VARCHAR, WITH (options), PARTITION BY, TEMPORARY. Sized arrays are vectors, FLOAT[n], DOUBLE[n] \
               or TINYINT[n]; lists of any length are written type[].",
        arguments: &[],
        example: "CREATE TABLE docs (id BIGINT NOT NULL, body VARCHAR, vec FLOAT[2]);
INSERT INTO docs VALUES (1, 'a cat', [1.0, 0.0]);
CREATE TABLE copy AS SELECT id, vec FROM docs;
SELECT * FROM copy;
-- 1 | [1, 0]",
    },
    Entry {
        section: STATEMENTS,
        title: "SELECT ... ORDER BY distance LIMIT k",
        syntax: "SELECT ... FROM table [WHERE condition] ORDER BY distance [ASC | DESC] [NULLS FIRST | NULLS LAST] LIMIT k [OFFSET n]",
        text: "A search, as EXPLAIN shows: `distance` is `l2_distance`, `l2_squared`, `cosine_distance` or `array_distance` \
               (ascending), `inner_product` or `cosine_similarity` (descending), between a vector column and a vector that is \
               the same for all rows. The answer is that of sorting all rows. With several keys, DISTINCT, a join or a GROUP BY \
               in between all rows are sorted, and so they are after `SET ruvector.use_index = false`.",
        arguments: &[],
        example: "CREATE TABLE docs (id BIGINT, vec FLOAT[2]);
INSERT INTO docs VALUES (1, [1.0, 0.0]), (2, [0.0, 1.0]), (3, NULL);
CREATE INDEX docs_vec ON docs (vec);
SELECT id, l2_distance(vec, [0.0, 2.0]) AS far FROM docs ORDER BY far LIMIT 2;
-- 2 | 1
-- 1 | 2.23607",
    },
    Entry {
        section: STATEMENTS,
        title: "CREATE INDEX",
        syntax: "CREATE [OR REPLACE] INDEX [IF NOT EXISTS] name ON table [USING kind] (column) [WITH (option = value, ...)]",
        text: "Builds an index over a vector column and keeps it with the table's changes. Kinds: `rabitq_plus` (if nothing is \
               said), `ivf_rabitq`, `rabitq_asym`, `rabitq`, `flat`. With `background = true` it returns at once, and searches \
               are exact until the index is there; `system.indexes` shows its progress.",
        arguments: &[
            ("metric", "`'l2'`, `'cosine'` or `'inner_product'`; `'l2'` if nothing is said."),
            ("seed", "Of the random rotation; the same seed gives the same index."),
            ("rerank_factor", "Floor of candidates that get exact distances, as a multiple of `k`."),
            ("nlist", "How many lists an `ivf_rabitq` index has."),
            ("nprobe", "How many of them a search looks into."),
            ("background", "Whether to return at once."),
        ],
        example: "CREATE TABLE docs (id BIGINT, vec FLOAT[2]);
INSERT INTO docs VALUES (1, [1.0, 0.0]), (2, [0.0, 1.0]);
CREATE INDEX docs_vec ON docs USING rabitq_plus (vec) WITH (metric = 'cosine');
SELECT name, kind, metric, state FROM system.indexes;
-- docs_vec | rabitq_plus | cosine | ready",
    },
    Entry {
        section: STATEMENTS,
        title: "DROP INDEX, REINDEX",
        syntax: "DROP INDEX [IF EXISTS] name [, ...]\nREINDEX [INDEX] name [WITH (background = true)]\nREINDEX TABLE table",
        text: "DROP INDEX removes an index and its file. REINDEX builds it again from all vectors; the old one answers \
               until the new one is there.",
        arguments: &[],
        example: "CREATE TABLE docs (id BIGINT, vec FLOAT[2]);
INSERT INTO docs VALUES (1, [1.0, 0.0]);
CREATE INDEX docs_vec ON docs (vec);
REINDEX docs_vec;
DROP INDEX docs_vec;
SELECT count(*) FROM system.indexes;
-- 0",
    },
    Entry {
        section: STATEMENTS,
        title: "MERGE INTO",
        syntax: "MERGE INTO table [AS t] USING source [AS s] ON condition\n\
                 WHEN MATCHED [AND condition] THEN UPDATE SET { column = value, ... | * } | DELETE\n\
                 WHEN NOT MATCHED [AND condition] THEN INSERT { [(columns)] VALUES (values) | * }\n\
                 WHEN NOT MATCHED BY SOURCE [AND condition] THEN UPDATE SET column = value, ... | DELETE",
        text: "One transaction; the count is of rows inserted, changed and deleted. `*` is every column of the table, from the \
               source's column of the same name: the source has a name then, and all of these columns. Others of the source are \
               not read.",
        arguments: &[],
        example: "CREATE TABLE docs (id BIGINT, vec FLOAT[2]);
INSERT INTO docs VALUES (1, [1.0, 0.0]);
CREATE TABLE news (id BIGINT, vec FLOAT[2]);
INSERT INTO news VALUES (1, [0.5, 0.5]), (2, [0.0, 1.0]);
MERGE INTO docs t USING news s ON t.id = s.id WHEN MATCHED THEN UPDATE SET vec = s.vec WHEN NOT MATCHED THEN INSERT (id, vec) VALUES (s.id, s.vec);
SELECT * FROM docs ORDER BY id;
-- 1 | [0.5, 0.5]
-- 2 | [0, 1]
MERGE INTO docs USING (SELECT 2 AS id, [7.0, 7.0] AS vec) s ON docs.id = s.id WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *;
SELECT vec FROM docs WHERE id = 2;
-- [7, 7]",
    },
    Entry {
        section: STATEMENTS,
        title: "UPDATE, DELETE",
        syntax: "UPDATE table [AS t] SET column = value, ... [WHERE condition]\nDELETE FROM table [AS t] [WHERE condition]",
        text: "One transaction; the count is of rows changed. Conditions and values may be anything that a SELECT may have in \
               their place: subqueries that refer to the table, searches, `embed()`. A value that its column cannot hold is an \
               error that names the column, and nothing is changed: 1.5 in an INT, 1e300 in a FLOAT, NULL where the column is NOT \
               NULL; CAST rounds and cuts. Changes of one table wait for one another, whichever session they are in; a change \
               that a writer of another process was faster than is computed again.",
        arguments: &[],
        example: "CREATE TABLE docs (id BIGINT, body VARCHAR, vec FLOAT[2]);
INSERT INTO docs VALUES (1, 'one', [1.0, 0.0]), (2, 'two', [0.0, 1.0]), (3, 'three', [9.0, 9.0]);
UPDATE docs SET body = upper(body), vec = [5.0, 5.0] WHERE id = 1;
DELETE FROM docs AS d WHERE EXISTS (SELECT 1 FROM docs AS other WHERE l2_distance(other.vec, d.vec) > 8 AND other.id < d.id);
SELECT * FROM docs ORDER BY id;
-- 1 | ONE | [5, 5]
-- 2 | two | [0, 1]
UPDATE docs SET id = 1.5;
-- error: id",
    },
    Entry {
        section: STATEMENTS,
        title: "VERSION AS OF, TIMESTAMP AS OF",
        syntax: "table VERSION AS OF number\ntable TIMESTAMP AS OF 'time'",
        text: "An older state of a Delta table, wherever a table may stand. The first version is 0; `DESCRIBE HISTORY` lists them. \
               Number and time are written in the statement: a parameter has its value later than a table its columns, and is an \
               error.",
        arguments: &[],
        example: "CREATE TABLE docs (id BIGINT, vec FLOAT[2]);
INSERT INTO docs VALUES (1, [1.0, 0.0]);
DELETE FROM docs;
SELECT id FROM docs VERSION AS OF 1;
-- 1",
    },
    Entry {
        section: STATEMENTS,
        title: "SET ruvector",
        syntax: "SET ruvector.use_index = true | false\nSET ruvector.nprobe = n | default\nSET ruvector.rerank_factor = n | default\n\
                 SET ruvector.consistency = 'fresh' | 'eventual' | 'stale' | default\nSET ruvector.ttl_ms = n | default\n\
                 SET ruvector.statement_timeout_ms = n | default",
        text: "What a session says of its searches, where a search does not say it itself, and how long its statements may take, in \
               milliseconds: it can be less than the engine lets them, not more. They are listed in \
               `information_schema.df_settings`.",
        arguments: &[],
        example: "SET ruvector.nprobe = 64;
SELECT value FROM information_schema.df_settings WHERE name = 'ruvector.nprobe';
-- 64",
    },
    Entry {
        section: STATEMENTS,
        title: "KILL",
        syntax: "KILL [QUERY] id",
        text: "Ends a statement that runs: its client gets an error. `system.queries` has the ids. One's own, or any for an \
               admin. Of one that has ended already it says 0; a change that is killed while it is being committed may be in effect.",
        arguments: &[("id", "An integer.")],
        example: "KILL 4711;
-- error: no such statement: 4711",
    },
    Entry {
        section: STATEMENTS,
        title: "SET datafusion.sql_parser.dialect",
        syntax: "SET datafusion.sql_parser.dialect = 'Generic' | 'PostgreSQL' | 'MySQL' | 'DuckDB' | ...",
        text: "The dialect that the session's next statements are read in: one of DataFusion's, but for `MsSQL`; another is an error \
               that names them. What is ruvector's own is the same in every dialect, with two exceptions: `<->` and `<#>` are \
               operators in `Generic` and `PostgreSQL`, and the type `FLOAT[dim]` can be written in these two, `Redshift` and \
               `DuckDB`. Elsewhere there are `l2_distance(a, b)` and `arrow_cast(v, 'FixedSizeList(2, Float32)')`.",
        arguments: &[],
        example: "SET datafusion.sql_parser.dialect = 'PostgreSQL';
SELECT CAST(ARRAY[1.0, 0.0] AS FLOAT[2]) <-> ARRAY[1.0, 2.0];
-- 2
SET datafusion.sql_parser.dialect = 'Klingon';
-- error: PostgreSQL",
    },
];
