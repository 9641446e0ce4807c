//! Statements that would take memory out of proportion: each ends in an error, and the session goes on.

use ruvector_sql::ErrorKind;

use crate::support::Database;

#[tokio::test(flavor = "multi_thread")]
async fn settings_have_ranges() {
    let database = Database::temporary().await;
    for (name, value) in [
        ("datafusion.execution.batch_size", "70368744177664"),
        ("DataFusion.Execution.Batch_Size", "1048577"),
        ("\"datafusion\".\"execution\".batch_size", "5000000"),
        ("\"datafusion.execution.batch_size\"", "2000000"),
        ("datafusion.execution.batch_size.x", "2000000"),
        ("datafusion.execution.target_partitions", "70368744177664"),
        ("datafusion.execution.target_partitions", "3000"),
        ("datafusion.execution.parquet.bloom_filter_ndv", "18446744073709551615"),
        ("datafusion.optimizer.max_passes", "1000000000"),
    ] {
        for sql in [format!("SET {name} = {value}"), format!("SET {name} = '{value}'")] {
            let (kind, message) = database.error(&sql).await;
            assert_eq!(kind, ErrorKind::InvalidInput, "{sql}: {message}");
            assert!(message.contains("expected a number from"), "{sql}: {message}");
        }
    }
    for sql in [
        "SET datafusion.execution.batch_size = 100",
        "SET datafusion.execution.target_partitions = 3",
        "SET datafusion.execution.target_partitions = 0",
        "RESET datafusion.execution.batch_size",
        "RESET datafusion.execution.target_partitions",
    ] {
        database.run(sql).await;
    }
    assert_eq!(database.ids("SELECT count(*) FROM generate_series(1, 10)").await, [10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_functions_are_bounded_before_they_are_made() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE docs (id BIGINT, body VARCHAR)").await;
    database.run("INSERT INTO docs SELECT value, 'b' || value FROM generate_series(1, 2000)").await;
    let arrays_that_double = format!(
        "WITH a0 AS (SELECT [1,2,3,4] AS s), {} SELECT array_length(s) FROM a33",
        (1..34)
            .map(|i| format!("a{i} AS (SELECT array_concat(s, s) AS s FROM a{} LIMIT 1)", i - 1))
            .collect::<Vec<_>>()
            .join(", ")
    );
    for sql in [
        "SELECT range(1, 1000000000000)",
        "SELECT generate_series(1, 1000000000000)",
        "SELECT generate_series(1, 9223372036854775807, 1000)",
        "SELECT range(TIMESTAMP '2000-01-01', TIMESTAMP '2001-01-01', INTERVAL '1' SECOND)",
        "SELECT length(replace(repeat('a',1000000),'a',repeat('b',100000)))",
        "SELECT length(repeat('x', 2147483647))",
        "SELECT length(repeat(body, 1000000)) FROM docs",
        "SELECT length(repeat(body, id * 100000000)) FROM docs",
        "SELECT length(lpad('x', 2147483647, 'ab'))",
        "SELECT length(rpad(body, 2000000000)) FROM docs",
        "SELECT array_length(array_repeat(NULL, 1000000000))",
        "SELECT array_length(array_repeat([1, 2, 3], 1000000000))",
        "SELECT array_length(array_resize([1], 1000000000))",
        "SELECT array_length(array_resize([id], 1000000000, 7)) FROM docs",
        "SELECT length(regexp_replace(repeat('a', 100000), 'a', repeat('b', 10000), 'g'))",
        "SELECT length(array_to_string(range(1, 1000000), repeat('x', 1000)))",
        "SELECT length(concat(repeat('x', 60000000), repeat('x', 60000000)))",
        "SELECT length(concat_ws(repeat('x', 40000000), 'a', 'b', 'c'))",
        "SELECT length(concat_ws(repeat('x', 40000000), 'a', body, 'c')) FROM docs",
        "SELECT levenshtein(repeat('a', 100000), repeat('b', 100000))",
        "SELECT array_length(l || l) FROM (SELECT range(1, 8000000) AS l)",
        arrays_that_double.as_str(),
    ] {
        let (kind, message) = database.error(sql).await;
        assert_eq!(kind, ErrorKind::ResourceExhausted, "{sql}: {message}");
        assert!(message.contains("expected at most"), "{sql}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_with_bounds_answer_as_before() {
    let database = Database::temporary().await;
    for sql in [
        "SELECT count(*) WHERE repeat('ab', 3) = 'ababab' AND replace('aba', 'a', 'xx') = 'xxbxx'",
        "SELECT count(*) WHERE lpad('x', 3, 'ab') = 'abx' AND rpad('x', 3) = 'x  '",
        "SELECT count(*) WHERE concat('a', NULL, 'b') = 'ab' AND concat_ws(',', 'a', NULL, 'b') = 'a,b'",
        "SELECT count(*) WHERE array_concat([1], [2]) = [1, 2] AND [1] || [2] = [1, 2] AND [1] || 2 = [1, 2]",
        "SELECT count(*) WHERE list_concat([1], [2]) = [1, 2] AND range(3) = [0, 1, 2] AND generate_series(1, 2) = [1, 2]",
        "SELECT count(*) WHERE array_to_string([1, 2], '-') = '1-2' AND string_to_array('a,b', ',') = ['a', 'b']",
        "SELECT count(*) WHERE array_repeat(1, 2) = [1, 1] AND list_resize([1], 2, 7) = [1, 7]",
        "SELECT count(*) WHERE regexp_replace('abc', '(b)', '[\\1]') = 'a[b]c' AND levenshtein('kitten', 'sitting') = 3",
        "SELECT count(*) FROM (SELECT NULL::BIGINT AS id) WHERE repeat('x', id) IS NULL AND length(repeat('x', 60000000)) = 60000000",
    ] {
        assert_eq!(database.ids(sql).await, [1], "{sql}");
    }
    // A batch is as large as ever: vectors of a model, and pages of text.
    for expression in [
        "array_to_string(array_repeat(x::FLOAT, 768), ',')",
        "replace(repeat('words & more ', 640) || x, '&', '&amp;')",
        "regexp_replace(repeat('words and more ', 400) || x, 'and', '<b>and</b>', 'g')",
        "string_to_array(repeat('words and more ', 600) || x, ' ')",
        "concat(repeat('words and more ', 2000), x, repeat('words and more ', 2000))",
    ] {
        let sql = format!("SELECT count({expression}) FROM generate_series(1, 8192) t(x)");
        assert_eq!(database.ids(&sql).await, [8192], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn constants_of_a_statement_are_bounded_together() {
    let database = Database::temporary().await;
    for operator in [", ", " || "] {
        let many = ["repeat('x', 60000000)"; 8].join(operator);
        let (kind, message) = database.error(&format!("SELECT length(concat({many}))")).await;
        assert_eq!(kind, ErrorKind::ResourceExhausted, "{message}");
        assert!(message.contains("constants of a statement: expected at most"), "{message}");
    }
    assert_eq!(database.ids("SELECT count(*) WHERE length(repeat('x', 60000000)) = 60000000").await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_are_bounded_before_they_are_made() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE docs (id BIGINT)").await;
    let doubling: Vec<_> = (1..26).map(|i| format!("a{i} AS (SELECT a.x FROM a{} a, a{} b)", i - 1, i - 1)).collect();
    let cube: Vec<_> = (0..30).map(|i| format!("id + {i}")).collect();
    for sql in [
        format!("WITH a0 AS (SELECT 1 AS x), {} SELECT count(*) FROM a25", doubling.join(", ")),
        format!("SELECT count(*) FROM docs GROUP BY CUBE ({})", cube.join(", ")),
    ] {
        let (kind, message) = database.error(&sql).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{message}");
        assert!(message.contains("expected at most"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn types_of_fixed_length_are_bounded() {
    let database = Database::temporary().await;
    for sql in [
        "SELECT CAST(NULL AS FLOAT[2147483647])",
        "SELECT NULL::DOUBLE[16385]",
        "SELECT TRY_CAST(NULL AS FLOAT[16384][16384])",
        "CREATE TABLE t (v FLOAT[16385])",
    ] {
        let (kind, message) = database.error(sql).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{sql}: {message}");
        assert!(message.contains("16384"), "{sql}: {message}");
    }
    assert_eq!(database.ids("SELECT count(*) WHERE NULL::FLOAT[16384] IS NULL").await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_statements_are_bounded() {
    let database = Database::temporary().await;
    let (kind, message) = database.error(&format!("SELECT {}", "a ".repeat(25 << 20))).await;
    assert_eq!(kind, ErrorKind::ResourceExhausted, "{message}");
    assert!(message.contains("statement: expected at most"), "{message}");
    assert_eq!(database.ids("SELECT 1").await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_constants_are_copied_into_few_rows_at_a_time() {
    let database = Database::temporary().await;
    let batches = database.query("SELECT repeat('x', 60000000) AS x FROM generate_series(1, 3)").await;
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).collect::<Vec<_>>(), [1, 1, 1]);
    let constant = "SELECT repeat('x', 60000000) AS x, value FROM generate_series(1, 100)";
    for sql in [
        format!("{constant} ORDER BY (value * 7) % 5, value"),
        format!("SELECT a.x FROM ({constant}) AS a JOIN generate_series(1, 10) AS b ON a.value = b.value"),
    ] {
        let (kind, message) = database.error(&sql).await;
        assert_eq!(kind, ErrorKind::ResourceExhausted, "{sql}: {message}");
        assert!(message.contains("bytes of constants in a batch"), "{sql}: {message}");
    }
    let few = "SELECT count(x) FROM (SELECT repeat('x', 1000) AS x, value FROM generate_series(1, 9)) ORDER BY 1";
    assert_eq!(database.ids(few).await, [9]);
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_are_put_together_are_bounded() {
    let database = Database::temporary().await;
    let doubling = |limit: &str| {
        let tables: Vec<_> = (1..31).map(|i| format!("a{i} AS (SELECT s || s AS s FROM a{} {limit})", i - 1)).collect();
        format!("WITH a0 AS (SELECT 'abcd' AS s), {} SELECT length(s) FROM a30", tables.join(", "))
    };
    for sql in
        [doubling("LIMIT 1"), doubling(""), "SELECT length(repeat('x', 60000000) || repeat('x', 60000000))".to_owned()]
    {
        let (kind, message) = database.error(&sql).await;
        assert_eq!(kind, ErrorKind::ResourceExhausted, "{sql}: {message}");
        assert!(message.contains("expected at most"), "{sql}: {message}");
    }
    assert_eq!(database.ids("SELECT count(*) WHERE 'a' || 'b' || 1 = 'ab1' AND ('a' || NULL) IS NULL").await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_long_rows_are_bounded() {
    let database = Database::temporary().await;
    // The lengths depend on a column: no constants.
    let text = "SELECT x, repeat('x', 1000000 + x) AS s FROM generate_series(1, 1) t(x)";
    let list = "SELECT x, range(1, 1000000 + x) AS s FROM generate_series(1, 1) t(x)";
    let many = "SELECT 1 AS x, y FROM generate_series(1, 8192) g(y)";
    let columns: Vec<_> = (0..20).map(|i| format!("repeat('x', 10000 + x) AS s{i}")).collect();
    let wide = format!("SELECT x, {} FROM generate_series(1, 1) t(x)", columns.join(", "));
    let lengths: Vec<_> = (0..20).map(|i| format!("length(s{i})")).collect();
    for sql in [
        format!("SELECT max(length(s) + y) FROM ({text}) a JOIN ({many}) b USING (x)"),
        format!("SELECT max(length(s) + y) FROM ({many}) b JOIN ({text}) a USING (x)"),
        format!("SELECT max(cardinality(s) + y) FROM ({list}) a JOIN ({many}) b USING (x)"),
        format!("SELECT max({}) FROM ({wide}) a JOIN ({many}) b USING (x)", lengths.join(" + ")),
        format!("SELECT max(length(s) + y) FROM (SELECT s, unnest(range(1, 8000)) AS y FROM ({text}))"),
        format!("SELECT max(cardinality(l) + y) FROM (SELECT [s] AS l, unnest(range(1, 8000)) AS y FROM ({text}))"),
    ] {
        let (kind, message) = database.error(&sql).await;
        assert_eq!(kind, ErrorKind::ResourceExhausted, "{sql}: {message}");
        assert!(message.contains("copies of rows: expected at most"), "{sql}: {message}");
    }
    let cross = format!("SELECT sum(length(s)) FROM ({text}) a CROSS JOIN generate_series(1, 8192) g(y)");
    let (kind, message) = database.error(&cross).await;
    assert_eq!(kind, ErrorKind::ResourceExhausted, "{message}");
    assert!(message.contains("bytes of copies of a row in a batch"), "{message}");
    let few = "SELECT 1 AS x, y FROM generate_series(1, 100) g(y)";
    for (sql, expected) in [
        (format!("SELECT max(length(s) + y) FROM ({text}) a JOIN ({few}) b USING (x)"), 1_000_101),
        (format!("SELECT sum(length(s)) FROM ({text}) a CROSS JOIN generate_series(1, 900) g(y)"), 900_000_900),
        (
            format!("SELECT sum(length(s)) FROM ({text}) a JOIN generate_series(1, 3000) g(y) ON a.x < g.y + 1"),
            3_000_003_000,
        ),
        (
            format!("SELECT sum(length((SELECT max(s) FROM ({text})) || y)) FROM generate_series(1, 999) g(y)"),
            999_003_888,
        ),
    ] {
        assert_eq!(database.ids(&sql).await, [expected], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn types_that_double_are_bounded() {
    let database = Database::temporary().await;
    let doubling = |call: &str, times: usize| {
        let start = "a0 AS (SELECT {a: 1, b: 2} AS s)".to_owned();
        let more = (1..times).map(|i| format!("a{i} AS (SELECT {call} AS s FROM a{})", i - 1));
        let tables: Vec<_> = std::iter::once(start).chain(more).collect();
        format!("WITH {} SELECT count(s) FROM a{}", tables.join(", "), times - 1)
    };
    for call in
        ["{a: s, b: s}", "struct(s, s)", "named_struct('a', s, 'b', s)", "MAP {s: s}", "arrays_zip([s], [s])[1]"]
    {
        let (kind, message) = database.error(&doubling(call, 26)).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{call}: {message}");
        assert!(message.contains("expected arguments of at most 2048 fields"), "{call}: {message}");
    }
    assert_eq!(database.ids(&doubling("{a: s, b: s}", 4)).await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_that_double_are_bounded() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE t AS SELECT 5 AS a, [1, 2] AS l").await;
    let nested = |call: &str, levels: usize| (0..levels).fold("a".to_owned(), |inner, _| call.replace('@', &inner));
    for call in [
        "coalesce(@, 1)",
        "nvl(@, 1)",
        "ifnull(@, 1)",
        "CASE WHEN @ BETWEEN 1 AND 9 THEN 5 ELSE 0 END",
        "length(concat_ws(',', @, 'bcd'))",
        "CASE WHEN @ = ALL([5, 5]) THEN 5 ELSE 0 END",
        "CASE WHEN 4 < ANY([@, 2]) THEN 5 ELSE 0 END",
    ] {
        let (kind, message) = database.error(&format!("SELECT {} FROM t", nested(call, 14))).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{call}: {message}");
        assert!(message.contains("expected at most 65536 copies of expressions"), "{call}: {message}");
        assert_eq!(database.ids(&format!("SELECT ({})::BIGINT FROM t", nested(call, 3))).await, [5], "{call}");
    }
    // A name of each call is in the name of the column.
    for (call, expected) in
        [("pow(@, 1)", 5), ("list_max(list_append([@], 5))", 5), ("list_sum(list_cat([@], [1]))", 17)]
    {
        let batches = database.query(&format!("SELECT {} FROM t", nested(call, 12))).await;
        let name = batches[0].schema().field(0).name().clone();
        assert!(name.len() < 10_000, "{call}: a name of {} bytes", name.len());
        let value = database.ids(&format!("SELECT ({})::BIGINT FROM t", nested(call, 12))).await;
        assert_eq!(value, [expected], "{call}");
    }
}

/// Conditions that move below projections, and keys of searches, have the expressions of the projections.
#[tokio::test(flavor = "multi_thread")]
async fn conditions_that_double_are_bounded() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE t AS SELECT 1 AS a").await;
    let chain = |levels: usize, end: &str| {
        let tables: Vec<_> = (1..=levels).map(|i| format!("t{i} AS (SELECT a + a AS a FROM t{})", i - 1)).collect();
        format!("WITH t0 AS (SELECT a FROM t), {} SELECT q.a FROM t{levels} AS q {end}", tables.join(", "))
    };
    assert_eq!(database.ids(&chain(30, "")).await, [1 << 30]);
    for end in [
        "WHERE q.a > 0",
        "ORDER BY q.a LIMIT 1",
        "JOIN t AS o ON q.a > o.a",
        "JOIN (SELECT max(a) * 100 AS a FROM t) AS o ON abs(q.a - 256) < o.a",
    ] {
        assert_eq!(database.ids(&chain(8, end)).await, [1 << 8], "{end}");
        let (kind, message) = database.error(&chain(30, end)).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{end}: {message}");
        assert!(message.contains("expected at most 20000 parts"), "{end}: {message}");
    }
}

/// The plan of such a statement was not found in hours.
#[tokio::test(flavor = "multi_thread")]
async fn orders_of_many_keys_are_planned() {
    let database = Database::temporary().await;
    let columns = |f: &dyn Fn(usize) -> String| (0..24).map(f).collect::<Vec<_>>().join(", ");
    // Rows differ in one bit, the last column in the first.
    let bits = columns(&|i| format!("((x >> {}) & 1)::INT AS c{i}", 23 - i));
    database.run(&format!("CREATE TABLE t AS SELECT {bits} FROM generate_series(1000, 1199) s(x)")).await;
    let sorted = format!("SELECT * FROM t ORDER BY {} DESC LIMIT 151", columns(&|i| format!("c{i}")));
    let value = (0..24).map(|i| format!("c{i}::BIGINT * {}", 1 << (23 - i))).collect::<Vec<_>>().join(" + ");
    let casts = columns(&|i| format!("c{i}::BIGINT AS c{i}"));
    let mut found = database.ids(&format!("SELECT {value} FROM (SELECT {casts} FROM ({sorted}) AS a) AS b")).await;
    found.sort_unstable();
    // Of the last two, which differ in the last key, the greater one comes first.
    let expected: Vec<i64> = (1000..1150).chain([1151]).collect();
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn subqueries_that_double_are_bounded() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE t AS SELECT 1 AS a").await;
    let value = |condition: &str| format!("SELECT CASE WHEN {condition} THEN 1 ELSE 2 END");
    for (sql, expected, refused) in [
        ("SELECT (@) + 1", 3, 16),
        ("SELECT a FROM t WHERE a <= ALL (@)", 1, 9),
        ("WITH c AS (@) SELECT * FROM c", 1, 20),
        (value("1 = ANY (@)").as_str(), 1, 9),
        (value("(@) BETWEEN 0 AND 3").as_str(), 1, 9),
        (value("((1, 2) IN (SELECT x, 2 FROM (@) AS q(x))) IS NULL").as_str(), 2, 6),
    ] {
        let nested = |levels: usize| (0..levels).fold("SELECT 1".to_owned(), |inner, _| sql.replace('@', &inner));
        assert_eq!(database.ids(&nested(2)).await, [expected], "{sql}");
        let (kind, message) = database.error(&nested(refused)).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{sql}: {message}");
        assert!(message.contains("expected at most"), "{sql}: {message}");
    }
}

/// A long row among short ones is no reason to refuse a join that copies it once.
#[tokio::test(flavor = "multi_thread")]
async fn long_rows_are_joined_that_are_not_copied_often() {
    let database = Database::temporary().await;
    let body = "CASE WHEN x = 7 THEN repeat('b', 1000000 + x) ELSE 'short' END AS body";
    database.run(&format!("CREATE TABLE docs AS SELECT x AS id, {body} FROM generate_series(1, 3000) t(x)")).await;
    database.run("CREATE TABLE ranges AS SELECT x AS lo, x + 1 AS hi FROM generate_series(1, 3000) t(x)").await;
    let all = 1_000_007 + 2_999 * 5;
    for (sql, expected) in [
        ("SELECT sum(length(body)) FROM docs d JOIN ranges r ON d.id >= r.lo AND d.id < r.hi", all),
        ("SELECT sum(length(body)) FROM docs d LEFT JOIN ranges r ON d.id >= r.lo AND d.id < r.hi", all),
        ("SELECT sum(length(body)) FROM ranges r RIGHT JOIN docs d ON d.id >= r.lo AND d.id < r.hi", all),
        ("SELECT sum(length(body)) FROM docs d FULL JOIN ranges r ON d.id >= r.lo AND d.id < r.hi", all),
        ("SELECT sum(length(body)) FROM docs d WHERE EXISTS (SELECT 1 FROM ranges r WHERE r.lo <= d.id)", all),
        ("SELECT sum(length(body)) FROM docs d WHERE NOT EXISTS (SELECT 1 FROM ranges r WHERE r.lo < d.id)", 5),
        (
            "WITH RECURSIVE r AS (SELECT 1 AS n, (SELECT max(body) FROM docs) AS s UNION ALL SELECT r.n + 1, r.s FROM r JOIN \
             (VALUES (2), (3)) v(x) ON r.n < v.x) SELECT sum(n) FROM r",
            1 + 2 + 2 + 3 + 3,
        ),
        ("SELECT sum(length(body)) FROM docs d CROSS JOIN (VALUES (1), (2)) v(x)", 2 * all),
        ("SELECT sum(length(body)) FROM docs d JOIN ranges r ON d.id = r.lo", all),
        (
            "SELECT sum(length(body)) FROM (SELECT body, row_number() OVER (ORDER BY id) AS n FROM docs) WHERE n < 8",
            all - 2_993 * 5,
        ),
    ] {
        assert_eq!(database.ids(sql).await, [expected], "{sql}");
    }
}
