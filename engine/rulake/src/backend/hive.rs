//! Partition values in the names of folders, by Hive's rules.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The value that Hive, Spark and DuckDB write for NULL.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// Returns the column and the value that the folder `name=value` stands for; `None` if it is another folder.
pub fn partition(folder: &str) -> Option<(String, Option<String>)> {
    let (name, value) = folder.split_once('=')?;
    Some((decoded(name).into_owned(), partition_value(value)))
}

/// Returns the value that is written in the name of a folder: percent-encoded, or the mark for NULL.
pub fn partition_value(text: &str) -> Option<String> {
    (text != NULL).then(|| decoded(text).into_owned())
}

/// Codes of bytes that are no text together are left as they are.
fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8().unwrap_or(Cow::Borrowed(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_folders_are_decoded_once() {
        for (folder, expected) in [
            ("lang=en", Some(("lang", Some("en")))),
            ("lang=a%20b", Some(("lang", Some("a b")))),
            ("path=x%2Fy%3Dz", Some(("path", Some("x/y=z")))),
            ("a%3Db=c=d", Some(("a=b", Some("c=d")))),
            ("lang=100%25", Some(("lang", Some("100%")))),
            ("lang=50%", Some(("lang", Some("50%")))),
            ("lang=%FF", Some(("lang", Some("%FF")))),
            ("lang=a+b", Some(("lang", Some("a+b")))),
            ("lang=Z%C3%BCrich", Some(("lang", Some("Zürich")))),
            ("lang=", Some(("lang", Some("")))),
            ("lang=__HIVE_DEFAULT_PARTITION__", Some(("lang", None))),
            ("files", None),
        ] {
            let got = partition(folder);
            let got = got.as_ref().map(|(name, value)| (name.as_str(), value.as_deref()));
            assert_eq!(got, expected, "{folder}");
        }
    }
}
