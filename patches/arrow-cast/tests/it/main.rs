//! A cast of any slice is that of its rows, each alone.

mod arrays;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use arrow_cast::{CastOptions, can_cast_types, cast_with_options};
use proptest::prelude::*;

use arrays::{Layout, array, item, map_of, types, values};

/// Types that a type may be cast to: other kinds of lists at every level, other leaves.
fn targets(from: &DataType) -> BoxedStrategy<DataType> {
    match from {
        DataType::Int64 => {
            prop_oneof![Just(DataType::Int64), Just(DataType::Int16), Just(DataType::Float32), Just(DataType::Utf8)]
                .boxed()
        }
        DataType::Float64 => {
            prop_oneof![Just(DataType::Float64), Just(DataType::Float32), Just(DataType::Int32)].boxed()
        }
        DataType::Utf8 => prop_oneof![Just(DataType::Utf8), Just(DataType::LargeUtf8), Just(DataType::Int64)].boxed(),
        DataType::List(inner)
        | DataType::LargeList(inner)
        | DataType::ListView(inner)
        | DataType::LargeListView(inner)
        | DataType::FixedSizeList(inner, _) => targets(inner.data_type())
            .prop_flat_map(|inner| {
                prop_oneof![
                    Just(DataType::List(item(inner.clone()))),
                    Just(DataType::LargeList(item(inner.clone()))),
                    Just(DataType::ListView(item(inner.clone()))),
                    Just(DataType::FixedSizeList(item(inner), 2)),
                ]
            })
            .boxed(),
        DataType::Struct(fields) => fields
            .iter()
            .map(|field| {
                let name = field.name().clone();
                targets(field.data_type()).prop_map(move |to| Arc::new(Field::new(&name, to, true)))
            })
            .collect::<Vec<_>>()
            .prop_map(|fields| DataType::Struct(fields.into()))
            .boxed(),
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else { panic!("entries are structs") };
            targets(fields[1].data_type()).prop_map(map_of).boxed()
        }
        other => panic!("no targets of {other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_slice_is_cast_row_by_row(
        (from, to, rows) in types().prop_flat_map(|from| {
            let rows = proptest::collection::vec(values(&from), 0..6);
            (targets(&from), rows).prop_map(move |(to, rows)| (from.clone(), to, rows))
        }),
        safe: bool,
    ) {
        prop_assume!(can_cast_types(&from, &to));
        let options = CastOptions { safe, ..CastOptions::default() };
        // Of the crate that is wrapped: a plain array of one row is what it casts right.
        let alone = |row| upstream::cast::cast_with_options(&array(&from, std::slice::from_ref(row), Layout::Plain), &to, &options);
        let expected: Result<Vec<_>, _> = rows.iter().map(alone).collect();
        let got = cast_with_options(&array(&from, &rows, Layout::Sliced), &to, &options);
        match (expected, got) {
            (Ok(expected), Ok(got)) => {
                prop_assert_eq!(got.len(), rows.len());
                for (row, expected) in expected.iter().enumerate() {
                    prop_assert_eq!(&got.slice(row, 1), expected, "row {} of {:?}", row, rows);
                }
            }
            (Err(_), Err(_)) => {}
            (expected, got) => prop_assert!(false, "expected {expected:?}, got {got:?}"),
        }
    }
}
