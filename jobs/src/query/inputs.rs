//! What a job reads: each input's topic, decoder, and the columns that its query names.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::SchemaRef;
use rekap_tiered_storage::{Column, Decoder, InvalidSchema, Topic};

use super::refusal::Refusal;
use crate::spec::{InputSpec, JobSpec, OnError};

/// An input of a job.
#[derive(Debug, Clone)]
pub struct JobInput {
    /// Its name in FROM.
    pub name: String,
    /// The topic that it reads, as it was when the job was compiled.
    pub topic: Topic,
    /// What makes columns of its records.
    pub decoder: Decoder,
    /// What becomes of a record that cannot be used.
    pub on_error: OnError,
    /// The columns of [`Decoder::input_schema`] that the job reads, rising.
    pub columns: Vec<usize>,
    /// Whether the job needs to see tombstones.
    pub tombstones: bool,
}

impl JobInput {
    /// The inputs of a job in the order of their names, with no columns read yet.
    pub(super) fn all(spec: &JobSpec, topics: &BTreeMap<String, Topic>) -> Result<Vec<Self>, Refusal> {
        spec.inputs.iter().map(|(name, input)| Self::new(name, input, topics)).collect()
    }

    fn new(name: &str, input: &InputSpec, topics: &BTreeMap<String, Topic>) -> Result<Self, Refusal> {
        let topic = topics.get(name).cloned().ok_or_else(|| {
            let detail = format!("input `{name}` reads topic `{}`, which there is not", input.topic);
            Refusal::new("UNKNOWN_TOPIC", detail, "create the topic first, or correct its name")
        })?;
        let refused = |e: &dyn std::fmt::Display| {
            let remedy = format!("correct or declare it in [inputs.{name}.columns]");
            Refusal::new("INVALID_COLUMNS", format!("input `{name}`: {e}"), remedy)
        };
        let encoding = topic.config.encoding().map_err(|e| refused(&e))?;
        let columns = columns(&topic, input).map_err(|e| refused(&e))?;
        let decoder = encoding.decoder(columns).map_err(|e| refused(&e))?;
        Ok(JobInput {
            name: name.to_owned(),
            topic,
            decoder,
            on_error: input.on_error,
            columns: vec![],
            tombstones: false,
        })
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.decoder.input_schema()
    }

    /// The number of a column of the record itself, such as `_key`, or of a decoded one.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.schema().index_of(name).ok()
    }

    /// Reads these columns. A batch has to have some column to have rows at all, so without any it is `_offset`.
    pub(super) fn read(&mut self, columns: BTreeSet<usize>) {
        self.columns = columns.into_iter().collect();
        if self.columns.is_empty() {
            self.columns.extend(self.column("_offset"));
        }
    }

    /// Where a column of the input stands among those read.
    pub(super) fn place(&self, column: usize) -> usize {
        self.columns.binary_search(&column).expect("every column that a chain names is read")
    }
}

/// The columns of the topic's schema, with those that the job declares in their place or after them.
fn columns(topic: &Topic, input: &InputSpec) -> Result<Vec<Column>, InvalidSchema> {
    let mut columns = topic.config.columns()?;
    for (name, declared) in &input.columns {
        let declared = declared.clone().named(name);
        match columns.iter_mut().find(|column| column.name == *name) {
            Some(column) => *column = declared,
            None => columns.push(declared),
        }
    }
    Ok(columns)
}
