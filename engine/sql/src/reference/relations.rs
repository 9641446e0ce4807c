//! Relations of FROM. An entry for each; add one with the relation.

use ruvector_udfs::documentation::{Entry, RELATIONS};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        section: RELATIONS,
        title: "knn",
        syntax: "knn('table', query, k [, column => name] [, metric => 'l2' | 'inner_product' | 'cosine'] [, filter => condition] \
             [, rerank_factor => n] [, nprobe => n] [, exact => true] [, consistency => 'fresh' | 'eventual' | 'stale'] [, ttl_ms => n] \
             [, backends => [names]] [, timeout_ms => n] [, partial => true])",
        text: "The `k` rows nearest to `query`, nearest first: the table's columns, and `_distance`, a `FLOAT` in the unit of the \
           metric's function (the negative one of `inner_product`). Rows whose vector is NULL are never among them. Where it \
           is all of FROM, conditions of WHERE hold before the search, so `k` rows come back whenever `k` rows match; \
           conditions on `_distance` are a range search. Beside a join, say `filter =>`.",
        arguments: &[
            ("table", "The name of a table, as text: `'docs'`, `'lake.docs'`."),
            ("query", "A vector: an array, a parameter, `embed(...)`, or a subquery of one row. NULL is an error."),
            ("k", "How many rows, at least 1."),
            ("column", "The vector column, where the table has several."),
            ("metric", "What is near; `l2` if nothing is said."),
            ("filter", "A condition on the rows that are searched."),
            (
                "rerank_factor",
                "Floor of candidates that get exact distances, as a multiple of `k`; as the index says if nothing is said. `rerank` \
                 is another name of it.",
            ),
            ("nprobe", "How many lists of an `ivf_rabitq` index are looked into."),
            ("exact", "Whether to compare every vector, index or not."),
            ("consistency", "How old the answer may be; `ttl_ms` goes with `eventual`."),
            (
                "backends",
                "Schemas whose tables of that name are searched together; the answer says which in `_backend`.",
            ),
            ("timeout_ms", "How long each backend may take."),
            ("partial", "Whether to answer without a backend that fails."),
        ],
        example: "CREATE TABLE docs (id BIGINT, lang VARCHAR, vec FLOAT[2]);
INSERT INTO docs VALUES (1, 'en', [1.0, 0.0]), (2, 'de', [0.9, 0.1]), (3, 'en', [0.0, 1.0]);
SELECT id, _distance FROM knn('docs', [1.0, 0.0], 2) WHERE lang = 'en';
-- 1 | 0
-- 3 | 1.41421",
    },
    Entry {
        section: RELATIONS,
        title: "LATERAL knn",
        syntax: "FROM queries q { CROSS JOIN | LEFT JOIN } LATERAL knn('table', q.vec, k [, name => value ...]) [AS] n",
        text: "A search for each row on the left, all in passes over the codes that they share. Only the query vector may refer to \
           the left. A row whose vector is NULL has no answer: LEFT JOIN ... ON true keeps it. In the place of `knn(...)` may \
           stand `(SELECT columns FROM knn(...) WHERE condition)`.",
        arguments: &[],
        example: "CREATE TABLE docs (id BIGINT, vec FLOAT[2]);
INSERT INTO docs VALUES (1, [1.0, 0.0]), (2, [0.0, 1.0]);
CREATE TABLE queries (name VARCHAR, vec FLOAT[2]);
INSERT INTO queries VALUES ('right', [0.9, 0.1]), ('up', [0.2, 0.8]);
SELECT q.name, n.id FROM queries q CROSS JOIN LATERAL knn('docs', q.vec, 1) n ORDER BY q.name;
-- right | 1
-- up | 2",
    },
    Entry {
        section: RELATIONS,
        title: "knn_batch",
        syntax: "knn_batch('table', (SELECT ...) | vectors, k [, name => value ...])",
        text: "The `k` nearest rows for each row of a subquery, which has one column of vectors, or for each vector of an array, \
           which may be a parameter. Other columns of the subquery come first, as `query_<name>`; if there is none, \
           `query_index` counts the queries from 0. Then the table's columns, and `_distance`. A NULL vector has no answer. \
           Named arguments are those of `knn` but for `backends`.",
        arguments: &[
            ("table", "As in `knn`."),
            ("queries", "A subquery with one column of vectors, or an array of vectors."),
            ("k", "How many rows for each query, at least 1."),
        ],
        example: "CREATE TABLE docs (id BIGINT, vec FLOAT[2]);
INSERT INTO docs VALUES (1, [1.0, 0.0]), (2, [0.0, 1.0]);
SELECT query_name, id FROM knn_batch('docs', (SELECT 'up' AS name, [0.2, 0.8] AS v), 1);
-- up | 2",
    },
    Entry {
        section: RELATIONS,
        title: "recall",
        syntax: "recall('table', sample, k [, column => name] [, metric => name] [, filter => condition] [, rerank_factor => n] [, nprobe => n])",
        text: "One row that holds the table's index against exact search: `index`, `kind`, `metric`, `k`, `queries`, `recall` (the \
           share of the exact answers that it found, NULL without queries), `index_ms` and `exact_ms` (milliseconds for one \
           query). An answer as far as the `k`-th exact one counts as that.",
        arguments: &[
            ("table", "As in `knn`; it has an index."),
            ("sample", "How many of the table's own vectors to search for, at most 10000; or a subquery of vectors."),
            ("k", "How many answers to each, at least 1."),
        ],
        example: "CREATE TABLE docs (id BIGINT, vec FLOAT[2]);
INSERT INTO docs VALUES (1, [1.0, 0.0]), (2, [0.0, 1.0]), (3, [0.5, 0.5]);
CREATE INDEX docs_vec ON docs (vec);
SELECT index, k, queries, recall FROM recall('docs', 100, 2);
-- docs_vec | 2 | 3 | 1",
    },
];
