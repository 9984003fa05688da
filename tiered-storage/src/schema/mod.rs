//! A topic's JSON Schema: the columns that it gives, the check of an event, and which newer schema may follow.

use serde::{Deserialize, Serialize};

/// A topic's JSON Schema as its owner wrote it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TopicSchema(serde_json::Value);
