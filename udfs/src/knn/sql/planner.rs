//! Plans `FROM knn(table, query, k, name => value, ...)`, `knn_batch(...)` and `recall(...)`.
//!
//! A `RelationPlanner` sees the SQL as it was written, so arguments have names, are planned as expressions where a table
//! function would only get constants, and parameters stay visible to binding.
//!
//! The table arrives as a subquery. `plan/knn_arguments` of `ruvector-sql` writes `knn('docs', ...)` as
//! `knn((SELECT * FROM docs), ...)`, so
//! that DataFusion looks the table up before it plans.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::catalog::CatalogProviderList;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, Result, TableReference, not_impl_err, plan_err};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, ObjectName, Query, TableFactor, TableFunctionArgs, Value};
use ruvector_rabitq::Metric;
use ruvector_rulake::vector_column::vector_type;
use ruvector_rulake::vector_type::{NO_VECTORS_KEY, VectorType};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

use super::arguments::{Arguments, BATCH, KNN, Signature, typed};
use super::batch::plan_batch;
use super::federated::plan_federated;
use super::recall::plan_recall;
use crate::collection::{AbsentTable, CollectionTable};
use crate::knn::argument::{ArgumentName, positive};
use crate::knn::changes_each_time;
use crate::knn::logical::federated::Federation;
use crate::knn::logical::knn::{KnnNode, MetricKey, Target};
use crate::knn::rules::resolve::replace_columns;
use crate::lookup::LookupOptions;

/// Plans `knn(...)`, `knn_batch(...)` and `recall(...)`.
#[derive(Debug)]
pub struct KnnPlanner {
    /// The catalogs of tables that the AST stage has not looked up, as in sessions of other programs.
    catalogs: Arc<dyn CatalogProviderList>,
}

impl KnnPlanner {
    /// The planner of sessions with these catalogs.
    pub fn new(catalogs: Arc<dyn CatalogProviderList>) -> Self {
        Self { catalogs }
    }

    /// The relation that the first argument names or selects.
    fn relation(&self, arguments: &mut Arguments, context: &mut dyn RelationPlannerContext) -> Result<Relation> {
        let table = arguments.table.take();
        match arguments.required(table, "table")? {
            SqlExpr::Subquery(subquery) => {
                let derived = TableFactor::Derived { lateral: false, subquery, alias: None, sample: None };
                relation_of(context.plan(derived)?)
            }
            name => self.look_up(&name, arguments.signature, context),
        }
    }

