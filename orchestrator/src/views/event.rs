//! Events as users see them.

use rekap_tiered_storage::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::catalog::{CatalogError, Entry};
use crate::event::{Moved, What};

/// One event: its place, when, who, and what happened in one flat object.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventView {
    /// Its place in the catalog.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub actor: String,
    /// The address that they asked from, where they asked over the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
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
        let (kind, mut fields) = entry.event.to_json().map_err(CatalogError::encoding)?;
        shorten(&entry.event.what, &mut fields);
        Ok(EventView {
            seq: entry.seq,
            at: entry.at,
            actor: entry.actor.clone(),
            address: entry.address.clone(),
            note: entry.note.clone(),
            kind,
            fields,
        })
    }
}

/// Leaves out what has a view of its own and may be large; the catalog keeps it.
fn shorten(what: &What, fields: &mut Map<String, Value>) {
    match what {
        What::Deployed(_) => fields.retain(|name, _| matches!(name.as_str(), "job" | "version" | "digest")),
        What::TopicCreated { topic } | What::TopicChanged { topic } => {
            let config = &topic.config;
            *fields = object(json!({
                "topic": topic.name, "incarnation": topic.incarnation, "partitions": config.partitions, "key": config.key,
                "retention_ms": config.retention_ms, "retention_bytes": config.retention_bytes,
                "has_schema": config.schema.is_some(),
            }));
        }
        What::TokenCreated { .. } => {
            if let Some(Value::Object(mut token)) = fields.remove("token") {
                token.remove("hash");
                fields.extend(token);
            }
        }
        What::Verified { .. } | What::Drilled { .. } => {
            if let Some(Value::Object(report)) = fields.remove("report") {
                let short = ["verdict", "reason", "counts", "positions"];
                fields.extend(report.into_iter().filter(|(name, _)| short.contains(&name.as_str())));
            }
        }
        // The URL of an action may hold a token.
        What::PolicyChanged { actions, .. } if !actions.is_empty() => {
            fields.insert("actions".into(), actions.iter().map(|action| json!(action.name)).collect());
        }
        What::GroupPromoted { swaps, .. } | What::GroupRolledBack { swaps, .. } => {
            let short = |m: &Moved| json!({"job": m.job, "from": m.swap.from, "to": m.swap.to});
            fields.insert("swaps".into(), swaps.iter().map(short).collect());
        }
        _ => {}
    }
}

fn object(json: Value) -> Map<String, Value> {
    let Value::Object(fields) = json else { unreachable!("it is written as an object") };
    fields
}

/// A page of events, in order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventsPage {
    /// The events.
    pub events: Vec<EventView>,
    /// The seq after which the next page begins, when there may be one; a string like the cursors of all lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::testing::{JOB, NOON, deployed, verified};
    use crate::verify::Verdict;

    fn shown(what: What) -> Value {
        let event = Event::new(JOB, what);
        let entry = Entry { seq: 7, at: NOON, actor: "ann".into(), address: None, note: None, request: None, event };
        serde_json::to_value(EventView::of(&entry).unwrap()).unwrap()
    }

    #[test]
    fn an_event_is_shown_in_one_short_line_whatever_it_holds() {
        let json = shown(deployed(3));
        let expected = serde_json::json!({
            "seq": 7, "at": NOON, "actor": "ann", "type": "version.deployed", "job": JOB, "version": 3, "digest": "digest-3"
        });
        assert_eq!(json, expected);
        let json = shown(verified(3, Some(2), Verdict::Pass));
        assert_eq!(
            (&json["verdict"], &json["against"], &json["counts"]["same"]),
            (&"pass".into(), &2.into(), &3.into())
        );
        assert!(json.get("report").is_none() && json.get("samples").is_none());
    }
}
