//! Functions that tell of a table, an index or a key by its id: which are found without their schema, and how they would be made. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use datafusion::prelude::SessionContext;

use super::objects::Relation;
use super::{LIVE, SYSTEM};

/// Gives a query the functions that tell of these tables.
pub(super) fn register(context: &SessionContext, relations: &[Relation]) {
    let mut told = [BTreeMap::new(), BTreeMap::new(), BTreeMap::new()];
    for relation in relations {
        let visible = relation.table.schema == LIVE || relation.table.schema == SYSTEM;
        told[0].insert((relation.oid, 0), visible.to_string());
        let Some(key) = &relation.key else { continue };
        let columns = relation.key_names();
        let list = columns.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
        let table = format!("{}.{}", quoted(relation.table.schema), quoted(&relation.table.name));
        let made = format!("CREATE UNIQUE INDEX {} ON {table} USING btree ({list})", quoted(&key.name));
        told[0].insert((key.index_oid, 0), visible.to_string());
        told[1].insert((key.constraint_oid, 0), format!("PRIMARY KEY ({list})"));
        told[2].insert((key.index_oid, 0), made);
        let columns = (1..).zip(&columns).map(|(place, name)| ((key.index_oid, place), quoted(name)));
        told[2].extend(columns);
    }
    let [visible, keys, indexes] = told;
    for (name, told, is_flag) in [
        ("pg_table_is_visible", visible, true),
        ("pg_get_constraintdef", keys, false),
        ("pg_get_indexdef", indexes, false),
    ] {
        let any = Signature::new(TypeSignature::VariadicAny, Volatility::Stable);
        context.register_udf(ScalarUDF::from(Told { name, told, is_flag, signature: any }));
    }
}

/// A name as it is written in a query.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty() {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// What is told of an id, and of a place within it where a client names one. Of others it says no, or nothing.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Told {
    name: &'static str,
    told: BTreeMap<(i32, i32), String>,
    is_flag: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Told {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(if self.is_flag { DataType::Boolean } else { DataType::Utf8 })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let args = ColumnarValue::values_to_arrays(&args.args)?;
        let oids = cast(&args[0], &DataType::Int64)?;
        let oids = oids.as_primitive::<Int64Type>();
        // The place is the second argument, where that is a number.
        let places = match args.get(1) {
            Some(places) if places.data_type().is_integer() => Some(cast(places, &DataType::Int64)?),
            _ => None,
        };
        let place = |row: usize| match &places {
            Some(places) if places.is_valid(row) => places.as_primitive::<Int64Type>().value(row),
            _ => 0,
        };
        let told = (0..oids.len()).map(|row| {
            let id = oids.is_valid(row).then(|| oids.value(row))?;
            let key = (i32::try_from(id).ok()?, i32::try_from(place(row)).ok()?);
            self.told.get(&key).map(String::as_str)
        });
        let told: ArrayRef = if self.is_flag {
            Arc::new(BooleanArray::from_iter(told.map(|told| Some(told == Some("true")))))
        } else {
            Arc::new(StringArray::from_iter(told))
        };
        Ok(ColumnarValue::Array(told))
    }
}
