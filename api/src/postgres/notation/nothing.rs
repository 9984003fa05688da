//! What there is none of: questions about it are answered before they are planned, whatever notation they are in.
//!
//! A SELECT from a table that is always empty has no rows, so its columns may be anything; a subquery over one is NULL, false or an
//! empty array. Joins count as Postgres has them: an outer join to nothing still has the rows of its other side.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, GroupByExpr, Join, JoinOperator, ObjectName, Query, Select,
    SelectItem, SetExpr, SetOperator, TableFactor, TableWithJoins, Value,
};

use super::{each_select, name_of, quoted, subqueries};

/// Tables of the system catalog that are always empty here. Some of them the engine does not even know.
pub(in crate::postgres) const EMPTY: [&str; 43] = [
    "pg_attrdef",
    "pg_db_role_setting",
    "pg_default_acl",
    "pg_enum",
    "pg_event_trigger",
    "pg_foreign_data_wrapper",
    "pg_foreign_server",
    "pg_foreign_table",
    "pg_inherits",
    "pg_largeobject",
    "pg_largeobject_metadata",
    "pg_matviews",
    "pg_partitioned_table",
    "pg_policies",
    "pg_policy",
    "pg_prepared_statements",
    "pg_prepared_xacts",
    "pg_publication",
    "pg_publication_namespace",
    "pg_publication_rel",
    "pg_publication_tables",
    "pg_replication_origin",
    "pg_replication_slots",
    "pg_roles",
    "pg_rules",
    "pg_seclabel",
    "pg_seclabels",
    "pg_sequence",
    "pg_sequences",
    "pg_shdepend",
    "pg_shseclabel",
    "pg_stat_user_tables",
    "pg_stat_user_indexes",
    "pg_statio_user_tables",
    "pg_statistic_ext",
    "pg_statistic_ext_data",
    "pg_stats",
    "pg_subscription",
    "pg_subscription_rel",
    "pg_trigger",
    "pg_user_mapping",
    "pg_user_mappings",
    "pg_views",
];

/// Columns that are NULL everywhere here, where clients read them as lists.
const NO_LISTS: [&str; 6] = ["reloptions", "attoptions", "attfdwoptions", "evttags", "extconfig", "extcondition"];

/// Values of columns that no row has: there are no foreign keys.
const NO_ROWS: [(&str, &str); 1] = [("contype", "f")];

/// True for a query without rows.
pub(super) fn is_nothing(query: &Query) -> bool {
    of_body(&query.body)
}

fn of_body(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => of_select(select),
        SetExpr::Query(query) => is_nothing(query),
        SetExpr::SetOperation { op, left, right, .. } => match op {
            SetOperator::Union => of_body(left) && of_body(right),
            SetOperator::Intersect => of_body(left) || of_body(right),
            _ => of_body(left),
        },
        _ => false,
    }
}

fn of_select(select: &Select) -> bool {
    // An aggregate without groups has a row whatever there is to aggregate.
    let one_row = !is_grouped(select) && select.projection.iter().any(subqueries::is_aggregated);
    !one_row && (select.selection.as_ref().is_some_and(never) || select.from.iter().any(of_joined))
}

pub(super) fn is_grouped(select: &Select) -> bool {
    !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty())
}

/// True for a condition that no row here meets.
fn never(condition: &Expr) -> bool {
    match condition {
        Expr::Nested(inner) => never(inner),
        Expr::Value(value) => value.value == Value::Boolean(false),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => never(left) || never(right),
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
            let Expr::Value(value) = right.as_ref() else { return false };
            let Value::SingleQuotedString(value) = &value.value else { return false };
            NO_ROWS.iter().any(|(column, none)| value == none && name_of(left) == *column)
        }
        _ => false,
    }
}

fn of_joined(tables: &TableWithJoins) -> bool {
    tables.joins.iter().fold(of_factor(&tables.relation), |before, Join { relation, join_operator, .. }| {
        match join_operator {
            JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_) => {
                before || of_factor(relation)
            }
            JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => before,
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => of_factor(relation),
            JoinOperator::FullOuter(_) => before && of_factor(relation),
            _ => false,
        }
    })
}

fn of_factor(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::Table { name, args: None, .. } => is_empty_table(name),
        TableFactor::Table { name, args: Some(of), .. } if name.to_string().eq_ignore_ascii_case("unnest") => of
            .args
            .iter()
            .all(|list| matches!(list, FunctionArg::Unnamed(FunctionArgExpr::Expr(list)) if is_no_list(list))),
        TableFactor::Derived { subquery, .. } => is_nothing(subquery),
        TableFactor::UNNEST { array_exprs, .. } => array_exprs.iter().all(is_no_list),
        TableFactor::NestedJoin { table_with_joins, .. } => of_joined(table_with_joins),
        _ => false,
    }
}

fn is_empty_table(name: &ObjectName) -> bool {
    let parts: Vec<String> =
        name.0.iter().filter_map(|part| part.as_ident()).map(|ident| ident.value.to_lowercase()).collect();
    matches!(parts.as_slice(), [.., schema, table] if schema == "pg_catalog" && EMPTY.contains(&table.as_str()))
}

fn is_no_list(list: &Expr) -> bool {
    matches!(list, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) && NO_LISTS.contains(&name_of(list).as_str())
}

/// The table that a row is of, by which comments are looked up: there are none.
pub(super) fn column(expr: &mut Expr) {
    if matches!(expr, Expr::CompoundIdentifier(_)) && name_of(expr) == "tableoid" {
        *expr = Expr::value(Value::Null);
    }
}

/// Writes the selects of a query that have no rows as such: their columns by name, each NULL.
pub(super) fn settle(query: &mut Query) {
    let all = is_nothing(query);
    each_select(&mut query.body, &mut |select| {
        let named = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
        if of_select(select) && select.projection.iter().all(named) {
            empty(select);
        }
    });
    if all && matches!(query.body.as_ref(), SetExpr::Select(select) if select.from.is_empty()) {
        (query.order_by, query.limit_clause, query.fetch) = (None, None, None);
    }
}

fn empty(select: &mut Select) {
    let mut taken = std::collections::HashSet::new();
    for item in &mut select.projection {
        let mut alias = match item {
            SelectItem::ExprWithAlias { alias, .. } => alias.clone(),
            SelectItem::UnnamedExpr(expr) => quoted(&name_of(expr)),
            _ => continue,
        };
        while !taken.insert(alias.value.clone()) {
            alias.value.push('_');
        }
        *item = SelectItem::ExprWithAlias { expr: Expr::value(Value::Null), alias };
    }
    (select.from, select.distinct, select.having) = (Vec::new(), None, None);
    select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
    select.selection = Some(Expr::value(Value::Boolean(false)));
}
