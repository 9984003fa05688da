//! What Kafka has no place for: the key fields, the format and the schema of topics, in a compacted topic that all front ends share.
//!
//! One record a topic, keyed by its incarnation, so a topic that is made again does not inherit the schema of the one before. Format 1:
//! `{"format": 1, "topic": "ticks", "key": ["id"], "schema": {…}, "compatibility": "backward", "past_schemas": [{…}]}`. Format 2 has
//! `"encoding": "avro", "wire": "confluent"` beside them; it is written only for topics of other than plain JSON. Topics that others made have no record, no key and no schema. A
//! process that dies between making a topic and writing its record leaves a topic without schema; making it again fills that in.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::cluster::Cluster;
use super::cursors::Cursors;
use super::native::At;
use super::producer::Producer;
use crate::{
    Compatibility, Format, Incarnation, LogError, NewRecord, Offset, OffsetRange, Partition, Topic, TopicName,
    TopicSchema, Wire,
};

/// The topic that holds the records.
const TOPIC: &str = "__rekap_topics";

/// The version of the records: 2 where a topic is not of plain JSON, which version 1 does not know.
const FORMAT: u32 = 2;

/// Bytes of records read at a time.
const READ_BYTES: usize = 4 << 20;

/// What is kept of one topic.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The version of this record.
    format: u32,
    /// The topic, for whoever reads along.
    topic: String,
    /// The top-level fields that make up the record key.
    #[serde(default)]
    pub(super) key: Vec<String>,
    /// How values are written.
    #[serde(default, skip_serializing_if = "Format::is_json")]
    pub(super) encoding: Format,
    /// What stands around a value.
    #[serde(default, skip_serializing_if = "Wire::is_bare")]
    pub(super) wire: Wire,
    /// The schema of every event.
    #[serde(default)]
    pub(super) schema: Option<TopicSchema>,
    /// What a newer schema has to keep.
    #[serde(default)]
    pub(super) compatibility: Compatibility,
    /// The schemas before the present one, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) past_schemas: Vec<TopicSchema>,
}

/// All entries, as far as they were read.
pub(super) struct Registry {
    cluster: Arc<Cluster>,
    cursors: Arc<Cursors>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    life: Option<Incarnation>,
    next: Offset,
    entries: Arc<HashMap<Incarnation, Entry>>,
}

impl Registry {
    pub(super) fn new(cluster: Arc<Cluster>, cursors: Arc<Cursors>) -> Self {
        Registry { cluster, cursors, state: Mutex::default() }
    }

    /// Reads what was written since the last time, and answers all entries.
    pub(super) async fn entries(&self) -> Result<Arc<HashMap<Incarnation, Entry>>, LogError> {
        let name = topic();
        let mut state = self.state.lock().await;
        let Some(described) = self.cluster.describe_one(&name).await? else {
            *state = State::default();
            return Ok(state.entries.clone());
        };
        let life = self.cluster.incarnation(&described.id);
        if state.life != Some(life) {
            *state = State { life: Some(life), ..State::default() };
        }
        const READING: &str = "reading the schemas in";
        let end = self.cluster.offset(&name, At::Stable, READING).await?;
        let earliest = self.cluster.offset(&name, At::Earliest, READING).await?;
        state.next = state.next.max(earliest);
        while state.next < end {
            let range = OffsetRange::new(state.next, end);
            let read = self.cursors.read(&name, life, Partition(0), range, READ_BYTES, None).await;
            let batch = read.map_err(|e| e.explain(&self.cluster, &name))?.batch;
            let entries = Arc::make_mut(&mut state.entries);
            for (key, value) in batch.keys().iter().zip(batch.values().iter()) {
                take(entries, key, value)?;
            }
            state.next = batch.range.to;
        }
        Ok(state.entries.clone())
    }

    /// Keeps a topic's key fields and schema.
    pub(super) async fn put(&self, producer: &Producer, topic: &Topic) -> Result<(), LogError> {
        let plain = topic.config.format.is_json() && topic.config.wire.is_bare();
        let entry = Entry {
            format: if plain { 1 } else { FORMAT },
            topic: topic.name.to_string(),
            key: topic.config.key.clone(),
            encoding: topic.config.format,
            wire: topic.config.wire,
            schema: topic.config.schema.clone(),
            compatibility: topic.config.compatibility,
            past_schemas: topic.config.past_schemas.clone(),
        };
        let value = serde_json::to_vec(&entry).map_err(|e| LogError::store("writing a topic's schema", e))?;
        let settings = [("cleanup.policy", "compact".to_owned()), ("min.cleanable.dirty.ratio", "0.1".to_owned())];
        self.cluster.create(&self::topic(), 1, &settings).await?;
        self.cluster.shown(&self::topic(), 1).await?;
        self.write(producer, topic.incarnation, Some(value)).await
    }

    /// Forgets a topic that is no more.
    pub(super) async fn remove(&self, producer: &Producer, life: Incarnation) -> Result<(), LogError> {
        if !self.entries().await?.contains_key(&life) {
            return Ok(());
        }
        self.write(producer, life, None).await
    }

    async fn write(&self, producer: &Producer, life: Incarnation, value: Option<Vec<u8>>) -> Result<(), LogError> {
        let record = NewRecord {
            partition: Some(Partition(0)),
            key: Some(life.to_string().into()),
            value: value.map(Into::into),
            headers: Vec::new(),
            timestamp: None,
        };
        producer.append(&self::topic(), 1, vec![record]).await.map(|_| ())
    }
}

fn topic() -> TopicName {
    TOPIC.parse().expect("a topic's name")
}

/// Takes one record over. A record of a newer format is refused, never guessed at.
fn take(entries: &mut HashMap<Incarnation, Entry>, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), LogError> {
    let Some(life) = key.and_then(|key| std::str::from_utf8(key).ok()?.parse().ok()) else { return Ok(()) };
    let Some(value) = value else {
        entries.remove(&life);
        return Ok(());
    };
    #[derive(Deserialize)]
    struct Versioned {
        format: u32,
    }
    let unreadable = |e: serde_json::Error| LogError::store(format!("reading a schema in topic `{TOPIC}`"), e);
    let found = serde_json::from_slice::<Versioned>(value).map_err(unreadable)?.format;
    if found > FORMAT {
        return Err(LogError::NewerFormat { what: format!("topic `{TOPIC}`"), found, supported: FORMAT });
    }
    entries.insert(life, serde_json::from_slice(value).map_err(unreadable)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back_and_a_newer_one_is_refused() {
        let life = Incarnation::random();
        let key = life.to_string();
        let mut entries = HashMap::new();
        let frozen = br#"{"format":1,"topic":"ticks","key":["id"],"schema":{"type":"object","properties":{"id":{"type":"string"}}},"compatibility":"full"}"#;
        take(&mut entries, Some(key.as_bytes()), Some(frozen)).unwrap();
        assert_eq!(entries[&life].key, ["id"]);
        assert_eq!(serde_json::to_vec(&entries[&life]).unwrap(), frozen);
        let newer = take(&mut entries, Some(key.as_bytes()), Some(br#"{"format":3}"#));
        assert!(matches!(newer, Err(LogError::NewerFormat { found: 3, .. })));
        take(&mut entries, Some(key.as_bytes()), None).unwrap();
        assert!(entries.is_empty());
    }
}
