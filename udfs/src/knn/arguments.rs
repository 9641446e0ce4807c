//! The arguments of the relations that search a table, as they were written.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, TableReference, plan_datafusion_err, plan_err};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, FunctionArg, FunctionArgExpr, FunctionArgOperator, ObjectName, Spanned, TableFunctionArgs,
};

use super::RELATION;
use super::join::BATCH_RELATION;
use super::recall::RECALL_RELATION;

/// One of the relations: its name, and what it takes.
#[derive(Debug)]
pub struct Form {
    /// Its name.
    pub name: &'static str,
    /// The name of its second argument.
    pub second: &'static str,
    /// Arguments that it takes by name alone.
    named: &'static [&'static str],
    pub(crate) usage: &'static str,
}

pub(crate) const KNN: Form = Form {
    name: RELATION,
    second: "query",
    named: &["column", "metric", "filter", "rerank", "nprobe", "exact", "backends"],
    usage: "knn(table, query, k [, column => name] [, metric => 'l2' | 'inner_product' | 'cosine'] [, filter => predicate] \
            [, rerank => factor] [, nprobe => lists] [, exact => true] [, consistency => 'fresh' | 'eventual' | 'stale'] \
            [, ttl_ms => number] [, backends => [names]] [, timeout_ms => number] [, partial => true])",
};

pub(crate) const BATCH: Form = Form {
    name: BATCH_RELATION,
    second: "queries",
    named: &["column", "metric", "filter", "rerank", "nprobe", "exact"],
    usage: "knn_batch(table, (SELECT ...) | vectors, k [, column => name] [, metric => 'l2' | 'inner_product' | 'cosine'] \
            [, filter => predicate] [, rerank => factor] [, nprobe => lists] [, exact => true] \
            [, consistency => 'fresh' | 'eventual' | 'stale'] [, ttl_ms => number])",
};

pub(crate) const RECALL: Form = Form {
    name: RECALL_RELATION,
    second: "sample",
    named: &["column", "metric", "filter", "rerank", "nprobe"],
    usage: "recall(table, number | (SELECT ...), k [, column => name] [, metric => 'l2' | 'inner_product' | 'cosine'] \
            [, filter => predicate] [, rerank => factor] [, nprobe => lists] \
            [, consistency => 'fresh' | 'eventual' | 'stale'] [, ttl_ms => number])",
};

impl Form {
    /// The relation that SQL calls so.
    pub fn of(name: &ObjectName) -> Option<&'static Self> {
        let [part] = name.0.as_slice() else { return None };
        let ident = part.as_ident()?;
        [&KNN, &BATCH, &RECALL].into_iter().find(|form| match ident.quote_style {
            None => ident.value.eq_ignore_ascii_case(form.name),
            Some(_) => ident.value == form.name,
        })
    }

    /// An argument, as errors call it; `value` tells where it stands in the text.
    pub fn argument(&self, name: &str, value: &SqlExpr) -> ArgumentName {
        let (relation, start) = (self.name, value.span().start);
        ArgumentName(match start.line {
            // What has no place in the text.
            0 => format!("{relation}() argument {name}").into(),
            line => format!("{relation}() argument {name} at line {line}, column {}", start.column).into(),
        })
    }
}

/// The name of an argument in errors, also in those of a search that runs. Plans that differ in it alone are the same.
#[derive(Clone, Debug)]
pub struct ArgumentName(Arc<str>);

