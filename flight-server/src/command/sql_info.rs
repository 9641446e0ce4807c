//! `CommandGetSqlInfo`: what this server can do. JDBC reads all of it when it connects, so all of it is here.

use std::collections::BTreeMap;

use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{
    SqlInfo, SqlNullOrdering, SqlOuterJoinsSupportLevel, SqlSupportedCaseSensitivity, SqlSupportedGroupBy,
    SqlSupportedResultSetConcurrency, SqlSupportedResultSetType, SqlSupportedSubqueries, SqlSupportedTransaction,
    SqlSupportedUnions, SqlSupportsConvert, SqlTransactionIsolationLevel, SupportedSqlGrammar,
};

/// Words of ruvector's SQL that are not in SQL:2003.
const KEYWORDS: &[&str] = &["KNN", "RABITQ", "RABITQ_ASYM", "RABITQ_PLUS", "IVF_RABITQ"];
const NUMERIC_FUNCTIONS: &[&str] = &[
    "ABS",
    "ACOS",
    "ASIN",
    "ATAN",
    "ATAN2",
    "CEIL",
    "COS",
    "COSINE_DISTANCE",
    "COT",
    "DEGREES",
    "EXP",
    "FLOOR",
    "INNER_PRODUCT",
    "L2_DISTANCE",
    "LOG",
    "LOG10",
    "PI",
    "POWER",
    "RADIANS",
    "ROUND",
    "SIGN",
    "SIN",
    "SQRT",
    "TAN",
];
const STRING_FUNCTIONS: &[&str] = &[
    "ASCII",
    "CHR",
    "CONCAT",
    "EMBED",
    "LEFT",
    "LENGTH",
    "LOWER",
    "LTRIM",
    "OCTET_LENGTH",
    "POSITION",
    "REPEAT",
    "REPLACE",
    "RIGHT",
    "RTRIM",
    "SUBSTR",
    "TRIM",
    "UPPER",
];
const SYSTEM_FUNCTIONS: &[&str] = &["COALESCE", "NULLIF", "NVL", "VERSION"];
const DATETIME_FUNCTIONS: &[&str] =
    &["CURRENT_DATE", "CURRENT_TIME", "DATE_PART", "DATE_TRUNC", "EXTRACT", "NOW", "TO_TIMESTAMP"];

/// All facts about this server.
pub(crate) fn data() -> Result<SqlInfoData, FlightError> {
    let mut facts = SqlInfoDataBuilder::new();
    server(&mut facts);
    names(&mut facts);
    queries(&mut facts);
    limits(&mut facts);
    transactions(&mut facts);
    results(&mut facts);
    facts.build()
}

fn server(facts: &mut SqlInfoDataBuilder) {
    facts.append(SqlInfo::FlightSqlServerName, "ruvector");
    facts.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    // The version of the columnar format and its IPC, not of a library.
    facts.append(SqlInfo::FlightSqlServerArrowVersion, "1.5");
    facts.append(SqlInfo::FlightSqlServerReadOnly, false);
    facts.append(SqlInfo::FlightSqlServerSql, true);
    facts.append(SqlInfo::FlightSqlServerSubstrait, false);
    facts.append(SqlInfo::FlightSqlServerSubstraitMinVersion, "");
    facts.append(SqlInfo::FlightSqlServerSubstraitMaxVersion, "");
    facts.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    facts.append(SqlInfo::FlightSqlServerCancel, true);
    facts.append(SqlInfo::FlightSqlServerBulkIngestion, true);
    facts.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    // Handles hold their own state and never expire.
    facts.append(SqlInfo::FlightSqlServerStatementTimeout, 0);
    facts.append(SqlInfo::FlightSqlServerTransactionTimeout, 0);
}

