//! Avro types to columns, and where in a record the columns' values stand.
//!
//! | Avro | column |
//! |---|---|
//! | int, long (time-millis and time-micros too) | bigint |
//! | float, double | double |
//! | boolean | boolean |
//! | string, enum, uuid, date, decimal | text |
//! | timestamp-millis, -micros, -nanos, local ones too | timestamp |
//! | bytes, fixed | binary |
//! | record | struct |
//! | array | list |
//! | map, a union of more than null and one other, a record within itself | text that holds JSON |

use super::super::column::{Column, ColumnType};
use super::schema::{Logical, Shape, TypeId, Types};

/// Fields of one schema, all levels together; past this all is JSON.
const MAX_FIELDS: usize = 10_000;

/// The name of the column of a schema that is no record.
pub(crate) const WHOLE: &str = "value";

/// The columns that the schema gives.
pub(super) fn columns(types: &Types, root: TypeId) -> Vec<Column> {
    let mut natural = Natural { types, within: Vec::new(), fields: 0 };
    match natural.of(root) {
        ColumnType::Struct(columns) => columns,
        ty => vec![Column { path: Some(String::new()), ..Column::new(WHOLE, ty) }],
    }
}

/// The type of column that a type is by itself.
pub(super) fn natural(types: &Types, ty: TypeId) -> ColumnType {
    Natural { types, within: Vec::new(), fields: 0 }.of(ty)
}

struct Natural<'a> {
    types: &'a Types,
    /// The records that lead here.
    within: Vec<TypeId>,
    fields: usize,
}

impl Natural<'_> {
    fn of(&mut self, ty: TypeId) -> ColumnType {
        let ty = self.types.without_null(ty);
        let avro = self.types.get(ty);
        match (&avro.shape, avro.logical) {
            (Shape::Boolean, _) => ColumnType::Boolean,
            (_, Some(Logical::Date | Logical::Decimal(_) | Logical::Uuid)) => ColumnType::Text,
            (_, Some(Logical::Millis | Logical::Micros | Logical::Nanos)) => ColumnType::Timestamp,
            (Shape::Int | Shape::Long, None) => ColumnType::Bigint,
            (Shape::Float | Shape::Double, None) => ColumnType::Double,
            (Shape::String | Shape::Enum { .. }, None) => ColumnType::Text,
            (Shape::Bytes | Shape::Fixed(_), None) => ColumnType::Binary,
            (Shape::Record(fields), None) => {
                self.fields += fields.len();
                if fields.is_empty() || self.fields > MAX_FIELDS || self.within.contains(&ty) {
                    return ColumnType::Json;
                }
                self.within.push(ty);
                let columns = fields.iter().map(|field| Column::new(&*field.name, self.of(field.ty))).collect();
                self.within.pop();
                ColumnType::Struct(columns)
            }
            (Shape::Array(item), None) => ColumnType::List(Box::new(self.of(*item))),
            (Shape::Null | Shape::Map(_) | Shape::Union(_), None) => ColumnType::Json,
        }
    }
}

/// One place in a record.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The columns whose value stands here.
    pub(super) columns: Vec<usize>,
    /// By the number of the reader's field, what stands further in; empty when nothing does.
    pub(super) fields: Vec<Option<Place>>,
}

impl Place {
    /// Adds a column whose value is these steps further in; refuses what is not there, or is of another type.
    pub(super) fn add(
        &mut self,
        types: &Types,
        here: TypeId,
        steps: &[String],
        column: usize,
        wanted: &ColumnType,
    ) -> Result<(), String> {
        let Some((step, rest)) = steps.split_first() else {
            fits(&natural(types, here), wanted)?;
            self.columns.push(column);
            return Ok(());
        };
        let Shape::Record(fields) = types.shape(types.without_null(here)) else {
            return Err(format!(
                "`{step}` cannot stand in a {}; declare the whole of it, and take it apart in the query",
                types.shape(types.without_null(here)).kind()
            ));
        };
        let Some(field) = fields.iter().position(|field| *field.name == **step) else {
            let names: Vec<&str> = fields.iter().map(|field| &*field.name).collect();
            return Err(format!("the topic's schema has no field `{step}` there; it has {}", names.join(", ")));
        };
        self.fields.resize_with(fields.len(), || None);
        self.fields[field].get_or_insert_default().add(types, fields[field].ty, rest, column, wanted)
    }
}

/// Checks that a column of the wanted type can hold what is by itself of the natural one.
pub(crate) fn fits(natural: &ColumnType, wanted: &ColumnType) -> Result<(), String> {
    match (natural, wanted) {
        (_, ColumnType::Json)
        | (ColumnType::Bigint, ColumnType::TimestampS | ColumnType::TimestampMs | ColumnType::TimestampUs) => Ok(()),
        (natural, wanted) if natural == wanted => Ok(()),
        _ => Err(format!("it is {natural} in the topic's schema, not {wanted}; convert it in the query")),
    }
}
