//! Reads a table of a specification field by field, and refuses what is left over.

use std::fmt::Display;

use serde_json::{Map, Value};

use super::SpecError;

/// The fields that are often written at the top of `job.toml` and belong in its `[promote]`.
const OF_PROMOTE: [&str; 10] = [
    "auto",
    "two_people",
    "group",
    "max_lag",
    "ready_for",
    "stall_timeout",
    "rollback_window",
    "max_changed",
    "checks",
    "watch",
];

/// The fields of one table that are not read yet, and where the table stands.
pub(super) struct Fields {
    path: String,
    rest: Map<String, Value>,
}

impl Fields {
    /// The fields of `value`, which stands at `path` (empty at the top).
    pub(super) fn of(value: Value, path: &str) -> Result<Self, SpecError> {
        match value {
            Value::Object(rest) => Ok(Fields { path: path.to_owned(), rest }),
            other => Err(wrong(path, &other, "a table of fields")),
        }
    }

    /// The full path of a field of this table.
    pub(super) fn path(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    /// A field as it is, if it is there; null counts as absent.
    pub(super) fn take(&mut self, field: &str) -> Option<Value> {
        self.rest.remove(field).filter(|value| !value.is_null())
    }

    /// Text, if the field is there.
    pub(super) fn text(&mut self, field: &str) -> Result<Option<String>, SpecError> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(&self.path(field), &other, "text")),
        }
    }

    /// Text that has to be there.
    pub(super) fn required_text(&mut self, field: &str, remedy: &str) -> Result<String, SpecError> {
        self.text(field)?.ok_or_else(|| SpecError::new(self.path(field), "is missing", remedy))
    }

    /// Text read as something else, if the field is there.
    pub(super) fn parsed<T, E: Display>(
        &mut self,
        field: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, SpecError> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        parse(&text).map(Some).map_err(|e| SpecError::new(self.path(field), e.to_string(), "correct it"))
    }

    /// True or false, if the field is there.
    pub(super) fn boolean(&mut self, field: &str) -> Result<Option<bool>, SpecError> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(other) => Err(wrong(&self.path(field), &other, "true or false")),
        }
    }

    /// A list of texts; empty when the field is absent.
    pub(super) fn texts(&mut self, field: &str) -> Result<Vec<String>, SpecError> {
        let path = self.path(field);
        let text = |value| match value {
            Value::String(text) => Ok(text),
            other => Err(wrong(&path, &other, "a list of texts")),
        };
        self.list(field)?.into_iter().map(text).collect()
    }

    /// A list; empty when the field is absent.
    pub(super) fn list(&mut self, field: &str) -> Result<Vec<Value>, SpecError> {
        match self.take(field) {
            None => Ok(vec![]),
            Some(Value::Array(items)) => Ok(items),
            Some(other) => Err(wrong(&self.path(field), &other, "a list")),
        }
    }

    /// The fields of a table by name, in the order of their names; none when the field is absent.
    pub(super) fn table(&mut self, field: &str) -> Result<Vec<(String, Value)>, SpecError> {
        let table = self.take(field).unwrap_or(Value::Object(Map::new()));
        let mut entries: Vec<_> = Fields::of(table, &self.path(field))?.rest.into_iter().collect();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(entries)
    }

    /// Refuses a field that nobody read.
    pub(super) fn finish(self) -> Result<(), SpecError> {
        match self.rest.keys().next() {
            None => Ok(()),
            Some(field) if self.path.is_empty() && OF_PROMOTE.contains(&field.as_str()) => {
                let remedy = format!("it is a field of [promote]: write `{field}` below that line");
                Err(SpecError::new(field, "is no field of the job itself", remedy))
            }
            Some(field) => {
                Err(SpecError::new(self.path(field), "is no field of a job", "remove it or correct its name"))
            }
        }
    }
}

/// A value of another type than `wanted`.
pub(super) fn wrong(path: &str, found: &Value, wanted: &str) -> SpecError {
    let field = if path.is_empty() { "job" } else { path };
    SpecError::new(field, format!("is {found}"), format!("write {wanted}"))
}
