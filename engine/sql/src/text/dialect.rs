//! The dialect that a session's statements are written in: `SET datafusion.sql_parser.dialect = 'PostgreSQL'`.

use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::common::config::Dialect;
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, Ident, ObjectName, Set, Statement, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::{Dialect as Grammar, dialect_from_str};

use ruvector_udfs::error::{Error, Result};

/// The setting.
const SETTING: &str = "datafusion.sql_parser.dialect";
/// The one dialect that is not accepted: it has no named arguments (`name => value`).
const REFUSED: Dialect = Dialect::MsSQL;
/// The dialects in which an operator may have a name, which `<->` and `<#>` become.
const WITH_OPERATORS: [Dialect; 2] = [Dialect::Generic, Dialect::PostgreSQL];

/// The dialect as the parser has it.
///
/// # Errors
/// `InvalidInput` if it is not accepted.
pub(crate) fn grammar_of(dialect: Dialect) -> Result<Box<dyn Grammar>> {
    match dialect_from_str(dialect).filter(|_| dialect != REFUSED) {
        Some(grammar) => Ok(grammar),
        None => Err(unknown(dialect.as_ref())),
    }
}

/// The name that an identifier is, as DataFusion folds it: letters of ASCII alone.
pub(crate) fn folded(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    }
}

/// Checks that a statement does not set a dialect that is not accepted: the session would understand nothing after it.
///
/// # Errors
/// `InvalidInput` if it does.
pub(crate) fn check_setting(statement: &Statement) -> Result<()> {
    let Statement::Set(Set::SingleAssignment { variable, values, .. }) = statement else { return Ok(()) };
    let names = variable.0.iter().map(|part| part.as_ident().map_or("", |ident| ident.value.as_str()));
    if !names.collect::<Vec<_>>().join(".").eq_ignore_ascii_case(SETTING) {
        return Ok(());
    }
    let name = match values.as_slice() {
        [SqlExpr::Identifier(ident)] => ident.value.clone(),
        [SqlExpr::Value(value)] => value.clone().into_string().unwrap_or_else(|| value.to_string()),
        // What is no name is refused when it is set.
        _ => return Ok(()),
    };
    match name.parse::<Dialect>() {
        Ok(dialect) if dialect != REFUSED => Ok(()),
        _ => Err(unknown(&name)),
    }
}

fn unknown(got: &str) -> Error {
    let accepted = Dialect::metadata().iter().filter(|info| info.dialect != REFUSED).map(|info| info.display_name);
    let accepted = accepted.collect::<Vec<_>>().join(", ");
    Error::invalid_input(format!("{SETTING}: expected one of {accepted}, got {got}"))
}

/// Makes parameters of what a dialect in which names may begin with `$` takes for names: `$1`, `$2`, ...
pub(crate) struct NumberedParameters;

impl NumberedParameters {
    /// Makes them, where the dialect is such a one.
    pub(crate) fn make(grammar: &dyn Grammar, statement: &mut Statement) {
        if grammar.is_identifier_start('$') {
            let ControlFlow::Continue(()) = statement.visit(&mut Self);
        }
    }
}

impl VisitorMut for NumberedParameters {
    type Break = Infallible;

    fn pre_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<Infallible> {
        let SqlExpr::Identifier(name) = expr else { return ControlFlow::Continue(()) };
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        if name.quote_style.is_none() && name.value.strip_prefix('$').is_some_and(is_number) {
            let value = Value::Placeholder(std::mem::take(&mut name.value)).with_span(name.span);
            *expr = SqlExpr::Value(value);
        }
        ControlFlow::Continue(())
    }
}

/// Checks that a dialect has operators like `<->`.
///
/// # Errors
/// `NotSupported` if it has not.
pub(crate) fn check_operators(dialect: Dialect) -> Result<()> {
    match WITH_OPERATORS.contains(&dialect) {
        true => Ok(()),
        false => {
            let known = WITH_OPERATORS.map(|dialect| dialect.to_string()).join(" and ");
            Err(Error::not_supported(format!(
                "<-> and <#> are operators in the dialects {known}, and the session's is {dialect}: write l2_distance(a, b), \
                 -inner_product(a, b)"
            )))
        }
    }
}

/// The reference that an object name is, folded as DataFusion folds identifiers.
pub(crate) fn table_reference(name: &ObjectName) -> TableReference {
    TableReference::parse_str(&name.to_string())
}
