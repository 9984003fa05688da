//! The first gate: what the SQL's very syntax shows to be no job. Each refusal has its place.
//!
//! It is there for good messages. What may pass is decided by the walk over the analyzed plan ([`super::shape`]), which knows names
//! and types and has a list of what is allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, ObjectName, Query, Select, SelectItem, SetExpr, Spanned, Statement as SqlStatement,
    Value, Visit, Visitor,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;

use super::gate::Gate;
use super::refusal::{Place, Refusal};
use super::rewrite::{always, cast_types, casts_as_calls};
use super::tokens::Tokens;

/// The SQL of a job: exactly one `SELECT`.
pub(super) struct Syntax {
    query: Box<Query>,
}

impl Syntax {
    /// Parses the SQL and refuses what no job can be.
    pub(super) fn parse(sql: &str) -> Result<Self, Refusal> {
        let tokens = Tokens::of(sql)?;
        let parser = DFParserBuilder::new(sql).with_dialect(&GenericDialect {}).build();
        let mut statements = parser.and_then(|mut p| p.parse_statements()).map_err(Refusal::planner)?;
        let one = "write exactly one SELECT";
        let statement = statements.pop_front();
        if let Some(second) = statements.front() {
            let place = sql_of(second).and_then(|statement| Place::of(statement.span()));
            return Err(Refusal::new("SEVERAL_STATEMENTS", "the SQL has several statements", one).at(place));
        }
        let Some(statement) = statement else { return Err(Refusal::new("NOT_A_SELECT", "the SQL is empty", one)) };
        let other = match statement {
            Statement::Statement(statement) => match *statement {
                SqlStatement::Query(query) => match query.visit(&mut Gate(&tokens)) {
                    ControlFlow::Continue(()) => return Ok(Syntax { query }),
                    ControlFlow::Break(refusal) => return Err(refusal),
                },
                other => first_word(&other),
            },
            other => first_word(&other),
        };
        Err(Refusal::new("NOT_A_SELECT", format!("`{other}` is no SELECT"), one).at(tokens.first()))
    }

    /// The statement to plan.
    pub(super) fn statement(&self) -> Statement {
        self.rewritten(|_| {})
    }

    /// The types that it casts to, as SQL writes them.
    pub(super) fn cast_types(&self) -> BTreeSet<String> {
        let mut query = self.query.clone();
        always(&mut query);
        cast_types(&query)
    }

    /// The statement with its casts written as calls; `types` has the engine's name of each type that it casts to.
    pub(super) fn statement_with_casts_as_calls(&self, types: &BTreeMap<String, String>) -> Statement {
        self.rewritten(|query| casts_as_calls(query, types))
    }

    fn rewritten(&self, further: impl FnOnce(&mut Query)) -> Statement {
        let mut query = self.query.clone();
        always(&mut query);
        further(&mut query);
        Statement::Statement(Box::new(SqlStatement::Query(query)))
    }

    /// The first name in FROM that is neither an input nor a CTE.
    pub(super) fn unknown_input(&self, inputs: &[&str]) -> Option<(String, Option<Place>)> {
        let mut names = Names::default();
        let _ = self.query.visit(&mut names);
        let known = |name: &str| inputs.contains(&name) || names.ctes.iter().any(|cte| cte == name);
        names.relations.into_iter().find(|(name, _)| !known(name))
    }

    /// Where a function is called first.
    pub(super) fn place_of_function(&self, name: &str) -> Option<Place> {
        let mut search = Search(name);
        match self.query.visit(&mut search) {
            ControlFlow::Break(place) => place,
            ControlFlow::Continue(()) => None,
        }
    }
}

impl Syntax {
    /// The expressions of GROUP BY as they are written, with their places.
    pub(super) fn groups(&self) -> Vec<(String, Option<Place>)> {
        let mut groups = Groups(vec![]);
        let _ = self.query.visit(&mut groups);
        groups.0
    }

    /// Where the last output column of that name stands.
    pub(super) fn place_of_output(&self, name: &str) -> Option<Place> {
        let mut body = self.query.body.as_ref();
        let select = loop {
            match body {
                SetExpr::Select(select) => break select,
                SetExpr::Query(query) => body = query.body.as_ref(),
                SetExpr::SetOperation { left, .. } => body = left,
                _ => return None,
            }
        };
        let called = |item: &&SelectItem| match item {
            SelectItem::ExprWithAlias { alias, .. } => normal(alias) == name,
            SelectItem::UnnamedExpr(Expr::Identifier(ident)) => normal(ident) == name,
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => {
                parts.last().map(normal).as_deref() == Some(name)
            }
            _ => false,
        };
        select.projection.iter().rev().find(called).and_then(|item| Place::of(item.span()))
    }
}

struct Groups(Vec<(String, Option<Place>)>);

impl Visitor for Groups {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let GroupByExpr::Expressions(exprs, _) = &select.group_by else { return ControlFlow::Continue(()) };
        self.0.extend(exprs.iter().map(|expr| match item(expr, select) {
            Some(item) => (written(item), Place::of(item.span())),
            None => (expr.to_string(), Place::of(expr.span())),
        }));
        ControlFlow::Continue(())
    }
}

/// The item of SELECT that an expression of GROUP BY names by its number.
fn item<'a>(expr: &Expr, select: &'a Select) -> Option<&'a SelectItem> {
    let Expr::Value(value) = expr else { return None };
    let Value::Number(number, _) = &value.value else { return None };
    select.projection.get(number.to_string().parse::<usize>().ok()?.checked_sub(1)?)
}

/// An item of SELECT without its alias.
fn written(item: &SelectItem) -> String {
    match item {
        SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr) => expr.to_string(),
        other => other.to_string(),
    }
}

fn sql_of(statement: &Statement) -> Option<&SqlStatement> {
    match statement {
        Statement::Statement(statement) => Some(statement),
        _ => None,
    }
}

fn first_word(statement: &impl ToString) -> String {
    statement.to_string().split_whitespace().next().unwrap_or_default().to_uppercase()
}

/// A name as the planner sees it: in lower case unless quoted.
fn normal(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

#[derive(Default)]
struct Names {
    relations: Vec<(String, Option<Place>)>,
    ctes: Vec<String>,
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.ctes.extend(query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| normal(&cte.alias.name)));
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let name: Vec<String> =
            relation.0.iter().map(|part| part.as_ident().map_or(part.to_string(), normal)).collect();
        self.relations.push((name.join("."), Place::of(relation.span())));
        ControlFlow::Continue(())
    }
}

struct Search<'a>(&'a str);

impl Visitor for Search<'_> {
    type Break = Option<Place>;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        match expr {
            Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case(self.0) => {
                ControlFlow::Break(Place::of(function.span()))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}
