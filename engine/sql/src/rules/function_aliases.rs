//! `pow(pow(a, 2), 2)`: calls within each other of functions by their other names.
//!
//! DataFusion 55 names a call of `power` as `pow` by the text of its arguments. The text of an argument that is such a call has
//! the function and the name, so that names double with each level. Here the calls within a few such calls have the function's own
//! name. The outer ones keep theirs, which GROUP BY may have too.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use datafusion::execution::SessionStateDefaults;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, Statement, VisitMut, VisitorMut,
};

use crate::text::dialect::folded;
use ruvector_udfs::scalar;

/// The name of each function by its aliases.
static NAMES: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let mut names = HashMap::new();
    let mut add =
        |name: &str, aliases: &[String]| names.extend(aliases.iter().map(|alias| (alias.clone(), name.to_owned())));
    SessionStateDefaults::default_scalar_functions().iter().for_each(|f| add(f.name(), f.aliases()));
    SessionStateDefaults::default_higher_order_functions().iter().for_each(|f| add(f.name(), f.aliases()));
    scalar::of_vectors().iter().for_each(|f| add(f.name(), f.aliases()));
    names
});

/// Calls by an alias within each other that keep it. A bound: a name is at most eight times as long.
const KEPT: usize = 3;

/// Gives calls within calls by an alias the names of their functions, in a whole statement.
pub(crate) fn rewrite(statement: &mut Statement) {
    let _ = statement.visit(&mut AliasCalls { around: vec![0] });
}

/// Names the functions of calls by an alias, query by query.
struct AliasCalls {
    /// The calls by an alias around an expression, for each query around it.
    around: Vec<usize>,
}

impl VisitorMut for AliasCalls {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.around.push(0);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.around.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let (Some(around), Some(name)) = (self.around.last_mut(), by_alias(expr)) else {
            return ControlFlow::Continue(());
        };
        match expr {
            Expr::Function(call) if *around >= KEPT => call.name = ObjectName::from(vec![Ident::new(name)]),
            _ => *around += 1,
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let (Some(around), Some(_)) = (self.around.last_mut(), by_alias(expr)) {
            *around = around.saturating_sub(1);
        }
        ControlFlow::Continue(())
    }
}

/// The name of the function that an expression calls by an alias.
fn by_alias(expr: &Expr) -> Option<&'static str> {
    let Expr::Function(call) = expr else { return None };
    let [ObjectNamePart::Identifier(name)] = call.name.0.as_slice() else { return None };
    NAMES.get(&folded(name)).map(String::as_str)
}
