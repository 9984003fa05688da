//! The check of an event in the one pass in which its bytes are read, for schemas that are plain enough.
//!
//! It only ever says "this event is fine, and here is its key" or "I do not know". What it does not know is checked the long way, by the
//! schema's validator, which also words every refusal. So it has to be right only when it admits, and it is quick to give up: a field
//! twice, a whole number written as `3.0`, a time with a leap second. Fields whose schema says more than is known here are handed to a
//! validator of their own. Pure.

mod field;
mod read;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use serde::de::DeserializeSeed as _;
use serde_json::{Map, Value};

use field::{Check, Field};
use read::{Found, Reader};

/// Which fields an event has is kept in the bits of a `u64`.
const MAX_FIELDS: usize = 64;

/// Keys of more fields than this are found the long way.
pub(super) const MAX_KEY_FIELDS: usize = 8;

/// What an object's schema may say besides its fields without saying anything of an event.
const SAYS_NOTHING: [&str; 7] = ["$schema", "$id", "$comment", "title", "description", "examples", "default"];

/// A schema, ready to be checked against bytes.
#[derive(Debug)]
pub(super) struct Quick {
    fields: Vec<Field>,
    /// The bits of the fields that every event has.
    required: u64,
    /// Whether fields that the schema does not name are against it.
    closed: bool,
    /// How many fields the record key has, where it can be made from what is read.
    key: Option<usize>,
    /// Whether a field's schema admits what its column does not hold, so that the decoder has to look as well.
    decode: bool,
}

/// An event that its schema admits.
pub(super) struct Admitted {
    /// The record key; `None` where it has to be found the long way, or there is none.
    pub(super) key: Option<Bytes>,
    /// Whether the decoder has to look as well.
    pub(super) decode: bool,
}

impl Quick {
    /// The quick check of events under `schema` with these key fields; `None` where the schema is not plain enough.
    pub(super) fn new(schema: &Value, key: &[String]) -> Option<Self> {
        let schema = schema.as_object()?;
        let mut closed = false;
        for (word, value) in schema {
            match word.as_str() {
                "type" if value == "object" => {}
                "properties" | "required" => {}
                "additionalProperties" => closed = !value.as_bool()?,
                word if SAYS_NOTHING.contains(&word) => {}
                _ => return None,
            }
        }
        let mut fields = fields(schema)?;
        let mut required = 0;
        for name in schema.get("required").map_or(Some([].as_slice()), |names| names.as_array().map(Vec::as_slice))? {
            required |= 1 << of_name(&mut fields, name.as_str()?, closed)?;
        }
        for (part, name) in key.iter().enumerate().take(MAX_KEY_FIELDS) {
            let field = of_name(&mut fields, name, closed)?;
            fields[field].key = Some(part);
        }
        let tells_its_text = |field: &Field| field.key.is_none() || field.check.tells_its_text();
        let distinct = key.iter().enumerate().all(|(i, name)| !key[..i].contains(name));
        let whole = key.len() <= MAX_KEY_FIELDS && distinct && fields.iter().all(tells_its_text);
        let decode = fields.iter().any(|field| field.check.admits_more_than_its_column());
        Some(Quick { fields, required, closed, key: (whole && !key.is_empty()).then_some(key.len()), decode })
    }

    /// The event with its key, when it surely satisfies the schema.
    pub(super) fn admit(&self, event: &Bytes) -> Option<Admitted> {
        let mut json = serde_json::Deserializer::from_slice(event);
        let mut found = Found::default();
        Reader { quick: self, found: &mut found }.deserialize(&mut json).ok()?;
        json.end().ok()?;
        if found.seen & self.required != self.required {
            return None;
        }
        let key = match self.key {
            Some(parts) => Some(found.key(parts, event)?),
            None => None,
        };
        Some(Admitted { key, decode: self.decode })
    }
}

fn fields(schema: &Map<String, Value>) -> Option<Vec<Field>> {
    let none = Map::new();
    let properties = schema.get("properties").map_or(Some(&none), Value::as_object)?;
    let fields: Option<Vec<Field>> =
        properties.iter().map(|(name, says)| Field::new(name, says, schema.get("$schema"))).collect();
    fields.filter(|fields| fields.len() <= MAX_FIELDS)
}

/// The place of a field; one that the schema names only outside of `properties` may hold anything.
fn of_name(fields: &mut Vec<Field>, name: &str, closed: bool) -> Option<usize> {
    if let Some(known) = fields.iter().position(|field| *field.name == *name) {
        return Some(known);
    }
    if closed || fields.len() == MAX_FIELDS {
        return None;
    }
    fields.push(Field { name: name.into(), check: Check::Anything, key: None });
    Some(fields.len() - 1)
}
