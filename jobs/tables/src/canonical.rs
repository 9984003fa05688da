//! One value of a key is one key: floating point has many NaN and two zeros, and as stored bytes each would be a key of its own. Here all
//! NaN become one, which stands above all numbers, and −0.0 becomes 0.0. Keys and the filters that look for them both come this way.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, ListArray, StructArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};

/// The columns of a key with one NaN and one zero. Columns without floating point are the very same arrays.
pub fn canonical_key(columns: &[ArrayRef]) -> Vec<ArrayRef> {
    columns.iter().map(canonical).collect()
}

/// True when values of that type may be equal and have other bytes.
fn has_floats(ty: &DataType) -> bool {
    match ty {
        DataType::Float32 | DataType::Float64 => true,
        DataType::Struct(fields) => fields.iter().any(|field| has_floats(field.data_type())),
        DataType::List(item) => has_floats(item.data_type()),
        _ => false,
    }
}

fn canonical(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        ty if !has_floats(ty) => column.clone(),
        // Adding 0.0 makes 0.0 of −0.0 and leaves all other numbers as they are.
        DataType::Float32 => floats::<Float32Type>(column, |value| if value.is_nan() { f32::NAN } else { value + 0.0 }),
        DataType::Float64 => floats::<Float64Type>(column, |value| if value.is_nan() { f64::NAN } else { value + 0.0 }),
        DataType::Struct(fields) => {
            let structs = column.as_struct();
            let children = structs.columns().iter().map(canonical).collect();
            Arc::new(StructArray::new(fields.clone(), children, structs.nulls().cloned()))
        }
        DataType::List(item) => {
            let list = column.as_list::<i32>();
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Arc::new(ListArray::new(item.clone(), offsets, canonical(list.values()), nulls))
        }
        _ => column.clone(),
    }
}

fn floats<T: ArrowPrimitiveType>(column: &ArrayRef, one: impl Fn(T::Native) -> T::Native) -> ArrayRef {
    Arc::new(column.as_primitive::<T>().unary::<_, T>(one))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array};
    use arrow::datatypes::{Field, Fields};

    use super::*;

    fn bits(column: &ArrayRef) -> Vec<Option<u64>> {
        column.as_primitive::<Float64Type>().iter().map(|value| value.map(f64::to_bits)).collect()
    }

    #[test]
    fn all_nan_are_one_and_both_zeros_are_one() {
        let other_nan = f64::from_bits(f64::NAN.to_bits() | 1 << 63 | 7);
        let values = [Some(f64::NAN), Some(-f64::NAN), Some(other_nan), Some(-0.0), Some(0.0), None, Some(-1.5)];
        let column: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
        let (nan, zero) = (Some(f64::NAN.to_bits()), Some(0));
        let wanted = vec![nan, nan, nan, zero, zero, None, Some((-1.5_f64).to_bits())];
        let fields = Fields::from(vec![Field::new("f", DataType::Float64, true)]);
        let object: ArrayRef = Arc::new(StructArray::new(fields, vec![column.clone()], None));
        let keys = canonical_key(&[column, object]);
        assert_eq!(bits(&keys[0]), wanted);
        assert_eq!(bits(keys[1].as_struct().column(0)), wanted);
    }

    #[test]
    fn columns_without_floating_point_are_not_copied() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        assert!(canonical_key(std::slice::from_ref(&column))[0].to_data().ptr_eq(&column.to_data()));
    }
}
