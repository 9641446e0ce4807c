//! Plans `FROM knn(table, query, k, name => value, ...)`.
//!
//! A `RelationPlanner` sees the SQL as it was written, so arguments have names, are planned as expressions where a table
//! function would only get constants, and parameters stay visible to binding.
//!
//! The table arrives as a subquery: [`super::rewrite`] writes `knn('docs', ...)` as `knn((SELECT * FROM docs), ...)`, so
//! that DataFusion looks the table up before it plans.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::catalog::CatalogProviderList;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{
    DFSchema, DataFusionError, Result, TableReference, not_impl_err, plan_datafusion_err, plan_err,
};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, LogicalPlanBuilder};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, FunctionArg, FunctionArgExpr, FunctionArgOperator, ObjectName, Query, TableFactor,
    TableFunctionArgs, Value,
};
use ruvector_rabitq::Metric;
use ruvector_rulake::vectors::{dim_of, vector_type};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

use super::RELATION;
use super::federated::{Federation, plan_federated};
use super::join::{BATCH_RELATION, plan_batch};
use super::node::{KnnNode, MetricKey, Target};
use super::recall::{RECALL_RELATION, plan_recall};
use crate::collection::{AbsentTable, CollectionTable};
use crate::wishes::Wishes;

const USAGE: &str = "knn(table, query, k [, column => name] [, metric => 'l2' | 'inner_product' | 'cosine'] \
                     [, filter => predicate] [, rerank => factor] [, nprobe => lists] \
                     [, exact => true] \
                     [, consistency => 'fresh' | 'eventual' | 'stale'] [, ttl_ms => number] \
                     [, backends => [names]] [, timeout_ms => number] [, partial => true])";

/// Whether `name` is how SQL calls this relation.
pub(crate) fn is_knn(name: &ObjectName) -> bool {
    is_named(name, RELATION)
}

/// Whether `name` is how SQL calls a relation that searches the table of its first argument.
pub(crate) fn is_search(name: &ObjectName) -> bool {
    is_knn(name) || is_named(name, BATCH_RELATION) || is_named(name, RECALL_RELATION)
}

fn is_named(name: &ObjectName, relation: &str) -> bool {
    let [part] = name.0.as_slice() else { return false };
    part.as_ident().is_some_and(|ident| match ident.quote_style {
        None => ident.value.eq_ignore_ascii_case(relation),
        Some(_) => ident.value == relation,
    })
}

/// Plans `knn(...)`, `knn_batch(...)` and `recall(...)`.
#[derive(Debug)]
pub(crate) struct KnnPlanner {
    /// Where a table is looked up that the AST stage has not seen: in sessions of other programs.
    catalogs: Arc<dyn CatalogProviderList>,
}

impl KnnPlanner {
    pub(crate) fn new(catalogs: Arc<dyn CatalogProviderList>) -> Self {
        Self { catalogs }
    }

    /// The arguments, with a subquery or a table for the name of one.
    fn arguments(&self, args: TableFunctionArgs, context: &mut dyn RelationPlannerContext) -> Result<Arguments> {
        let mut arguments = Arguments::parse(args, context)?;
        if let Some(table) = arguments.table.take_if(|table| !matches!(table, SqlExpr::Subquery(_))) {
            let relation = self.look_up(&table, context)?;
            arguments.relation = Some(relation);
        }
        Ok(arguments)
    }

    /// The table that a name means.
    fn look_up(&self, argument: &SqlExpr, context: &dyn RelationPlannerContext) -> Result<Relation> {
        let name = match argument {
            SqlExpr::Value(value) => match &value.value {
                Value::SingleQuotedString(name) => name.clone(),
                _ => return plan_err!("knn() argument table: expected the name of a table, got `{argument}`"),
            },
            SqlExpr::Identifier(_) | SqlExpr::CompoundIdentifier(_) => argument.to_string(),
            _ => {
                return plan_err!(
                    "knn() argument table: expected the name of a table, got `{argument}`; usage: {USAGE}"
                );
            }
        };
        let defaults = &context.context_provider().options().catalog;
        let reference = TableReference::parse_str(&name);
        let resolved = reference.clone().resolve(&defaults.default_catalog, &defaults.default_schema);
        let schema = self.catalogs.catalog(&resolved.catalog).and_then(|catalog| catalog.schema(&resolved.schema));
        let found = match schema {
            // Planning is synchronous; a backend that hangs is what its own time limit is for.
            Some(schema) => match Handle::try_current() {
                Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
                    block_in_place(|| runtime.block_on(schema.table(&resolved.table)))?
                }
                _ => futures::executor::block_on(schema.table(&resolved.table))?,
            },
            None => None,
        };
        let Some(table) = found else { return plan_err!("knn() argument table: no such table: {resolved}") };
        relation_of(LogicalPlanBuilder::scan(reference, provider_as_source(table), None)?.build()?)
    }
}

