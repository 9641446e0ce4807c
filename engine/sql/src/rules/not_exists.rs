//! `NOT EXISTS (...) IS NULL` is `NOT (EXISTS (...) IS NULL)`.
//!
//! The parser (sqlparser 0.62) reads `NOT EXISTS (...)` as one operand, so that an operator behind it binds to the negation.
//! In SQL, NOT binds looser than every operator but AND and OR. With parentheses around it the operand stays what it is.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, Expr, Ident, Statement, UnaryOperator, VisitMut, VisitorMut,
};

/// Moves NOT before the operators behind EXISTS, in a whole statement.
pub(crate) fn rewrite(statement: &mut Statement) {
    let _ = statement.visit(&mut NotExists);
}

struct NotExists;

impl VisitorMut for NotExists {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Some(left) = left_operand(expr) else { return ControlFlow::Continue(()) };
        match left {
            Expr::Exists { negated: negated @ true, .. } => *negated = false,
            // Of an operator further left. The parser makes none here: its NOT is around the whole operation.
            Expr::UnaryOp { op: UnaryOperator::Not, expr: of } => {
                let of = std::mem::replace(of.as_mut(), nothing());
                *left = of;
            }
            _ => return ControlFlow::Continue(()),
        }
        let positive = std::mem::replace(expr, nothing());
        *expr = Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(positive) };
        ControlFlow::Continue(())
    }
}

fn nothing() -> Expr {
    Expr::Identifier(Ident::new(""))
}

/// The left operand of an operator that binds tighter than NOT.
fn left_operand(expr: &mut Expr) -> Option<&mut Expr> {
    match expr {
        Expr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or | BinaryOperator::Xor, .. } => None,
        Expr::BinaryOp { left, .. }
        | Expr::AnyOp { left, .. }
        | Expr::AllOp { left, .. }
        | Expr::IsDistinctFrom(left, _)
        | Expr::IsNotDistinctFrom(left, _) => Some(left),
        Expr::IsNull(of)
        | Expr::IsNotNull(of)
        | Expr::IsTrue(of)
        | Expr::IsNotTrue(of)
        | Expr::IsFalse(of)
        | Expr::IsNotFalse(of)
        | Expr::IsUnknown(of)
        | Expr::IsNotUnknown(of)
        | Expr::InList { expr: of, .. }
        | Expr::InSubquery { expr: of, .. }
        | Expr::InUnnest { expr: of, .. }
        | Expr::Between { expr: of, .. }
        | Expr::Like { expr: of, .. }
        | Expr::ILike { expr: of, .. }
        | Expr::SimilarTo { expr: of, .. } => Some(of),
        Expr::Cast { expr: of, kind: CastKind::DoubleColon, .. } => Some(of),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::SelectItem;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    /// The condition as the engine plans it, with every operation in brackets.
    fn planned(condition: &str) -> String {
        let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, &format!("SELECT {condition}")).unwrap();
        rewrite(&mut statements[0]);
        let Statement::Query(query) = &statements[0] else { panic!("{}", statements[0]) };
        let select = query.body.as_select().unwrap();
        match &select.projection[0] {
            SelectItem::UnnamedExpr(expr) => bracketed(expr),
            other => panic!("{other}"),
        }
    }

    fn bracketed(expr: &Expr) -> String {
        match expr {
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => format!("not[{}]", bracketed(expr)),
            Expr::BinaryOp { left, op, right } => format!("[{} {op} {}]", bracketed(left), bracketed(right)),
            Expr::IsNull(of) => format!("[{} is null]", bracketed(of)),
            Expr::Cast { expr, .. } => format!("cast[{}]", bracketed(expr)),
            Expr::InList { expr, .. } => format!("[{} in list]", bracketed(expr)),
            Expr::Nested(of) => format!("({})", bracketed(of)),
            Expr::Exists { negated, .. } => (if *negated { "none" } else { "any" }).to_owned(),
            other => other.to_string(),
        }
    }

    #[test]
    fn not_is_around_the_operation() {
        for (written, meant) in [
            ("NOT EXISTS (SELECT 1) IS NULL", "not[[any is null]]"),
            ("NOT EXISTS (SELECT 1) = a", "not[[any = a]]"),
            ("NOT EXISTS (SELECT 1) IN (a)", "not[[any in list]]"),
            ("NOT EXISTS (SELECT 1)::text", "not[cast[any]]"),
            ("NOT EXISTS (SELECT 1) = a IS NULL", "not[[[any = a] is null]]"),
            ("NOT NOT EXISTS (SELECT 1) IS NULL", "not[not[[any is null]]]"),
            ("NOT EXISTS (SELECT 1) = a AND b", "[not[[any = a]] AND b]"),
        ] {
            assert_eq!(planned(written), meant, "{written}");
        }
    }

    #[test]
    fn what_stands_alone_or_in_parentheses_is_one_operand() {
        for (written, meant) in [
            ("(NOT EXISTS (SELECT 1)) IS NULL", "[(none) is null]"),
            ("NOT EXISTS (SELECT 1) OR a", "[none OR a]"),
            ("NOT EXISTS (SELECT 1)", "none"),
            ("EXISTS (SELECT 1) IS NULL", "[any is null]"),
        ] {
            assert_eq!(planned(written), meant, "{written}");
        }
    }
}
