//! Clauses that the parser accepts and DataFusion's planner then drops: each is refused by its name.
//!
//! A statement without the clause would be another one: it would read other rows, or keep less than it was asked to. What
//! the planner refuses itself is not repeated here, unless its message would not say which clause is meant. Structures are
//! taken apart field by field, so that a new clause of the parser does not compile until it has been looked at.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, ColumnDef, ColumnOption, CreateTable, CreateTableOptions, Cte, DataType, Delete, ExactNumberInfo,
    Expr, Function, FunctionArguments, GroupByExpr, Insert, Join, NamedWindowExpr, Query, Select, Set, Statement,
    TableAlias, TableConstraint, TableFactor, TableWithJoins, Update, Visit, Visitor, WindowSpec, WindowType,
};

use ruvector_udfs::error::{Error, Result};

/// Bits of a FLOAT: more digits would be a DOUBLE.
const FLOAT_BITS: u64 = 24;

/// Refuses what would be ignored, anywhere in `statement`.
///
/// # Errors
/// `NotSupported` that names the clause.
pub(crate) fn refuse_ignored(statement: &Statement) -> Result<()> {
    if let Some(name) = of_transaction(statement) {
        return Err(Error::not_supported(format!(
            "{name} is not supported: each statement is a transaction of its own, which is in effect when it has been \
             answered"
        )));
    }
    let refused = match statement.visit(&mut Clauses) {
        ControlFlow::Continue(()) => of_statement(statement),
        ControlFlow::Break(clause) => Some(clause),
    };
    match refused {
        None => Ok(()),
        Some(clause) => Err(Error::not_supported(format!("{clause} is not supported"))),
    }
}

/// Refuses what CREATE TABLE would ignore of a table of the engine. Tables of other catalogs are DataFusion's own business.
///
/// # Errors
/// `NotSupported` that names the clause.
pub(crate) fn refuse_ignored_of_table(statement: &DfStatement) -> Result<()> {
    let DfStatement::Statement(statement) = statement else { return Ok(()) };
    let Statement::CreateTable(create) = statement.as_ref() else { return Ok(()) };
    match of_create_table(create) {
        None => Ok(()),
        Some(clause) => Err(Error::not_supported(format!("{clause} is not supported"))),
    }
}

type Found = ControlFlow<String>;

/// Clauses of queries, at any depth.
struct Clauses;

impl Visitor for Clauses {
    type Break = String;

    fn pre_visit_query(&mut self, query: &Query) -> Found {
        found(of_query(query))
    }

