//! What is expected against what came out. Rows are matched by the table's key, so their order in the file does not matter.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::cli::failure::Failure;

/// How far two doubles may lie apart and still be the same, relative to the larger one: as verification compares them.
const RELATIVE: f64 = 1e-9;

/// One thing that is not as expected.
#[derive(Debug, PartialEq)]
pub(super) enum Difference {
    /// A row that is expected and not there.
    Missing(Value),
    /// A row that is there and not expected.
    Unexpected(Value),
    /// A column of a row that is otherwise there.
    Changed { key: Value, column: String, expected: Value, got: Value },
    /// A dead letter that is expected and not there, or the other way round.
    DeadLetter { expected: Option<Value>, got: Option<Value> },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Missing(row) => write!(f, "expected, and not in the table: {row}"),
            Difference::Unexpected(row) => write!(f, "in the table, and not expected: {row}"),
            Difference::Changed { key, column, expected, got } => {
                write!(f, "{key}: {column} is {got}, expected {expected}")
            }
            Difference::DeadLetter { expected: Some(expected), got: Some(got) } => {
                write!(f, "dead letter {got}, expected {expected}")
            }
            Difference::DeadLetter { expected: Some(expected), .. } => write!(f, "no dead letter, expected {expected}"),
            Difference::DeadLetter { got, .. } => {
                write!(f, "a dead letter that was not expected: {}", got.as_ref().unwrap_or(&Value::Null))
            }
        }
    }
}

/// Compares tables whose rows are told apart by the columns `key`. An expected row without a column expects NULL there.
pub(super) fn table(key: &[String], expected: Vec<Value>, got: &[Value]) -> Result<Vec<Difference>, Failure> {
    let mut left = BTreeMap::new();
    for row in got {
        left.insert(key_of(key, row).to_string(), row);
    }
    let mut differences = Vec::new();
    for row in expected {
        let Value::Object(columns) = &row else {
            return Err(Failure::Usage(format!("an expected row must be a JSON object, not {row}")));
        };
        if let Some(name) = key.iter().find(|name| !columns.contains_key(*name)) {
            return Err(Failure::Usage(format!("the expected row {row} lacks `{name}`, a key column of the table")));
        }
        let key = key_of(key, &row);
        match left.remove(&key.to_string()).and_then(Value::as_object) {
            Some(got) => differences.extend(changed(&key, columns, got)),
            None => differences.push(Difference::Missing(row)),
        }
    }
    differences.extend(left.into_values().cloned().map(Difference::Unexpected));
    Ok(differences)
}

/// The columns of one row that differ.
fn changed(key: &Value, expected: &Map<String, Value>, got: &Map<String, Value>) -> Vec<Difference> {
    let beyond = expected.keys().filter(|name| !got.contains_key(*name));
    let differs = |name: &String| {
        let of = |row: &Map<String, Value>| row.get(name).cloned().unwrap_or(Value::Null);
        let (expected, got) = (of(expected), of(got));
        (!same(&expected, &got)).then(|| Difference::Changed { key: key.clone(), column: name.clone(), expected, got })
    };
    got.keys().chain(beyond).filter_map(differs).collect()
}

/// Compares dead letters in their order. An expected one names only the members that matter.
pub(super) fn dead_letters(expected: Vec<Value>, got: &[Value]) -> Vec<Difference> {
    let matches = |expected: &Value, got: &Value| {
        expected.as_object().is_some_and(|wanted| wanted.iter().all(|(name, value)| got[name] == *value))
    };
    let mut expected = expected.into_iter();
    let mut got = got.iter().cloned();
    std::iter::from_fn(|| match (expected.next(), got.next()) {
        (None, None) => None,
        pair => Some(pair),
    })
    .filter(|pair| !matches!(pair, (Some(expected), Some(got)) if matches(expected, got)))
    .map(|(expected, got)| Difference::DeadLetter { expected, got })
    .collect()
}

fn key_of(key: &[String], row: &Value) -> Value {
    key.iter().map(|name| (name.clone(), row[name].clone())).collect::<Map<_, _>>().into()
}

/// Equal, doubles within [`RELATIVE`].
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) if x.is_f64() || y.is_f64() => {
            let (x, y) = (x.as_f64().unwrap_or(f64::NAN), y.as_f64().unwrap_or(f64::NAN));
            x == y || (x - y).abs() <= RELATIVE * x.abs().max(y.abs())
        }
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(name, x)| y.get(name).is_some_and(|y| same(x, y)))
        }
        _ => a == b,
    }
}
