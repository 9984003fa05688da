//! DuckDB and the `deltalake` package as judges: they compute what Rekap's tables must equal, and open what its mirror wrote.

use std::fs;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::python::run_python;
use crate::{Bucket, Events, Row, rows_of};

/// A question to DuckDB: sources by name, then queries over them.
#[derive(Debug)]
pub struct Duck {
    folder: TempDir,
    sources: Map<String, Value>,
}

/// What some work took.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    /// From its start to its end.
    pub wall: Duration,
    /// Processor time, on all cores.
    pub cpu: Duration,
}

impl Default for Duck {
    fn default() -> Self {
        Duck { folder: tempfile::tempdir().expect("a temporary folder"), sources: Map::new() }
    }
}

impl Duck {
    /// No source yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// These events under this name, parsed from their JSON by DuckDB itself.
    pub fn events(self, name: &str, events: &Events) -> Self {
        let path = self.folder.path().join(format!("{name}.ndjson"));
        fs::write(&path, events.ndjson()).expect("a file in the temporary folder");
        let columns: Map<String, Value> =
            events.columns.iter().map(|(column, kind)| (column.to_string(), json!(kind))).collect();
        self.source("json", name, json!({"path": path, "columns": columns}))
    }

    /// The Delta table at `url`, opened by the `deltalake` package.
    pub fn delta(self, name: &str, url: &str) -> Self {
        self.source("delta", name, json!(url))
    }

    /// The Delta tables lie in this bucket.
    pub fn within(mut self, bucket: &Bucket) -> Self {
        self.sources.insert("storage".to_owned(), bucket.storage_options());
        self
    }

    /// The Parquet files of the Delta table at `url`, opened by DuckDB.
    pub fn parquet(self, name: &str, url: &str) -> Self {
        self.source("parquet", name, json!(url))
    }

    /// The rows of one query.
    pub async fn rows(&self, query: &str) -> Vec<Row> {
        self.ask(&[query]).await.remove(0)
    }

    /// The rows of each query.
    pub async fn ask(&self, queries: &[&str]) -> Vec<Vec<Row>> {
        self.answers(queries).await.iter().map(rows_of).collect()
    }

    /// What the last of some queries took, its start-up and the opening of its sources left out.
    pub async fn time(&self, queries: &[&str]) -> Took {
        let answers = self.answers(queries).await;
        let last = answers.last().expect("an answer for each query");
        let seconds = |name: &str| Duration::from_secs_f64(last[name].as_f64().expect("a number"));
        Took { wall: seconds("seconds"), cpu: seconds("cpu_seconds") }
    }

    async fn answers(&self, queries: &[&str]) -> Vec<Value> {
        let mut request = self.sources.clone();
        request.insert("queries".to_owned(), json!(queries));
        let answer = run_python("duck.py", &Value::Object(request)).await;
        serde_json::from_str(&answer).expect("the script prints an answer for each query")
    }

    fn source(mut self, kind: &str, name: &str, value: Value) -> Self {
        let of_kind = self.sources.entry(kind).or_insert_with(|| json!({}));
        of_kind[name] = value;
        self
    }
}
