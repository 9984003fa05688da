//! What the columns of tables are to Postgres clients. Pure.

use arrow::datatypes::DataType;
use datafusion_postgres::arrow_pg::datatypes::into_pg_type;
use datafusion_postgres::pgwire::api::Type;

/// The type of a column. What Postgres has no name for is text; structures are records.
pub(super) fn pg_type(kind: &DataType) -> Type {
    match kind {
        DataType::Struct(_) => Type::RECORD,
        DataType::List(item) | DataType::LargeList(item) if matches!(item.data_type(), DataType::Struct(_)) => {
            Type::RECORD_ARRAY
        }
        other => into_pg_type(other).unwrap_or(Type::TEXT),
    }
}

/// What a type is modified by, as the catalog writes it: the digits of decimals.
pub(super) fn modifier(kind: &DataType) -> i32 {
    match decimal(kind) {
        Some((precision, scale)) => ((precision << 16) | (scale & 0xffff)) + 4,
        None => -1,
    }
}

/// All digits of a decimal, and those after its point.
pub(super) fn decimal(kind: &DataType) -> Option<(i32, i32)> {
    match kind {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            Some((i32::from(*precision), i32::from(*scale)))
        }
        _ => None,
    }
}

/// Bytes of a value, -1 where they vary; whether it is passed by value; how it is aligned and stored.
pub(super) fn layout(kind: &Type) -> (i16, bool, &'static str, &'static str) {
    match *kind {
        Type::BOOL => (1, true, "c", "p"),
        Type::INT2 => (2, true, "s", "p"),
        Type::INT4 | Type::FLOAT4 | Type::DATE => (4, true, "i", "p"),
        Type::INT8 | Type::FLOAT8 | Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::TIME => (8, true, "d", "p"),
        Type::INTERVAL => (16, false, "d", "p"),
        Type::NUMERIC => (-1, false, "i", "m"),
        _ => (-1, false, "i", "x"),
    }
}

/// The collation of texts, 0 of all else: the default one, as their types say.
pub(super) fn collation(kind: &Type) -> i32 {
    if *kind == Type::TEXT || *kind == Type::TEXT_ARRAY { 100 } else { 0 }
}

/// The standard's name of a type.
pub(super) fn standard_name(kind: &DataType) -> String {
    match pg_type(kind) {
        Type::BOOL => "boolean".to_owned(),
        Type::INT2 => "smallint".to_owned(),
        Type::INT4 => "integer".to_owned(),
        Type::INT8 => "bigint".to_owned(),
        Type::FLOAT4 => "real".to_owned(),
        Type::FLOAT8 => "double precision".to_owned(),
        Type::TIMESTAMP => "timestamp without time zone".to_owned(),
        Type::TIMESTAMPTZ => "timestamp with time zone".to_owned(),
        Type::TIME => "time without time zone".to_owned(),
        other if other.name().starts_with('_') => "ARRAY".to_owned(),
        other => other.name().to_owned(),
    }
}
