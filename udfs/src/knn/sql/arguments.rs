//! The arguments of the relations that search a table, as they were written.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, Result, TableReference, plan_datafusion_err, plan_err};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, FunctionArg, FunctionArgExpr, FunctionArgOperator, ObjectName, Spanned, TableFunctionArgs,
};

use crate::knn::RELATION;
use crate::knn::argument::{ArgumentName, positive, shown};
use crate::knn::logical::recall::RECALL_RELATION;

/// The name of the relation of many searches.
pub(super) const BATCH_RELATION: &str = "knn_batch";

/// Signature of a relation: its name and its arguments.
#[derive(Debug)]
pub struct Signature {
    /// Its name.
    pub name: &'static str,
    /// The name of its second argument.
    pub second: &'static str,
    /// Arguments that it takes by name alone.
    named: &'static [&'static str],
    pub(crate) usage: &'static str,
}

pub(crate) const KNN: Signature = Signature {
    name: RELATION,
    second: "query",
    named: &["column", "metric", "filter", "rerank_factor", "rerank", "nprobe", "exact", "backends"],
    usage: "knn(table, query, k [, column => name] [, metric => 'l2' | 'inner_product' | 'cosine'] [, filter => predicate] \
            [, rerank_factor => multiple of k] [, nprobe => lists] [, exact => true] [, consistency => 'fresh' | 'eventual' | 'stale'] \
            [, ttl_ms => number] [, backends => [names]] [, timeout_ms => number] [, partial => true])",
};

pub(crate) const BATCH: Signature = Signature {
    name: BATCH_RELATION,
    second: "queries",
    named: &["column", "metric", "filter", "rerank_factor", "rerank", "nprobe", "exact"],
    usage: "knn_batch(table, (SELECT ...) | vectors, k [, column => name] [, metric => 'l2' | 'inner_product' | 'cosine'] \
            [, filter => predicate] [, rerank_factor => multiple of k] [, nprobe => lists] [, exact => true] \
            [, consistency => 'fresh' | 'eventual' | 'stale'] [, ttl_ms => number])",
};

pub(crate) const RECALL: Signature = Signature {
    name: RECALL_RELATION,
    second: "sample",
    named: &["column", "metric", "filter", "rerank_factor", "rerank", "nprobe"],
    usage: "recall(table, number | (SELECT ...), k [, column => name] [, metric => 'l2' | 'inner_product' | 'cosine'] \
            [, filter => predicate] [, rerank_factor => multiple of k] [, nprobe => lists] \
            [, consistency => 'fresh' | 'eventual' | 'stale'] [, ttl_ms => number])",
};

impl Signature {
    /// The relation that SQL calls so.
    pub fn of(name: &ObjectName) -> Option<&'static Self> {
        let [part] = name.0.as_slice() else { return None };
        let ident = part.as_ident()?;
        [&KNN, &BATCH, &RECALL].into_iter().find(|signature| match ident.quote_style {
            None => ident.value.eq_ignore_ascii_case(signature.name),
            Some(_) => ident.value == signature.name,
        })
    }

    /// An argument, as errors call it; `value` tells where it stands in the text.
    pub fn argument(&self, name: &str, value: &SqlExpr) -> ArgumentName {
        let (relation, start) = (self.name, value.span().start);
        ArgumentName::new(match start.line {
            // What has no place in the text.
            0 => format!("{relation}() argument {name}"),
            line => format!("{relation}() argument {name} at line {line}, column {}", start.column),
        })
    }
}

/// The arguments, each where it belongs.
pub struct Arguments {
    pub(crate) signature: &'static Signature,
    pub(crate) table: Option<SqlExpr>,
    /// The second one.
    pub query: Option<SqlExpr>,
    pub(crate) k: Option<SqlExpr>,
    pub(crate) column: Option<SqlExpr>,
    pub(crate) metric: Option<SqlExpr>,
    pub(crate) filter: Option<SqlExpr>,
    /// The alias of the relation in the statement, which its filter may use.
    pub alias: Option<TableReference>,
    /// Floor of candidates that get exact distances, as a multiple of `k`.
    pub(crate) rerank_factor: Option<SqlExpr>,
    /// The same, by its older name.
    pub(crate) rerank: Option<SqlExpr>,
    pub(crate) nprobe: Option<SqlExpr>,
    pub(crate) exact: Option<SqlExpr>,
    /// The tables of all backends, in the order they were named.
    pub backends: Option<SqlExpr>,
}