impl RelationPlanner for KnnPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        match relation {
            TableFactor::Table { name, alias, args: Some(args), .. } if is_knn(&name) => {
                if alias.as_ref().is_some_and(|alias| !alias.columns.is_empty()) {
                    // They would stand between the relation and its WHERE, which would then filter the answer.
                    return not_impl_err!("column aliases on knn(): name the columns in the SELECT list");
                }
                let plan = plan_knn(self.arguments(args, context)?, context)?;
                Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
            }
            // After LATERAL.
            TableFactor::Function { name, alias, args, .. } if is_knn(&name) => {
                if alias.as_ref().is_some_and(|alias| !alias.columns.is_empty()) {
                    return not_impl_err!("column aliases on knn(): name the columns in the SELECT list");
                }
                let arguments = self.arguments(TableFunctionArgs { args, settings: None }, context)?;
                let plan = plan_knn(arguments, context)?;
                Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
            }
            TableFactor::Table { name, alias, args: Some(args), .. } if is_named(&name, BATCH_RELATION) => {
                let mut arguments = self.arguments(args, context)?;
                let relation = arguments.relation(context)?;
                let searches = plan_target(relation, &arguments, context)?;
                let plan = plan_batch(required(arguments.query.take(), "queries")?, searches, context)?;
                Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
            }
            TableFactor::Table { name, alias, args: Some(args), .. } if is_named(&name, RECALL_RELATION) => {
                let mut arguments = self.arguments(args, context)?;
                let relation = arguments.relation(context)?;
                let searches = plan_target(relation, &arguments, context)?;
                let node = Arc::new(plan_recall(required(arguments.query.take(), "sample")?, searches, context)?);
                let plan = LogicalPlan::Extension(Extension { node });
                Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
            }
            other => Ok(RelationPlanning::Original(Box::new(other))),
        }
    }
}

/// The arguments as they were written.
#[derive(Default)]
struct Arguments {
    table: Option<SqlExpr>,
    /// The table itself, where its name was looked up.
    relation: Option<Relation>,
    query: Option<SqlExpr>,
    k: Option<SqlExpr>,
    column: Option<SqlExpr>,
    metric: Option<SqlExpr>,
    filter: Option<SqlExpr>,
    rerank: Option<SqlExpr>,
    nprobe: Option<SqlExpr>,
    exact: Option<SqlExpr>,
    /// The tables of all backends, in the order they were named.
    backends: Option<SqlExpr>,
}

impl Arguments {
    fn parse(args: TableFunctionArgs, context: &dyn RelationPlannerContext) -> Result<Self> {
        let mut arguments = Self::default();
        let mut positional = 0;
        for arg in args.args {
            let (name, value) = match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => {
                    let names = ["table", "query", "k"];
                    let name = names.get(positional).ok_or_else(|| {
                        plan_datafusion_err!("knn() takes 3 arguments without a name, got more; usage: {USAGE}")
                    })?;
                    positional += 1;
                    ((*name).to_owned(), value)
                }
                FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), operator } => {
                    named(context.normalize_ident(name), value, &operator)?
                }
                FunctionArg::ExprNamed {
                    name: SqlExpr::Identifier(name),
                    arg: FunctionArgExpr::Expr(value),
                    operator,
                } => named(context.normalize_ident(name), value, &operator)?,
                other => return plan_err!("knn() does not take the argument `{other}`; usage: {USAGE}"),
            };
            let place = arguments.place(&name)?;
            if place.replace(value).is_some() {
                return plan_err!("knn() got the argument {name} twice");
            }
        }
        Ok(arguments)
    }

    /// What the first argument stands for.
    fn relation(&mut self, context: &mut dyn RelationPlannerContext) -> Result<Relation> {
        match self.relation.take() {
            Some(relation) => Ok(relation),
            None => plan_table(required(self.table.take(), "table")?, context),
        }
    }

    fn place(&mut self, name: &str) -> Result<&mut Option<SqlExpr>> {
        Ok(match name {
            "table" => &mut self.table,
            "query" | "queries" | "sample" => &mut self.query,
            "k" => &mut self.k,
            "column" => &mut self.column,
            "metric" => &mut self.metric,
            "filter" => &mut self.filter,
            "rerank" => &mut self.rerank,
            "nprobe" => &mut self.nprobe,
            "exact" => &mut self.exact,
            "backends" => &mut self.backends,
            _ => return plan_err!("knn() has no argument {name}; usage: {USAGE}"),
        })
    }
}

