//! Whole-number arithmetic that fails where the engine's own wraps around: a number of another sign that nobody notices is worse than
//! a record that is put aside. Where whole numbers come in as literals only, the sum is looked at when the query is planned.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Literal, NegativeExpr};

/// The expression with its sums, differences, products and negations checked.
pub(super) fn checked(expr: Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
    let checked = expr.transform_up(|expr| {
        if let Some(binary) = expr.downcast_ref::<BinaryExpr>()
            && matches!(binary.op(), Operator::Plus | Operator::Minus | Operator::Multiply)
        {
            return Ok(Transformed::yes(Arc::new(binary.clone().with_fail_on_overflow(true))));
        }
        let Some(negative) = expr.downcast_ref::<NegativeExpr>() else { return Ok(Transformed::no(expr)) };
        let ty = negative.arg().data_type(schema)?;
        if !is_signed(&ty) {
            return Ok(Transformed::no(expr));
        }
        let zero = Arc::new(Literal::new(ScalarValue::new_zero(&ty)?));
        let difference = BinaryExpr::new(zero, Operator::Minus, negative.arg().clone());
        Ok(Transformed::yes(Arc::new(difference.with_fail_on_overflow(true))))
    });
    checked.data()
}

fn is_signed(ty: &DataType) -> bool {
    matches!(ty, DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64)
}

/// What an expression of whole literals comes to, where that does not fit into 64 bits.
pub(super) fn too_large(expr: &Expr) -> Option<i128> {
    whole(expr).filter(|number| matches!(expr, Expr::BinaryExpr(_)) && i64::try_from(*number).is_err())
}

fn whole(expr: &Expr) -> Option<i128> {
    match expr {
        Expr::Literal(ScalarValue::Int64(Some(number)), _) => Some((*number).into()),
        Expr::Negative(inner) => whole(inner)?.checked_neg(),
        Expr::BinaryExpr(binary) => {
            let (left, right) = (whole(&binary.left)?, whole(&binary.right)?);
            match binary.op {
                Operator::Plus => left.checked_add(right),
                Operator::Minus => left.checked_sub(right),
                Operator::Multiply => left.checked_mul(right),
                _ => None,
            }
        }
        _ => None,
    }
}