    /// The table that a name means.
    fn look_up(
        &self,
        argument: &SqlExpr,
        signature: &Signature,
        context: &dyn RelationPlannerContext,
    ) -> Result<Relation> {
        let name = match argument {
            SqlExpr::Value(value) => match &value.value {
                Value::SingleQuotedString(name) => Some(name.clone()),
                _ => None,
            },
            SqlExpr::Identifier(_) | SqlExpr::CompoundIdentifier(_) => Some(argument.to_string()),
            _ => None,
        };
        let what = signature.argument("table", argument);
        let Some(name) = name else {
            return plan_err!("{what}: expected the name of a table, got `{argument}`; usage: {}", signature.usage);
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
        let Some(table) = found else { return plan_err!("{what}: no such table: {resolved}") };
        relation_of(LogicalPlanBuilder::scan(reference, provider_as_source(table), None)?.build()?)
    }
}

impl RelationPlanner for KnnPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let (signature, alias, args) = match relation {
            TableFactor::Table { name, alias, args: Some(args), .. } if let Some(signature) = Signature::of(&name) => {
                (signature, alias, args)
            }
            // After LATERAL.
            TableFactor::Function { name, alias, args, .. } if let Some(signature) = Signature::of(&name) => {
                (signature, alias, TableFunctionArgs { args, settings: None })
            }
            other => return Ok(RelationPlanning::Original(Box::new(other))),
        };
        if alias.as_ref().is_some_and(|alias| !alias.columns.is_empty()) {
            // They would stand between the relation and its WHERE, which would then filter the answer.
            return not_impl_err!("column aliases on {}(): name the columns in the SELECT list", signature.name);
        }
        let mut arguments = Arguments::parse(signature, args, context)?;
        arguments.alias = alias.as_ref().map(|alias| TableReference::bare(context.normalize_ident(alias.name.clone())));
        let plan = match arguments.backends.take() {
            Some(backends) => plan_backends(backends, &arguments, context)?,
            None => {
                let relation = self.relation(&mut arguments, context)?;
                plan_one(relation, &mut arguments, context)?
            }
        };
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

/// Plans the relation over one table.
fn plan_one(
    relation: Relation,
    arguments: &mut Arguments,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let signature = arguments.signature;
    if signature.name == KNN.name {
        let node = Arc::new(plan_search(relation, arguments, context)?);
        return Ok(LogicalPlan::Extension(Extension { node }));
    }
    let searches = plan_target(relation, arguments, context)?;
    let second = arguments.query.take();
    let second = arguments.required(second, signature.second)?;
    if signature.name == BATCH.name {
        return plan_batch(second, searches, context);
    }
    let node = Arc::new(plan_recall(second, searches, context)?);
    Ok(LogicalPlan::Extension(Extension { node }))
}

/// Plans `knn()` over the tables of several backends.
fn plan_backends(
    backends: SqlExpr,
    arguments: &Arguments,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let SqlExpr::Tuple(tables) = backends else {
        let name = arguments.signature.argument("backends", &backends);
        return plan_err!("{name}: expected an array of names, got {backends}");
    };
    let k = plan_k(arguments, context)?;
    let (mut searches, mut absent) = (Vec::new(), Vec::new());
    for table in tables {
        let name = table.to_string();
        match plan_table_or_absent(table, context)? {
            Some(relation) => searches.push(plan_search(relation, arguments, context)?),
            None => absent.push(name),
        }
    }
    if let Some(search) = searches.first()
        && let Some(query) = search.query.plan()
        && is_volatile(query)?
    {
        return plan_err!(
            "{}: expected a vector that is the same for all backends, got an expression that changes each time it is asked: \
             make it a parameter",
            search.target.query_name
        );
    }
    let backends = searches.iter().map(|search| search.target.table.backend().to_owned()).collect();
    let lookup = searches.first().and_then(|search| {
        let table = &search.target.table;
        LookupOptions::of(table.backend(), table.name())
    });
    let federation = Federation {
        backends,
        absent,
        timeout: lookup.as_ref().and_then(|lookup| lookup.timeout),
        partial: lookup.is_some_and(|lookup| lookup.partial),
    };
    let node = plan_federated(searches, k, federation)?;
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

/// True if the answer of a plan may change between runs.
fn is_volatile(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        for expr in node.expressions() {
            found |= changes_each_time(&expr)?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Plans the search of one table.
fn plan_search(relation: Relation, arguments: &Arguments, context: &mut dyn RelationPlannerContext) -> Result<KnnNode> {
    let (target, k, predicates) = plan_target(relation, arguments, context)?;
    let query = plan_query(arguments.required(arguments.query.clone(), "query")?, &target, context)?;
    KnnNode::try_new(target, query, k, None)?.with_filter(predicates)
}

/// Returns the target of a search, the number of answers, and the predicates on the rows that may be answers.
fn plan_target(
    relation: Relation,
    arguments: &Arguments,
    context: &mut dyn RelationPlannerContext,
) -> Result<(Target, Expr, Vec<Expr>)> {
    let (column, _) = vector_column(&relation.table, arguments, context)?;
    let metric = match arguments.metric.clone() {
        None => declared_metric(&relation.table, column),
        Some(value) => {
            let what = arguments.signature.argument("metric", &value);
            match arguments.text(value, "metric", context)?.parse() {
                Ok(metric) => metric,
                Err(e) => return plan_err!("{what}: {e}"),
            }
        }
    };
    let rerank_factor = match arguments.number(&arguments.rerank_factor, "rerank_factor", context)? {
        Some(factor) => Some(factor),
        None => arguments.number(&arguments.rerank, "rerank", context)?,
    };
    let nprobe = arguments.number(&arguments.nprobe, "nprobe", context)?;
    let exact = arguments.flag(&arguments.exact, "exact", context)?;
    let (k, k_name) = plan_k(arguments, context)?;
    let second = arguments.required(arguments.query.as_ref(), arguments.signature.second)?;
    let query_name = arguments.signature.argument(arguments.signature.second, second);
    let mut predicates = relation.predicates.clone();
    if let Some(filter) = arguments.filter.clone() {
        predicates.push(plan_filter(filter, &relation, arguments.alias.as_ref(), context)?);
    }
    let target = Target {
        table: relation.table,
        name: relation.name,
        column,
        metric: MetricKey(metric),
        exact,
        rerank_factor,
        nprobe,
        query_name,
        k_name,
    };
    Ok((target, k, predicates))
}

/// A filter over the columns of a table, which goes by its own name or by the alias of the search.
fn plan_filter(
    filter: SqlExpr,
    relation: &Relation,
    alias: Option<&TableReference>,
    context: &mut dyn RelationPlannerContext,
) -> Result<Expr> {
    if let Some(alias) = alias {
        let aliased = relation.schema.clone().replace_qualifier(alias.clone());
        // The alias first: the table's own name may be that of the other side of a join.
        if let Ok(predicate) = context.sql_to_expr(filter.clone(), &aliased) {
            let of_table = |column: &Column| match column.relation.as_ref() == Some(alias) {
                true => Ok(Expr::Column(Column::new(Some(relation.name.clone()), &column.name))),
                false => Ok(Expr::Column(column.clone())),
            };
            return replace_columns(&predicate, of_table);
        }
    }
    context.sql_to_expr(filter, &relation.schema)
}

/// The relation that the first argument names or selects.
struct Relation {
    table: CollectionTable,
    name: TableReference,
    /// The table's columns as filters know them.
    schema: DFSchema,
    predicates: Vec<Expr>,
}

/// The table of a backend; `None` if its backend does not answer and the statement goes on without it.
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
    arguments: &Arguments,
    context: &mut dyn RelationPlannerContext,
) -> Result<(usize, usize)> {
    let schema = table.snapshot().schema();
    let columns = table.vector_columns();
    let names = || columns.iter().map(|(i, _)| schema.field(*i).name().as_str()).collect::<Vec<_>>().join(", ");
    if let Some(argument) = arguments.column.clone() {
        let what = arguments.signature.argument("column", &argument);
        let name = match argument {
            SqlExpr::Identifier(ident) => context.normalize_ident(ident),
            other => arguments.text(other, "column", context)?,
        };
        let Some((position, field)) = schema.column_with_name(&name) else {
            return plan_err!("{what}: table {} has no column {name}; its vector columns: {}", table.name(), names());
        };
        return match VectorType::of(field) {
            Some(vectors) => Ok((position, vectors.dim)),
            None if let Some(reason) = field.metadata().get(NO_VECTORS_KEY) => {
                plan_err!("{what}: column {name} of table {} holds no vectors: {reason}", table.name())
            }
            None => plan_err!(
                "{what}: column {name} of table {} does not hold vectors: expected lists of numbers of one length, got {}",
                table.name(),
                field.data_type()
            ),
        };
    }
    match columns.as_slice() {
        [column] => Ok(*column),
        [] => {
            let refused = schema
                .fields()
                .iter()
                .find_map(|field| field.metadata().get(NO_VECTORS_KEY).map(|reason| (field, reason)));
            if let Some((field, reason)) = refused {
                let table = table.name();
                return plan_err!(
                    "table {table} has no vector column: column {} {} holds no vectors: {reason}",
                    field.name(),
                    field.data_type()
                );
            }
            let got = schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type()));
            plan_err!(
                "table {} has no vector column: expected a column of type FLOAT[dim] or of lists of numbers of one length, got {}",
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
fn plan_query(argument: SqlExpr, target: &Target, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
    if let SqlExpr::Subquery(subquery) = argument {
        let derived = TableFactor::Derived { lateral: false, subquery, alias: None, sample: None };
        let plan = context.plan(derived)?;
        let num_columns = plan.schema().fields().len();
        if num_columns != 1 {
            return plan_err!("{}: expected a subquery of 1 column, got {num_columns}", target.query_name);
        }
        return Ok(plan);
    }
    let expr = context.sql_to_expr(argument, &DFSchema::empty())?;
    let expr = typed(expr, vector_type(target.dim()).map_err(ruvector_rulake::error::to_datafusion)?);
    LogicalPlanBuilder::empty(true).project([expr.alias("query")])?.build()
}

fn plan_k(arguments: &Arguments, context: &mut dyn RelationPlannerContext) -> Result<(Expr, ArgumentName)> {
    let k = arguments.required(arguments.k.clone(), "k")?;
    let name = arguments.signature.argument("k", &k);
    let k = typed(context.sql_to_expr(k, &DFSchema::empty())?, DataType::Int64);
    if let Expr::Literal(..) = k {
        positive(k.clone(), &name)?;
    }
    Ok((k, name))
}

/// `SELECT * FROM table`, as `relation_of` sees through it; `None` if the name means something else after FROM.
pub fn select_all(table: &ObjectName) -> Option<Box<Query>> {
    use datafusion::sql::sqlparser::{ast::Statement, dialect::GenericDialect, parser::Parser};
    let sql = format!("SELECT * FROM {table}");
    match Parser::parse_sql(&GenericDialect {}, &sql).map(|mut statements| statements.pop()) {
        Ok(Some(Statement::Query(query))) => Some(query),
        _ => None,
    }
}
