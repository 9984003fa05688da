//! Functions that give sets, where Postgres allows them and the engine does not.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, TableAlias, TableFactor,
};

use super::{expression, name_of, query};

/// Columns whose lists count from 0: Postgres keeps them as vectors.
const VECTORS: [&str; 5] = ["indkey", "indclass", "indoption", "indcollation", "proargtypes"];

/// A function's name, as it is looked up.
pub(super) fn name(function: &Function) -> String {
    last(&function.name)
}

fn last(name: &ObjectName) -> String {
    name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.to_lowercase()).unwrap_or_default()
}

/// `generate_subscripts` and `_pg_expandarray` as `unnest`, and a field of what a function gives as `get_field`.
pub(super) fn in_expression(expr: &mut Expr) {
    let same = match expr {
        Expr::Function(function) => {
            let FunctionArguments::List(list) = &function.args else { return };
            let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(first))) = list.args.first() else { return };
            match name(function).as_str() {
                "generate_subscripts" => {
                    let from = i64::from(!VECTORS.contains(&name_of(first).as_str()));
                    let to = format!("CAST(array_length({first}, 1) AS BIGINT) + {}", from - 1);
                    format!("unnest(generate_series(CAST({from} AS BIGINT), {to}))")
                }
                "_pg_expandarray" => format!("unnest(pg_expandarray({first}))"),
                _ => return,
            }
        }
        Expr::CompoundFieldAccess { root, access_chain } => {
            let (Expr::Nested(root), [AccessExpr::Dot(Expr::Identifier(field))]) =
                (root.as_ref(), access_chain.as_slice())
            else {
                return;
            };
            format!("get_field({root}, '{}')", field.value)
        }
        _ => return,
    };
    if let Some(same) = expression(&same) {
        *expr = same;
    }
}

/// A function in FROM as a table of its rows: the engine takes there only what gives tables, and of literals.
pub(super) fn in_from(factor: &mut TableFactor) {
    let (name, args, alias) = match factor {
        TableFactor::Table { name, args: Some(args), alias, with_ordinality: false, .. } => {
            (&*name, &args.args, &*alias)
        }
        TableFactor::Function { name, args, alias, with_ordinality: false, .. } => (&*name, &*args, &*alias),
        _ => return,
    };
    let given: Vec<String> = args.iter().map(ToString::to_string).collect();
    let function = last(name);
    let is_literal = |arg: &FunctionArg| matches!(arg, FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(_))));
    let rows = match function.as_str() {
        "pg_get_keywords" | "unnest" => return,
        "generate_series" if args.iter().all(is_literal) => return,
        "generate_series" => {
            let given: Vec<String> = given.iter().map(|arg| format!("CAST({arg} AS BIGINT)")).collect();
            format!("unnest(generate_series({}))", given.join(", "))
        }
        _ => format!("{function}({})", given.join(", ")),
    };
    let column = match alias {
        Some(TableAlias { columns, .. }) if !columns.is_empty() => columns[0].name.to_string(),
        Some(TableAlias { name, .. }) => name.to_string(),
        None => function,
    };
    let alias = alias.as_ref().map_or_else(|| column.clone(), |alias| alias.name.to_string());
    let Some(subquery) = query(&format!("SELECT {rows} AS {column}")).map(Box::new) else { return };
    let alias = TableAlias {
        explicit: true,
        name: match expression(&alias) {
            Some(Expr::Identifier(name)) => name,
            _ => return,
        },
        columns: Vec::new(),
        at: None,
    };
    *factor = TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None };
}
