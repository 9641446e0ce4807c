//! Types and statements. An entry for each; add one with the statement.

use super::{Entry, STATEMENTS, TYPES};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        section: TYPES,
        title: "FLOAT[dim]",
        syntax: "FLOAT[dim]",
        text: "A vector of `dim` coordinates, each a Float32, at most 16384 of them. It is written as an array, `[0.5, 1.0]`, or \
               as text, `CAST('[0.5, 1.0]' AS FLOAT[2])`; an array, a list or a column of any numbers becomes one by INSERT \
               or a cast. One with another number of coordinates is an error that names both numbers, and so is, in a \
               table, a coordinate that is NULL or not finite. A vector may be NULL as a whole.",
        arguments: &[],
        example: "SELECT vector_dims(CAST([1, 2, 3] AS FLOAT[3])), CAST('[1, 2.5]' AS FLOAT[2]);
-- 3 | [1, 2.5]
SELECT CAST([1, 2] AS FLOAT[3]);
-- error: length 2",
    },
    Entry {
        section: STATEMENTS,
        title: "CREATE TABLE",
        syntax: "CREATE [OR REPLACE] TABLE [IF NOT EXISTS] name (column type [NOT NULL], ...)\n\
                 CREATE [OR REPLACE] TABLE [IF NOT EXISTS] name AS query",
        text: "Makes a Delta table in the default backend. Keys, defaults and TEMPORARY are errors: they would not be kept.",
        arguments: &[],
        example: "CREATE TABLE docs (id BIGINT NOT NULL, body VARCHAR, vec FLOAT[2]);
INSERT INTO docs VALUES (1, 'a cat', [1.0, 0.0]);
CREATE TABLE copy AS SELECT id, vec FROM docs;
SELECT * FROM copy;
-- 1 | [1, 0]",
    },
];
