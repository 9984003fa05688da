//! JSON Schema to columns.
//!
//! | JSON Schema | column |
//! |---|---|
//! | `integer`, `number`, `boolean` | bigint, double, boolean |
//! | `string`, with format `date-time` | text, timestamp |
//! | `object` with `properties` | struct |
//! | `array` with `items` | list |
//! | anything else, unions included | text that holds JSON |
//!
//! `null` beside one type only says what every column is anyway: it may be NULL. A local `$ref` is followed; a schema that contains
//! itself ends in JSON where it comes round, and so does one that nests deeper than columns may.

use serde_json::{Map, Value};

use crate::decode::{Column, ColumnType, MAX_DEPTH};

/// Fields of one schema, all levels together. References can multiply a small schema without end; past this all is JSON.
const MAX_FIELDS: usize = 10_000;

/// The top-level fields of a schema, in the order in which they stand there.
pub(super) fn of(root: &Value) -> Vec<Column> {
    match (Reader { root, followed: Vec::new(), fields: 0, depth: 0 }).column_type(root) {
        ColumnType::Struct(columns) => columns,
        _ => Vec::new(),
    }
}

/// The `required` fields at the top of a schema.
pub(super) fn required(root: &Value) -> impl Iterator<Item = &str> {
    let top = root.get("$ref").and_then(Value::as_str).and_then(|reference| local(root, reference)).unwrap_or(root);
    top.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

struct Reader<'a> {
    root: &'a Value,
    /// The references that lead here: following one again would never end.
    followed: Vec<&'a str>,
    fields: usize,
    /// The structs and lists around this one, the root among them.
    depth: usize,
}

impl<'a> Reader<'a> {
    fn column_type(&mut self, schema: &'a Value) -> ColumnType {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            return self.follow(reference);
        }
        let properties = schema.get("properties").and_then(Value::as_object).filter(|fields| !fields.is_empty());
        match (one_type(schema), properties) {
            (Some("object"), Some(fields)) => self.structure(fields),
            (Some("array"), _) => self.list(schema),
            (Some("integer"), _) => ColumnType::Bigint,
            (Some("number"), _) => ColumnType::Double,
            (Some("boolean"), _) => ColumnType::Boolean,
            (Some("string"), _) if schema.get("format").and_then(Value::as_str) == Some("date-time") => {
                ColumnType::Timestamp
            }
            (Some("string"), _) => ColumnType::Text,
            (None, Some(fields)) if schema.get("type").is_none() => self.structure(fields),
            (None, None) if schema.get("type").is_none() => self.alternatives(schema),
            _ => ColumnType::Json,
        }
    }

    fn follow(&mut self, reference: &'a str) -> ColumnType {
        let Some(schema) = local(self.root, reference).filter(|_| !self.followed.contains(&reference)) else {
            return ColumnType::Json;
        };
        self.followed.push(reference);
        let ty = self.column_type(schema);
        self.followed.pop();
        ty
    }

    fn structure(&mut self, fields: &'a Map<String, Value>) -> ColumnType {
        self.fields += fields.len();
        if self.fields > MAX_FIELDS {
            return ColumnType::Json;
        }
        self.within(|inner| {
            let columns = fields.iter().map(|(name, schema)| Column::new(name, inner.column_type(schema)));
            ColumnType::Struct(columns.collect())
        })
    }

    fn list(&mut self, schema: &'a Value) -> ColumnType {
        let items = schema.get("items").filter(|items| items.is_object() && schema.get("prefixItems").is_none());
        items
            .map_or(ColumnType::Json, |items| self.within(|inner| ColumnType::List(Box::new(inner.column_type(items)))))
    }

    /// A struct or a list, if columns may nest so deep.
    fn within(&mut self, nested: impl FnOnce(&mut Self) -> ColumnType) -> ColumnType {
        if self.depth > MAX_DEPTH {
            return ColumnType::Json;
        }
        self.depth += 1;
        let ty = nested(self);
        self.depth -= 1;
        ty
    }

    /// `oneOf`, `anyOf` and `allOf` give a type when, `null` aside, all that they list have that same type.
    fn alternatives(&mut self, schema: &'a Value) -> ColumnType {
        let listed = ["oneOf", "anyOf", "allOf"].iter().find_map(|word| schema.get(word)?.as_array());
        let types = listed.into_iter().flatten().filter(|one| one.get("type").and_then(Value::as_str) != Some("null"));
        let mut types = types.map(|one| self.column_type(one));
        match types.next() {
            Some(first) if types.all(|other| other == first) => first,
            _ => ColumnType::Json,
        }
    }
}

/// The type of a schema when it names one, `null` aside.
fn one_type(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(name) => Some(name),
        Value::Array(names) => {
            let mut names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            names.next().filter(|_| names.next().is_none())
        }
        _ => None,
    }
}

/// What a reference inside of the schema points at.
fn local<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    root.pointer(&reference.strip_prefix('#')?.replace("%25", "%").replace("%20", " "))
}
