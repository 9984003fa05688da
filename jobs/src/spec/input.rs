//! What a job reads: the inputs that its query names in FROM.

use std::collections::BTreeMap;

use rekap_tiered_storage::{ColumnSpec, Start, TopicName};
use serde::Serialize;
use serde_json::Value;

use super::fields::{Fields, wrong};
use super::{SpecError, check_name};

/// One input of a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InputSpec {
    /// The topic read.
    pub topic: TopicName,
    /// Where reading starts; resolved once into offsets, at deploy.
    pub start: Start,
    /// What becomes of a record that cannot be decoded or evaluated.
    pub on_error: OnError,
    /// Columns that the topic's schema does not give, or gives otherwise; by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, ColumnSpec>,
}

/// What becomes of a record that cannot be decoded, or on which an expression fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// It is kept beside the table, with the reason, and the job goes on.
    DeadLetter,
    /// The version fails.
    Fail,
}

impl InputSpec {
    /// The same input with its columns in their shortest form: how they are written decides no row.
    pub(super) fn short(&self) -> InputSpec {
        let columns = self.columns.iter().map(|(name, column)| (name.clone(), column.clone().short()));
        InputSpec { columns: columns.collect(), ..self.clone() }
    }

    pub(super) fn parse(name: &str, value: Value) -> Result<Self, SpecError> {
        let path = format!("inputs.{name}");
        check_name(&path, name)?;
        let mut fields = Fields::of(value, &path)?;
        let topic = fields.required_text("topic", "name the topic to read")?;
        let input = InputSpec {
            topic: topic.parse().map_err(|e| SpecError::new(fields.path("topic"), format!("{e}"), "correct it"))?,
            start: fields
                .take("start")
                .map_or(Ok(Start::Beginning), |start| parse_start(&fields.path("start"), start))?,
            on_error: fields.parsed("on_error", parse_on_error)?.unwrap_or(OnError::DeadLetter),
            columns: fields
                .table("columns")?
                .into_iter()
                .map(|column| parse_column(&path, column))
                .collect::<Result<_, _>>()?,
        };
        fields.finish()?;
        Ok(input)
    }
}

fn parse_on_error(text: &str) -> Result<OnError, String> {
    match text {
        "dead-letter" => Ok(OnError::DeadLetter),
        "fail" => Ok(OnError::Fail),
        other => Err(format!("`{other}` is neither \"dead-letter\" nor \"fail\"")),
    }
}

fn parse_start(path: &str, value: Value) -> Result<Start, SpecError> {
    let wanted = "\"beginning\", \"end\", an RFC 3339 time, or offsets as in { \"0\" = 120, \"1\" = 98 }";
    serde_json::from_value(value.clone()).map_err(|_| wrong(path, &value, wanted))
}

/// `name = type` or `name = { type, path }`.
fn parse_column(input: &str, (name, value): (String, Value)) -> Result<(String, ColumnSpec), SpecError> {
    if let Ok(column) = serde_json::from_value(value.clone()) {
        return Ok((name, column));
    }
    let path = format!("{input}.columns.{name}");
    let members = value.as_object().filter(|members| members.contains_key("type"));
    let unknown =
        members.and_then(|members| members.keys().find(|member| !["type", "path"].contains(&member.as_str())));
    Err(match (unknown, members) {
        (Some(unknown), _) => {
            let remedy = "remove it or correct its name: a column has `type` and `path`";
            SpecError::new(format!("{path}.{unknown}"), "is no field of a column", remedy)
        }
        (None, Some(members)) if members.get("path").is_some_and(|pointer| !pointer.is_string()) => {
            wrong(&format!("{path}.path"), &members["path"], "a JSON Pointer, as \"/actor/login\"")
        }
        (None, Some(members)) => wrong(&format!("{path}.type"), &members["type"], COLUMN_TYPES),
        (None, None) => wrong(&path, &value, COLUMN_TYPES),
    })
}

const COLUMN_TYPES: &str = "one of bigint, double, text, boolean, timestamp, timestamp_s, timestamp_ms, timestamp_us, json, binary, \
                            or { type, path = \"/json/pointer\" }";