impl Arguments {
    /// Takes the arguments that `signature` has.
    ///
    /// # Errors
    /// If there is another one, or one twice.
    pub fn parse(
        signature: &'static Signature,
        args: TableFunctionArgs,
        context: &dyn RelationPlannerContext,
    ) -> Result<Self> {
        let mut arguments = Self {
            signature,
            table: None,
            query: None,
            k: None,
            column: None,
            metric: None,
            filter: None,
            alias: None,
            rerank_factor: None,
            rerank: None,
            nprobe: None,
            exact: None,
            backends: None,
        };
        let mut positional = 0;
        for arg in args.args {
            let (name, value) = match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => {
                    let names = ["table", signature.second, "k"];
                    let name = names.get(positional).ok_or_else(|| {
                        plan_datafusion_err!(
                            "{}() takes 3 arguments without a name, got more; usage: {}",
                            signature.name,
                            signature.usage
                        )
                    })?;
                    positional += 1;
                    ((*name).to_owned(), value)
                }
                FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), operator } => {
                    named(signature, context.normalize_ident(name), value, &operator)?
                }
                FunctionArg::ExprNamed {
                    name: SqlExpr::Identifier(name),
                    arg: FunctionArgExpr::Expr(value),
                    operator,
                } => named(signature, context.normalize_ident(name), value, &operator)?,
                other => {
                    return plan_err!(
                        "{}() does not take the argument `{other}`; usage: {}",
                        signature.name,
                        signature.usage
                    );
                }
            };
            if arguments.place(&name)?.replace(value).is_some() {
                return plan_err!("{}() got the argument {name} twice", signature.name);
            }
        }
        if arguments.rerank_factor.is_some() && arguments.rerank.is_some() {
            return plan_err!(
                "{}() got the argument rerank_factor twice: rerank is another name of it",
                signature.name
            );
        }
        Ok(arguments)
    }

    fn place(&mut self, name: &str) -> Result<&mut Option<SqlExpr>> {
        let signature = self.signature;
        Ok(match name {
            "table" => &mut self.table,
            "k" => &mut self.k,
            _ if name == signature.second => &mut self.query,
            _ if !signature.named.contains(&name) => {
                return plan_err!("{}() has no argument {name}; usage: {}", signature.name, signature.usage);
            }
            "column" => &mut self.column,
            "metric" => &mut self.metric,
            "filter" => &mut self.filter,
            "rerank_factor" => &mut self.rerank_factor,
            "rerank" => &mut self.rerank,
            "nprobe" => &mut self.nprobe,
            "exact" => &mut self.exact,
            _ => &mut self.backends,
        })
    }

    /// An argument that has to be there.
    pub fn required<T>(&self, argument: Option<T>, name: &str) -> Result<T> {
        let Signature { name: relation, usage, .. } = self.signature;
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
                let argument = self.signature.argument(name, &value);
                positive(constant(value, context)?, &argument).map(Some)
            }
        }
    }

    /// The string that an argument is.
    pub fn text(&self, value: SqlExpr, name: &str, context: &mut dyn RelationPlannerContext) -> Result<String> {
        let argument = self.signature.argument(name, &value);
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
        let argument = self.signature.argument(name, &value);
        match constant(value, context)? {
            Expr::Literal(ScalarValue::Boolean(Some(flag)), _) => Ok(flag),
            other => plan_err!("{argument}: expected true or false, got {}", shown(&other)),
        }
    }
}

fn named(
    signature: &Signature,
    name: String,
    value: SqlExpr,
    operator: &FunctionArgOperator,
) -> Result<(String, SqlExpr)> {
    match operator {
        FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment => Ok((name, value)),
        other => plan_err!("{}() names its arguments with =>, got {other}", signature.name),
    }
}

fn constant(argument: SqlExpr, context: &mut dyn RelationPlannerContext) -> Result<Expr> {
    context.sql_to_expr(argument, &DFSchema::empty())
}

/// A parameter gets the type that its place asks for, so that clients know what to bind.
pub(super) fn typed(expr: Expr, data_type: DataType) -> Expr {
    match expr {
        Expr::Placeholder(Placeholder { id, field: None }) => {
            let field = Arc::new(Field::new(&id, data_type, true));
            Expr::Placeholder(Placeholder { id, field: Some(field) })
        }
        other => other,
    }
}

/// The names of the relations in SQL.
pub fn relations() -> [&'static str; 3] {
    [KNN.name, BATCH.name, RECALL.name]
}
