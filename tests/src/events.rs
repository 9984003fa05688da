//! Events as they are sent, and as DuckDB is told to read them.

use serde_json::{Value, json};

/// Events of one topic: JSON lines and their columns.
#[derive(Debug, Clone)]
pub struct Events {
    /// One event a line, without the line's end.
    pub lines: Vec<String>,
    /// Name and DuckDB type of each column, for the judge.
    pub columns: &'static [(&'static str, &'static str)],
}

impl Events {
    /// The events from the one at `from` on.
    pub fn since(&self, from: usize) -> Events {
        Events { lines: self.lines[from..].to_vec(), columns: self.columns }
    }

    /// The events before the one at `to`.
    pub fn before(&self, to: usize) -> Events {
        Events { lines: self.lines[..to].to_vec(), columns: self.columns }
    }

    /// All events as newline-delimited JSON.
    pub fn ndjson(&self) -> String {
        let mut text = self.lines.join("\n");
        text.push('\n');
        text
    }
}

/// A JSON Schema of an object with these properties, all of them required.
pub fn object_schema(properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().expect("an object of properties").keys().collect();
    json!({"type": "object", "required": required, "properties": properties})
}
