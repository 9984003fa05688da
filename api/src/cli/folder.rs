//! Job folders and `topics.toml`, as they lie on the user's disk.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::failure::{Failure, at, named};
use super::topics::read_schema;

/// How many folders up `topics.toml` is looked for: job, jobs, project, and one more.
const LEVELS: usize = 4;

/// A job folder: `job.toml`, and the SQL file that it names.
#[derive(Debug)]
pub(crate) struct JobFolder {
    /// The job's name.
    pub(crate) name: String,
    /// `job.toml` without `query`.
    pub(crate) spec: Value,
    /// The SQL.
    pub(crate) query: String,
}

impl JobFolder {
    /// Reads `dir`. Only what is needed to send it is looked at; the server judges the rest.
    pub(crate) fn read(dir: &Path) -> Result<Self, Failure> {
        let file = dir.join("job.toml");
        let mut spec = read_toml(&file)?;
        let text = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
        let name = text(spec.get("name").cloned()).ok_or_else(|| {
            Failure::Folder(format!("{}: `name` is missing", file.display()), "write name = \"…\" in it")
        })?;
        let sql = dir.join(text(spec.remove("query")).unwrap_or_else(|| "query.sql".to_owned()));
        let no_sql = "write the SELECT there, or name the file that has it as `query` in job.toml";
        let query = std::fs::read_to_string(&sql).map_err(named(&sql, no_sql))?;
        Ok(JobFolder { name, spec: Value::Object(spec), query })
    }

    /// All job folders at or below `dir`, in the order of their paths.
    pub(super) fn find(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
        let mut found = Vec::new();
        let mut open = vec![dir.to_owned()];
        while let Some(folder) = open.pop() {
            if folder.join("job.toml").is_file() {
                found.push(folder);
                continue;
            }
            for entry in std::fs::read_dir(&folder).map_err(named(&folder, "name a folder of job folders"))? {
                let path = entry.map_err(at(&folder))?.path();
                if path.is_dir() {
                    open.push(path);
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

/// The topics of `dir/topics.toml`, name and configuration as `PUT /topics/{topic}` takes it; none without that file. A `schema`
/// that is text names a file beside it: of JSON, or a `.proto` source.
pub(crate) fn topics(dir: &Path) -> Result<Vec<(String, Value)>, Failure> {
    let file = dir.join("topics.toml");
    if !file.is_file() {
        return Ok(Vec::new());
    }
    let Some(Value::Object(topics)) = read_toml(&file)?.remove("topics") else {
        let what = format!("{}: no [topics.<name>] in it", file.display());
        return Err(Failure::Folder(what, "write a [topics.<name>] for each topic"));
    };
    let with_schema = |(name, mut config): (String, Value)| {
        if let Some(schema) = config.get("schema").and_then(Value::as_str).map(|path| dir.join(path)) {
            config["schema"] = read_schema(&schema)?;
        }
        Ok((name, config))
    };
    topics.into_iter().map(with_schema).collect()
}

/// The topics that apply to a job folder: those of the nearest `topics.toml` in it or above it, within the user's project.
pub(super) fn topics_above(dir: &Path) -> Result<Vec<(String, Value)>, Failure> {
    let dir = dir.canonicalize().map_err(named(dir, "name a job's folder"))?;
    match dir.ancestors().take(LEVELS).find(|folder| folder.join("topics.toml").is_file()) {
        Some(folder) => topics(folder),
        None => Ok(Vec::new()),
    }
}

/// A TOML file as JSON; its dates become text.
fn read_toml(file: &Path) -> Result<Map<String, Value>, Failure> {
    let text = std::fs::read_to_string(file).map_err(named(file, "name a job's folder; `rekap new DIR` makes one"))?;
    let broken = |e: toml::de::Error| Failure::Folder(format!("{}: {e}", file.display()), "correct the TOML");
    let table: toml::Table = toml::from_str(&text).map_err(broken)?;
    Ok(table.into_iter().map(|(name, value)| (name, json_of(value))).collect())
}

/// A TOML value as JSON.
fn json_of(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(n) => n.into(),
        toml::Value::Float(n) => n.into(),
        toml::Value::Boolean(b) => b.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(json_of).collect(),
        toml::Value::Table(fields) => Value::Object(fields.into_iter().map(|(k, v)| (k, json_of(v))).collect()),
    }
}
