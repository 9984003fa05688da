//! What a topic is: its name, its identity, and what its owner asked for.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::decode::{Column, ColumnType, Decoder, Encoding, Format, InvalidColumns, Wire};
use crate::schema::{self, Compatibility, IncompatibleSchema, InvalidSchema, TopicSchema};

/// Kafka's own bound on the length of a topic's name.
const MAX_NAME_LEN: usize = 249;

/// The most partitions that a topic can have.
const MAX_PARTITIONS: u32 = 10_000;

/// A topic's name, by Kafka's rules: 1 to 249 of `a-z A-Z 0-9 . _ -`, not `.` or `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TopicName {
    type Err = InvalidTopicName;

    fn from_str(name: &str) -> Result<Self, InvalidTopicName> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let valid =
            !name.is_empty() && name.len() <= MAX_NAME_LEN && name.chars().all(legal) && name != "." && name != "..";
        if valid { Ok(TopicName(name.into())) } else { Err(InvalidTopicName(name.to_owned())) }
    }
}

impl TryFrom<String> for TopicName {
    type Error = InvalidTopicName;

    fn try_from(name: String) -> Result<Self, InvalidTopicName> {
        name.parse()
    }
}

impl From<TopicName> for String {
    fn from(name: TopicName) -> String {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// A topic's name that breaks Kafka's rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no topic name: use 1 to 249 of a-z A-Z 0-9 . _ - (not `.` or `..`)")]
pub struct InvalidTopicName(pub String);

/// The identity of one life of a topic. A topic that is deleted and made again has the same name and another incarnation, so
/// positions and mirror progress of the old one can never be mistaken for the new one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(Uuid);

impl Incarnation {
    /// The identity of a topic that is being made now.
    pub fn random() -> Self {
        Incarnation(Uuid::new_v4())
    }

    /// The identity with these 16 bytes.
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Incarnation(Uuid::from_bytes(bytes))
    }

    /// Its 16 bytes, for keys of stores.
    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Incarnation {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Incarnation)
    }
}

/// What a topic's owner asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopicConfig {
    /// The number of partitions, 1 to 10,000. It may only grow.
    pub partitions: u32,
    /// How long the hot tier keeps a record after its append, in ms; `None` keeps it for ever.
    pub retention_ms: Option<u64>,
    /// How many bytes of records the hot tier keeps per partition; `None` sets no bound.
    pub retention_bytes: Option<u64>,
    /// The top-level fields of an event that make up its record key; empty: records have no key of their own.
    pub key: Vec<String>,
    /// How values are written.
    #[serde(default, skip_serializing_if = "Format::is_json")]
    pub format: Format,
    /// What stands around a value.
    #[serde(default, skip_serializing_if = "Wire::is_bare")]
    pub wire: Wire,
    /// The schema of every event, if the topic has one: a JSON Schema, an Avro schema, or `{proto, message, imports}`, as the format is.
    pub schema: Option<TopicSchema>,
    /// What a newer schema has to keep.
    #[serde(default)]
    pub compatibility: Compatibility,
    /// The schemas before the present one, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past_schemas: Vec<TopicSchema>,
}

impl Default for TopicConfig {
    /// One partition of records without key and schema, kept for ever.
    fn default() -> Self {
        TopicConfig {
            partitions: 1,
            retention_ms: None,
            retention_bytes: None,
            key: Vec::new(),
            format: Format::default(),
            wire: Wire::default(),
            schema: None,
            compatibility: Compatibility::default(),
            past_schemas: Vec::new(),
        }
    }
}

/// A topic's configuration that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {detail}")]
pub struct InvalidTopicConfig {
    /// The field of the configuration.
    pub field: String,
    /// What is wrong with it, and what to write instead.
    pub detail: String,
}

impl TopicConfig {
    /// The number of the present schema, from 1; `None` without a schema.
    pub fn schema_version(&self) -> Option<usize> {
        self.schema.as_ref().map(|_| self.past_schemas.len() + 1)
    }

    /// What the bytes of its records are.
    pub fn encoding(&self) -> Result<Encoding, InvalidSchema> {
        let schema = self.schema.as_ref().map(TopicSchema::raw);
        let invalid = |detail| InvalidSchema { at: String::new(), detail };
        Encoding::new(self.format, self.wire, schema).map_err(invalid)
    }

