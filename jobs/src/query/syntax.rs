//! The first gate: what the SQL's very syntax shows to be no job. Each refusal has its place.
//!
//! It is there for good messages. What may pass is decided by the walk over the analyzed plan ([`super::shape`]), which knows names
//! and types and has a list of what is allowed.

use std::ops::ControlFlow;

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{
    Distinct, DuplicateTreatment, Expr, FunctionArguments, GroupByExpr, Ident, ObjectName, Query, Select, SetExpr,
    SetOperator, SetQuantifier, Spanned, Statement as SqlStatement, TableFactor, Visit, Visitor,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;

use super::refusal::{Place, Refusal};

/// The SQL of a job: exactly one `SELECT`.
pub(super) struct Syntax {
    query: Box<Query>,
}

impl Syntax {
    /// Parses the SQL and refuses what no job can be.
    pub(super) fn parse(sql: &str) -> Result<Self, Refusal> {
        let parser = DFParserBuilder::new(sql).with_dialect(&GenericDialect {}).build();
        let mut statements = parser.and_then(|mut p| p.parse_statements()).map_err(Refusal::planner)?;
        let one = "write exactly one SELECT";
        let statement = statements.pop_front();
        if let Some(second) = statements.front() {
            let place = sql_of(second).and_then(|statement| Place::of(statement.span()));
            return Err(Refusal::new("SEVERAL_STATEMENTS", "the SQL has several statements", one).at(place));
        }
        match statement {
            Some(Statement::Statement(statement)) => match *statement {
                SqlStatement::Query(query) => match query.visit(&mut Gate) {
                    ControlFlow::Continue(()) => Ok(Syntax { query }),
                    ControlFlow::Break(refusal) => Err(refusal),
                },
                other => Err(Refusal::new("NOT_A_SELECT", format!("`{}` is no SELECT", first_word(&other)), one)
                    .at(Place::of(other.span()))),
            },
            Some(other) => Err(Refusal::new("NOT_A_SELECT", format!("`{}` is no SELECT", first_word(&other)), one)),
            None => Err(Refusal::new("NOT_A_SELECT", "the SQL is empty", one)),
        }
    }

    /// The statement to plan.
    pub(super) fn statement(&self) -> Statement {
        Statement::Statement(Box::new(SqlStatement::Query(self.query.clone())))
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

struct Gate;

impl Visitor for Gate {
    type Break = Refusal;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Refusal> {
        let unsorted = "remove it: a table is read in key order, and readers say how many rows they want";
        if let Some(order) = &query.order_by {
            return refuse("ORDER_BY", "ORDER BY has no meaning in a table that grows", unsorted, order.span());
        }
        if let Some(limit) = &query.limit_clause {
            return refuse("LIMIT", "LIMIT has no meaning in a table that grows", unsorted, limit.span());
        }
        if query.fetch.is_some() {
            return refuse("LIMIT", "FETCH has no meaning in a table that grows", unsorted, query.span());
        }
        if let Some(with) = query.with.as_ref().filter(|with| with.recursive) {
            return refuse(
                "RECURSIVE",
                "a recursive CTE is not incremental",
                "write it without recursion",
                with.span(),
            );
        }
        if !query.locks.is_empty() || !query.pipe_operators.is_empty() || query.for_clause.is_some() {
            return refuse("UNSUPPORTED_SQL", "this clause is not part of a job's SQL", "remove it", query.span());
        }
        set_expression(&query.body)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Refusal> {
        if let Some(Distinct::Distinct | Distinct::On(_)) = &select.distinct {
            return refuse(
                "DISTINCT",
                "SELECT DISTINCT is not incremental",
                "use GROUP BY over these columns",
                select.span(),
            );
        }
        if let GroupByExpr::Expressions(_, modifiers) = &select.group_by
            && !modifiers.is_empty()
        {
            return refuse(
                "GROUPING_SETS",
                "one row has one key",
                "write one job per grouping",
                select.group_by.span(),
            );
        }
        let joins = "joins are not built yet; UNION ALL of inputs is, and GROUP BY over it can bring records together";
        match select.from.as_slice() {
            [] => refuse("NO_INPUT", "the SELECT reads no input", "name an input of the job in FROM", select.span()),
            [one] => match one.joins.first() {
                None => ControlFlow::Continue(()),
                Some(join) => refuse("JOIN", "the SELECT joins", joins, join.relation.span()),
            },
            [_, second, ..] => refuse("JOIN", "the SELECT reads several inputs side by side", joins, second.span()),
        }
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<Refusal> {
        match table {
            TableFactor::Table { args: None, sample: None, version: None, .. } => ControlFlow::Continue(()),
            TableFactor::Derived { lateral: false, sample: None, .. } => ControlFlow::Continue(()),
            other => refuse(
                "UNSUPPORTED_FROM",
                format!("`{other}` is no input"),
                "name an input of the job, a CTE or a SELECT in FROM",
                other.span(),
            ),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Refusal> {
        let flat = "compute it in the job that fills the other table, or in the query that reads both";
        match expr {
            Expr::Subquery(query) | Expr::Exists { subquery: query, .. } | Expr::InSubquery { subquery: query, .. } => {
                refuse("SUBQUERY", "a subquery in an expression is not incremental", flat, query.span())
            }
            Expr::Function(function) if function.over.is_some() => {
                let detail = format!("the window function `{}` needs rows that come later", function.name);
                let remedy = "use GROUP BY with date_bin(INTERVAL '1 minute', time), or last_value(x ORDER BY time)";
                refuse("WINDOW_FUNCTION", detail, remedy, function.span())
            }
            Expr::Function(function) => match &function.args {
                FunctionArguments::List(list) if list.duplicate_treatment == Some(DuplicateTreatment::Distinct) => {
                    let detail = format!("`{}(DISTINCT …)` needs every value of the past", function.name);
                    refuse(
                        "DISTINCT",
                        detail,
                        "use approx_distinct(x), or GROUP BY x in a job of its own",
                        function.span(),
                    )
                }
                _ => ControlFlow::Continue(()),
            },
            _ => ControlFlow::Continue(()),
        }
    }
}

fn set_expression(body: &SetExpr) -> ControlFlow<Refusal> {
    match body {
        SetExpr::Select(_) | SetExpr::Query(_) => ControlFlow::Continue(()),
        SetExpr::SetOperation { op: SetOperator::Union, set_quantifier: SetQuantifier::All, left, right } => {
            set_expression(left)?;
            set_expression(right)
        }
        SetExpr::SetOperation { op, left, .. } => {
            refuse("SET_OPERATION", format!("{op} compares rows with each other"), "use UNION ALL", left.span())
        }
        other => refuse("NOT_A_SELECT", format!("`{other}` is no SELECT"), "write one SELECT", other.span()),
    }
}

fn refuse(
    code: &str,
    detail: impl Into<String>,
    remedy: impl Into<String>,
    span: datafusion::sql::sqlparser::tokenizer::Span,
) -> ControlFlow<Refusal> {
    ControlFlow::Break(Refusal::new(code, detail, remedy).at(Place::of(span)))
}