    fn pre_visit_select(&mut self, select: &Select) -> Found {
        found(of_select(select))
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> Found {
        found(of_table(table))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Found {
        found(of_expr(expr))
    }
}

fn found(clause: Option<String>) -> Found {
    clause.map_or(ControlFlow::Continue(()), ControlFlow::Break)
}

/// The first clause that is there.
fn first<const N: usize>(clauses: [(bool, &str); N]) -> Option<String> {
    clauses.into_iter().find(|(is_there, _)| *is_there).map(|(_, clause)| clause.to_owned())
}

fn of_query(query: &Query) -> Option<String> {
    let Query {
        with,
        body: _,
        order_by: _,
        limit_clause: _,
        fetch,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators: _,
    } = query;
    let from_of_cte = |cte: &Cte| cte.from.is_some();
    first([
        (!locks.is_empty(), "FOR UPDATE or FOR SHARE"),
        (fetch.as_ref().is_some_and(|fetch| fetch.with_ties), "FETCH ... WITH TIES"),
        (fetch.as_ref().is_some_and(|fetch| fetch.percent), "FETCH ... PERCENT"),
        (fetch.is_some(), "FETCH FIRST, for which there is LIMIT,"),
        (for_clause.is_some(), "FOR XML, FOR JSON or FOR BROWSE"),
        (settings.is_some(), "SETTINGS"),
        (format_clause.is_some(), "FORMAT"),
        (with.as_ref().is_some_and(|with| with.cte_tables.iter().any(from_of_cte)), "FROM after a WITH query"),
    ])
    .or_else(|| with.as_ref()?.cte_tables.iter().find_map(|cte| of_alias(&cte.alias)))
}

fn of_select(select: &Select) -> Option<String> {
    let Select {
        select_token: _,
        // A comment; the plan is the optimizer's in any case.
        optimizer_hints: _,
        distinct: _,
        select_modifiers,
        top: _,
        top_before_distinct: _,
        projection: _,
        exclude,
        into,
        from,
        lateral_views: _,
        prewhere,
        selection: _,
        connect_by,
        group_by,
        cluster_by: _,
        distribute_by,
        sort_by: _,
        having: _,
        named_window,
        qualify: _,
        window_before_qualify: _,
        value_table_mode,
        flavor: _,
    } = select;
    let (GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers)) = group_by;
    let joins = |table: &TableWithJoins| table.joins.iter().any(|Join { global, .. }| *global);
    let refers = |window: &NamedWindowExpr| match window {
        NamedWindowExpr::WindowSpec(spec) => of_window(spec).is_some(),
        NamedWindowExpr::NamedWindow(_) => false,
    };
    first([
        (select_modifiers.as_ref().is_some_and(|modifiers| modifiers.is_any_set()), "a modifier of SELECT"),
        (exclude.is_some(), "EXCLUDE after the list of SELECT"),
        (into.as_ref().is_some_and(|into| into.temporary), "SELECT INTO TEMPORARY"),
        (into.as_ref().is_some_and(|into| into.unlogged), "SELECT INTO UNLOGGED"),
        (prewhere.is_some(), "PREWHERE"),
        (!connect_by.is_empty(), "CONNECT BY or START WITH"),
        (
            !modifiers.is_empty(),
            "WITH ROLLUP, CUBE or TOTALS after GROUP BY, for which there is GROUP BY ROLLUP (...),",
        ),
        (!distribute_by.is_empty(), "DISTRIBUTE BY"),
        (value_table_mode.is_some(), "SELECT AS STRUCT or AS VALUE"),
        (from.iter().any(joins), "GLOBAL JOIN"),
        (named_window.iter().any(|window| refers(&window.1)), "a window that extends another one"),
    ])
}

fn of_table(table: &TableFactor) -> Option<String> {
    match table {
        TableFactor::Table {
            name: _,
            alias,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } => first([
            (sample.is_some(), "TABLESAMPLE"),
            (!with_hints.is_empty(), "WITH (hints) after a table"),
            (!index_hints.is_empty(), "USE, IGNORE or FORCE INDEX"),
            (!partitions.is_empty(), "PARTITION (...) after a table"),
            (*with_ordinality, "WITH ORDINALITY"),
            (json_path.is_some(), "a JSON path after a table"),
            (version.is_some(), "a state of a table at this place"),
            (args.as_ref().is_some_and(|args| args.settings.is_some()), "SETTINGS"),
        ])
        .or_else(|| of_alias(alias.as_ref()?)),
        TableFactor::Derived { lateral: _, subquery: _, alias, sample } => {
            first([(sample.is_some(), "TABLESAMPLE")]).or_else(|| of_alias(alias.as_ref()?))
        }
        TableFactor::Function { lateral: _, name: _, args: _, with_ordinality, alias } => {
            first([(*with_ordinality, "WITH ORDINALITY")]).or_else(|| of_alias(alias.as_ref()?))
        }
        TableFactor::UNNEST { alias, .. } | TableFactor::NestedJoin { alias, .. } => of_alias(alias.as_ref()?),
        // DataFusion refuses every other kind.
        _ => None,
    }
}

fn of_alias(alias: &TableAlias) -> Option<String> {
    let TableAlias { explicit: _, name: _, columns, at } = alias;
    first([
        (columns.iter().any(|column| column.data_type.is_some()), "the type of a column in an alias"),
        (at.is_some(), "AT after an alias"),
    ])
}

fn of_expr(expr: &Expr) -> Option<String> {
    let Expr::Function(function) = expr else { return None };
    let Function { parameters, over, .. } = function;
    first([(*parameters != FunctionArguments::None, "a function with two lists of arguments")]).or_else(|| match over {
        Some(WindowType::WindowSpec(spec)) => of_window(spec),
        _ => None,
    })
}

fn of_window(spec: &WindowSpec) -> Option<String> {
    first([(spec.window_name.is_some(), "a window that extends another one")])
}

/// The name of a statement about transactions of several statements. DataFusion would answer some of them and do nothing.
fn of_transaction(statement: &Statement) -> Option<&'static str> {
    match statement {
        Statement::StartTransaction { begin: true, .. } => Some("BEGIN"),
        Statement::StartTransaction { begin: false, .. } => Some("START TRANSACTION"),
        Statement::Commit { end: true, .. } => Some("END"),
        Statement::Commit { end: false, .. } => Some("COMMIT"),
        Statement::Rollback { .. } => Some("ROLLBACK"),
        Statement::Savepoint { .. } => Some("SAVEPOINT"),
        Statement::ReleaseSavepoint { .. } => Some("RELEASE SAVEPOINT"),
        Statement::Set(Set::SetTransaction { .. }) => Some("SET TRANSACTION"),
        _ => None,
    }
}

