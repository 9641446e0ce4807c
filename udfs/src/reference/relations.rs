//! What stands in FROM. An entry for each; add one with the relation.

use super::{Entry, RELATIONS};

pub(super) const ENTRIES: &[Entry] = &[Entry {
    section: RELATIONS,
    title: "knn",
    syntax: "knn('table', query, k [, column => name] [, metric => 'l2' | 'inner_product' | 'cosine'] [, filter => condition] \
             [, rerank => n] [, exact => true])",
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
        ("rerank", "How many candidates of an index get exact distances."),
        ("exact", "Whether to compare every vector, index or not."),
    ],
    example: "CREATE TABLE docs (id BIGINT, lang VARCHAR, vec FLOAT[2]);
INSERT INTO docs VALUES (1, 'en', [1.0, 0.0]), (2, 'de', [0.9, 0.1]), (3, 'en', [0.0, 1.0]);
SELECT id, _distance FROM knn('docs', [1.0, 0.0], 2) WHERE lang = 'en';
-- 1 | 0
-- 3 | 1.41421",
}];
