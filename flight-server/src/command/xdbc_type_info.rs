//! `CommandGetXdbcTypeInfo`: the SQL types, for ODBC's `SQLGetTypeInfo`.

use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};

/// All types.
pub(crate) fn data() -> Result<XdbcTypeInfoData, FlightError> {
    let mut types = XdbcTypeInfoDataBuilder::new();
    types.append(named("BOOLEAN", XdbcDataType::XdbcBit, 1));
    for (name, data_type, bits) in [
        ("TINYINT", XdbcDataType::XdbcTinyint, 8),
        ("SMALLINT", XdbcDataType::XdbcSmallint, 16),
        ("INTEGER", XdbcDataType::XdbcInteger, 32),
        ("BIGINT", XdbcDataType::XdbcBigint, 64),
    ] {
        types.append(number(name, data_type, bits, false));
        types.append(number(&format!("{name} UNSIGNED"), data_type, bits, true));
    }
    types.append(number("FLOAT", XdbcDataType::XdbcReal, 24, false));
    types.append(number("DOUBLE", XdbcDataType::XdbcDouble, 53, false));
    types.append(XdbcTypeInfo {
        create_params: Some(vec!["precision".into(), "scale".into()]),
        minimum_scale: Some(0),
        maximum_scale: Some(38),
        num_prec_radix: Some(10),
        fixed_prec_scale: true,
        ..number("DECIMAL", XdbcDataType::XdbcDecimal, 38, false)
    });
    types.append(XdbcTypeInfo { case_sensitive: true, ..quoted("VARCHAR", XdbcDataType::XdbcVarchar, "'") });
    types.append(quoted("BYTEA", XdbcDataType::XdbcVarbinary, "X'"));
    types.append(quoted("DATE", XdbcDataType::XdbcDate, "DATE '"));
    types.append(quoted("TIME", XdbcDataType::XdbcTime, "TIME '"));
    types.append(XdbcTypeInfo {
        datetime_subcode: Some(XdbcDatetimeSubcode::XdbcSubcodeTimestamp),
        ..quoted("TIMESTAMP", XdbcDataType::XdbcTimestamp, "TIMESTAMP '")
    });
    types.build()
}

fn named(name: &str, data_type: XdbcDataType, column_size: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        type_name: name.into(),
        data_type,
        column_size: Some(column_size),
        literal_prefix: None,
        literal_suffix: None,
        create_params: None,
        nullable: Nullable::NullabilityNullable,
        case_sensitive: false,
        searchable: Searchable::Full,
        unsigned_attribute: None,
        fixed_prec_scale: false,
        auto_increment: Some(false),
        local_type_name: Some(name.into()),
        minimum_scale: None,
        maximum_scale: None,
        sql_data_type: data_type,
        datetime_subcode: None,
        num_prec_radix: None,
        interval_precision: None,
    }
}

fn number(name: &str, data_type: XdbcDataType, size: i32, unsigned: bool) -> XdbcTypeInfo {
    XdbcTypeInfo { unsigned_attribute: Some(unsigned), num_prec_radix: Some(2), ..named(name, data_type, size) }
}

fn quoted(name: &str, data_type: XdbcDataType, prefix: &str) -> XdbcTypeInfo {
    XdbcTypeInfo {
        literal_prefix: Some(prefix.into()),
        literal_suffix: Some("'".into()),
        ..named(name, data_type, i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_can_be_asked_for_by_number() {
        let types = data().unwrap();
        assert_eq!(types.record_batch(None).unwrap().num_rows(), 17);
        assert_eq!(types.record_batch(XdbcDataType::XdbcVarchar as i32).unwrap().num_rows(), 1);
        assert_eq!(types.record_batch(XdbcDataType::XdbcBigint as i32).unwrap().num_rows(), 2);
    }
}