fn of_statement(statement: &Statement) -> Option<String> {
    match statement {
        Statement::Insert(insert) => of_insert(insert),
        Statement::Delete(delete) => of_delete(delete),
        Statement::Update(update) => of_update(update),
        Statement::Drop { names, purge, temporary, table, .. } => first([
            (names.len() > 1, "DROP of several objects in one statement"),
            (*purge, "DROP ... PURGE"),
            (*temporary, "DROP TEMPORARY"),
            (table.is_some(), "DROP ... ON"),
        ]),
        Statement::Prepare { .. } | Statement::Execute { .. } | Statement::Deallocate { .. } => {
            Some("PREPARE, EXECUTE or DEALLOCATE in SQL, where parameters are bound with the statement,".to_owned())
        }
        Statement::Copy { .. } => Some("COPY".to_owned()),
        _ => None,
    }
}

fn of_delete(delete: &Delete) -> Option<String> {
    first([
        (delete.using.is_some(), "DELETE ... USING"),
        (delete.returning.is_some(), "DELETE ... RETURNING"),
        (delete.output.is_some(), "DELETE ... OUTPUT"),
        (delete.limit.is_some(), "DELETE ... LIMIT"),
        (!delete.order_by.is_empty(), "DELETE ... ORDER BY"),
        (!delete.tables.is_empty(), "DELETE of several tables"),
    ])
}

fn of_update(update: &Update) -> Option<String> {
    first([
        (update.from.is_some(), "UPDATE ... FROM"),
        (update.returning.is_some(), "UPDATE ... RETURNING"),
        (update.output.is_some(), "UPDATE ... OUTPUT"),
        (update.limit.is_some(), "UPDATE ... LIMIT"),
        (!update.order_by.is_empty(), "UPDATE ... ORDER BY"),
        (!update.table.joins.is_empty(), "UPDATE of a join"),
        (update.or.is_some(), "UPDATE OR ..."),
    ])
}

fn of_insert(insert: &Insert) -> Option<String> {
    let several = insert.multi_table_insert_type.is_some() || !insert.multi_table_into_clauses.is_empty();
    first([
        (insert.on.is_some(), "INSERT ... ON CONFLICT or ON DUPLICATE KEY"),
        (insert.returning.is_some(), "INSERT ... RETURNING"),
        (insert.output.is_some(), "INSERT ... OUTPUT"),
        (insert.ignore, "INSERT IGNORE"),
        (insert.partitioned.is_some() || !insert.after_columns.is_empty(), "INSERT ... PARTITION"),
        (!insert.assignments.is_empty(), "INSERT ... SET"),
        (insert.insert_alias.is_some(), "INSERT ... AS"),
        (insert.priority.is_some(), "INSERT with a priority"),
        (insert.settings.is_some(), "INSERT ... SETTINGS"),
        (insert.format_clause.is_some(), "INSERT ... FORMAT"),
        (several, "INSERT into several tables"),
    ])
}