    /// The columns that its records have by themselves.
    pub fn columns(&self) -> Result<Vec<Column>, InvalidSchema> {
        match self.format {
            Format::Json => Ok(self.schema.as_ref().map(TopicSchema::columns).unwrap_or_default()),
            _ => Ok(self.encoding()?.columns()),
        }
    }

    /// The decoder of its records into their own columns.
    pub fn decoder(&self) -> Result<Decoder, InvalidSchema> {
        let named = |e: InvalidColumns| InvalidSchema { at: e.column, detail: e.detail };
        self.encoding()?.decoder(self.columns()?).map_err(named)
    }

    /// Checks that `newer` may follow: events that are there can still be read, and those of one format stay of one.
    pub fn check_evolution(&self, newer: &TopicConfig) -> Result<(), IncompatibleSchema> {
        schema::check_evolution(self, newer)
    }

    /// Checks the configuration by itself.
    pub fn check(&self) -> Result<(), InvalidTopicConfig> {
        let invalid = |field: &str, detail: String| Err(InvalidTopicConfig { field: field.into(), detail });
        if !(1..=MAX_PARTITIONS).contains(&self.partitions) {
            return invalid("partitions", format!("{} is not in 1 to {MAX_PARTITIONS}", self.partitions));
        }
        if !self.wire.is_bare() && matches!(self.format, Format::Text | Format::Bytes) {
            let detail =
                format!("records of format `{}` have no schema, so no id of one stands before them", self.format);
            return invalid("wire", detail);
        }
        if let Err(error) = self.check_schema() {
            return invalid("schema", error.to_string());
        }
        self.check_key().or_else(|detail| invalid("key", detail))
    }

    /// Checks that no two fields of the schema differ by case only: the cold tier could not tell them apart. Of a schema that is new; one
    /// that was taken before stays.
    pub fn check_names(&self) -> Result<(), InvalidTopicConfig> {
        match schema::clash(&self.columns().unwrap_or_default()) {
            None => Ok(()),
            Some((first, second)) => {
                let detail = format!(
                    "fields `{first}` and `{second}` differ by case only, and readers of the Delta table see one of them; \
                     leave one out of the schema, or rename it"
                );
                Err(InvalidTopicConfig { field: "schema".into(), detail })
            }
        }
    }

    /// Checks that every key field has a name and is none that the schema makes an object or an array: no event could be appended. Of a
    /// key or a schema that is new; what was taken before stays.
    pub fn check_key_fields(&self) -> Result<(), InvalidTopicConfig> {
        let invalid = |detail: String| Err(InvalidTopicConfig { field: "key".into(), detail });
        for field in &self.key {
            if field.is_empty() {
                return invalid("a field without a name cannot be told to a reader; name a field of the events".into());
            }
            let schema = self.schema.as_ref().filter(|_| self.format == Format::Json);
            if schema.is_some_and(|schema| schema.is_never_scalar(field)) {
                return invalid(format!("field `{field}` is no string, number or boolean in the schema"));
            }
        }
        Ok(())
    }

    fn check_schema(&self) -> Result<(), InvalidSchema> {
        match (self.format, &self.schema) {
            (Format::Json, Some(schema)) => TopicSchema::parse(schema.raw().clone()).map(drop),
            _ => self.decoder().map(drop),
        }
    }

