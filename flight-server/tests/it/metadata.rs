//! Metadata that BI tools request before they query.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow_flight::IpcMessage;
use arrow_flight::sql::metadata::GetTablesBuilder;
use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo, SqlInfo,
};

use crate::harness::{fetch, with_server};

#[test]
fn tables_of_all_catalogs_without_a_filter() {
    with_server(|server| async move {
        let mut client = server.client_with_docs().await;
        let info = client.get_tables(CommandGetTables::default()).await.unwrap();
        let tables = fetch(&mut client, info).await.unwrap();
        let none = None::<String>;
        let expected = GetTablesBuilder::new(none.clone(), none.clone(), none, Vec::<String>::new(), false).schema();
        assert_eq!(tables.schema(), expected);
        let docs = row_of(&tables, "docs");
        assert_eq!(text(&tables, 3, docs), "TABLE");
        // The catalog that this table is said to be in can be asked for.
        let command = CommandGetTables {
            catalog: Some(text(&tables, 0, docs)),
            db_schema_filter_pattern: Some(text(&tables, 1, docs)),
            table_name_filter_pattern: Some("do%".into()),
            table_types: vec!["TABLE".into(), "VIEW".into()],
            include_schema: true,
        };
        let info = client.get_tables(command).await.unwrap();
        let tables = fetch(&mut client, info).await.unwrap();
        assert_eq!(tables.num_rows(), 1);
        let bytes = tables.column(4).as_binary::<i32>().value(0).to_vec();
        let columns = Schema::try_from(IpcMessage(bytes.into())).unwrap();
        let names: Vec<_> = columns.fields().iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names, ["id", "body", "vec"]);
        assert_eq!(columns.field(2).metadata()["ARROW:FLIGHT:SQL:TYPE_NAME"], "FLOAT[3]");
        assert_eq!(columns.field(2).metadata()["ARROW:FLIGHT:SQL:TABLE_NAME"], "docs");
    });
}

#[test]
fn a_filter_that_fits_nothing_finds_nothing() {
    with_server(|server| async move {
        let mut client = server.client_with_docs().await;
        for command in [
            CommandGetTables { catalog: Some("nowhere".into()), ..CommandGetTables::default() },
            CommandGetTables { table_name_filter_pattern: Some("d_".into()), ..CommandGetTables::default() },
            CommandGetTables { table_types: vec!["SEQUENCE".into()], ..CommandGetTables::default() },
        ] {
            let info = client.get_tables(command).await.unwrap();
            assert_eq!(fetch(&mut client, info).await.unwrap().num_rows(), 0);
        }
    });
}

#[test]
fn catalogs_and_schemas_agree_with_tables() {
    with_server(|server| async move {
        let mut client = server.client_with_docs().await;
        let info = client.get_tables(CommandGetTables::default()).await.unwrap();
        let tables = fetch(&mut client, info).await.unwrap();
        let docs = row_of(&tables, "docs");
        let (catalog, schema) = (text(&tables, 0, docs), text(&tables, 1, docs));

        let info = client.get_catalogs().await.unwrap();
        let catalogs = fetch(&mut client, info).await.unwrap();
        assert_eq!(*catalogs.schema(), Schema::new(vec![Field::new("catalog_name", DataType::Utf8, false)]));
        assert!((0..catalogs.num_rows()).any(|row| text(&catalogs, 0, row) == catalog));

        let info = client.get_db_schemas(CommandGetDbSchemas::default()).await.unwrap();
        let schemas = fetch(&mut client, info).await.unwrap();
        let fields =
            vec![Field::new("catalog_name", DataType::Utf8, true), Field::new("db_schema_name", DataType::Utf8, false)];
        assert_eq!(*schemas.schema(), Schema::new(fields));
        let is_it = |row| text(&schemas, 0, row) == catalog && text(&schemas, 1, row) == schema;
        assert!((0..schemas.num_rows()).any(is_it));
    });
}

#[test]
fn table_types_are_the_words_of_jdbc() {
    with_server(|server| async move {
        let mut client = server.client().await;
        let info = client.get_table_types().await.unwrap();
        let types = fetch(&mut client, info).await.unwrap();
        let types: Vec<_> = (0..types.num_rows()).map(|row| text(&types, 0, row)).collect();
        assert_eq!(types, ["SYSTEM TABLE", "TABLE", "VIEW"]);
    });
}

#[test]
fn sql_info_is_complete_and_can_be_picked() {
    with_server(|server| async move {
        let mut client = server.client().await;
        let info = client.get_sql_info(vec![]).await.unwrap();
        assert!(fetch(&mut client, info).await.unwrap().num_rows() > 80);
        let picked = vec![SqlInfo::FlightSqlServerTransaction, SqlInfo::FlightSqlServerName];
        let info = client.get_sql_info(picked).await.unwrap();
        assert_eq!(fetch(&mut client, info).await.unwrap().num_rows(), 2);
    });
}

#[test]
fn xdbc_types_can_be_picked() {
    with_server(|server| async move {
        let mut client = server.client().await;
        let info = client.get_xdbc_type_info(CommandGetXdbcTypeInfo { data_type: None }).await.unwrap();
        let all = fetch(&mut client, info).await.unwrap();
        assert!(all.num_rows() > 10);
        let info = client.get_xdbc_type_info(CommandGetXdbcTypeInfo { data_type: Some(12) }).await.unwrap();
        let varchar = fetch(&mut client, info).await.unwrap();
        assert_eq!((varchar.num_rows(), text(&varchar, 0, 0).as_str()), (1, "VARCHAR"));
    });
}

#[test]
fn keys_are_none_but_with_their_schema() {
    with_server(|server| async move {
        let mut client = server.client_with_docs().await;
        let table = || "docs".to_owned();
        let primary = CommandGetPrimaryKeys { table: table(), ..CommandGetPrimaryKeys::default() };
        let exported = CommandGetExportedKeys { table: table(), ..CommandGetExportedKeys::default() };
        let imported = CommandGetImportedKeys { table: table(), ..CommandGetImportedKeys::default() };
        let cross =
            CommandGetCrossReference { pk_table: table(), fk_table: table(), ..CommandGetCrossReference::default() };
        for (info, num_columns) in [
            (client.get_primary_keys(primary).await, 6),
            (client.get_exported_keys(exported).await, 13),
            (client.get_imported_keys(imported).await, 13),
            (client.get_cross_reference(cross).await, 13),
        ] {
            let keys = fetch(&mut client, info.unwrap()).await.unwrap();
            assert_eq!((keys.num_rows(), keys.num_columns()), (0, num_columns));
        }
    });
}

fn text(batch: &RecordBatch, column: usize, row: usize) -> String {
    batch.column(column).as_string::<i32>().value(row).to_owned()
}

fn row_of(tables: &RecordBatch, name: &str) -> usize {
    (0..tables.num_rows()).find(|row| text(tables, 2, *row) == name).expect("the table is listed")
}