/// Clauses of the table itself are DataFusion's to refuse; it drops those of columns.
fn of_create_table(create: &CreateTable) -> Option<String> {
    let options = match &create.table_options {
        CreateTableOptions::None => None,
        CreateTableOptions::With(_) => Some("WITH (options) in CREATE TABLE"),
        CreateTableOptions::Options(_) => Some("OPTIONS in CREATE TABLE"),
        CreateTableOptions::Plain(_) => Some("an option (ENGINE, COMMENT, ...) after the columns in CREATE TABLE"),
        CreateTableOptions::TableProperties(_) => Some("TBLPROPERTIES in CREATE TABLE"),
    };
    let clauses = [
        (create.like.is_some(), "LIKE, for which there is CREATE TABLE ... AS SELECT * FROM t LIMIT 0,"),
        (create.clone.is_some(), "CLONE, for which there is CREATE TABLE ... AS SELECT,"),
        (create.partition_by.is_some(), "PARTITION BY"),
        (create.cluster_by.is_some() || create.clustered_by.is_some(), "CLUSTER BY"),
        (create.order_by.is_some(), "ORDER BY"),
        (create.comment.is_some(), "COMMENT"),
        (create.on_commit.is_some(), "ON COMMIT"),
        (create.inherits.is_some(), "INHERITS"),
        (create.location.is_some(), "LOCATION, for which there is CREATE EXTERNAL TABLE,"),
    ];
    first(clauses)
        .map(|clause| format!("{clause} in CREATE TABLE"))
        .or_else(|| options.map(str::to_owned))
        .or_else(|| create.constraints.iter().map(of_constraint).next())
        .or_else(|| create.columns.iter().find_map(of_column))
}

fn of_constraint(constraint: &TableConstraint) -> String {
    let kind = match constraint {
        TableConstraint::Unique(_) | TableConstraint::UniqueUsingIndex(_) => "a UNIQUE constraint",
        TableConstraint::PrimaryKey(_) | TableConstraint::PrimaryKeyUsingIndex(_) => "a PRIMARY KEY constraint",
        TableConstraint::ForeignKey(_) => "a FOREIGN KEY constraint",
        TableConstraint::Check(_) => "a CHECK constraint",
        _ => return "an index in CREATE TABLE, for which there is CREATE INDEX,".to_owned(),
    };
    format!("{kind}, which would not be enforced,")
}

fn of_column(column: &ColumnDef) -> Option<String> {
    let name = &column.name.value;
    let clause = column.options.iter().find_map(|option| of_column_option(&option.option));
    match clause {
        Some(clause) => Some(format!("column {name}: {clause}")),
        None => of_type(&column.data_type).map(|clause| format!("column {name}: {clause}")),
    }
}

