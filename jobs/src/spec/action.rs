//! `[[actions]]`: what is to be sent when rows of the served table change in some way. Part of the policy: it decides no row.

use std::collections::BTreeSet;

use rekap_tiered_storage::TopicName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SpecError;
use super::fields::Fields;

/// The longest name of an action: it is part of a key in the table.
const MAX_NAME_BYTES: usize = 64;

/// So many actions of one job: each is asked at every commit.
const MAX_ACTIONS: usize = 16;

/// What the name of a variable with a secret begins with: a job may not have other variables of the server used.
const VARIABLES: &str = "REKAP_";

/// A query over the rows that a commit changed; each row that it gives is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value")]
pub struct ActionSpec {
    /// Its name within the job.
    pub name: String,
    /// One SELECT over `changes`.
    pub sql: String,
    /// Where its rows go.
    #[serde(flatten)]
    pub target: ActionTarget,
    /// The server's variable that holds the key of the webhook's signatures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_env: Option<String>,
}

/// Where the rows of an action go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionTarget {
    /// Posted to this URL.
    Webhook(String),
    /// Appended to this topic.
    Topic(TopicName),
}

impl TryFrom<Value> for ActionSpec {
    type Error = SpecError;

    fn try_from(value: Value) -> Result<Self, SpecError> {
        action("actions", value)
    }
}

/// Reads `[[actions]]`.
pub(super) fn actions(values: Vec<Value>) -> Result<Vec<ActionSpec>, SpecError> {
    if values.len() > MAX_ACTIONS {
        return Err(SpecError::new("actions", format!("are {}", values.len()), format!("write at most {MAX_ACTIONS}")));
    }
    let read = |(i, value)| action(&format!("actions[{i}]"), value);
    let actions = values.into_iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    let mut names = BTreeSet::new();
    if let Some(i) = actions.iter().position(|action| !names.insert(&action.name)) {
        let detail = format!("there is another action with the name `{}`", actions[i].name);
        return Err(SpecError::new(format!("actions[{i}].name"), detail, "give each action a name of its own"));
    }
    Ok(actions)
}

fn action(path: &str, value: Value) -> Result<ActionSpec, SpecError> {
    let mut fields = Fields::of(value, path)?;
    let name = fields.required_text("name", "name the action")?;
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        let detail = format!("`{}` is no name", name.escape_debug());
        return Err(SpecError::new(
            fields.path("name"),
            detail,
            format!("use 1 to {MAX_NAME_BYTES} bytes of plain text"),
        ));
    }
    let sql = fields.required_text("sql", "write a SELECT over `changes`")?;
    let webhook = fields.text("webhook")?;
    let topic = fields.parsed("topic", str::parse::<TopicName>)?;
    let secret_env = fields.text("secret_env")?;
    let target = match (webhook, topic) {
        (Some(url), None) => ActionTarget::Webhook(url),
        (None, Some(topic)) => ActionTarget::Topic(topic),
        _ => return Err(SpecError::new(path, "has no target, or two", "give it either `webhook` or `topic`")),
    };
    if let Some(variable) = &secret_env {
        let of_a_webhook = matches!(target, ActionTarget::Webhook(_));
        if !of_a_webhook || !variable.starts_with(VARIABLES) {
            let detail = format!("`{variable}` cannot be used");
            let remedy = format!("name a variable of the server that begins with {VARIABLES}, for a webhook");
            return Err(SpecError::new(fields.path("secret_env"), detail, remedy));
        }
    }
    fields.finish()?;
    Ok(ActionSpec { name, sql, target, secret_env })
}