    fn check_key(&self) -> Result<(), String> {
        if self.format == Format::Bytes && !self.key.is_empty() {
            return Err("records of format `bytes` have no fields; send keys with ?raw=true".into());
        }
        let columns = match self.format {
            Format::Json if self.schema.is_none() => None,
            _ => Some(self.columns().map_err(|e| e.to_string())?),
        };
        for (i, field) in self.key.iter().enumerate() {
            if self.key[..i].contains(field) {
                return Err(format!("field `{field}` is named twice"));
            }
            let Some(columns) = &columns else { continue };
            match columns.iter().find(|column| column.name == *field) {
                None => return Err(format!("field `{field}` is not in the schema's properties")),
                Some(Column { ty: ColumnType::Struct(_) | ColumnType::List(_) | ColumnType::Binary, .. }) => {
                    return Err(format!("field `{field}` is no string, number or boolean in the schema"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// A topic as the hot tier knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Topic {
    /// Its name.
    pub name: TopicName,
    /// Which life of that name this is.
    pub incarnation: Incarnation,
    /// What its owner asked for.
    pub config: TopicConfig,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(partitions: u32, key: &[&str]) -> TopicConfig {
        let schema = json!({"properties": {"id": {"type": "string"}, "o": {"properties": {"x": {"type": "string"}}}}});
        TopicConfig {
            partitions,
            retention_ms: None,
            retention_bytes: None,
            key: key.iter().map(|field| (*field).to_owned()).collect(),
            schema: Some(TopicSchema::parse(schema).unwrap()),
            ..TopicConfig::default()
        }
    }

    fn refused(config: TopicConfig) -> String {
        config.check().unwrap_err().field
    }

    #[test]
    fn a_topic_has_1_to_10_000_partitions() {
        config(1, &[]).check().unwrap();
        config(10_000, &[]).check().unwrap();
        assert_eq!(refused(config(0, &[])), "partitions");
        assert_eq!(refused(config(10_001, &[])), "partitions");
    }

    #[test]
    fn a_key_is_made_of_scalar_fields_of_the_schema() {
        config(1, &["id"]).check().unwrap();
        TopicConfig { schema: None, ..config(1, &["anything"]) }.check().unwrap();
        assert_eq!(refused(config(1, &["absent"])), "key");
        assert_eq!(refused(config(1, &["o"])), "key");
        assert_eq!(refused(config(1, &["id", "id"])), "key");
    }

    #[test]
    fn a_new_key_has_fields_with_names_that_may_be_scalar() {
        let checked = |key: &str, of: serde_json::Value| {
            let schema = TopicSchema::parse(json!({"properties": {"k": of}})).unwrap();
            let config = TopicConfig { schema: Some(schema), ..config(1, &[key]) };
            config.check().and_then(|()| config.check_key_fields()).map_err(|error| error.field)
        };
        for never in [json!({"type": "object"}), json!({"type": "array"}), json!({"type": ["object", "array", "null"]})]
        {
            assert_eq!(checked("k", never.clone()), Err("key".to_owned()), "{never}");
        }
        for may in [json!({"type": "string"}), json!({"type": ["object", "string"]}), json!({}), json!(true)] {
            assert_eq!(checked("k", may.clone()), Ok(()), "{may}");
        }
        assert_eq!(checked("", json!({})), Err("key".to_owned()));
        let bare = TopicConfig { schema: None, ..config(1, &[""]) };
        assert_eq!(bare.check_key_fields().unwrap_err().field, "key");
    }

    #[test]
    fn fields_that_differ_by_case_only_are_told_at_any_depth() {
        let clash = |properties: serde_json::Value| {
            let schema = TopicSchema::parse(json!({"properties": properties})).unwrap();
            let config = TopicConfig { schema: Some(schema), ..config(1, &[]) };
            config.check().unwrap();
            config.check_names().err().map(|error| error.detail)
        };
        let text = || json!({"type": "string"});
        let says = |said: Option<String>, first: &str, second: &str| {
            let said = said.unwrap();
            assert!(said.starts_with(&format!("fields `{first}` and `{second}` ")), "{said}");
        };
        says(clash(json!({"k": text(), "n": text(), "K": text()})), "k", "K");
        says(clash(json!({"o": {"properties": {"Id": text(), "iD": text()}}})), "o.Id", "o.iD");
        let items = json!({"type": "array", "items": {"properties": {"É": text(), "é": text()}}});
        says(clash(json!({"l": items})), "l.É", "l.é");
        assert_eq!(clash(json!({"k": text(), "o": {"properties": {"K": text()}}})), None);
    }

    #[test]
    fn a_stored_schema_is_checked_again() {
        let schema = serde_json::from_value(json!({"properties": {"a": {"type": "text"}}})).unwrap();
        assert_eq!(refused(TopicConfig { schema: Some(schema), ..config(1, &[]) }), "schema");
    }
}