fn of_column_option(option: &ColumnOption) -> Option<String> {
    let clause = match option {
        ColumnOption::Null | ColumnOption::NotNull => return None,
        ColumnOption::Default(_) => "DEFAULT",
        ColumnOption::PrimaryKey(_) => "a PRIMARY KEY, which would not be enforced,",
        ColumnOption::Unique(_) => "UNIQUE, which would not be enforced,",
        ColumnOption::ForeignKey(_) => "REFERENCES, which would not be enforced,",
        ColumnOption::Check(_) => "CHECK, which would not be enforced,",
        ColumnOption::Materialized(_) => "MATERIALIZED",
        ColumnOption::Ephemeral(_) => "EPHEMERAL",
        ColumnOption::Alias(_) => "ALIAS",
        ColumnOption::CharacterSet(_) => "CHARACTER SET",
        ColumnOption::Collation(_) => "COLLATE",
        ColumnOption::Comment(_) => "COMMENT",
        ColumnOption::OnUpdate(_) => "ON UPDATE",
        ColumnOption::Generated { sequence_options: Some(_), .. } | ColumnOption::Identity(_) => "IDENTITY",
        ColumnOption::Generated { generation_expr: None, .. } => "GENERATED ... AS IDENTITY",
        ColumnOption::Generated { .. } => "GENERATED ALWAYS AS (...)",
        ColumnOption::Options(_) => "OPTIONS",
        ColumnOption::OnConflict(_) => "ON CONFLICT",
        ColumnOption::Policy(_) => "a POLICY",
        ColumnOption::Tags(_) => "TAG",
        ColumnOption::Srid(_) => "SRID",
        ColumnOption::Invisible => "INVISIBLE",
        ColumnOption::DialectSpecific(tokens) => {
            return Some(tokens.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        }
    };
    Some(clause.to_owned())
}

/// Types of which the planner keeps less than they say.
fn of_type(data_type: &DataType) -> Option<String> {
    match data_type {
        DataType::Array(ArrayElemTypeDef::SquareBracket(item, Some(dim))) => match item.as_ref() {
            // The number types of vectors.
            DataType::Float(ExactNumberInfo::None)
            | DataType::Real
            | DataType::Float4
            | DataType::Double(ExactNumberInfo::None)
            | DataType::DoublePrecision
            | DataType::Float8
            | DataType::TinyInt(None) => None,
            other => Some(format!(
                "{data_type}, for which there is FLOAT[{dim}], a vector, and {other}[], a list of any length,"
            )),
        },
        DataType::Array(ArrayElemTypeDef::SquareBracket(item, None) | ArrayElemTypeDef::AngleBracket(item)) => {
            match item.as_ref() {
                DataType::Array(ArrayElemTypeDef::SquareBracket(_, Some(_))) => {
                    Some(format!("{data_type}, a list of vectors,"))
                }
                other => of_type(other),
            }
        }
        DataType::Struct(fields, _) => fields.iter().find_map(|field| of_type(&field.field_type)),
        DataType::Varchar(Some(_)) | DataType::Char(Some(_)) | DataType::String(Some(_)) => {
            Some(format!("{data_type}, for which there is VARCHAR of any length,"))
        }
        DataType::Float(ExactNumberInfo::Precision(bits)) if *bits > FLOAT_BITS => {
            Some(format!("{data_type}, for which there is DOUBLE,"))
        }
        DataType::Float(ExactNumberInfo::PrecisionAndScale(..)) => {
            Some(format!("{data_type}, for which there is DECIMAL(p, s),"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::common::config::Dialect;

    use super::refuse_ignored_of_table;
    use crate::ErrorKind;
    use crate::statements::{ParsedStatement, parse};

    /// Statements in the dialect that knows their clause, and a word of the message.
    const REFUSED: &[(Dialect, &str, &str)] = &[
        (Dialect::Generic, "SELECT * FROM t TABLESAMPLE BERNOULLI (10)", "TABLESAMPLE"),
        (Dialect::Generic, "SELECT * FROM (SELECT 1) AS s TABLESAMPLE SYSTEM (10)", "TABLESAMPLE"),
        (Dialect::Generic, "SELECT * FROM a JOIN b TABLESAMPLE SYSTEM (10) ON a.i = b.i", "TABLESAMPLE"),
        (Dialect::Generic, "SELECT 1 WHERE 2 IN (SELECT i FROM t FOR UPDATE)", "FOR UPDATE"),
        (Dialect::Generic, "SELECT * FROM t FOR SHARE", "FOR SHARE"),
        (Dialect::Generic, "SELECT * FROM t FETCH FIRST 3 ROWS WITH TIES", "WITH TIES"),
        (Dialect::Generic, "SELECT * FROM t FETCH FIRST 3 ROWS ONLY", "LIMIT"),
        (Dialect::Generic, "SELECT i INTO TEMPORARY u FROM t", "TEMPORARY"),
        (Dialect::Generic, "SELECT * FROM generate_series(1, 3) WITH ORDINALITY", "ORDINALITY"),
        (Dialect::Generic, "SELECT sum(i) OVER (w ORDER BY i) FROM t WINDOW w AS (PARTITION BY j)", "window"),
        (Dialect::Generic, "SELECT * FROM t WITH (NOLOCK)", "hints"),
        (Dialect::Generic, "SELECT i, count(*) FROM t GROUP BY i WITH ROLLUP", "ROLLUP"),
        (Dialect::ClickHouse, "SELECT * FROM t PREWHERE i = 1", "PREWHERE"),
        (Dialect::ClickHouse, "SELECT * FROM t SETTINGS max_threads = 1", "SETTINGS"),
        (Dialect::ClickHouse, "SELECT * FROM t FORMAT CSV", "FORMAT"),
        (Dialect::ClickHouse, "SELECT * FROM a GLOBAL JOIN b ON a.i = b.i", "GLOBAL"),
        (Dialect::MySQL, "SELECT * FROM t USE INDEX (i)", "INDEX"),
        (Dialect::MySQL, "SELECT * FROM t PARTITION (p0)", "PARTITION"),
        (Dialect::MySQL, "SELECT SQL_CALC_FOUND_ROWS * FROM t", "modifier"),
        (Dialect::Generic, "CREATE TABLE t (id BIGINT GENERATED ALWAYS AS IDENTITY)", "column id: "),
        (Dialect::Generic, "CREATE TABLE t (id BIGINT GENERATED BY DEFAULT AS IDENTITY (START WITH 3))", "IDENTITY"),
        (Dialect::Generic, "CREATE TABLE t (x INT, y INT GENERATED ALWAYS AS (x + 1) STORED)", "column y: GENERATED"),
        (Dialect::Generic, "CREATE TABLE t (id BIGINT AUTO_INCREMENT)", "AUTO_INCREMENT"),
        (Dialect::Generic, "CREATE TABLE t (id INT IDENTITY(1, 1))", "IDENTITY"),
        (Dialect::Generic, "CREATE TABLE t (a TEXT COLLATE \"de\")", "COLLATE"),
        (Dialect::Generic, "CREATE TABLE t (a TEXT COMMENT 'of the page')", "COMMENT"),
        (Dialect::Generic, "CREATE TABLE t (a INT DEFAULT 3)", "DEFAULT"),
        (Dialect::Generic, "CREATE TABLE t (a INT CHECK (a > 0))", "CHECK"),
        (Dialect::Generic, "CREATE TABLE t (a INT, CHECK (a > 0))", "CHECK"),
        (Dialect::Generic, "CREATE TABLE t (a INT REFERENCES u (a))", "REFERENCES"),
        (Dialect::Generic, "CREATE TABLE t (a INT, FOREIGN KEY (a) REFERENCES u (a))", "FOREIGN KEY"),
        (Dialect::Generic, "CREATE TABLE t (a INT, PRIMARY KEY (a))", "PRIMARY KEY"),
        (Dialect::Generic, "CREATE TABLE t (a INT) COMMENT 'pages'", "COMMENT"),
        (Dialect::Generic, "CREATE TABLE t (a INT) WITH (fillfactor = 70)", "WITH"),
        (Dialect::MySQL, "CREATE TABLE t (a INT) ENGINE=InnoDB", "ENGINE"),
        (Dialect::Generic, "CREATE TABLE t LIKE u", "LIKE"),
        (Dialect::Generic, "CREATE TABLE t CLONE u", "CLONE"),
        (Dialect::BigQuery, "CREATE TABLE t (a INT) PARTITION BY a", "PARTITION BY"),
        (Dialect::BigQuery, "CREATE TABLE t (a INT) CLUSTER BY a", "CLUSTER BY"),
        (Dialect::Generic, "CREATE TABLE t (v INT[2])", "FLOAT[2]"),
        (Dialect::Generic, "CREATE TABLE t (v INT[3])", "FLOAT[3]"),
        (Dialect::Generic, "CREATE TABLE t (v FLOAT[2][])", "list of vectors"),
        (Dialect::Generic, "CREATE TABLE t (a VARCHAR(20))", "VARCHAR"),
        (Dialect::Generic, "CREATE TABLE t (a FLOAT(53))", "DOUBLE"),
        (Dialect::MySQL, "INSERT IGNORE INTO t VALUES (1)", "IGNORE"),
        (Dialect::Generic, "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", "ON CONFLICT"),
        (Dialect::Generic, "INSERT INTO t VALUES (1) RETURNING a", "RETURNING"),
        (Dialect::Hive, "INSERT INTO t PARTITION (d = '1') VALUES (1)", "PARTITION"),
        (Dialect::MySQL, "INSERT INTO t SET a = 1", "SET"),
        (Dialect::Generic, "DELETE FROM t LIMIT 1", "LIMIT"),
        (Dialect::Generic, "DELETE FROM t USING u WHERE t.a = u.a", "USING"),
        (Dialect::Generic, "DELETE FROM t WHERE a = 1 RETURNING a", "RETURNING"),
        (Dialect::Generic, "UPDATE t SET a = u.a FROM u WHERE t.b = u.b", "FROM"),
        (Dialect::Generic, "UPDATE t SET a = 1 LIMIT 1", "LIMIT"),
        (Dialect::Generic, "DROP TABLE t, u", "several"),
        (Dialect::Hive, "DROP TABLE t PURGE", "PURGE"),
        (Dialect::Generic, "BEGIN", "BEGIN is not"),
        (Dialect::Generic, "START TRANSACTION", "START TRANSACTION is not"),
        (Dialect::Generic, "COMMIT", "COMMIT is not"),
        (Dialect::Generic, "END", "END is not"),
        (Dialect::Generic, "ROLLBACK", "ROLLBACK is not"),
        (Dialect::Generic, "ROLLBACK TO SAVEPOINT s", "ROLLBACK is not"),
        (Dialect::Generic, "SAVEPOINT s", "SAVEPOINT is not"),
        (Dialect::Generic, "RELEASE SAVEPOINT s", "RELEASE SAVEPOINT is not"),
        (Dialect::Generic, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET TRANSACTION is not"),
        (Dialect::Generic, "EXPLAIN COMMIT", "COMMIT is not"),
        (Dialect::Generic, "EXPLAIN SELECT * FROM t FOR UPDATE", "FOR UPDATE"),
    ];

    #[test]
    fn clauses_that_would_be_ignored_are_refused_by_name() {
        let mut wrong = Vec::new();
        for (dialect, sql, word) in REFUSED {
            let refused = parse(sql, *dialect).and_then(|parsed| match parsed {
                ParsedStatement::Sql { statement, .. } => refuse_ignored_of_table(&statement),
                _ => Ok(()),
            });
            match refused {
                Err(e) if e.kind() == ErrorKind::NotSupported && e.to_string().contains(word) => {}
                Err(e) => wrong.push(format!("{sql}: {e}")),
                Ok(_) => wrong.push(format!("{sql}: accepted")),
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn what_is_honoured_is_let_through() {
        for sql in [
            "WITH a AS (SELECT 1 AS i) SELECT DISTINCT i FROM a AS b (j) ORDER BY 1 LIMIT 3 OFFSET 1",
            "SELECT sum(i) OVER w FROM t WINDOW w AS (PARTITION BY j ORDER BY i)",
            "SELECT row_number() OVER (ORDER BY i) AS n FROM t QUALIFY n < 3",
            "SELECT i FROM t GROUP BY ROLLUP (i)",
            "SELECT * EXCLUDE (i) FROM t",
            "FROM t",
            "SELECT i INTO u FROM t",
            "CREATE TABLE t (id BIGINT NOT NULL, a VARCHAR, v FLOAT[3], w DOUBLE[3], x TINYINT[3], l DOUBLE[], s STRUCT<a INT>, u INT UNSIGNED)",
            "CREATE OR REPLACE TABLE t AS SELECT 1 AS i",
            "INSERT INTO TABLE t (i) VALUES (1)",
            "INSERT OVERWRITE t SELECT 1",
            "DROP TABLE IF EXISTS t CASCADE",
            "EXPLAIN ANALYZE SELECT 1",
        ] {
            assert!(parse(sql, Dialect::Generic).is_ok(), "{sql}: {}", parse(sql, Dialect::Generic).err().unwrap());
        }
    }
}
