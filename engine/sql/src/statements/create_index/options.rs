//! Options of `CREATE INDEX` and `REINDEX`: column, kind and the WITH clause.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CreateIndex, Expr as SqlExpr, IndexColumn, UnaryOperator, Value,
};
use ruvector_rabitq::Metric;
use ruvector_rulake::{IndexKind, IndexSpec};

use ruvector_udfs::error::{Error, Result};

const KNOWN: &str = "metric, seed, rerank_factor, bits, nlist, nprobe, background";

/// Specification of a new index, and the choice of a build in the background, for which the statement does not wait.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) spec: IndexSpec,
    pub(super) background: bool,
}

impl Options {
    /// Reads what `CREATE INDEX` says.
    ///
    /// # Errors
    /// `InvalidInput` that names the option, what is accepted and what was got; `NotSupported` for clauses that would be
    /// ignored.
    pub(super) fn of(create: &CreateIndex) -> Result<Self> {
        let [column] = create.columns.as_slice() else {
            return Err(Error::invalid_input(format!("an index is over 1 column, got {}", create.columns.len())));
        };
        let mut spec = IndexSpec::new(column_name(column)?);
        if let Some(kind) = &create.using {
            spec.kind = kind.to_string().to_lowercase().parse()?;
        }
        let by_class = operator_class(column)?;
        let (mut metric, mut bits, mut background) = (by_class, None, false);
        for (name, value) in named(&create.with)? {
            match name.as_str() {
                "metric" => {
                    let said: Metric = text(&name, value)?.parse()?;
                    if let Some(other) = by_class.filter(|other| *other != said) {
                        return Err(Error::invalid_input(format!(
                            "option metric: the operator class says {other}, the option {said}"
                        )));
                    }
                    metric = Some(said);
                }
                "seed" => spec.seed = number(&name, value)?,
                "rerank_factor" => spec.rerank_factor = size(&name, value)?,
                "bits" => bits = Some(number(&name, value)?),
                "nlist" => spec.nlist = Some(number_of_lists(&name, value)?),
                "nprobe" => spec.nprobe = Some(number_of_lists(&name, value)?),
                "background" => background = boolean(&name, value)?,
                other => return Err(unknown(KNOWN, other)),
            }
        }
        spec.metric = metric.unwrap_or(spec.metric);
        check_kind(&spec, bits)?;
        Ok(Self { spec, background })
    }
}

/// Returns true if `REINDEX` is to return at once.
pub(super) fn background(options: &[SqlExpr]) -> Result<bool> {
    let mut background = false;
    for (name, value) in named(options)? {
        match name.as_str() {
            "background" => background = boolean(&name, value)?,
            other => return Err(unknown("background", other)),
        }
    }
    Ok(background)
}

/// Bits of each coordinate in the finest codes of a kind; nothing for the one that has no codes.
pub(crate) fn bits_of(kind: IndexKind) -> Option<u64> {
    match kind {
        IndexKind::Rabitq | IndexKind::RabitqAsym | IndexKind::RabitqPlus => Some(1),
        IndexKind::IvfRabitq => Some(4),
        _ => None,
    }
}

/// Refuses options that the kind has no use for.
fn check_kind(spec: &IndexSpec, bits: Option<u64>) -> Result<()> {
    let kind = spec.kind;
    if kind != IndexKind::IvfRabitq && (spec.nlist.is_some() || spec.nprobe.is_some()) {
        return Err(Error::invalid_input(format!(
            "nlist and nprobe are options of an index with lists: expected USING ivf_rabitq, got {kind}"
        )));
    }
    match (bits, bits_of(kind)) {
        (Some(got), None) => Err(Error::invalid_input(format!(
            "option bits: an index of kind {kind} has no codes: expected no such option, got {got}"
        ))),
        (Some(got), Some(expected)) if got != expected => Err(Error::invalid_input(format!(
            "option bits: the codes of an index of kind {kind} have a fixed size: expected {expected}, got {got}"
        ))),
        _ => Ok(()),
    }
}