fn names(facts: &mut SqlInfoDataBuilder) {
    facts.append(SqlInfo::SqlDdlCatalog, false);
    facts.append(SqlInfo::SqlDdlSchema, true);
    facts.append(SqlInfo::SqlDdlTable, true);
    facts.append(SqlInfo::SqlIdentifierCase, SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32);
    facts.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    // Quoted names keep their case. The enumeration has no word for that: "unknown" is the one that promises nothing.
    facts.append(SqlInfo::SqlQuotedIdentifierCase, SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32);
    facts.append(SqlInfo::SqlKeywords, KEYWORDS);
    facts.append(SqlInfo::SqlNumericFunctions, NUMERIC_FUNCTIONS);
    facts.append(SqlInfo::SqlStringFunctions, STRING_FUNCTIONS);
    facts.append(SqlInfo::SqlSystemFunctions, SYSTEM_FUNCTIONS);
    facts.append(SqlInfo::SqlDatetimeFunctions, DATETIME_FUNCTIONS);
    facts.append(SqlInfo::SqlSearchStringEscape, "\\");
    facts.append(SqlInfo::SqlExtraNameCharacters, "");
    facts.append(SqlInfo::SqlSchemaTerm, "schema");
    facts.append(SqlInfo::SqlProcedureTerm, "function");
    facts.append(SqlInfo::SqlCatalogTerm, "catalog");
    facts.append(SqlInfo::SqlCatalogAtStart, true);
    facts.append(SqlInfo::SqlSchemasSupportedActions, 0);
    facts.append(SqlInfo::SqlCatalogsSupportedActions, 0);
}

fn queries(facts: &mut SqlInfoDataBuilder) {
    facts.append(SqlInfo::SqlAllTablesAreSelectable, true);
    // `ORDER BY x` puts nulls last, `ORDER BY x DESC` first.
    facts.append(SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i32);
    facts.append(SqlInfo::SqlSupportsColumnAliasing, true);
    facts.append(SqlInfo::SqlNullPlusNullIsNull, true);
    facts.append(SqlInfo::SqlSupportsConvert, conversions());
    facts.append(SqlInfo::SqlSupportsTableCorrelationNames, true);
    facts.append(SqlInfo::SqlSupportsDifferentTableCorrelationNames, false);
    facts.append(SqlInfo::SqlSupportsExpressionsInOrderBy, true);
    facts.append(SqlInfo::SqlSupportsOrderByUnrelated, true);
    facts.append(SqlInfo::SqlSupportedGroupBy, bits(&[SqlSupportedGroupBy::SqlGroupByUnrelated as i32]));
    facts.append(SqlInfo::SqlSupportsLikeEscapeClause, true);
    facts.append(SqlInfo::SqlSupportsNonNullableColumns, true);
    let grammar = [SupportedSqlGrammar::SqlMinimumGrammar as i32, SupportedSqlGrammar::SqlCoreGrammar as i32];
    facts.append(SqlInfo::SqlSupportedGrammar, bits(&grammar));
    // Entry level (bit 0).
    facts.append(SqlInfo::SqlAnsi92SupportedLevel, 1);
    facts.append(SqlInfo::SqlSupportsIntegrityEnhancementFacility, false);
    let joins = SqlOuterJoinsSupportLevel::SqlFullOuterJoins as i32;
    facts.append(SqlInfo::SqlOuterJoinsSupportLevel, joins);
    facts.append(SqlInfo::SqlSupportedPositionedCommands, 0);
    facts.append(SqlInfo::SqlSelectForUpdateSupported, false);
    facts.append(SqlInfo::SqlStoredProceduresSupported, false);
    let subqueries = [
        SqlSupportedSubqueries::SqlSubqueriesInComparisons as i32,
        SqlSupportedSubqueries::SqlSubqueriesInExists as i32,
        SqlSupportedSubqueries::SqlSubqueriesInIns as i32,
    ];
    facts.append(SqlInfo::SqlSupportedSubqueries, bits(&subqueries));
    facts.append(SqlInfo::SqlCorrelatedSubqueriesSupported, true);
    let unions = [SqlSupportedUnions::SqlUnion as i32, SqlSupportedUnions::SqlUnionAll as i32];
    facts.append(SqlInfo::SqlSupportedUnions, bits(&unions));
    facts.append(SqlInfo::SqlNamedParametersSupported, false);
    facts.append(SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported, false);
}

