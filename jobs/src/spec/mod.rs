//! The specification of a job: `job.toml` and the SQL that it names.
//!
//! Parsing refuses every field that it does not know. A specification serializes to the very shape it was written in (with the SQL
//! under `query`), which is how the catalog keeps it.

mod action;
mod digest;
mod error;
mod fields;
mod input;
mod promote;
mod quantity;
mod watch;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use action::{ActionSpec, ActionTarget};
pub use digest::{Digest, STATE_VERSION};
pub use error::SpecError;
pub use input::{InputSpec, OnError};
pub use promote::{Check, PromotePolicy};
pub use quantity::{InvalidQuantity, Percent, Span, parse_bytes, parse_duration};
pub use watch::WatchPolicy;

use fields::Fields;

/// Names longer than this do not fit into file names with a version and an attempt.
const MAX_NAME_LEN: usize = 63;

/// A job as its developer wrote it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value")]
pub struct JobSpec {
    /// The job's name, which is its alias too.
    pub name: String,
    /// The SQL.
    pub query: String,
    /// The output columns that identify a row; empty: the group columns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// The output columns that say which record of a key is newest, before its timestamp.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<String>,
    /// The key column that tells a row's time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// How far below the greatest `time` rows are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retain: Option<Span>,
    /// What the query reads, by the name used in FROM.
    pub inputs: BTreeMap<String, InputSpec>,
    /// When a version may take over.
    pub promote: PromotePolicy,
    /// What is sent when rows of the served table change.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<ActionSpec>,
}

impl JobSpec {
    /// A job from its `job.toml` and the SQL.
    pub fn from_toml(toml: &str, query: impl Into<String>) -> Result<Self, SpecError> {
        let table: toml::Table = toml.parse().map_err(|e: toml::de::Error| {
            SpecError::new("job.toml", format!("is no TOML: {}", e.to_string().trim()), "correct it")
        })?;
        Self::from_json(json_of(toml::Value::Table(table)), query)
    }

    /// A job from the fields of `job.toml` as JSON and the SQL.
    pub fn from_json(spec: Value, query: impl Into<String>) -> Result<Self, SpecError> {
        let mut fields = Fields::of(spec, "")?;
        fields.take("query");
        Self::read(fields, tidy(&query.into()))
    }

    /// The digest of all that decides the rows, given what decodes each input.
    pub fn digest(&self, decoders: &BTreeMap<String, rekap_tiered_storage::Fingerprint>) -> Digest {
        Digest::of(self, decoders)
    }

    /// The digests as they were taken at first, when they told apart `x = "text"` and `x = { type = "text" }`, and a query that ends
    /// with its last line's end from one that does not.
    pub fn former_digests(&self, decoders: &BTreeMap<String, rekap_tiered_storage::Fingerprint>) -> Vec<Digest> {
        let ended = JobSpec { query: format!("{}\n", self.query), ..self.clone() };
        vec![Digest::as_written(self, decoders), Digest::of(&ended, decoders), Digest::as_written(&ended, decoders)]
    }

    fn read(mut fields: Fields, query: String) -> Result<Self, SpecError> {
        let name = fields.required_text("name", "name the job")?;
        check_name("name", &name)?;
        let spec = JobSpec {
            name,
            query,
            key: fields.texts("key")?,
            order: fields.texts("order")?,
            time: fields.text("time")?,
            retain: fields.parsed("retain", str::parse)?,
            inputs: inputs(fields.table("inputs")?)?,
            actions: action::actions(fields.list("actions")?)?,
            promote: fields.take("promote").map_or(Ok(PromotePolicy::default()), PromotePolicy::parse)?,
        };
        fields.finish()?;
        spec.check()?;
        Ok(spec)
    }

    /// What one field alone cannot show.
    fn check(&self) -> Result<(), SpecError> {
        if self.query.trim().is_empty() {
            return Err(SpecError::new("query", "is empty", "write one SELECT"));
        }
        for (field, columns) in [("key", &self.key), ("order", &self.order)] {
            if let Some(twice) = columns.iter().enumerate().find_map(|(i, c)| columns[..i].contains(c).then_some(c)) {
                return Err(SpecError::new(field, format!("names `{twice}` twice"), "name it once"));
            }
        }
        for (i, action) in self.actions.iter().enumerate() {
            let ActionTarget::Topic(topic) = &action.target else { continue };
            if self.inputs.values().any(|input| input.topic == *topic) {
                let detail = format!("`{topic}` is an input of this very job, which would go round in a circle");
                return Err(SpecError::new(format!("actions[{i}].topic"), detail, "write to another topic"));
            }
        }
        if self.retain.is_some() && self.time.is_none() {
            return Err(SpecError::new("retain", "needs `time`", "name the key column that tells a row's time"));
        }
        match &self.time {
            Some(time) if !self.key.is_empty() && !self.key.contains(time) => {
                Err(SpecError::new("time", format!("`{time}` is not in the key"), format!("add `{time}` to `key`")))
            }
            _ => Ok(()),
        }
    }
}

/// Reads what `Serialize` wrote: the fields of `job.toml` with the SQL itself under `query`.
impl TryFrom<Value> for JobSpec {
    type Error = SpecError;

    fn try_from(value: Value) -> Result<Self, SpecError> {
        let mut fields = Fields::of(value, "")?;
        let query = fields.required_text("query", "write one SELECT")?;
        Self::read(fields, query)
    }
}

fn inputs(tables: Vec<(String, Value)>) -> Result<BTreeMap<String, InputSpec>, SpecError> {
    let mut inputs = BTreeMap::<String, InputSpec>::new();
    for (name, value) in tables {
        let input = InputSpec::parse(&name, value)?;
        if let Some((other, _)) = inputs.iter().find(|(_, other)| other.topic == input.topic) {
            let detail = format!("reads topic `{}`, as `{other}` does", input.topic);
            let remedy = format!("use `{other}` twice in the SQL");
            return Err(SpecError::new(format!("inputs.{name}.topic"), detail, remedy));
        }
        inputs.insert(name, input);
    }
    if inputs.is_empty() {
        return Err(SpecError::new("inputs", "is empty", "add `[inputs.NAME]` with a `topic` for each name in FROM"));
    }
    Ok(inputs)
}

/// The query as it is kept and run: without what editors and checkouts on other machines change about a file. That is a byte order mark,
/// CRLF for LF, and white space at the end; a query that differs in these alone is the same one.
fn tidy(query: &str) -> String {
    query.trim_start_matches('\u{feff}').replace("\r\n", "\n").trim_end().to_owned()
}

/// Refuses a name that is not `[a-z][a-z0-9_]{0,62}`.
fn check_name(field: &str, name: &str) -> Result<(), SpecError> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let valid =
        name.len() <= MAX_NAME_LEN && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(legal);
    if valid {
        return Ok(());
    }
    Err(SpecError::new(field, format!("`{name}` is no name"), "use 1 to 63 of a-z 0-9 _, a letter first"))
}

/// TOML as JSON; its date-times become text.
fn json_of(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(value) => value.into(),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => items.into_iter().map(json_of).collect(),
        toml::Value::Table(fields) => fields.into_iter().map(|(name, value)| (name, json_of(value))).collect(),
    }
}

#[cfg(test)]
mod tests;