fn column_name(column: &IndexColumn) -> Result<String> {
    let order = &column.column;
    if order.options.asc.is_some() || order.options.nulls_first.is_some() || order.with_fill.is_some() {
        return Err(Error::not_supported("an order of the column in CREATE INDEX is not supported"));
    }
    match &order.expr {
        SqlExpr::Identifier(ident) if ident.quote_style.is_some() => Ok(ident.value.clone()),
        SqlExpr::Identifier(ident) => Ok(ident.value.to_lowercase()),
        other => Err(Error::invalid_input(format!("an index is over a column, got {other}"))),
    }
}

/// The metric that an operator class of pgvector means.
fn operator_class(column: &IndexColumn) -> Result<Option<Metric>> {
    let Some(class) = &column.operator_class else { return Ok(None) };
    match class.to_string().to_lowercase().as_str() {
        "vector_l2_ops" => Ok(Some(Metric::L2)),
        "vector_ip_ops" => Ok(Some(Metric::InnerProduct)),
        "vector_cosine_ops" => Ok(Some(Metric::Cosine)),
        other => Err(Error::invalid_input(format!(
            "no such operator class: expected vector_l2_ops, vector_ip_ops or vector_cosine_ops, got {other}"
        ))),
    }
}

/// The options by their names, each once.
fn named(options: &[SqlExpr]) -> Result<Vec<(String, &SqlExpr)>> {
    let mut named: Vec<(String, &SqlExpr)> = Vec::with_capacity(options.len());
    for option in options {
        let SqlExpr::BinaryOp { left, op: BinaryOperator::Eq, right } = option else {
            return Err(Error::invalid_input(format!("WITH takes name = value, got {option}")));
        };
        let name = left.to_string().to_lowercase();
        if named.iter().any(|(known, _)| *known == name) {
            return Err(Error::invalid_input(format!("option {name} is given twice")));
        }
        named.push((name, right));
    }
    Ok(named)
}

fn unknown(known: &str, got: &str) -> Error {
    Error::invalid_input(format!("no such index option: expected one of {known}, got {got}"))
}

fn size(name: &str, value: &SqlExpr) -> Result<usize> {
    usize::try_from(number(name, value)?).map_err(|_| Error::invalid_input(format!("{name} is too large: {value}")))
}

fn number_of_lists(name: &str, value: &SqlExpr) -> Result<usize> {
    match size(name, value)? {
        0 => Err(Error::invalid_input(format!("{name} is out of range: expected at least 1, got 0"))),
        lists => Ok(lists),
    }
}

fn boolean(name: &str, value: &SqlExpr) -> Result<bool> {
    match value {
        SqlExpr::Value(inner) if let Value::Boolean(said) = inner.value => Ok(said),
        other => Err(Error::invalid_input(format!("option {name}: expected true or false, got {other}"))),
    }
}

fn text(name: &str, value: &SqlExpr) -> Result<String> {
    let not_text = || Error::invalid_input(format!("option {name}: expected a string, got {value}"));
    match value {
        SqlExpr::Identifier(ident) => Ok(ident.value.to_lowercase()),
        SqlExpr::Value(inner) => inner.clone().into_string().ok_or_else(not_text),
        _ => Err(not_text()),
    }
}

fn number(name: &str, value: &SqlExpr) -> Result<u64> {
    let not_a_number =
        || Error::invalid_input(format!("option {name}: expected an integer of at least 0, got {value}"));
    match value {
        SqlExpr::Value(inner) => match &inner.value {
            Value::Number(digits, _) => digits.to_string().parse().map_err(|_| not_a_number()),
            _ => Err(not_a_number()),
        },
        SqlExpr::UnaryOp { op: UnaryOperator::Plus, expr } => number(name, expr),
        _ => Err(not_a_number()),
    }
}
