//! Answers that SQL prescribes and DataFusion 55 does not give by itself.

use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::scalar::ScalarValue;
use ruvector_sql::ErrorKind;

use crate::support::Database;

impl Database {
    /// The rows of an answer, as text.
    async fn rows(&self, sql: &str) -> Vec<String> {
        self.rows_with(sql, &[]).await
    }

    async fn rows_with(&self, sql: &str, params: &[ScalarValue]) -> Vec<String> {
        let batches = self.try_query(sql, params).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let options = FormatOptions::new().with_null("NULL");
        let mut rows = Vec::new();
        for batch in batches {
            let columns: Vec<_> =
                batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
            for row in 0..batch.num_rows() {
                rows.push(columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" "));
            }
        }
        rows
    }

    async fn names(&self, sql: &str) -> Vec<String> {
        let prepared = self.engine.prepare(&self.session, sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let answered = self.query(sql).await;
        let names = |schema: &arrow::datatypes::Schema| -> Vec<String> {
            schema.fields().iter().map(|field| field.name().clone()).collect()
        };
        let prepared = names(&prepared.schema.unwrap());
        assert_eq!(prepared, names(answered[0].schema_ref()), "{sql}");
        prepared
    }
}

/// Ships with a home port that may be unknown, and ports of which one has no name.
async fn harbour() -> Database {
    let database = Database::temporary().await;
    for sql in [
        "CREATE TABLE ships (id BIGINT, port BIGINT, crew BIGINT, vec FLOAT[2])",
        "INSERT INTO ships VALUES (1, 10, 5, [1.0, 0.0]), (2, 20, 7, [2.0, 0.0]), (3, NULL, 9, [3.0, 0.0]), (4, 40, NULL, [4.0, 0.0])",
        "CREATE TABLE ports (id BIGINT, quays BIGINT)",
        "INSERT INTO ports VALUES (10, 3), (NULL, 6), (50, 9)",
        "CREATE TABLE named (id BIGINT NOT NULL, quays BIGINT NOT NULL)",
        "INSERT INTO named VALUES (10, 3), (50, 9)",
        "CREATE TABLE none (id BIGINT, quays BIGINT)",
    ] {
        database.run(sql).await;
    }
    database
}