/// 0 everywhere: no limit, or none that is known.
fn limits(facts: &mut SqlInfoDataBuilder) {
    for limit in [
        SqlInfo::SqlMaxBinaryLiteralLength,
        SqlInfo::SqlMaxCharLiteralLength,
        SqlInfo::SqlMaxColumnNameLength,
        SqlInfo::SqlMaxColumnsInGroupBy,
        SqlInfo::SqlMaxColumnsInIndex,
        SqlInfo::SqlMaxColumnsInOrderBy,
        SqlInfo::SqlMaxColumnsInSelect,
        SqlInfo::SqlMaxColumnsInTable,
        SqlInfo::SqlMaxConnections,
        SqlInfo::SqlMaxCursorNameLength,
        SqlInfo::SqlMaxIndexLength,
        SqlInfo::SqlDbSchemaNameLength,
        SqlInfo::SqlMaxProcedureNameLength,
        SqlInfo::SqlMaxCatalogNameLength,
        SqlInfo::SqlMaxRowSize,
        SqlInfo::SqlMaxStatementLength,
        SqlInfo::SqlMaxStatements,
        SqlInfo::SqlMaxTableNameLength,
        SqlInfo::SqlMaxTablesInSelect,
        SqlInfo::SqlMaxUsernameLength,
    ] {
        facts.append(limit, 0_i64);
    }
    facts.append(SqlInfo::SqlMaxRowSizeIncludesBlobs, true);
}

fn transactions(facts: &mut SqlInfoDataBuilder) {
    let none = SqlTransactionIsolationLevel::SqlTransactionNone as i32;
    facts.append(SqlInfo::SqlDefaultTransactionIsolation, none);
    facts.append(SqlInfo::SqlTransactionsSupported, false);
    facts.append(SqlInfo::SqlSupportedTransactionsIsolationLevels, bits(&[none]));
    facts.append(SqlInfo::SqlDataDefinitionCausesTransactionCommit, false);
    facts.append(SqlInfo::SqlDataDefinitionsInTransactionsIgnored, false);
    facts.append(SqlInfo::SqlSavepointsSupported, false);
}

fn results(facts: &mut SqlInfoDataBuilder) {
    let forward_only = bits(&[SqlSupportedResultSetType::SqlResultSetTypeForwardOnly as i32]);
    let read_only = bits(&[SqlSupportedResultSetConcurrency::SqlResultSetConcurrencyReadOnly as i32]);
    facts.append(SqlInfo::SqlSupportedResultSetTypes, forward_only);
    facts.append(SqlInfo::SqlSupportedConcurrenciesForResultSetUnspecified, 0);
    facts.append(SqlInfo::SqlSupportedConcurrenciesForResultSetForwardOnly, read_only);
    facts.append(SqlInfo::SqlSupportedConcurrenciesForResultSetScrollSensitive, 0);
    facts.append(SqlInfo::SqlSupportedConcurrenciesForResultSetScrollInsensitive, 0);
    facts.append(SqlInfo::SqlBatchUpdatesSupported, true);
    facts.append(SqlInfo::SqlLocatorsUpdateCopy, false);
}

/// Numbers and text convert into each other.
fn conversions() -> BTreeMap<i32, Vec<i32>> {
    let types = [
        SqlSupportsConvert::SqlConvertBigint as i32,
        SqlSupportsConvert::SqlConvertDecimal as i32,
        SqlSupportsConvert::SqlConvertFloat as i32,
        SqlSupportsConvert::SqlConvertInteger as i32,
        SqlSupportsConvert::SqlConvertReal as i32,
        SqlSupportsConvert::SqlConvertSmallint as i32,
        SqlSupportsConvert::SqlConvertTinyint as i32,
        SqlSupportsConvert::SqlConvertVarchar as i32,
    ];
    types.iter().map(|from| (*from, types.to_vec())).collect()
}

/// A bit mask: an enumeration's value is the number of its bit.
fn bits(values: &[i32]) -> i32 {
    values.iter().fold(0, |mask, value| mask | 1 << value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, cast::as_union_array};
    use arrow::datatypes::{Int32Type, UInt32Type};

    #[test]
    fn every_fact_of_the_protocol_is_answered() {
        let names = data().unwrap().record_batch([]).unwrap().column(0).as_primitive::<UInt32Type>().values().to_vec();
        for name in (0..=11).chain([100, 101]).chain(500..=576) {
            assert!(names.contains(&name), "SqlInfo {name} is missing");
        }
    }

    #[test]
    fn facts_stand_in_the_child_of_their_type() {
        let batch = data().unwrap().record_batch([0, 3, 8]).unwrap();
        let values = as_union_array(batch.column(1));
        assert_eq!(values.type_ids().to_vec(), [0, 1, 3]);
        assert_eq!(values.value(0).as_string::<i32>().value(0), "ruvector");
        assert!(!values.value(1).as_boolean().value(0));
        assert_eq!(values.value(2).as_primitive::<Int32Type>().value(0), 0);
    }
}
