//! The schemas that records were written with, by their ids in Confluent's wire format.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Format;

/// A schema as a registry holds it, with all that it refers to. It never changes under its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterSchema {
    /// What it describes.
    pub format: Format,
    /// The schema, as text.
    pub schema: String,
    /// The schemas that it refers to, by the names that it calls them, also those that these refer to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub references: BTreeMap<String, String>,
}

impl WriterSchema {
    /// The schema as one JSON value, with all that it refers to in it. Not for Protobuf, whose schemas are no JSON.
    pub fn whole(&self) -> Result<serde_json::Value, String> {
        super::avro_schema(self)
    }
}

/// What is known of the ids in some records.
#[derive(Debug, Clone, Default)]
pub struct WriterSchemas(HashMap<u32, Option<Arc<WriterSchema>>>);

impl WriterSchemas {
    /// The schema of an id. `Some(None)`: the registry has none; `None`: it was not asked.
    pub(crate) fn get(&self, id: u32) -> Option<Option<&Arc<WriterSchema>>> {
        self.0.get(&id).map(Option::as_ref)
    }

    /// Adds what the registry says of an id.
    pub(crate) fn insert(&mut self, id: u32, schema: Option<Arc<WriterSchema>>) {
        self.0.insert(id, schema);
    }
}