#[tokio::test(flavor = "multi_thread")]
async fn not_in_is_unknown_where_a_null_decides() {
    let database = harbour().await;
    for (condition, expected) in [
        ("port NOT IN (SELECT id FROM ports)", ""),
        ("port NOT IN (SELECT id FROM ports WHERE id IS NOT NULL)", "2 4"),
        ("port NOT IN (SELECT id FROM named)", "2 4"),
        ("port NOT IN (SELECT id FROM none)", "1 2 3 4"),
        ("NOT port IN (SELECT id FROM ports)", ""),
        ("port + 0 NOT IN (SELECT id FROM ports)", ""),
        ("port + 0 NOT IN (SELECT id FROM named)", "2 4"),
        ("port + 0 NOT IN (SELECT id FROM none)", "1 2 3 4"),
        ("30 NOT IN (SELECT id FROM ports)", ""),
        ("10 NOT IN (SELECT id FROM ports)", ""),
        ("10 IN (SELECT id FROM ports)", "1 2 3 4"),
        ("30 NOT IN (SELECT id FROM named)", "1 2 3 4"),
        ("NULL NOT IN (SELECT id FROM named)", ""),
        ("NULL NOT IN (SELECT id FROM none)", "1 2 3 4"),
        ("coalesce(30, port) NOT IN (SELECT id FROM ports)", ""),
        // Correlated, by equality and by other comparisons.
        ("port NOT IN (SELECT p.id FROM ports p WHERE p.id = port)", "2 3 4"),
        ("port NOT IN (SELECT p.id FROM ports p WHERE p.quays > crew + 100)", "1 2 3 4"),
        ("port NOT IN (SELECT p.id FROM ports p WHERE p.quays < crew)", "4"),
        ("port NOT IN (SELECT p.id FROM named p WHERE p.quays < crew)", "2 4"),
        ("30 NOT IN (SELECT p.id FROM ports p WHERE p.quays < crew)", "1 4"),
        // Under OR, NOT and CASE.
        ("id = 1 OR port NOT IN (SELECT id FROM ports)", "1"),
        ("NOT (id = 4 OR port IN (SELECT id FROM ports))", ""),
        ("NOT (id = 4 OR port IN (SELECT id FROM named))", "2"),
        ("NOT (id <> 2 AND port NOT IN (SELECT id FROM ports))", "1 2"),
        ("CASE WHEN port NOT IN (SELECT id FROM ports) THEN false ELSE true END", "1 2 3 4"),
        ("(port IN (SELECT id FROM ports)) IS NULL", "2 3 4"),
        ("(port IN (SELECT id FROM ports)) IS NOT TRUE", "2 3 4"),
        ("port <> ALL (SELECT id FROM ports)", ""),
        ("NOT port = ANY (SELECT id FROM ports)", ""),
        ("30 <> ALL (SELECT id FROM ports)", ""),
    ] {
        let expected: Vec<&str> = expected.split_terminator(' ').collect();
        let rows = database.rows(&format!("SELECT id FROM ships WHERE {condition} ORDER BY id")).await;
        assert_eq!(rows, expected, "{condition}");
        if !condition.contains("p.id") {
            let near = format!("SELECT id FROM knn('ships', [0.0, 0.0], 9) WHERE {condition} ORDER BY id");
            assert_eq!(database.rows(&near).await, expected, "in the filter of knn(): {condition}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_has_three_values() {
    let database = harbour().await;
    for (expr, expected) in [
        ("port IN (SELECT id FROM ports)", ["true", "NULL", "NULL", "NULL"]),
        ("port NOT IN (SELECT id FROM ports)", ["false", "NULL", "NULL", "NULL"]),
        ("port IN (SELECT id FROM named)", ["true", "false", "NULL", "false"]),
        ("port IN (SELECT id FROM none)", ["false"; 4]),
        ("id IN (SELECT id FROM none)", ["false"; 4]),
        ("30 IN (SELECT id FROM ports)", ["NULL"; 4]),
        ("10 IN (SELECT id FROM ports)", ["true"; 4]),
        ("port = ANY (SELECT id FROM ports)", ["true", "NULL", "NULL", "NULL"]),
        ("crew > ALL (SELECT quays FROM named)", ["false", "false", "false", "NULL"]),
        ("crew > ANY (SELECT quays FROM named)", ["true", "true", "true", "NULL"]),
        ("port IN (SELECT p.id FROM ports p WHERE p.quays < crew)", ["true", "NULL", "NULL", "false"]),
        ("coalesce(port IN (SELECT id FROM ports), true)", ["true"; 4]),
    ] {
        let rows = database.rows(&format!("SELECT {expr} FROM ships ORDER BY id")).await;
        assert_eq!(rows, expected, "{expr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subqueries_stand_wherever_an_expression_does() {
    let database = harbour().await;
    for (sql, expected) in [
        ("SELECT EXISTS (SELECT 1 FROM named WHERE id = 10)", vec!["true"]),
        ("SELECT NOT EXISTS (SELECT 1 FROM named WHERE id = 11), 10 IN (SELECT id FROM named)", vec!["true true"]),
        (
            "SELECT id, EXISTS (SELECT 1 FROM named n WHERE n.id = s.port) FROM ships s ORDER BY id",
            vec!["1 true", "2 false", "3 false", "4 false"],
        ),
        (
            "SELECT id, EXISTS (SELECT 1 FROM named n WHERE n.quays < s.crew) AS some FROM ships s ORDER BY id",
            vec!["1 true", "2 true", "3 true", "4 false"],
        ),
        (
            "SELECT id FROM ships s ORDER BY EXISTS (SELECT 1 FROM named n WHERE n.id = s.port) DESC, id DESC",
            vec!["1", "4", "3", "2"],
        ),
        (
            "SELECT EXISTS (SELECT 1 FROM named n WHERE n.id = s.port) AS home, count(*) FROM ships s GROUP BY 1 ORDER BY 1",
            vec!["false 3", "true 1"],
        ),
        (
            "SELECT port IN (SELECT id FROM named), count(*) FROM ships GROUP BY port IN (SELECT id FROM named) ORDER BY 2, 1",
            vec!["true 1", "NULL 1", "false 2"],
        ),
        ("SELECT sum(CASE WHEN port IN (SELECT id FROM named) THEN crew ELSE 100 END) FROM ships", vec!["305"]),
        ("SELECT count(*) FILTER (WHERE EXISTS (SELECT 1 FROM named n WHERE n.id = port)) FROM ships", vec!["1"]),
        ("SELECT port FROM ships GROUP BY port HAVING port IN (SELECT id FROM named) OR count(*) > 1", vec!["10"]),
        (
            "SELECT s.id, n.id FROM ships s JOIN named n ON s.port = n.id AND EXISTS (SELECT 1 FROM ports p WHERE p.id = s.port)",
            vec!["1 10"],
        ),
        (
            "SELECT s.id, n.id FROM ships s LEFT JOIN named n ON s.port = n.id AND s.id IN (SELECT id FROM none) ORDER BY 1",
            vec!["1 NULL", "2 NULL", "3 NULL", "4 NULL"],
        ),
        (
            "SELECT s.id, n.id FROM ships s LEFT JOIN named n ON s.port = n.id AND n.id IN (SELECT id FROM ports) ORDER BY 1",
            vec!["1 10", "2 NULL", "3 NULL", "4 NULL"],
        ),
        (
            "SELECT id, sum(crew) OVER (PARTITION BY EXISTS (SELECT 1 FROM named n WHERE n.id = port)) FROM ships ORDER BY id",
            vec!["1 5", "2 16", "3 16", "4 16"],
        ),
        (
            "SELECT id FROM ships s ORDER BY (SELECT max(quays) FROM named n WHERE n.id = s.port) NULLS LAST, id LIMIT 2",
            vec!["1", "2"],
        ),
        (
            "SELECT * FROM (VALUES (1, EXISTS (SELECT 1 FROM none)), (2, (SELECT max(id) > 1 FROM named))) v ORDER BY 1",
            vec!["1 false", "2 true"],
        ),
        // An aggregate without GROUP BY has a row also where it has nothing to count.
        (
            "SELECT id FROM ships s WHERE EXISTS (SELECT count(*) FROM named n WHERE n.id = s.port) ORDER BY id",
            vec!["1", "2", "3", "4"],
        ),
        (
            "SELECT id FROM ships s WHERE 0 IN (SELECT count(*) FROM named n WHERE n.id = s.port) ORDER BY id",
            vec!["2", "3", "4"],
        ),
        (
            "SELECT id FROM ships s WHERE EXISTS (SELECT 1 FROM named n WHERE n.id = s.port HAVING count(*) = 0) ORDER BY id",
            vec!["2", "3", "4"],
        ),
        ("SELECT id FROM ships s WHERE EXISTS (SELECT 1 FROM named n WHERE n.id = s.port LIMIT 1)", vec!["1"]),
    ] {
        assert_eq!(database.rows(sql).await, expected, "{sql}");
    }
    let of_some_rows = "SELECT id FROM ships s WHERE EXISTS (SELECT 1 FROM named n WHERE n.quays < s.crew OFFSET 1)";
    assert_eq!(database.error(of_some_rows).await.0, ErrorKind::NotSupported);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_memberships_stay_hash_joins() {
    let database = harbour().await;
    for (sql, join) in [
        ("SELECT id FROM ships WHERE port IN (SELECT id FROM ports)", "RightSemi"),
        ("SELECT id FROM ships WHERE port NOT IN (SELECT id FROM ports)", "LeftAnti"),
        ("SELECT id FROM named WHERE id NOT IN (SELECT quays FROM named)", "Anti"),
    ] {
        let plan = database.rows(&format!("EXPLAIN {sql}")).await.join("\n");
        let joins: Vec<&str> = plan.lines().filter(|line| line.contains("JoinExec")).collect();
        assert!(
            matches!(joins[..], [only] if only.contains("HashJoinExec") && only.contains(&join[join.len() - 4..])),
            "{plan}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_stand_below_subqueries() {
    let database = harbour().await;
    let near = "SELECT id FROM knn('ships', [0.0, 0.0], 2)";
    for (sql, expected) in [
        (format!("SELECT id FROM ships WHERE id IN ({near}) ORDER BY id"), vec!["1", "2"]),
        (format!("SELECT id FROM ships WHERE id NOT IN ({near}) ORDER BY id"), vec!["3", "4"]),
        (format!("SELECT id, id IN ({near}) FROM ships ORDER BY id"), vec!["1 true", "2 true", "3 false", "4 false"]),
        (format!("SELECT id FROM ships s WHERE EXISTS (SELECT 1 FROM ({near}) k WHERE k.id = s.id) ORDER BY id"), vec!["1", "2"]),
        (format!("SELECT EXISTS ({near}), NOT EXISTS ({near})"), vec!["true false"]),
        (format!("SELECT id FROM ships ORDER BY id IN ({near}), id"), vec!["3", "4", "1", "2"]),
        (
            "SELECT id FROM ports WHERE quays IN (SELECT k.id FROM named n CROSS JOIN LATERAL knn('ships', [3.0, 0.0], 1) k) ORDER BY 1".to_owned(),
            vec!["10"],
        ),
        (
            "SELECT id FROM ships WHERE id IN (SELECT k.id FROM ships q CROSS JOIN LATERAL knn('ships', q.vec, 2) k WHERE q.id = 1 AND k.id <> q.id)".to_owned(),
            vec!["2"],
        ),
    ] {
        assert_eq!(database.rows(&sql).await, expected, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_may_have_equal_names() {
    let database = harbour().await;
    for (sql, names, first) in [
        ("SELECT id, id FROM named ORDER BY id", vec!["id", "id"], "10 10"),
        ("SELECT ID, named.id, quays FROM named ORDER BY id", vec!["id", "id", "quays"], "10 10 3"),
        ("SELECT count(*), count(*) FROM named", vec!["count(*)", "count(*)"], "2 2"),
        ("SELECT id AS x, quays AS x FROM named ORDER BY id", vec!["x", "x"], "10 3"),
        ("SELECT *, id FROM named ORDER BY named.id", vec!["id", "quays", "id"], "10 3 10"),
        ("SELECT 1, 1", vec!["Int64(1)", "Int64(1)"], "1 1"),
        ("SELECT DISTINCT id, id FROM named ORDER BY id", vec!["id", "id"], "10 10"),
        ("SELECT id, id FROM named UNION ALL SELECT 1, 2 ORDER BY 1", vec!["id", "id"], "1 2"),
        ("SELECT * FROM (SELECT id, id FROM named) ORDER BY 1", vec!["id", "id"], "10 10"),
        ("SELECT max(y) FROM (SELECT id AS x, quays AS x, quays AS y FROM named)", vec!["max(y)"], "9"),
    ] {
        assert_eq!(database.rows(sql).await[0], first, "{sql}");
        let mut got = database.names(sql).await;
        // DataFusion qualifies what is inside of a function.
        got.iter_mut().for_each(|name| *name = name.replace("named.", ""));
        assert_eq!(got, names, "{sql}");
    }
    database.run("INSERT INTO named SELECT id, id FROM named").await;
    assert_eq!(database.rows("SELECT count(*) FROM named WHERE id = quays").await, ["2"]);
    // A name that stands for two different columns can be there, but not be used; a table has each name once.
    for sql in
        ["SELECT x FROM (SELECT id AS x, quays AS x FROM named)", "CREATE TABLE twice AS SELECT id, id FROM named"]
    {
        assert_ne!(database.error(sql).await.0, ErrorKind::Internal, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_of_integers_do_not_wrap() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE big (g INT, x BIGINT, small INT)").await;
    database
        .run(
            "INSERT INTO big VALUES (1, 9223372036854775807, 2147483647), (1, 1, 2147483647), (1, -1, 0), (2, 5, 1), (2, NULL, 1)",
        )
        .await;
    for (sql, expected) in [
        // What is too much in between does not matter.
        ("SELECT sum(x) FROM big WHERE g = 1", vec!["9223372036854775807"]),
        ("SELECT g, sum(x) FROM big GROUP BY g ORDER BY g", vec!["1 9223372036854775807", "2 5"]),
        ("SELECT sum(small) FROM big", vec!["4294967296"]),
        ("SELECT sum(DISTINCT x) FROM big WHERE g = 2", vec!["5"]),
        ("SELECT sum(x) FROM big WHERE g = 3", vec!["NULL"]),
        (
            "SELECT sum(x) OVER (ORDER BY x DESC ROWS 2 PRECEDING) FROM big WHERE g = 1 AND x <> 1 ORDER BY 1",
            vec!["9223372036854775806", "9223372036854775807"],
        ),
        (
            "SELECT sum(DISTINCT x) OVER (ORDER BY x ROWS 1 PRECEDING) FROM big WHERE x < 10 ORDER BY 1",
            vec!["-1", "0", "6"],
        ),
        ("SELECT sum(CAST(x AS DECIMAL(38, 0))) FROM big", vec!["9223372036854775812"]),
        ("SELECT sum(x * 1.0e0) > 9e18 FROM big", vec!["true"]),
    ] {
        let expected: Vec<String> = expected.iter().map(|row| (*row).to_owned()).collect();
        assert_eq!(database.rows(sql).await, expected, "{sql}");
    }
    for sql in [
        "SELECT sum(x) FROM big WHERE x > 0",
        "SELECT sum(x) FROM big",
        "SELECT g, sum(x) FROM big WHERE x > 0 GROUP BY g",
        "SELECT sum(DISTINCT x) FROM big WHERE x > 0",
        "SELECT sum(x) OVER (ORDER BY x) FROM big WHERE x > 0",
        "SELECT sum(x) FROM (SELECT 9223372036854775807 AS x UNION ALL SELECT 1)",
    ] {
        let (kind, message) = database.error(sql).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{sql}: {message}");
        assert!(message.contains("sum() overflows: expected a BIGINT"), "{sql}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nan_rows_are_not_pruned() {
    let database = Database::temporary().await;
    for (table, ty) in [("f", "FLOAT"), ("d", "DOUBLE")] {
        database.run(&format!("CREATE TABLE {table} (id BIGINT, score {ty}, vec FLOAT[2])")).await;
        // Each in a file of its own.
        for (id, score) in [(1, "1.0"), (2, "'NaN'"), (3, "5.0"), (4, "NULL")] {
            database
                .run(&format!("INSERT INTO {table} VALUES ({id}, CAST({score} AS {ty}), [{id}.0, 0.0]), ({id}0, 1.5, [9.0, {id}.0])"))
                .await;
        }
        for condition in [
            "score > 2.0",
            "score >= 2.0",
            "score <> 1.5",
            "score <> 1.0",
            "NOT score < 2.0",
            "NOT (score BETWEEN 0.0 AND 2.0)",
            "score = CAST('NaN' AS DOUBLE)",
            "score IS DISTINCT FROM 1.5",
            "score IN (CAST('NaN' AS DOUBLE), 5.0)",
            "score < 1.2",
            "score <= 1.0",
            "score = 5.0",
            "isnan(score)",
        ] {
            let sorted =
                format!("SELECT id FROM (SELECT * FROM {table} ORDER BY id LIMIT 99) WHERE {condition} ORDER BY id");
            let expected = database.rows(&sorted).await;
            let plain = format!("SELECT id FROM {table} WHERE {condition} ORDER BY id");
            assert_eq!(database.rows(&plain).await, expected, "{table}: {condition}");
            let near = format!("SELECT id FROM knn('{table}', [0.0, 0.0], 99) WHERE {condition} ORDER BY id");
            assert_eq!(database.rows(&near).await, expected, "knn of {table}: {condition}");
        }
        assert_eq!(database.rows(&format!("SELECT id FROM {table} WHERE score > 2.0 ORDER BY id")).await, ["2", "3"]);
        assert_eq!(database.rows(&format!("SELECT max(score) FROM {table}")).await, ["NaN"]);
        let greatest = format!("SELECT id FROM {table} ORDER BY score DESC NULLS LAST LIMIT 1");
        assert_eq!(database.rows(&greatest).await, ["2"]);
        let joined = format!(
            "SELECT a.id FROM {table} a JOIN (SELECT * FROM {table} WHERE id IN (2, 3)) b ON a.score = b.score ORDER BY 1"
        );
        assert_eq!(database.rows(&joined).await, ["2", "3"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_below_an_insert_have_types_of_their_own() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE t (a INT, b INT)").await;
    for (select, expected) in [
        ("SELECT 1, CAST(sum(x) AS INT) FROM (VALUES (1.5, 2), (1.5, 3)) v(x, y)", "1 3"),
        ("WITH v(x, y) AS (VALUES (1.5, 2), (1.5, 3)) SELECT 1, CAST(sum(x) AS INT) FROM v", "1 3"),
        ("SELECT x, 7 FROM (SELECT 0.4 * 10 AS x WHERE 1.5 IN (VALUES (1.5)))", "4 7"),
        ("SELECT 1, length(s) FROM (VALUES ('one', 'two', 'three')) v(s, t, u)", "1 3"),
        ("SELECT CAST(sum(x) AS INT), 0 FROM (VALUES (0.5) UNION ALL VALUES (0.5)) v(x)", "1 0"),
        ("VALUES (1, (SELECT CAST(sum(x) AS INT) FROM (VALUES (1.5), (1.5)) v(x)))", "1 3"),
        ("SELECT CAST(x AS INT), y FROM (VALUES (2.0, 1), (0.5, 9) ORDER BY 1 DESC LIMIT 1) v(x, y)", "2 1"),
    ] {
        database.run(&format!("INSERT INTO t {select}")).await;
        assert_eq!(database.rows("SELECT * FROM t").await, [expected], "{select}");
        database.run("DELETE FROM t").await;
        database.run(&format!("CREATE TABLE made (a INT, b INT) AS {select}")).await;
        assert_eq!(database.rows("SELECT * FROM made").await, [expected], "{select}");
        database.run("DROP TABLE made").await;
    }
    database.run("CREATE TABLE docs (id BIGINT, body VARCHAR, vec FLOAT[2])").await;
    let more =
        "INSERT INTO docs SELECT id, body, normalize([3.0, id]) FROM (VALUES (1, 'a whale'), (2, 'a cat')) v(id, body)";
    assert_eq!(database.run(more).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn negated_keys_sort() {
    let database = harbour().await;
    for (sql, expected) in [
        ("SELECT id FROM ships WHERE id > 0 ORDER BY vec <#> [1.0, 1.1]", vec!["4", "3", "2", "1"]),
        ("SELECT id FROM ships WHERE id > 0 ORDER BY vec <#> [1.0, 1.1] DESC", vec!["1", "2", "3", "4"]),
        ("SELECT id FROM ships WHERE id > 0 ORDER BY -abs(id)", vec!["4", "3", "2", "1"]),
        ("SELECT id FROM ships WHERE id > 0 ORDER BY -id LIMIT 2", vec!["4", "3"]),
        ("SELECT id, -id AS n FROM ships WHERE id > 1 ORDER BY n, -crew", vec!["4 -4", "3 -3", "2 -2"]),
        ("SELECT id FROM ships WHERE crew > 0 ORDER BY -crew, -id", vec!["3", "2", "1"]),
        ("SELECT id FROM ships WHERE id > 0 ORDER BY - - id DESC", vec!["4", "3", "2", "1"]),
    ] {
        assert_eq!(database.rows(sql).await, expected, "{sql}");
    }
    for limit in ["", " LIMIT 2"] {
        let sql = format!("SELECT id FROM ships WHERE id > $1 ORDER BY vec <#> [1.0, 1.1]{limit}");
        assert_eq!(database.rows_with(&sql, &[ScalarValue::from(0_i64)]).await[..2], ["4", "3"], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_reset() {
    let database = Database::temporary().await;
    for (setting, value) in [
        ("ruvector.use_index", "false"),
        ("ruvector.nprobe", "7"),
        ("ruvector.consistency", "eventual"),
        ("ruvector.statement_timeout_ms", "60000"),
        ("datafusion.execution.parquet.schema_force_view_types", "true"),
        ("datafusion.execution.batch_size", "100"),
    ] {
        let show = format!("SELECT value FROM information_schema.df_settings WHERE name = '{setting}'");
        let before = database.rows(&show).await;
        database.run(&format!("SET {setting} = '{value}'")).await;
        assert_ne!(database.rows(&show).await, before, "{setting}");
        database.run(&format!("RESET {setting}")).await;
        assert_eq!(database.rows(&show).await, before, "{setting}");
    }
    assert_eq!(database.error("RESET ruvector.nothing").await.0, ErrorKind::InvalidInput);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_leaves_its_own_row_out() {
    let database = harbour().await;
    for (sql, expected) in [
        (
            "SELECT q.id, d.id FROM ships q CROSS JOIN LATERAL knn('ships', q.vec, 1, filter => d.id <> q.id) d ORDER BY 1",
            vec!["1 2", "2 1", "3 2", "4 3"],
        ),
        (
            "SELECT q.id, d.id FROM ships q CROSS JOIN LATERAL knn('ships', q.vec, 2, filter => id > q.id AND crew > 0) d ORDER BY 1, 2",
            vec!["1 2", "1 3", "2 3"],
        ),
        (
            "SELECT q.id, d.id FROM ships q LEFT JOIN LATERAL knn('ships', q.vec, 1, filter => d.id < q.id) d ON true ORDER BY 1",
            vec!["1 NULL", "2 1", "3 2", "4 3"],
        ),
        (
            "SELECT q.id, n.id FROM ships q CROSS JOIN LATERAL (SELECT d.id FROM ships d WHERE d.id <> q.id ORDER BY l2_distance(d.vec, q.vec) LIMIT 1) n ORDER BY 1",
            vec!["1 2", "2 1", "3 2", "4 3"],
        ),
        // More rows are left out than were looked up at first.
        (
            "SELECT q.id, d.id FROM ships q CROSS JOIN LATERAL knn('ships', q.vec, 1, filter => abs(d.id - q.id) = 3) d ORDER BY 1",
            vec!["1 4", "4 1"],
        ),
    ] {
        assert_eq!(database.rows(sql).await, expected, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn integers_do_not_wrap() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE edge (id INT, tiny TINYINT, small INT, big BIGINT)").await;
    database.run("INSERT INTO edge VALUES (1, 127, 2147483647, 9223372036854775807), (2, -128, -2147483648, -9223372036854775808)").await;
    for expr in [
        "9223372036854775807 + 1",
        "-9223372036854775807 - 2",
        "9223372036854775807 * 2",
        "big + 1",
        "big - 1",
        "big * 2",
        "small + CAST(1 AS INT)",
        "tiny * CAST(2 AS TINYINT)",
        "-big",
        "abs(big)",
    ] {
        let (kind, message) = database.error(&format!("SELECT {expr} FROM edge")).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{expr}: {message}");
        assert!(message.to_lowercase().contains("overflow"), "{expr}: {message}");
        let (kind, message) = database.error(&format!("SELECT id FROM edge WHERE {expr} > 0")).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{expr} > 0: {message}");
    }
    assert_eq!(database.rows("SELECT big + 1 FROM edge WHERE id = 2").await, ["-9223372036854775807"]);
    assert_eq!(database.rows("SELECT CASE WHEN id = 1 THEN 0 ELSE big + 1 END FROM edge WHERE id = 1").await, ["0"]);
}