impl ArgumentName {
    pub(crate) fn new(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for ArgumentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq for ArgumentName {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for ArgumentName {}

impl std::hash::Hash for ArgumentName {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

impl PartialOrd for ArgumentName {
    fn partial_cmp(&self, _: &Self) -> Option<std::cmp::Ordering> {
        Some(std::cmp::Ordering::Equal)
    }
}

/// The arguments, each where it belongs.
pub struct Arguments {
    pub(crate) form: &'static Form,
    pub(crate) table: Option<SqlExpr>,
    /// The second one.
    pub query: Option<SqlExpr>,
    pub(crate) k: Option<SqlExpr>,
    pub(crate) column: Option<SqlExpr>,
    pub(crate) metric: Option<SqlExpr>,
    pub(crate) filter: Option<SqlExpr>,
    /// The alias of the relation in the statement, which its filter may use.
    pub alias: Option<TableReference>,
    pub(crate) rerank: Option<SqlExpr>,
    pub(crate) nprobe: Option<SqlExpr>,
    pub(crate) exact: Option<SqlExpr>,
    /// The tables of all backends, in the order they were named.
    pub backends: Option<SqlExpr>,
}

impl Arguments {
    /// Takes the arguments that `form` has.
    ///
    /// # Errors
    /// If there is another one, or one twice.
    pub fn parse(form: &'static Form, args: TableFunctionArgs, context: &dyn RelationPlannerContext) -> Result<Self> {
        let mut arguments = Self {
            form,
            table: None,
            query: None,
            k: None,
            column: None,
            metric: None,
            filter: None,
            alias: None,
            rerank: None,
            nprobe: None,
            exact: None,
            backends: None,
        };
        let mut positional = 0;
        for arg in args.args {
            let (name, value) = match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => {
                    let names = ["table", form.second, "k"];
                    let name = names.get(positional).ok_or_else(|| {
                        plan_datafusion_err!(
                            "{}() takes 3 arguments without a name, got more; usage: {}",
                            form.name,
                            form.usage
                        )
                    })?;
                    positional += 1;
                    ((*name).to_owned(), value)
                }
                FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), operator } => {
                    named(form, context.normalize_ident(name), value, &operator)?
                }
                FunctionArg::ExprNamed {
                    name: SqlExpr::Identifier(name),
                    arg: FunctionArgExpr::Expr(value),
                    operator,
                } => named(form, context.normalize_ident(name), value, &operator)?,
                other => {
                    return plan_err!("{}() does not take the argument `{other}`; usage: {}", form.name, form.usage);
                }
            };
            if arguments.place(&name)?.replace(value).is_some() {
                return plan_err!("{}() got the argument {name} twice", form.name);
            }
        }
        Ok(arguments)
    }

    fn place(&mut self, name: &str) -> Result<&mut Option<SqlExpr>> {
        let form = self.form;
        Ok(match name {
            "table" => &mut self.table,
            "k" => &mut self.k,
            _ if name == form.second => &mut self.query,
            _ if !form.named.contains(&name) => {
                return plan_err!("{}() has no argument {name}; usage: {}", form.name, form.usage);
            }
            "column" => &mut self.column,
            "metric" => &mut self.metric,
            "filter" => &mut self.filter,
            "rerank" => &mut self.rerank,
            "nprobe" => &mut self.nprobe,
            "exact" => &mut self.exact,
            _ => &mut self.backends,
        })
    }

    /// An argument that has to be there.
    pub fn required<T>(&self, argument: Option<T>, name: &str) -> Result<T> {
        let Form { name: relation, usage, .. } = self.form;
        argument.ok_or_else(|| plan_datafusion_err!("{relation}() needs the argument {name}; usage: {usage}"))
    }

    /// The number that an argument is, if it is there.
    pub fn number(
        &self,
        argument: &Option<SqlExpr>,
        name: &str,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<Option<usize>> {
        match argument.clone() {
            None => Ok(None),
            Some(value) => {
                let argument = self.form.argument(name, &value);
                positive(constant(value, context)?, &argument).map(Some)
            }
        }
    }

    /// The string that an argument is.
    pub fn text(&self, value: SqlExpr, name: &str, context: &mut dyn RelationPlannerContext) -> Result<String> {
        let argument = self.form.argument(name, &value);
        match constant(value, context)? {
            Expr::Literal(value, _) if value.try_as_str().flatten().is_some() => {
                Ok(value.try_as_str().flatten().unwrap_or_default().to_owned())
            }
            other => plan_err!("{argument}: expected a string, got {}", shown(&other)),
        }
    }

    /// Returns true if an argument is true.
    pub fn flag(
        &self,
        argument: &Option<SqlExpr>,
        name: &str,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<bool> {
        let Some(value) = argument.clone() else { return Ok(false) };
        let argument = self.form.argument(name, &value);
        match constant(value, context)? {
            Expr::Literal(ScalarValue::Boolean(Some(flag)), _) => Ok(flag),
            other => plan_err!("{argument}: expected true or false, got {}", shown(&other)),
        }
    }
}

fn named(form: &Form, name: String, value: SqlExpr, operator: &FunctionArgOperator) -> Result<(String, SqlExpr)> {
    match operator {
        FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment => Ok((name, value)),
        other => plan_err!("{}() names its arguments with =>, got {other}", form.name),
    }
}

fn constant(argument: SqlExpr, context: &mut dyn RelationPlannerContext) -> Result<Expr> {
    context.sql_to_expr(argument, &DFSchema::empty())
}

/// The value of a literal that counts something; `argument` is what errors call it.
pub fn positive(value: Expr, argument: &ArgumentName) -> Result<usize> {
    let number = match &value {
        Expr::Literal(scalar, _) if scalar.data_type().is_integer() => match scalar.cast_to(&DataType::Int64)? {
            ScalarValue::Int64(number) => number,
            _ => None,
        },
        _ => None,
    };
    match number.and_then(|number| usize::try_from(number).ok()) {
        Some(number) if number > 0 => Ok(number),
        _ => plan_err!("{argument}: expected an integer of at least 1, got {}", shown(&value)),
    }
}

/// The text of a value for an error. A literal is written by itself: an expression would print its type too.
fn shown(value: &Expr) -> String {
    match value {
        Expr::Literal(literal, _) => literal.to_string(),
        other => other.to_string(),
    }
}
