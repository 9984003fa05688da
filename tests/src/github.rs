//! One hour of all that happened on GitHub (GH Archive): nested JSON, nulls, unicode, fourteen shapes of payload.

use serde_json::{Value, json};

use crate::events::Events;
use crate::input;

/// How many events the generated hour has.
const EVENTS: usize = 3000;

/// The events of an hour as GH Archive publishes them.
#[derive(Debug)]
pub struct GitHubHour;

impl GitHubHour {
    /// Every event of the hour, its line as published.
    pub fn events() -> Events {
        let lines = match input::lines("gharchive_2015-01-01-0.json.gz") {
            Some(lines) => lines.collect(),
            None => generated(),
        };
        Events {
            lines,
            columns: &[
                ("id", "VARCHAR"),
                ("type", "VARCHAR"),
                ("repo", "STRUCT(id BIGINT, name VARCHAR)"),
                ("actor", "STRUCT(login VARCHAR)"),
                ("org", "STRUCT(login VARCHAR)"),
                ("created_at", "TIMESTAMP"),
            ],
        }
    }

    /// A JSON Schema of what all events share; payloads stay in the raw bytes.
    pub fn schema() -> Value {
        let text = json!({"type": "string"});
        json!({
            "type": "object",
            "required": ["id", "type", "actor", "repo", "created_at"],
            "properties": {
                "id": text, "type": text, "public": {"type": "boolean"},
                "created_at": {"type": "string", "format": "date-time"},
                "actor": {"type": "object", "properties": {"id": {"type": "integer"}, "login": text}},
                "repo": {"type": "object", "properties": {"id": {"type": "integer"}, "name": text}},
                "org": {"type": "object", "properties": {"id": {"type": "integer"}, "login": text}},
            },
        })
    }
}

fn generated() -> Vec<String> {
    const KINDS: [&str; 4] = ["PushEvent", "WatchEvent", "IssuesEvent", "ForkEvent"];
    const MESSAGES: [&str; 4] = ["fix \u{1F980}", "größer", "say \\\"hi\\\"\\n", ""];
    let mut random = input::generator("an hour of GitHub");
    (0..EVENTS)
        .map(|id| {
            let (kind, message) = (KINDS[random.usize(..4)], MESSAGES[random.usize(..4)]);
            let (repo, second) = (random.u32(..300), id * 3600 / EVENTS);
            let org =
                if random.bool() { format!(r#","org":{{"id":{repo},"login":"org{repo}"}}"#) } else { String::new() };
            format!(
                concat!(
                    r#"{{"id":"{id}","type":"{kind}","actor":{{"id":{repo},"login":"user{repo}"}},"#,
                    r#""repo":{{"id":{repo},"name":"user{repo}/repo"}},"#,
                    r#""payload":{{"note":null,"commits":[{{"message":"{message}"}}]}},"public":true,"#,
                    r#""created_at":"2015-01-01T00:{minute:02}:{second:02}Z"{org}}}"#
                ),
                id = id,
                kind = kind,
                repo = repo,
                message = message,
                minute = second / 60,
                second = second % 60,
                org = org
            )
        })
        .collect()
}
