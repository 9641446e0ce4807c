//! Table functions over the cache. An entry for each; add one with the function.

use ruvector_udfs::documentation::{CACHE, Entry};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        section: CACHE,
        title: "publish_bundle",
        syntax: "publish_bundle('table', 'folder')",
        text: "Writes `table.rulake.json`, the bundle of the table's newest state with the parameters of its first index, to a \
               folder, which is made if it is not there: what others hold their caches against.\n\n- Returns: one row, `witness`, the seal of that state.\n- Unit: \
               hexadecimal digits of SHAKE-256.\n- NULL: a NULL argument is an error.",
        arguments: &[
            ("table", "The name of a table, as text: `'docs'`, `'lake.docs'`."),
            ("folder", "A path on the machine where the engine runs."),
        ],
        example: "CREATE BACKEND lake TYPE parquet OPTIONS (path '$LAKE');
CREATE INDEX docs_vec ON lake.docs (vec);
SELECT length(witness) FROM publish_bundle('lake.docs', '$LAKE/_shared');
-- 64",
    },
    Entry {
        section: CACHE,
        title: "refresh_from_bundle",
        syntax: "refresh_from_bundle('table', 'folder')",
        text: "Holds what is cached of a table against the bundle in a folder, and forgets it if the bundle is of another \
               state.\n\n- Returns: one row, `result`: `UP_TO_DATE`, `INVALIDATED` or `BUNDLE_MISSING`.\n- Unit: none.\n- NULL: a \
               NULL argument is an error.",
        arguments: &[("table", "As in `publish_bundle`."), ("folder", "As in `publish_bundle`.")],
        example: "CREATE BACKEND lake TYPE parquet OPTIONS (path '$LAKE');
SELECT result FROM refresh_from_bundle('lake.docs', '$LAKE/_shared');
-- BUNDLE_MISSING",
    },
    Entry {
        section: CACHE,
        title: "save_cache",
        syntax: "save_cache('table', 'folder')",
        text: "Writes the indexes of a table that are in memory to a folder, and the bundle beside them.\n\n- Returns: a row for \
               each index file, `path`; none if nothing is cached.\n- Unit: none.\n- NULL: a NULL argument is an error.",
        arguments: &[("table", "As in `publish_bundle`."), ("folder", "As in `publish_bundle`.")],
        example: "CREATE BACKEND lake TYPE parquet OPTIONS (path '$LAKE');
CREATE INDEX docs_vec ON lake.docs (vec);
SELECT count(path) FROM save_cache('lake.docs', '$LAKE/_saved');
-- 1",
    },
    Entry {
        section: CACHE,
        title: "warm_cache",
        syntax: "warm_cache('table', 'folder')",
        text: "Reads back what `save_cache` wrote, here or elsewhere, without a look at the vectors. Files of another state than \
               the table's are an error.\n\n- Returns: one row, `vectors`, how many are indexed then.\n- Unit: vectors.\n- NULL: a \
               NULL argument is an error.",
        arguments: &[("table", "As in `publish_bundle`."), ("folder", "As in `publish_bundle`.")],
        example: "CREATE BACKEND lake TYPE parquet OPTIONS (path '$LAKE');
CREATE INDEX docs_vec ON lake.docs (vec);
SELECT count(path) FROM save_cache('lake.docs', '$LAKE/_saved');
-- 1
SELECT result FROM invalidate_cache('lake.docs');
-- INVALIDATED
SELECT vectors FROM warm_cache('lake.docs', '$LAKE/_saved');
-- 3",
    },
    Entry {
        section: CACHE,
        title: "invalidate_cache",
        syntax: "invalidate_cache('table')",
        text: "Forgets what is cached of a table; the next search reads or builds it again.\n\n- Returns: one row, `result`: \
               `INVALIDATED`.\n- Unit: none.\n- NULL: a NULL argument is an error.",
        arguments: &[("table", "As in `publish_bundle`.")],
        example: "CREATE TABLE docs (id BIGINT, vec FLOAT[2]);
SELECT result FROM invalidate_cache('docs');
-- INVALIDATED",
    },
];
