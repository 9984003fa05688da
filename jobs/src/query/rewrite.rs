//! What is written otherwise before it is planned, without changing what it means.
//!
//! A record's timestamps count microseconds, so `TIMESTAMP` without a precision does too: the planner's nanoseconds reach from 1677 to
//! 2262 only, and fail on the year 9999 that many tables use for "never". And the planner names an expression as if it held no cast, so
//! that `sum(v)` and `sum(CAST(v AS DOUBLE))` would be one name; where that clashes, casts are written as calls, which are named in full.
//! Last, it knows no dot after a bracket: `o['a.b'].c` is `o['a.b']['c']`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, Query, Select, SelectItem, Subscript, Value, VisitMut, VisitorMut,
    visit_expressions, visit_expressions_mut,
};

/// What is done to every query: timestamps of no stated precision get that of the records, and dots after brackets become brackets.
pub(super) fn always(query: &mut Query) {
    let _ = visit_expressions_mut(query, |expr| {
        match expr {
            Expr::CompoundFieldAccess { access_chain, .. } => access_chain.iter_mut().for_each(bracket),
            Expr::Cast { data_type, .. } => micros(data_type),
            Expr::TypedString(literal) => micros(&mut literal.data_type),
            _ => {}
        }
        ControlFlow::<()>::Continue(())
    });
}

fn bracket(access: &mut AccessExpr) {
    if let AccessExpr::Dot(Expr::Identifier(name)) = access {
        let name = if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() };
        let index = Expr::value(Value::SingleQuotedString(name));
        *access = AccessExpr::Subscript(Subscript::Index { index });
    }
}

fn micros(ty: &mut DataType) {
    match ty {
        DataType::Timestamp(precision @ None, _) => *precision = Some(6),
        DataType::Datetime(None) => *ty = DataType::Datetime(Some(6)),
        _ => {}
    }
}

/// The types that the query casts to, as SQL writes them.
pub(super) fn cast_types(query: &Query) -> BTreeSet<String> {
    let mut types = BTreeSet::new();
    let _ = visit_expressions(query, |expr| {
        if let Expr::Cast { data_type, .. } = expr {
            types.insert(data_type.to_string());
        }
        ControlFlow::<()>::Continue(())
    });
    types
}

/// Writes casts as calls of `arrow_cast` or `arrow_try_cast`; `types` has the engine's name of each type that is cast to.
pub(super) fn casts_as_calls(query: &mut Query, types: &BTreeMap<String, String>) {
    let _ = query.visit(&mut Casts(types));
}

struct Casts<'a>(&'a BTreeMap<String, String>);

impl VisitorMut for Casts<'_> {
    type Break = ();

    /// A column that is a cast keeps the name that it would have had.
    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(Expr::Cast { expr, .. }) = item
                && let Some(alias) = name(expr)
            {
                let SelectItem::UnnamedExpr(expr) = item.clone() else { continue };
                *item = SelectItem::ExprWithAlias { expr, alias };
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Cast { kind, expr: inner, data_type, array: false, format: None } = expr else {
            return ControlFlow::Continue(());
        };
        let Some(ty) = self.0.get(&data_type.to_string()) else { return ControlFlow::Continue(()) };
        let function = match kind {
            CastKind::Cast | CastKind::DoubleColon => "arrow_cast",
            CastKind::TryCast | CastKind::SafeCast => "arrow_try_cast",
        };
        let ty = Expr::value(Value::SingleQuotedString(ty.clone()));
        *expr = call(function, vec![inner.as_ref().clone(), ty]);
        ControlFlow::Continue(())
    }
}

fn name(expr: &Expr) -> Option<Ident> {
    match expr {
        Expr::Identifier(ident) => Some(ident.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().cloned(),
        _ => None,
    }
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: vec![] }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}