fn named(name: String, value: SqlExpr, operator: &FunctionArgOperator) -> Result<(String, SqlExpr)> {
    match operator {
        FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment => Ok((name, value)),
        other => plan_err!("knn() names its arguments with =>, got {other}"),
    }
}

fn required<T>(argument: Option<T>, name: &str) -> Result<T> {
    argument.ok_or_else(|| plan_datafusion_err!("knn() needs the argument {name}; usage: {USAGE}"))
}

fn plan_knn(mut arguments: Arguments, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
    let Some(backends) = arguments.backends.take() else {
        let relation = arguments.relation(context)?;
        let node = plan_search(relation, &arguments, context)?;
        return Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }));
    };
    let SqlExpr::Tuple(tables) = backends else {
        return plan_err!("knn() argument backends: expected an array of names, got {backends}");
    };
    let k = plan_k(required(arguments.k.clone(), "k")?, context)?;
    let (mut searches, mut absent) = (Vec::new(), Vec::new());
    for table in tables {
        let name = table.to_string();
        match plan_table_or_absent(table, context)? {
            Some(relation) => searches.push(plan_search(relation, &arguments, context)?),
            None => absent.push(name),
        }
    }
    if let Some(search) = searches.first()
        && is_volatile(&search.query)?
    {
        return plan_err!(
            "knn() argument query: expected a vector that is the same for all backends, got an expression that changes each \
             time it is asked: make it a parameter"
        );
    }
    let backends = searches.iter().map(|search| search.target.table.backend().to_owned()).collect();
    let wish = searches.first().and_then(|search| {
        let table = &search.target.table;
        Wishes::of(table.backend(), table.name())
    });
    let federation = Federation {
        backends,
        absent,
        timeout: wish.as_ref().and_then(|wish| wish.timeout),
        partial: wish.is_some_and(|wish| wish.partial),
    };
    let node = plan_federated(searches, k, federation)?;
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

