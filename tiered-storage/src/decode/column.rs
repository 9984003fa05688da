//! What a typed column is called, what it holds, and where in the event it stands.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};
use serde::{Deserialize, Serialize};

use crate::timestamp_type;

/// How deep structs and lists may nest. A table of the cold tier says its columns in JSON, three levels for each struct, and readers of
/// JSON take 128.
pub(crate) const MAX_DEPTH: usize = 32;

/// The type of a column, by its SQL name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// A whole number that fits into 64 bits.
    Bigint,
    /// Any number.
    Double,
    /// A string.
    Text,
    /// `true` or `false`.
    Boolean,
    /// RFC 3339 text.
    Timestamp,
    /// A number of seconds since 1970.
    TimestampS,
    /// A number of milliseconds since 1970.
    TimestampMs,
    /// A number of microseconds since 1970.
    TimestampUs,
    /// Any value, as text that holds its JSON.
    Json,
    /// Bytes; JSON has none.
    Binary,
    /// An object with these fields.
    Struct(Vec<Column>),
    /// An array of such values.
    List(Box<ColumnType>),
}

impl ColumnType {
    /// The Arrow type of such a column.
    pub fn arrow(&self) -> DataType {
        match self {
            ColumnType::Bigint => DataType::Int64,
            ColumnType::Double => DataType::Float64,
            ColumnType::Text | ColumnType::Json => DataType::Utf8,
            ColumnType::Boolean => DataType::Boolean,
            ColumnType::Binary => DataType::Binary,
            ColumnType::Timestamp | ColumnType::TimestampS | ColumnType::TimestampMs | ColumnType::TimestampUs => {
                timestamp_type()
            }
            ColumnType::Struct(columns) => DataType::Struct(fields(columns)),
            ColumnType::List(item) => DataType::List(Arc::new(Field::new("item", item.arrow(), true))),
        }
    }

    fn check(&self, depth: usize) -> Result<(), String> {
        match self {
            _ if depth > MAX_DEPTH => Err(format!("types nest deeper than {MAX_DEPTH}")),
            ColumnType::Struct(columns) if columns.is_empty() => Err("a struct needs a field".into()),
            ColumnType::Struct(columns) => check_all(columns, depth + 1),
            ColumnType::List(item) => item.check(depth + 1),
            _ => Ok(()),
        }
    }

    /// True when bytes are anywhere in it.
    pub(super) fn holds_binary(&self) -> bool {
        match self {
            ColumnType::Binary => true,
            ColumnType::Struct(columns) => columns.iter().any(|column| column.ty.holds_binary()),
            ColumnType::List(item) => item.holds_binary(),
            _ => false,
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ColumnType::Bigint => "bigint",
            ColumnType::Double => "double",
            ColumnType::Text => "text",
            ColumnType::Boolean => "boolean",
            ColumnType::Timestamp => "timestamp",
            ColumnType::TimestampS => "timestamp_s",
            ColumnType::TimestampMs => "timestamp_ms",
            ColumnType::TimestampUs => "timestamp_us",
            ColumnType::Json => "json",
            ColumnType::Binary => "binary",
            ColumnType::Struct(_) => "struct",
            ColumnType::List(item) => return write!(f, "list<{item}>"),
        })
    }
}

/// The Arrow fields of columns; all may be NULL.
pub(super) fn fields(columns: &[Column]) -> Fields {
    columns.iter().map(|column| Field::new(&column.name, column.ty.arrow(), true)).collect()
}

/// A typed column of an input.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Column {
    /// Its name in SQL.
    pub name: String,
    /// What it holds.
    #[serde(rename = "type")]
    pub ty: ColumnType,
    /// Where its value stands in the event, as a JSON Pointer; `None`: the top-level field of that name. Fields of a struct have
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Column {
    /// A column that holds the top-level field of its name.
    pub fn new(name: impl Into<String>, ty: ColumnType) -> Self {
        Column { name: name.into(), ty, path: None }
    }

    /// The steps to its value, from the event inwards.
    pub(super) fn steps(&self) -> Result<Vec<String>, String> {
        match self.path.as_deref() {
            None => Ok(vec![self.name.clone()]),
            Some("") => Ok(Vec::new()),
            Some(path) => {
                let steps =
                    path.strip_prefix('/').ok_or_else(|| format!("`{path}` is no JSON Pointer, as `/a/b` is"))?;
                Ok(steps.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect())
            }
        }
    }
}

/// A column as a job declares it: `price = "double"` or `login = { type = "text", path = "/actor/login" }`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ColumnSpec {
    /// A type; the value is the top-level field of the column's name.
    Type(ColumnType),
    /// A type and a place.
    At(ColumnPlace),
}

/// The longer form of a declared column.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnPlace {
    /// What it holds.
    #[serde(rename = "type")]
    pub ty: ColumnType,
    /// Where its value stands, as a JSON Pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl ColumnSpec {
    /// The column of that name.
    pub fn named(self, name: impl Into<String>) -> Column {
        let (ty, path) = match self {
            ColumnSpec::Type(ty) => (ty, None),
            ColumnSpec::At(place) => (place.ty, place.path),
        };
        Column { name: name.into(), ty, path }
    }

    /// The shortest way to write it.
    pub fn short(self) -> ColumnSpec {
        match self {
            ColumnSpec::At(ColumnPlace { ty, path: None }) => ColumnSpec::Type(ty),
            other => other,
        }
    }
}

/// Columns that no decoder can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column `{column}`: {detail}")]
pub struct InvalidColumns {
    /// The column's name.
    pub column: String,
    /// What is wrong, and what to write instead.
    pub detail: String,
}

/// Checks names, paths and types of an input's columns.
pub(super) fn check(columns: &[Column]) -> Result<(), InvalidColumns> {
    let mut seen = BTreeSet::new();
    for column in columns {
        check_top(column, &mut seen).map_err(|detail| InvalidColumns { column: column.name.clone(), detail })?;
    }
    Ok(())
}

fn check_top<'a>(column: &'a Column, seen: &mut BTreeSet<&'a str>) -> Result<(), String> {
    if column.name.starts_with('_') {
        return Err("names with a leading `_` are kept for the record's own columns; declare it under another name \
                    with a `path`"
            .into());
    }
    check_name(column, seen)?;
    column.steps()?;
    column.ty.check(0)
}

fn check_name<'a>(column: &'a Column, seen: &mut BTreeSet<&'a str>) -> Result<(), String> {
    match () {
        () if column.name.is_empty() => Err("a column needs a name".into()),
        () if !seen.insert(&column.name) => Err("two columns have this name; rename one".into()),
        () => Ok(()),
    }
}

fn check_all(columns: &[Column], depth: usize) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for column in columns {
        check_name(column, &mut seen).map_err(|detail| format!("field `{}`: {detail}", column.name))?;
        column.ty.check(depth).map_err(|detail| format!("field `{}`: {detail}", column.name))?;
    }
    Ok(())
}
