//! Rewriting of the arguments of `knn()` before DataFusion sees them.
//!
//! The table becomes a subquery, `knn((SELECT * FROM docs), ...)`, so that DataFusion looks it up; with `backends =>` there is
//! one for each. The age of an answer and the time of a backend have limits that must be known when tables are looked up. The
//! arguments that set them become lookup options.

use std::ops::ControlFlow;
use std::time::Duration;

use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, FunctionArg, FunctionArgExpr, Ident, ObjectName, TableFactor, TableFunctionArgs, Value,
    VisitorMut, visit_relations,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;
use ruvector_rulake::Consistency;

use crate::text::dialect::table_reference;
use ruvector_udfs::error::{Error, Result};
use ruvector_udfs::knn::argument::ArgumentName;
use ruvector_udfs::knn::sql::arguments::Signature;
use ruvector_udfs::knn::sql::planner::select_all;
use ruvector_udfs::lookup::{LookupOptions, TableLookup};
use ruvector_udfs::names::{CATALOG, MAIN};

/// Rewrites every `knn()` of a statement, and gathers the lookup options that their arguments set.
#[derive(Default)]
pub(crate) struct KnnArguments {
    pub(crate) options: LookupOptions,
}

impl VisitorMut for KnnArguments {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        let rewritten = match factor {
            TableFactor::Table { name, args: Some(args), .. } if let Some(signature) = Signature::of(name) => {
                self.rewrite(signature, args)
            }
            // After LATERAL.
            TableFactor::Function { name, args, .. } if let Some(signature) = Signature::of(name) => {
                let mut given = TableFunctionArgs { args: std::mem::take(args), settings: None };
                let rewritten = self.rewrite(signature, &mut given);
                *args = given.args;
                rewritten
            }
            _ => Ok(()),
        };
        match rewritten {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => ControlFlow::Break(e),
        }
    }
}

impl KnnArguments {
    fn rewrite(&mut self, signature: &Signature, args: &mut TableFunctionArgs) -> Result<()> {
        let consistency = consistency(signature, args)?;
        let (timeout, partial) = (milliseconds(signature, args, "timeout_ms")?, partial(signature, args)?);
        let backends = match named(args, "backends") {
            Some(value) => Some(strings(signature, value)?),
            None => None,
        };
        let Some(table) = table_argument(args) else { return Ok(()) };
        let name = table_name(signature, table)?;
        if let Some(backends) = backends {
            let Some([collection]) = name.as_ref().map(|name| name.0.as_slice()) else {
                let what = signature.argument("table", table);
                let message = format!("{what}: with backends expected the name of a collection, got {table}");
                return Err(Error::invalid_input(message));
            };
            let in_backend = |backend: &String| {
                let backend = Ident::with_quote('"', backend.clone());
                let mut name = ObjectName::from(vec![backend]);
                name.0.push(collection.clone());
                subquery(signature, &name)
            };
            let tables = backends.iter().map(in_backend).collect::<Result<Vec<_>>>()?;
            *table = tables[0].clone();
            if let Some(value) = named(args, "backends") {
                *value = SqlExpr::Tuple(tables);
            }
        } else if timeout.is_some() || partial {
            return Err(Error::invalid_input("knn() arguments timeout_ms and partial go with backends => [...]"));
        } else if let Some(name) = name {
            *table = subquery(signature, &name)?;
        }
        let federated = args.args.iter().any(|arg| is_named(arg, "backends"));
        let searched = if federated { named(args, "backends") } else { table_argument(args) };
        let mut names = Vec::new();
        let _ = searched.map(|searched| {
            visit_relations(searched, |name| {
                names.push(table_reference(name).resolve(CATALOG, MAIN));
                ControlFlow::<()>::Continue(())
            })
        });
        names.into_iter().try_for_each(|table| self.options.add(TableLookup { table, consistency, timeout, partial }))
    }
}

/// The first argument, by position or by name.
fn table_argument(args: &mut TableFunctionArgs) -> Option<&mut SqlExpr> {
    let first = matches!(args.args.first(), Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(_))));
    if first { args.args.first_mut().and_then(value_of) } else { named(args, "table") }
}

/// The value of the argument of that name.
fn named<'a>(args: &'a mut TableFunctionArgs, name: &str) -> Option<&'a mut SqlExpr> {
    args.args.iter_mut().find(|arg| is_named(arg, name)).and_then(value_of)
}

/// Takes the argument of that name out.
fn take_named(args: &mut TableFunctionArgs, name: &str) -> Option<SqlExpr> {
    let at = args.args.iter().position(|arg| is_named(arg, name))?;
    value_of(&mut args.args.remove(at)).cloned()
}

