//! Definitions of external tables: the clauses of CREATE EXTERNAL TABLE, checked as far as no file has to be read for it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use datafusion::sql::parser::CreateExternalTable;
use datafusion::sql::sqlparser::ast::Value;
use ruvector_rulake::backend::redact_option;
use serde::{Deserialize, Serialize};

use ruvector_udfs::error::{Error, Result};

/// An external table. Its `Debug` hides the values of secret options.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// An absolute path or a URL.
    pub(crate) location: String,
    /// The columns as they were written; `None` if they are those of the files.
    pub(crate) columns: Option<String>,
    pub(crate) partitioned_by: Vec<String>,
    /// Options of the format and of the object store; keys are folded.
    pub(crate) options: BTreeMap<String, String>,
}

/// Format of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Parquet,
    Delta,
    Csv,
    Json,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Parquet, Self::Delta, Self::Csv, Self::Json];

    /// Its name in SQL.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Parquet => "PARQUET",
            Self::Delta => "DELTA",
            Self::Csv => "CSV",
            Self::Json => "JSON",
        }
    }

    /// Returns true if the files hold the types of their columns, so that the statement lists no columns.
    fn has_types(self) -> bool {
        matches!(self, Self::Parquet | Self::Delta)
    }

    /// The options of its format.
    pub(crate) fn options(self) -> &'static [&'static str] {
        match self {
            Self::Parquet | Self::Delta => &[],
            Self::Csv => &["has_header", "delimiter", "quote", "escape", "comment", "compression"],
            Self::Json => &["compression"],
        }
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name)).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::not_supported(format!("CREATE EXTERNAL TABLE: expected STORED AS one of {known}, got {name}"))
        })
    }
}

impl Definition {
    /// Checks what was written.
    ///
    /// # Errors
    /// `InvalidInput` for a location or an option that cannot be; `NotSupported` for clauses that would be ignored.
    pub(super) fn new(name: &str, create: &CreateExternalTable) -> Result<Self> {
        let refuse =
            |clause: &str| Err(Error::not_supported(format!("{clause} in CREATE EXTERNAL TABLE is not supported")));
        if create.or_replace {
            return refuse("OR REPLACE");
        }
        if create.temporary {
            return refuse("TEMPORARY");
        }
        if create.unbounded {
            return refuse("UNBOUNDED");
        }
        if !create.order_exprs.is_empty() {
            return refuse("WITH ORDER");
        }
        if !create.constraints.is_empty() || create.columns.iter().any(|column| !column.options.is_empty()) {
            return refuse("a constraint or a DEFAULT, which nothing would enforce,");
        }
        let kind: Kind = create.file_type.parse()?;
        if kind.has_types() && !create.columns.is_empty() {
            return refuse(&format!("a list of columns over {} files, which say it themselves,", kind.name()));
        }
        let [location] = create.locations.as_slice() else {
            return Err(Error::invalid_input(format!(
                "LOCATION: expected 1 path or URL, got {}",
                create.locations.len()
            )));
        };
        let mut options = BTreeMap::new();
        for (key, value) in &create.options {
            let key = key.to_lowercase();
            let key = key.strip_prefix("format.").unwrap_or(&key).to_owned();
            if options.insert(key.clone(), text(&key, value)?).is_some() {
                return Err(Error::invalid_input(format!("option {key} is given twice")));
            }
        }
        let columns: Vec<String> = create.columns.iter().map(ToString::to_string).collect();
        let definition = Self {
            name: name.to_owned(),
            kind,
            location: absolute(location)?,
            columns: (!columns.is_empty()).then(|| columns.join(", ")),
            partitioned_by: create.table_partition_cols.clone(),
            options,
        };
        definition.check_options()?;
        Ok(definition)
    }

    /// Returns true if the files are in an object store.
    pub(super) fn is_remote(&self) -> bool {
        self.location.contains("://")
    }

    /// The options of the object store: those that are not of the format. It checks them when it is opened.
    pub(super) fn store_options(&self) -> BTreeMap<String, String> {
        let others = self.options.iter().filter(|(key, _)| !self.kind.options().contains(&key.as_str()));
        others.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn check_options(&self) -> Result<()> {
        match self.store_options().keys().next() {
            Some(unknown) if !self.is_remote() => {
                let known = match self.kind.options() {
                    [] => "none".to_owned(),
                    known => known.join(", "),
                };
                Err(Error::invalid_input(format!(
                    "no such option of a local table of {} files: expected {known}, got {unknown}",
                    self.kind.name()
                )))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options: Vec<_> = self.options.iter().map(|(key, value)| (key, redact_option(key, value))).collect();
        f.debug_struct("Definition")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("location", &self.location)
            .field("columns", &self.columns)
            .field("partitioned_by", &self.partitioned_by)
            .field("options", &options)
            .finish()
    }
}

fn text(key: &str, value: &Value) -> Result<String> {
    match value {
        Value::Number(digits, _) => Ok(digits.to_string()),
        Value::Boolean(value) => Ok(value.to_string()),
        other => other.clone().into_string().ok_or_else(|| {
            // What stands there may be a part of a secret.
            Error::invalid_input(format!("option {key}: expected a 'string', a number, true or false"))
        }),
    }
}

/// The location as it is from everywhere: the next start may have another working directory.
fn absolute(location: &str) -> Result<String> {
    let path = match location.split_once("://") {
        Some((scheme, path)) if scheme.eq_ignore_ascii_case("file") => path,
        Some(_) => return Ok(location.to_owned()),
        None => location,
    };
    let refused =
        |reason: String| Error::invalid_input(format!("LOCATION cannot be used: path {path}, reason {reason}"));
    let absolute = Path::new(path).canonicalize().map_err(|e| refused(e.to_string()))?;
    match absolute.to_str() {
        Some(absolute) => Ok(absolute.to_owned()),
        None => Err(refused("its name is not Unicode".to_owned())),
    }
}