/// Whether a plan answers something else each time it is run.
fn is_volatile(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= node.expressions().iter().any(Expr::is_volatile);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Plans the search of one table.
fn plan_search(relation: Relation, arguments: &Arguments, context: &mut dyn RelationPlannerContext) -> Result<KnnNode> {
    let (target, k, predicates) = plan_target(relation, arguments, context)?;
    let query = plan_query(required(arguments.query.clone(), "query")?, target.dim(), context)?;
    KnnNode::try_new(target, query, k, None)?.with_filter(predicates)
}

/// What is searched and how, how many answers are wanted, and the predicates of those that may be.
fn plan_target(
    relation: Relation,
    arguments: &Arguments,
    context: &mut dyn RelationPlannerContext,
) -> Result<(Target, Expr, Vec<Expr>)> {
    let (column, _) = vector_column(&relation.table, arguments.column.clone(), context)?;
    let metric = match arguments.metric.clone() {
        None => declared_metric(&relation.table, column),
        Some(value) => text(value, "metric", context)?.parse().map_err(ruvector_rulake::error::to_datafusion)?,
    };
    let mut number = |argument: &Option<SqlExpr>, name| match argument.clone() {
        None => Ok(None),
        Some(value) => positive(constant(value, context)?, name).map(Some),
    };
    let rerank_factor = number(&arguments.rerank, "rerank")?;
    let nprobe = number(&arguments.nprobe, "nprobe")?;
    let exact = match arguments.exact.clone() {
        None => false,
        Some(value) => match constant(value, context)? {
            Expr::Literal(ScalarValue::Boolean(Some(exact)), _) => exact,
            other => return plan_err!("knn() argument exact: expected true or false, got {other}"),
        },
    };
    let k = plan_k(required(arguments.k.clone(), "k")?, context)?;
    let mut predicates = relation.predicates;
    if let Some(filter) = arguments.filter.clone() {
        predicates.push(context.sql_to_expr(filter, &relation.schema)?);
    }
    let target = Target {
        table: relation.table,
        name: relation.name,
        column,
        metric: MetricKey(metric),
        exact,
        rerank_factor,
        nprobe,
    };
    Ok((target, k, predicates))
}

/// What the first argument stands for.
struct Relation {
    table: CollectionTable,
    name: TableReference,
    /// The table's columns as filters know them.
    schema: DFSchema,
    predicates: Vec<Expr>,
}

fn plan_table(argument: SqlExpr, context: &mut dyn RelationPlannerContext) -> Result<Relation> {
    let SqlExpr::Subquery(subquery) = argument else {
        return plan_err!("knn() argument table: expected the name of a table, got `{argument}`; usage: {USAGE}");
    };
    let derived = TableFactor::Derived { lateral: false, subquery, alias: None, sample: None };
    relation_of(context.plan(derived)?)
}

/// As [`plan_table`]; `None` if its backend does not answer and the statement goes on without it.
fn plan_table_or_absent(argument: SqlExpr, context: &mut dyn RelationPlannerContext) -> Result<Option<Relation>> {
    let SqlExpr::Subquery(subquery) = argument else {
        return plan_err!("knn() argument backends: expected the names of backends, got `{argument}`");
    };
    let derived = TableFactor::Derived { lateral: false, subquery, alias: None, sample: None };
    let plan = context.plan(derived)?;
    let mut absent = false;
    plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            absent |= source_as_provider(&scan.source).is_ok_and(|table| table.downcast_ref::<AbsentTable>().is_some());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    if absent { Ok(None) } else { relation_of(plan).map(Some) }
}

/// Sees through `SELECT * FROM table WHERE ...` to the table and the predicates.
fn relation_of(plan: LogicalPlan) -> Result<Relation> {
    let not_a_table = |plan: &LogicalPlan| {
        DataFusionError::NotImplemented(format!(
            "knn() over {}: expected a table, or SELECT * FROM a table with an optional WHERE",
            plan.display()
        ))
    };
    match plan {
        LogicalPlan::Projection(projection)
            if projection.expr.iter().all(|expr| matches!(expr, Expr::Column(_)))
                && projection.schema.as_ref() == projection.input.schema().as_ref() =>
        {
            relation_of(Arc::unwrap_or_clone(projection.input))
        }
        LogicalPlan::Filter(filter) => {
            let mut relation = relation_of(Arc::unwrap_or_clone(filter.input))?;
            relation.predicates.push(filter.predicate);
            Ok(relation)
        }
        // Another name of the table, as `docs VERSION AS OF 3` makes one.
        LogicalPlan::SubqueryAlias(alias) if matches!(alias.input.as_ref(), LogicalPlan::TableScan(_)) => {
            let relation = relation_of(Arc::unwrap_or_clone(alias.input))?;
            Ok(Relation { name: alias.alias, schema: alias.schema.as_ref().clone(), ..relation })
        }
        LogicalPlan::TableScan(scan) if scan.filters.is_empty() && scan.fetch.is_none() => {
            let provider = source_as_provider(&scan.source)?;
            let Some(table) = provider.downcast_ref::<CollectionTable>() else {
                return plan_err!(
                    "knn() searches Delta, Parquet and in-memory tables: {} is another kind of table; copy it by CREATE TABLE ... \
                     AS SELECT",
                    scan.table_name
                );
            };
            let schema = scan.projected_schema.as_ref().clone();
            Ok(Relation { table: table.clone(), name: scan.table_name, schema, predicates: Vec::new() })
        }
        other => Err(not_a_table(&other)),
    }
}

/// The vector column that is meant, and its dimension.
fn vector_column(
    table: &CollectionTable,
    argument: Option<SqlExpr>,
    context: &mut dyn RelationPlannerContext,
) -> Result<(usize, usize)> {
    let schema = table.snapshot().schema();
    let columns = table.vector_columns();
    let names = || columns.iter().map(|(i, _)| schema.field(*i).name().as_str()).collect::<Vec<_>>().join(", ");
    if let Some(argument) = argument {
        let name = match argument {
            SqlExpr::Identifier(ident) => context.normalize_ident(ident),
            other => text(other, "column", context)?,
        };
        let Some((position, field)) = schema.column_with_name(&name) else {
            return plan_err!("table {} has no column {name}; its vector columns: {}", table.name(), names());
        };
        return match dim_of(field.data_type()) {
            Some(dim) => Ok((position, dim)),
            None => plan_err!(
                "column {name} of table {} does not hold vectors: expected FixedSizeList of Float32, got {}",
                table.name(),
                field.data_type()
            ),
        };
    }
    match columns.as_slice() {
        [column] => Ok(*column),
        [] => {
            let got = schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type()));
            plan_err!(
                "table {} has no vector column: expected one of type FLOAT[dim], got {}",
                table.name(),
                got.collect::<Vec<_>>().join(", ")
            )
        }
        _ => plan_err!("table {} has several vector columns: say column => one of {}", table.name(), names()),
    }
}

