//! The texts of a new job folder, from a topic's shape. Pure: values in, files out.

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use serde_json::{Value, json};

use super::fields;

/// The events of a folder that is not made from a topic.
const EXAMPLE: [&str; 4] = [
    r#"{"sensor":"roof","celsius":21.5,"at":"2026-01-01T12:00:00Z"}"#,
    r#"{"sensor":"cellar","celsius":12,"at":"2026-01-01T12:00:10Z"}"#,
    r#"{"sensor":"roof","celsius":22.25,"at":"2026-01-01T12:00:40Z"}"#,
    r#"{"sensor":"roof","celsius":22,"at":"2026-01-01T12:01:05Z"}"#,
];

/// What a new folder is made of.
#[derive(Debug)]
pub(super) struct Draft {
    job: String,
    topic: String,
    partitions: usize,
    key: Vec<String>,
    schema: Value,
    sample: Vec<String>,
}

/// A field, as far as the query cares.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Number,
    Time,
    Other,
}

impl Draft {
    /// A folder with a topic of its own.
    pub(super) fn example(job: &str) -> Draft {
        let schema = json!({
            "type": "object",
            "properties": {
                "sensor": {"type": "string"},
                "celsius": {"type": "number"},
                "at": {"type": "string", "format": "date-time"},
            },
            "required": ["sensor", "celsius", "at"],
        });
        let sample = EXAMPLE.map(str::to_owned).to_vec();
        let key = vec!["sensor".to_owned()];
        Draft { job: job.to_owned(), topic: "readings".to_owned(), partitions: 4, key, schema, sample }
    }

    /// A folder for a topic as the server shows it, with some of its events. `None` when nothing tells its fields.
    pub(super) fn of_topic(job: &str, topic: &str, shown: &Value, sample: Vec<String>) -> Option<Draft> {
        let schema = match &shown["schema"] {
            Value::Null => schema_of(&sample)?,
            schema => schema.clone(),
        };
        fields(&schema["properties"]).next()?;
        let key = shown["key"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        let partitions = shown["partitions"].as_array().map_or(1, Vec::len);
        Some(Draft { job: job.to_owned(), topic: topic.to_owned(), partitions, key, schema, sample })
    }

    /// Each file's path in the folder, and its text.
    pub(super) fn files(&self) -> Vec<(PathBuf, String)> {
        let schema = format!("{}.schema.json", self.topic);
        let mut files = vec![
            (PathBuf::from("topics.toml"), self.topics(&schema)),
            (PathBuf::from(schema), format!("{:#}\n", self.schema)),
            (PathBuf::from("job.toml"), self.job()),
            (PathBuf::from("query.sql"), self.query()),
        ];
        if !self.sample.is_empty() {
            let events = self.sample.iter().map(|event| format!("{event}\n")).collect();
            files.push((PathBuf::from(format!("tests/first/{}.ndjson", self.input())), events));
        }
        files
    }

    fn topics(&self, schema: &str) -> String {
        format!(
            "# `rekap apply` makes this topic; on one that is there it changes only what is named here.\n[topics.{}]\n\
             partitions = {}\nkey = {}\nschema = {}\n",
            toml_key(&self.topic),
            self.partitions,
            json!(self.key),
            json!(schema)
        )
    }

    fn job(&self) -> String {
        let time = self.minute().map_or(String::new(), |_| {
            "time = \"minute\"\n# retain = \"400 days\"              # keep only as much, by the data's own time\n"
                .to_owned()
        });
        format!(
            "name = \"{}\"\nquery = \"query.sql\"\n{time}\n[inputs.{}]              # the name used in FROM\ntopic = {}\n\n\
             [promote]\nrollback_window = \"24h\"\n\n# A check sees `old` and `new` rows at the same positions, and their `diff`.\n\
             # [[promote.checks]]\n# name = \"nothing is lost\"\n\
             # sql = \"SELECT (SELECT sum(records) FROM old) = (SELECT sum(records) FROM new)\"\n",
            self.job,
            self.input(),
            json!(self.topic)
        )
    }

    /// Counts per key and minute, with the mean of the first number.
    fn query(&self) -> String {
        let group = self.group();
        let mut columns: Vec<String> = group.iter().map(|name| quoted(name)).collect();
        let mut by = columns.clone();
        if let Some(time) = self.minute() {
            columns.push(format!("date_bin(INTERVAL '1 minute', {}) AS minute", quoted(time)));
            by.push("minute".to_owned());
        }
        columns.push("count(*) AS records".to_owned());
        if let Some(number) = self.first(Kind::Number, &group) {
            columns.push(format!("avg({}) AS {}", quoted(number), quoted(&format!("mean_{number}"))));
        }
        format!("SELECT\n    {}\nFROM {}\nGROUP BY {}\n", columns.join(",\n    "), self.input(), by.join(", "))
    }

    /// The columns to group by: the topic's key, or its first field that is neither a number nor a time.
    fn group(&self) -> Vec<String> {
        if !self.key.is_empty() {
            return self.key.clone();
        }
        let first =
            self.first(Kind::Other, &[]).or_else(|| fields(&self.schema["properties"]).map(|(name, _)| name).next());
        first.into_iter().cloned().collect()
    }

    fn minute(&self) -> Option<&String> {
        self.first(Kind::Time, &self.key)
    }

    fn first(&self, kind: Kind, but: &[String]) -> Option<&String> {
        let mut names =
            fields(&self.schema["properties"]).filter(|(name, field)| kind_of(field) == kind && !but.contains(name));
        names.next().map(|(name, _)| name)
    }

    /// The topic's name, as SQL takes it without quotes.
    fn input(&self) -> String {
        let plain: String =
            self.topic.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        if plain.starts_with(|c: char| c.is_ascii_lowercase()) { plain } else { format!("t_{plain}") }
    }
}

fn kind_of(field: &Value) -> Kind {
    match (field["type"].as_str(), field["format"].as_str()) {
        (Some("integer" | "number"), _) => Kind::Number,
        (Some("string"), Some("date-time")) => Kind::Time,
        _ => Kind::Other,
    }
}

/// A schema that the events fit, by the first one.
fn schema_of(sample: &[String]) -> Option<Value> {
    let event: Value = serde_json::from_str(sample.first()?).ok()?;
    let types = fields(&event).map(|(name, value)| {
        let kind = match value {
            Value::Bool(_) => "boolean",
            Value::Number(n) if n.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
            Value::String(_) | Value::Null => "string",
        };
        (name.clone(), json!({"type": kind}))
    });
    let properties: serde_json::Map<_, _> = types.filter(|(name, _)| !name.starts_with('_')).collect();
    (!properties.is_empty()).then(|| json!({"type": "object", "properties": properties}))
}

/// A column, quoted unless SQL reads it as it is.
fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// A name as a key of TOML.
fn toml_key(name: &str) -> String {
    let bare = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { name.to_owned() } else { json!(name).to_string() }
}
