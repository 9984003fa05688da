//! What the very syntax of some SQL shows to be no job.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, DuplicateTreatment, Expr, FunctionArguments, GroupByExpr, Query, Select, SetExpr, SetOperator,
    SetQuantifier, Spanned, TableFactor, Visitor,
};
use datafusion::sql::sqlparser::keywords::Keyword;

use super::refusal::{Place, Refusal};
use super::tokens::Tokens;

/// Refuses what no job can be, each with its place.
pub(super) struct Gate<'a>(pub(super) &'a Tokens);

impl Visitor for Gate<'_> {
    type Break = Refusal;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Refusal> {
        let unsorted = "remove it: a table is read in key order, and readers say how many rows they want";
        if let Some(order) = &query.order_by {
            let place = self.0.before(&[Keyword::ORDER], Place::of(order.span()));
            return refuse_at("ORDER_BY", "ORDER BY has no meaning in a table that grows", unsorted, place);
        }
        if let Some(limit) = &query.limit_clause {
            let place = self.0.before(&[Keyword::LIMIT, Keyword::OFFSET], Place::of(limit.span()));
            return refuse_at("LIMIT", "LIMIT has no meaning in a table that grows", unsorted, place);
        }
        if query.fetch.is_some() {
            return self.refuse_word("LIMIT", Keyword::FETCH, "FETCH has no meaning in a table that grows", unsorted);
        }
        if query.with.as_ref().is_some_and(|with| with.recursive) {
            let detail = "a recursive CTE is not incremental";
            return self.refuse_word("RECURSIVE", Keyword::RECURSIVE, detail, "write it without recursion");
        }
        if !query.locks.is_empty() || query.for_clause.is_some() {
            return self.refuse_word("UNSUPPORTED_SQL", Keyword::FOR, "a job's SQL locks nothing", "remove FOR");
        }
        if !query.pipe_operators.is_empty() {
            return refuse(
                "UNSUPPORTED_SQL",
                "pipe operators are not part of a job's SQL",
                "write a SELECT",
                query.span(),
            );
        }
        self.set_expression(&query.body)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Refusal> {
        if let Some(Distinct::Distinct | Distinct::On(_)) = &select.distinct {
            let place = self.0.after(&[Keyword::DISTINCT], Place::of(select.span()));
            let remedy = "use GROUP BY over these columns";
            return refuse_at("DISTINCT", "SELECT DISTINCT is not incremental", remedy, place);
        }
        if select.into.is_some() {
            return self.refuse_word("UNSUPPORTED_SQL", Keyword::INTO, "a job fills its own table", "remove INTO");
        }
        if select.qualify.is_some() {
            return self.refuse_word(
                "WINDOW_FUNCTION",
                Keyword::QUALIFY,
                "QUALIFY needs rows that come later",
                "use HAVING",
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
                Some(join) => {
                    let place = self.0.before(&[Keyword::JOIN, Keyword::APPLY], Place::of(join.relation.span()));
                    refuse_at("JOIN", "the SELECT joins", joins, place)
                }
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
            Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("grouping") => refuse(
                "AGGREGATE_NOT_MERGEABLE",
                "`grouping` tells nothing of one grouping",
                "remove it",
                function.span(),
            ),
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

impl Gate<'_> {
    /// A refusal at the first place of a keyword.
    fn refuse_word(&self, code: &str, word: Keyword, detail: &str, remedy: &str) -> ControlFlow<Refusal> {
        refuse_at(code, detail, remedy, self.0.keyword(word))
    }

    fn set_expression(&self, body: &SetExpr) -> ControlFlow<Refusal> {
        match body {
            SetExpr::Select(_) | SetExpr::Query(_) => ControlFlow::Continue(()),
            SetExpr::SetOperation { op: SetOperator::Union, set_quantifier: SetQuantifier::All, left, right } => {
                self.set_expression(left)?;
                self.set_expression(right)
            }
            SetExpr::SetOperation { op, right, .. } => {
                let words = [Keyword::UNION, Keyword::EXCEPT, Keyword::INTERSECT, Keyword::MINUS];
                let place = self.0.before(&words, Place::of(right.span()));
                refuse_at("SET_OPERATION", format!("{op} compares rows with each other"), "use UNION ALL", place)
            }
            other => refuse("NOT_A_SELECT", format!("`{other}` is no SELECT"), "write one SELECT", other.span()),
        }
    }
}

fn refuse(
    code: &str,
    detail: impl Into<String>,
    remedy: impl Into<String>,
    span: datafusion::sql::sqlparser::tokenizer::Span,
) -> ControlFlow<Refusal> {
    refuse_at(code, detail, remedy, Place::of(span))
}

fn refuse_at(
    code: &str,
    detail: impl Into<String>,
    remedy: impl Into<String>,
    place: Option<Place>,
) -> ControlFlow<Refusal> {
    ControlFlow::Break(Refusal::new(code, detail, remedy).at(place))
}