/// The metric of the first index over the column, else L2.
fn declared_metric(table: &CollectionTable, column: usize) -> Metric {
    let schema = table.snapshot().schema();
    let name = schema.field(column).name();
    table.indexes.iter().find(|index| &index.spec.column == name).map_or(Metric::L2, |index| index.spec.metric)
}

/// A plan of one row and one column: the query vector.
fn plan_query(argument: SqlExpr, dim: usize, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
    if let SqlExpr::Subquery(subquery) = argument {
        let derived = TableFactor::Derived { lateral: false, subquery, alias: None, sample: None };
        let plan = context.plan(derived)?;
        let num_columns = plan.schema().fields().len();
        if num_columns != 1 {
            return plan_err!("knn() argument query: expected a subquery of 1 column, got {num_columns}");
        }
        return Ok(plan);
    }
    let expr = context.sql_to_expr(argument, &DFSchema::empty())?;
    let expr = typed(expr, vector_type(dim).map_err(ruvector_rulake::error::to_datafusion)?);
    LogicalPlanBuilder::empty(true).project([expr.alias("query")])?.build()
}

fn plan_k(argument: SqlExpr, context: &mut dyn RelationPlannerContext) -> Result<Expr> {
    let k = typed(context.sql_to_expr(argument, &DFSchema::empty())?, DataType::Int64);
    if let Expr::Literal(..) = k {
        positive(k.clone(), "k")?;
    }
    Ok(k)
}

/// A parameter gets the type that its place asks for, so that clients know what to bind.
fn typed(expr: Expr, data_type: DataType) -> Expr {
    match expr {
        Expr::Placeholder(Placeholder { id, field: None }) => {
            let field = Arc::new(Field::new(&id, data_type, true));
            Expr::Placeholder(Placeholder { id, field: Some(field) })
        }
        other => other,
    }
}

fn constant(argument: SqlExpr, context: &mut dyn RelationPlannerContext) -> Result<Expr> {
    context.sql_to_expr(argument, &DFSchema::empty())
}

fn text(argument: SqlExpr, name: &str, context: &mut dyn RelationPlannerContext) -> Result<String> {
    match constant(argument, context)? {
        Expr::Literal(value, _) if value.try_as_str().flatten().is_some() => {
            Ok(value.try_as_str().flatten().unwrap_or_default().to_owned())
        }
        other => plan_err!("knn() argument {name}: expected a string, got {other}"),
    }
}

/// The value of a literal that counts something.
pub(crate) fn positive(value: Expr, name: &str) -> Result<usize> {
    let number = match &value {
        Expr::Literal(scalar, _) if scalar.data_type().is_integer() => match scalar.cast_to(&DataType::Int64)? {
            ScalarValue::Int64(number) => number,
            _ => None,
        },
        _ => None,
    };
    match number.and_then(|number| usize::try_from(number).ok()) {
        Some(number) if number > 0 => Ok(number),
        // A literal by itself: an expression would print its type too.
        _ => match value {
            Expr::Literal(literal, _) => {
                plan_err!("knn() argument {name}: expected an integer of at least 1, got {literal}")
            }
            other => plan_err!("knn() argument {name}: expected an integer of at least 1, got {other}"),
        },
    }
}

/// `SELECT * FROM table`, as [`plan_table`] sees through it; `None` if the name means something else after FROM.
pub(crate) fn select_all(table: &ObjectName) -> Option<Box<Query>> {
    use datafusion::sql::sqlparser::{ast::Statement, dialect::GenericDialect, parser::Parser};
    let sql = format!("SELECT * FROM {table}");
    match Parser::parse_sql(&GenericDialect {}, &sql).map(|mut statements| statements.pop()) {
        Ok(Some(Statement::Query(query))) => Some(query),
        _ => None,
    }
}
