//! Events as users see them.

use rekap_tiered_storage::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::catalog::{CatalogError, Entry};

/// One event: its place, when, who, and what happened in one flat object.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventView {
    /// Its place in the catalog.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub actor: String,
    /// What they said about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What happened, as `job.promoted`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The rest of it: `job`, mostly `version`, and what belongs to that type.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl EventView {
    pub(crate) fn of(entry: &Entry) -> Result<Self, CatalogError> {
        let (kind, fields) = entry.event.to_json().map_err(CatalogError::encoding)?;
        Ok(EventView {
            seq: entry.seq,
            at: entry.at,
            actor: entry.actor.clone(),
            note: entry.note.clone(),
            kind,
            fields,
        })
    }
}

/// A page of events, in order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventsPage {
    /// The events.
    pub events: Vec<EventView>,
    /// The seq after which the next page begins, when there may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<u64>,
}