fn is_named(arg: &FunctionArg, wanted: &str) -> bool {
    match arg {
        FunctionArg::Named { name, .. } | FunctionArg::ExprNamed { name: SqlExpr::Identifier(name), .. } => {
            name.value.eq_ignore_ascii_case(wanted)
        }
        _ => false,
    }
}

fn value_of(arg: &mut FunctionArg) -> Option<&mut SqlExpr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value))
        | FunctionArg::Named { arg: FunctionArgExpr::Expr(value), .. }
        | FunctionArg::ExprNamed { arg: FunctionArgExpr::Expr(value), .. } => Some(value),
        _ => None,
    }
}

fn consistency(signature: &Signature, args: &mut TableFunctionArgs) -> Result<Option<Consistency>> {
    let ttl = milliseconds(signature, args, "ttl_ms")?;
    match (take_named(args, "consistency"), ttl) {
        (Some(value), ttl) => {
            let name = signature.argument("consistency", &value);
            let wrong = || Error::invalid_input(format!("{name}: expected a string, got {value}"));
            Ok(Some(Consistency::parse(&text(&value).ok_or_else(wrong)?, ttl)?))
        }
        (None, Some(ttl)) => Ok(Some(Consistency::Eventual(ttl))),
        (None, None) => Ok(None),
    }
}

fn partial(signature: &Signature, args: &mut TableFunctionArgs) -> Result<bool> {
    match take_named(args, "partial") {
        None => Ok(false),
        Some(SqlExpr::Value(value)) if matches!(value.value, Value::Boolean(_)) => {
            Ok(value.value == Value::Boolean(true))
        }
        Some(other) => {
            let name = signature.argument("partial", &other);
            Err(Error::invalid_input(format!("{name}: expected true or false, got {other}")))
        }
    }
}

fn milliseconds(signature: &Signature, args: &mut TableFunctionArgs, name: &str) -> Result<Option<Duration>> {
    let Some(value) = take_named(args, name) else { return Ok(None) };
    let number = match &value {
        SqlExpr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.to_string().parse().ok(),
            _ => None,
        },
        _ => None,
    };
    match number.filter(|number| *number > 0) {
        Some(number) => Ok(Some(Duration::from_millis(number))),
        None => Err(Error::invalid_input(format!(
            "{}: expected a whole number of milliseconds, at least 1, got {value}",
            signature.argument(name, &value)
        ))),
    }
}

fn strings(signature: &Signature, value: &SqlExpr) -> Result<Vec<String>> {
    let what = signature.argument("backends", value);
    let wrong = || Error::invalid_input(format!("{what}: expected an array of names, got {value}"));
    let SqlExpr::Array(array) = value else { return Err(wrong()) };
    let names = array.elem.iter().map(text).collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
    match names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
        Some((_, twice)) => Err(Error::invalid_input(format!("{what}: expected different names, got {twice} twice"))),
        None if names.is_empty() => Err(wrong()),
        None => Ok(names),
    }
}

fn text(value: &SqlExpr) -> Option<String> {
    match value {
        SqlExpr::Value(value) => value.clone().into_string(),
        _ => None,
    }
}

fn subquery(signature: &Signature, name: &ObjectName) -> Result<SqlExpr> {
    select_all(name).map(SqlExpr::Subquery).ok_or_else(|| {
        let relation = signature.name;
        Error::invalid_input(format!("{relation}() argument table: write \"{name}\" in double quotes: it is a keyword"))
    })
}

/// The name that the first argument of `knn()` is, or `None` if it is something else.
fn table_name(signature: &Signature, argument: &SqlExpr) -> Result<Option<ObjectName>> {
    match argument {
        SqlExpr::Identifier(ident) => Ok(Some(ObjectName::from(vec![ident.clone()]))),
        SqlExpr::CompoundIdentifier(idents) => Ok(Some(ObjectName::from(idents.clone()))),
        SqlExpr::Value(value) => match value.clone().into_string() {
            Some(text) => parse_name(&text, &signature.argument("table", argument)).map(Some),
            None => Ok(None),
        },
        _ => Ok(None),
    }
}

fn parse_name(text: &str, what: &ArgumentName) -> Result<ObjectName> {
    let not_a_name = || Error::invalid_input(format!("{what}: expected the name of a table, got '{text}'"));
    let mut parser = Parser::new(&GenericDialect {}).try_with_sql(text).map_err(|_| not_a_name())?;
    let name = parser.parse_object_name(false).map_err(|_| not_a_name())?;
    match parser.peek_token().token {
        Token::EOF => Ok(name),
        _ => Err(not_a_name()),
    }
}
