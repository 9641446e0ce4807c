"""Statements of a reader that would keep a server busy for ever, or take all of its memory."""

from __future__ import annotations

ROWS = 1_000_000
_A = f"generate_series(1, {ROWS}) a(x)"
_B = f"generate_series(1, {ROWS}) b(y)"


def _chain(term: str, operator: str, count: int) -> str:
    return operator.join([term] * count)


# Work without end, by kind. Each is stopped by its limit.
BUSY = {
    "nested-loop join": f"SELECT count(*) FROM {_A}, {_B} WHERE x * y = 7",
    "cross join": f"SELECT count(*) FROM {_A}, {_B}",
    "outer join": f"SELECT x FROM {_A} LEFT JOIN {_B} ON x * y = -1 WHERE y IS NOT NULL",
    "hash join of few keys": f"SELECT count(*) FROM {_A} JOIN {_B} ON x % 2 = y % 2",
    "anti join": f"SELECT count(*) FROM {_A} WHERE NOT EXISTS (SELECT 1 FROM {_B} WHERE x * y < 0)",
    "recursive query": "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) "
    "SELECT count(*) FROM r WHERE n < 0",
    "recursive query of texts": "WITH RECURSIVE r AS (SELECT 'a' AS s UNION ALL SELECT left(s || s, 100000) FROM r) "
    "SELECT count(*) FROM r WHERE s = ''",
    "long series": "SELECT count(*) FROM generate_series(1, 1000000000000) t(x) WHERE x % 7 = 8",
    "aggregate of a long series": "SELECT sum(x % 1000), stddev(x) FROM generate_series(1, 1000000000000) t(x)",
    "window over a long series": "SELECT max(s) FROM (SELECT sum(x) OVER (ORDER BY x) AS s "
    "FROM generate_series(1, 1000000000000) t(x))",
    "sort of a long series": "SELECT x FROM generate_series(1, 1000000000000) t(x) "
    "ORDER BY x % 1000003 LIMIT 1000000000",
    "many groups": "SELECT count(*) FROM (SELECT x FROM generate_series(1, 1000000000000) t(x) GROUP BY x)",
    "distinct of a join": f"SELECT count(DISTINCT x * y) FROM {_A}, {_B}",
    "union of series": "SELECT count(*) FROM (SELECT x FROM generate_series(1, 1000000000000) a(x) UNION ALL "
    "SELECT x FROM generate_series(1, 1000000000000) b(x)) WHERE x < 0",
    "unnest of arrays": f"SELECT count(*) FROM (SELECT unnest(range(1, 1000)) AS u FROM {_A}) WHERE u < 0",
    "regular expression": f"SELECT count(*) FROM {_A} WHERE regexp_like(repeat('ab', 2000) || x, '(a|b)*c(a|b)*d$')",
    "pattern": f"SELECT count(*) FROM {_A} WHERE repeat('ab', 2000) || x LIKE '%a%b%a%b%a%b%c%'",
    "levenshtein": f"SELECT max(levenshtein(repeat('a', 3000) || x, repeat('b', 3000))) FROM {_A}",
    "hashes": f"SELECT count(*) FROM {_A} WHERE sha512(repeat('x', 10000) || x) = 'a'",
    "exact search for many": "SELECT count(*) FROM docs d "
    "CROSS JOIN LATERAL knn('docs', d.vec, 1000, exact => true) n, docs e",
    "planning of a long sum": f"SELECT {_chain('x', ' + ', 1800)} FROM generate_series(1, 2) t(x)",
    "planning of many conditions": f"SELECT count(*) FROM docs WHERE {_chain('id = 7', ' OR ', 4900)}",
    "parsing of nested words": "SELECT " + "1+case+" * 40 + "1",
}

