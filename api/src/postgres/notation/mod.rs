//! What clients ask of the system catalog, in a form that the engine plans.
//!
//! Their questions are plain SQL but for a few shapes: subqueries that the engine joins only when they are aggregated (`subqueries`),
//! functions that give sets (`sets`), and much about what there is none of here (`nothing`). Each shape is rewritten wherever it occurs,
//! whoever the client is, and the answer stays the same ([why](../../../../docs/adr/0011-catalog-questions-are-planned.md)). Pure.

mod nothing;
mod outer;
mod sets;
mod subqueries;

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Query, Select, SelectItem, SetExpr, Statement, TableFactor, Value, ValueWithSpan, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) use nothing::EMPTY;

/// Rewrites a statement that reads the system catalog and nothing else. Names of its tables have their schema, names of functions none.
pub(super) fn rewrite(statement: &mut Statement) {
    let _ = statement.visit(&mut Shapes);
}

/// Each shape in its place: what is inside comes first.
struct Shapes;

impl VisitorMut for Shapes {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        sets::in_from(factor);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        subqueries::any_of(expr);
        oid_by_name(expr);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        nothing::column(expr);
        by_name(expr);
        user(expr);
        sets::in_expression(expr);
        subqueries::settle(expr);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        nothing::settle(query);
        subqueries::in_answer(query);
        each_select(&mut query.body, &mut |select| name_apart(&mut select.projection));
        ControlFlow::Continue(())
    }
}

/// The selects of a query's body, set operations included.
fn each_select(body: &mut SetExpr, of: &mut dyn FnMut(&mut Select)) {
    match body {
        SetExpr::Select(select) => of(select),
        SetExpr::SetOperation { left, right, .. } => {
            each_select(left, of);
            each_select(right, of);
        }
        _ => {}
    }
}

/// Functions are known by their names, without schemas: `'pg_catalog.array_in'::regproc` is one.
fn by_name(expr: &mut Expr) {
    let Expr::Cast { expr: of, data_type, .. } = expr else { return };
    if !["regproc", "pg_catalog.regproc"].contains(&data_type.to_string().to_lowercase().as_str()) {
        return;
    }
    let mut of = of.as_ref().clone();
    if let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(name), .. }) = &mut of
        && let Some((_, bare)) = name.rsplit_once('.')
    {
        *name = bare.to_owned();
    }
    *expr = of;
}

/// `'now'::regproc::oid`, the id of a function.
fn oid_by_name(expr: &mut Expr) {
    let Expr::Cast { expr: of, data_type, .. } = &*expr else { return };
    let mut of = of.as_ref().clone();
    if !["oid", "pg_catalog.oid"].contains(&data_type.to_string().to_lowercase().as_str()) {
        return;
    }
    let was = of.clone();
    by_name(&mut of);
    if let (true, Expr::Value(_)) = (of != was, &of)
        && let Some(id) = expression(&format!("(SELECT oid FROM pg_catalog.pg_proc WHERE proname = {of})"))
    {
        *expr = id;
    }
}

/// `user`, a word of SQL that is no column.
fn user(expr: &mut Expr) {
    if matches!(expr, Expr::Identifier(_) | Expr::Function(_))
        && expr.to_string().eq_ignore_ascii_case("user")
        && let Some(user) = expression("current_user")
    {
        *expr = user;
    }
}

/// The same expression twice gets two names, which the engine asks for.
fn name_apart(projection: &mut [SelectItem]) {
    let mut seen = HashSet::new();
    for (n, item) in projection.iter_mut().enumerate() {
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        if !seen.insert(expr.to_string()) {
            let alias = quoted(&format!("{}_{n}", name_of(expr)));
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
}

/// What Postgres calls a column of an answer that has no name of its own.
fn name_of(expr: &Expr) -> String {
    let folded = |name: &Ident| match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_lowercase(),
    };
    match expr {
        Expr::Identifier(name) => folded(name),
        Expr::CompoundIdentifier(names) => names.last().map(folded).unwrap_or_default(),
        Expr::Function(function) => sets::name(function),
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => name_of(inner),
        Expr::Case { .. } => "case".to_owned(),
        _ => "?column?".to_owned(),
    }
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// An expression from its text; `None` only when the text is none.
fn expression(text: &str) -> Option<Expr> {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(text).ok()?.parse_expr().ok()
}

/// A query from its text; `None` only when the text is none.
fn query(text: &str) -> Option<Query> {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(text).ok()?.parse_query().ok().map(|query| *query)
}
