//! A topic's schema: the columns that a JSON Schema gives, the check of an event, and which newer schema may follow, in any format.
//!
//! Pure: nothing here is stored or read. The schema is kept as its owner wrote it, and what follows from it is derived each time.

mod columns;
mod evolution;
mod names;
mod validator;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::decode::{Column, Decoder, InvalidColumns};

pub(crate) use evolution::check_evolution;
pub use evolution::{Compatibility, IncompatibleSchema};
pub(crate) use names::clash;
pub(crate) use validator::compile;
pub use validator::{Validator, Violation};

/// A topic's schema as its owner wrote it: a JSON Schema, or what the topic's format says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TopicSchema(Value);

/// A JSON Schema that no topic can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema is not valid at `{at}`: {detail}")]
pub struct InvalidSchema {
    /// Where in the schema, as a JSON Pointer.
    pub at: String,
    /// What is wrong.
    pub detail: String,
}

impl TopicSchema {
    /// Checks a JSON Schema: it is one, refers to nothing outside of itself, and gives columns that a query can name.
    pub fn parse(raw: Value) -> Result<Self, InvalidSchema> {
        if !raw.is_object() {
            return Err(InvalidSchema { at: String::new(), detail: "a JSON Schema is an object".into() });
        }
        let schema = TopicSchema(raw);
        validator::compile(&schema.0)?;
        schema.decoder()?;
        Ok(schema)
    }

    /// A schema of another format than JSON; the topic's configuration checks it.
    pub fn given(raw: Value) -> Self {
        TopicSchema(raw)
    }

    /// True when a JSON Schema says of a top-level field that it is an object, an array or null.
    pub(crate) fn is_never_scalar(&self, field: &str) -> bool {
        let never = |ty: &Value| matches!(ty.as_str(), Some("object" | "array" | "null"));
        match self.0.get("properties").and_then(|fields| fields.get(field)).and_then(|of| of.get("type")) {
            Some(Value::Array(types)) => types.iter().all(never),
            Some(ty) => never(ty),
            None => false,
        }
    }

    /// A JSON Schema's top-level fields as columns, in the schema's order.
    pub fn columns(&self) -> Vec<Column> {
        columns::of(&self.0)
    }

    /// The schema as its owner wrote it.
    pub fn raw(&self) -> &Value {
        &self.0
    }

    /// The decoder into the schema's columns.
    pub fn decoder(&self) -> Result<Decoder, InvalidSchema> {
        let named = |e: InvalidColumns| InvalidSchema { at: format!("/properties/{}", e.column), detail: e.detail };
        Decoder::new(self.columns()).map_err(named)
    }

    /// The check of an event. Costs up to a millisecond: keep it.
    pub fn validator(&self) -> Result<Validator, InvalidSchema> {
        validator::compile(&self.0)
    }

    /// Checks that `newer` may follow this schema under that rule.
    pub fn check_evolution(&self, newer: &TopicSchema, rule: Compatibility) -> Result<(), IncompatibleSchema> {
        evolution::check(self, newer, rule)
    }
}
