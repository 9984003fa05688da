//! The parameters of a prepared statement: what each is, and the values that a client gives. Pure.

use std::collections::HashMap;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{ExprSchema, ParamValues};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion_postgres::arrow_pg::datatypes::{df, field_into_pg_type, into_pg_type};
use datafusion_postgres::pgwire::api::Type;
use datafusion_postgres::pgwire::api::portal::{Format, Portal};
use datafusion_postgres::pgwire::error::PgWireResult;

use super::error::{error, of_engine};

/// The most parameters of a statement: as many as the protocol can number.
const MAX_PARAMETERS: usize = u16::MAX as usize;

/// The parameters of a statement, `$1` first.
#[derive(Debug, Clone, Default)]
pub(super) struct Parameters(Vec<Parameter>);

/// One parameter.
#[derive(Debug, Clone)]
struct Parameter {
    /// What a client is told that it is.
    wire: Type,
    /// What the engine compares it with; `None` where nothing says.
    engine: Option<DataType>,
}

impl Parameters {
    /// Those in a plan: by what each is compared with or cast to, text where nothing says. Of the `written` ones some may have got lost
    /// on the way to the plan, as what they were compared with is empty.
    pub(super) fn of(plan: &LogicalPlan, written: usize) -> PgWireResult<Self> {
        let mut fields = plan.get_parameter_fields().map_err(of_engine)?;
        let casts = casts(plan).map_err(of_engine)?;
        let numbers: Vec<usize> = fields.keys().chain(casts.keys()).filter_map(|name| number(name)).collect();
        let count = numbers.into_iter().max().unwrap_or(0).max(written);
        if count > MAX_PARAMETERS {
            return Err(error("54023", format!("${count} is past the last parameter that can be given"), ""));
        }
        let parameter = |n: usize| {
            let name = format!("${n}");
            match (fields.remove(&name).flatten(), casts.get(&name)) {
                (Some(field), _) => Parameter { wire: wire(&field), engine: Some(field.data_type().clone()) },
                (None, Some(kind)) => {
                    Parameter { wire: into_pg_type(kind).unwrap_or(Type::TEXT), engine: Some(kind.clone()) }
                }
                (None, None) => Parameter { wire: Type::TEXT, engine: None },
            }
        };
        Ok(Parameters((1..=count).map(parameter).collect()))
    }

    /// What a client is told of each.
    pub(super) fn wire(&self) -> Vec<Type> {
        self.0.iter().map(|parameter| parameter.wire.clone()).collect()
    }

    /// The values that a client gives, in the engine's types.
    pub(super) fn values<S: Clone>(&self, portal: &Portal<S>) -> PgWireResult<ParamValues> {
        let (given, wanted) = (portal.parameter_len(), self.0.len());
        if given != wanted {
            let message =
                format!("bind message supplies {given} parameters, but the prepared statement requires {wanted}");
            return Err(error("08P01", message, ""));
        }
        if let Format::Individual(formats) = &portal.parameter_format
            && formats.len() != given
        {
            let message = format!("bind message has {} parameter formats but {given} parameters", formats.len());
            return Err(error("08P01", message, ""));
        }
        let engine: Vec<Option<&DataType>> = self.0.iter().map(|parameter| parameter.engine.as_ref()).collect();
        let wire: Vec<Option<&Type>> = self.0.iter().map(|parameter| Some(&parameter.wire)).collect();
        df::deserialize_parameters_with_server_types(portal, &engine, &wire)
    }
}

/// Object ids are numbers of a kind of their own; text is text however the engine lays it out.
fn wire(field: &FieldRef) -> Type {
    match field.data_type() {
        DataType::Int32 => field_into_pg_type(field).unwrap_or(Type::INT4),
        other => into_pg_type(other).unwrap_or(Type::TEXT),
    }
}

fn number(name: &str) -> Option<usize> {
    name.strip_prefix('$')?.parse().ok().filter(|n| *n > 0)
}

/// What parameters are cast to, or otherwise have to be: the number of rows of LIMIT, the list of `= ANY`.
fn casts(plan: &LogicalPlan) -> Result<HashMap<String, DataType>, datafusion::common::DataFusionError> {
    let mut casts = HashMap::new();
    plan.apply_with_subqueries(|node| {
        for expr in node.expressions() {
            if let (LogicalPlan::Limit(_), Expr::Placeholder(parameter)) = (node, &expr) {
                casts.insert(parameter.id.clone(), DataType::Int64);
            }
            expr.apply(|part| {
                let (inner, kind) = match part {
                    Expr::Cast(cast) => (cast.expr.as_ref(), cast.field.data_type().clone()),
                    Expr::TryCast(cast) => (cast.expr.as_ref(), cast.field.data_type().clone()),
                    Expr::ScalarFunction(call) if call.func.name() == "array_has" && call.args.len() == 2 => {
                        match of_column(&call.args[1], node) {
                            Some(kind) => (&call.args[0], DataType::new_list(kind, true)),
                            None => return Ok(TreeNodeRecursion::Continue),
                        }
                    }
                    _ => return Ok(TreeNodeRecursion::Continue),
                };
                if let Expr::Placeholder(parameter) = inner {
                    casts.insert(parameter.id.clone(), kind);
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(casts)
}

/// The type of a column of what a node of the plan reads.
fn of_column(expr: &Expr, node: &LogicalPlan) -> Option<DataType> {
    let Expr::Column(column) = expr else { return None };
    let field = node.inputs().into_iter().find_map(|input| input.schema().field_from_column(column).ok())?;
    Some(field.data_type().clone())
}