# Statements that would take more memory than there is.
LARGE = {
    "fixed-size lists in each other": "SELECT arrow_cast(NULL, "
    "'FixedSizeList(2147483647 x FixedSizeList(65536 x Int64))')",
    "a vector of two billion": "SELECT CAST(NULL AS FLOAT[2147483647])",
    "batches of 2^46 rows": "SET datafusion.execution.batch_size = 70368744177664",
    "2^46 partitions": "SET datafusion.execution.target_partitions = 70368744177664",
    "3000 partitions": "SET datafusion.execution.target_partitions = 3000",
    "range": "SELECT range(1, 1000000000000)",
    "series in an array": "SELECT generate_series(1, 1000000000000)",
    "range in each row": "SELECT count(*) FROM (SELECT range(1, 100000000) AS r FROM generate_series(1, 1000)) "
    "WHERE r IS NULL",
    "repeat": "SELECT length(repeat('x', 2147483647))",
    "repeat in each row": "SELECT max(length(repeat('x', 50000000))) FROM generate_series(1, 8000)",
    "repeat of repeat": "SELECT length(repeat(repeat('x', 1000000), 1000000))",
    "replace": "SELECT length(replace(repeat('a', 1000000), 'a', repeat('b', 100000)))",
    "regexp_replace": "SELECT length(regexp_replace(repeat('a', 1000000), 'a', repeat('b', 100000), 'g'))",
    "lpad": "SELECT length(lpad('a', 2147483647, 'b'))",
    "rpad": "SELECT length(rpad('a', 2147483647, 'b'))",
    "concat": "SELECT length(concat(" + ", ".join(["repeat('x', 60000000)"] * 40) + "))",
    "||": "SELECT length(" + " || ".join(["repeat('x', 60000000)"] * 40) + ")",
    "array_repeat": "SELECT array_length(array_repeat(1, 2000000000))",
    "array_resize": "SELECT array_length(array_resize([1], 2000000000, 1))",
    "array_to_string": "SELECT length(array_to_string(range(1, 5000000), repeat('x', 1000)))",
    "string_to_array": "SELECT array_length(string_to_array(repeat('a,', 30000000), ','))",
    "arrays that double": "WITH a0 AS (SELECT [1,2,3,4] AS s),"
    + ",".join(f"a{i} AS (SELECT array_concat(s, s) AS s FROM a{i - 1} LIMIT 1)" for i in range(1, 34))
    + " SELECT array_length(s) FROM a33",
    "texts that double": "WITH a0 AS (SELECT 'abcd' AS s),"
    + ",".join(f"a{i} AS (SELECT concat(s, s) AS s FROM a{i - 1} LIMIT 1)" for i in range(1, 34))
    + " SELECT length(s) FROM a33",
    "tables that double": "WITH a0 AS (SELECT 1 AS x),"
    + ",".join(f"a{i} AS (SELECT a.x FROM a{i - 1} a, a{i - 1} b)" for i in range(1, 26))
    + " SELECT count(*) FROM a25",
    "cube of 30": "SELECT count(*) FROM docs GROUP BY CUBE (" + ",".join(f"id + {i}" for i in range(30)) + ")",
    "a statement of 50 MB": "SELECT " + "a " * (25 << 20),
    "levenshtein of long texts": "SELECT levenshtein(repeat('a', 300000), repeat('b', 300000))",
    "array_agg": "SELECT array_length(array_agg(x)) FROM generate_series(1, 2000000000) t(x)",
    "string_agg": "SELECT length(string_agg(x::VARCHAR, ',')) FROM generate_series(1, 2000000000) t(x)",
    "median": "SELECT median(x) FROM generate_series(1, 2000000000) t(x)",
    "count of distinct": "SELECT count(DISTINCT x) FROM generate_series(1, 2000000000) t(x)",
    "groups": "SELECT max(x) FROM generate_series(1, 2000000000) t(x) GROUP BY x ORDER BY 1 DESC LIMIT 1",
    "build side of a join": "SELECT count(*) FROM generate_series(1, 2000000000) a(x) "
    "JOIN generate_series(1, 2000000000) b(x) USING (x)",
    "subquery with many rows": "SELECT (SELECT x FROM generate_series(1, 2000000000) t(x))",
    "unnest": "SELECT count(*) FROM (SELECT unnest(range(1, 8000000)) FROM generate_series(1, 100))",
    "map of a long list": "SELECT cardinality(map(range(1, 4000000), range(1, 4000000)))",
    "search for all": "SELECT count(*) FROM docs d CROSS JOIN LATERAL knn('docs', d.vec, 100000) n",
    "rows of large texts": "SELECT repeat('x', 30000000) FROM generate_series(1, 1000)",
    "sort of large texts": "SELECT repeat('x', 1000000) || x AS s FROM generate_series(1, 1000000) t(x) "
    "ORDER BY s LIMIT 1000000",
    "windows over a long series": "SELECT max(y) FROM (SELECT lag(x, 1000000000) OVER () AS y "
    "FROM generate_series(1, 2000000000) t(x))",
}
