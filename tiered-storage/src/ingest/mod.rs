//! What a producer sends, checked and made a record: the last place at which a bad event can still be refused.
//!
//! An event that passes here decodes into every column of its topic's schema, has its record key, and is kept byte for byte.

mod quick;
mod read;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::decode::{DecodeCheck, Decoder};
use crate::partitioner::record_key;
use crate::schema::{InvalidSchema, Validator, Violation};
use crate::{Format, NewRecord, SchemaRegistry, Topic, WriterSchemas};
use quick::Quick;
use read::ReadFirst;

/// The largest record: key, value and headers together. Kafka's default as well.
pub const MAX_RECORD_BYTES: usize = 1 << 20;

/// Why an event or record is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not what the topic takes.
    #[error(transparent)]
    Invalid(#[from] Violation),
    /// Whether the topic takes it cannot be told now; trying again is safe.
    #[error("{0}")]
    Unavailable(String),
    /// It is larger than [`MAX_RECORD_BYTES`].
    #[error("the record has {bytes} bytes, at most {MAX_RECORD_BYTES} are taken")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// Makes records for one topic as it is configured now. Cheap to clone; costs up to a millisecond to make.
#[derive(Debug, Clone)]
pub struct TopicWriter {
    partitions: u32,
    key: Vec<String>,
    schema: Option<(Validator, Decoder)>,
    /// The check that most events pass; the schema decides on the others.
    quick: Option<Arc<Quick>>,
    /// How records are checked that are not plain JSON.
    read: Option<Arc<ReadFirst>>,
}

impl TopicWriter {
    /// A writer for that topic, which needs no schema registry.
    pub fn new(topic: &Topic) -> Result<Self, InvalidSchema> {
        Self::with_registry(topic, Arc::new(SchemaRegistry::none()))
    }

    /// A writer for that topic. Where [`TopicWriter::may_wait`], it is used on threads that may wait.
    pub fn with_registry(topic: &Topic, registry: Arc<SchemaRegistry>) -> Result<Self, InvalidSchema> {
        let config = &topic.config;
        if !(config.format == Format::Json && config.wire.is_bare()) {
            let read = ReadFirst::new(config, registry)?;
            let (partitions, key) = (config.partitions, config.key.clone());
            return Ok(TopicWriter { partitions, key, schema: None, quick: None, read: Some(Arc::new(read)) });
        }
        let schema = config.schema.as_ref().map(|schema| Ok((schema.validator()?, schema.decoder()?))).transpose()?;
        let quick = config.schema.as_ref().and_then(|schema| Quick::new(schema.raw(), &config.key));
        let (partitions, key) = (config.partitions, config.key.clone());
        Ok(TopicWriter { partitions, key, schema, quick: quick.map(Arc::new), read: None })
    }

    /// True when a check may have to ask the schema registry.
    pub fn may_wait(&self) -> bool {
        self.read.as_ref().is_some_and(|read| read.may_wait())
    }

    /// True when records get their key from fields of the event.
    pub fn has_key(&self) -> bool {
        !self.key.is_empty()
    }

    /// The record of an event that was sent as it is: JSON that satisfies the schema, kept byte for byte.
    pub fn event(&self, bytes: Bytes) -> Result<NewRecord, Refused> {
        if self.schema.is_none() && self.read.is_none() && bytes.len() <= MAX_RECORD_BYTES {
            serde_json::from_slice::<&RawValue>(&bytes).map_err(not_json)?;
        }
        self.raw(NewRecord { partition: None, key: None, value: Some(bytes), headers: Vec::new(), timestamp: None })
    }

    /// A record whose parts the producer gave: a topic's schema checks its value like an event; without a schema the value may be any
    /// bytes. A key that it lacks comes from the event's fields. Without a value it is a tombstone.
    pub fn raw(&self, mut record: NewRecord) -> Result<NewRecord, Refused> {
        self.check_size(&record)?;
        self.check_partition(&record)?;
        let found = match &record.value {
            Some(value) => self.check_value(value)?,
            None => None,
        };
        if record.key.is_none() && !self.key.is_empty() {
            record.key = Some(found.map_or_else(|| self.key_of(record.value.as_deref()), Ok)?);
            self.check_size(&record)?;
        }
        Ok(record)
    }

    fn check_size(&self, record: &NewRecord) -> Result<(), Refused> {
        let len = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers: usize = record.headers.iter().map(|(name, value)| name.len() + len(value)).sum();
        let bytes = len(&record.key) + len(&record.value) + headers;
        if bytes > MAX_RECORD_BYTES { Err(Refused::TooLarge { bytes }) } else { Ok(()) }
    }

    fn check_partition(&self, record: &NewRecord) -> Result<(), Violation> {
        match record.partition {
            Some(partition) if partition.0 >= self.partitions => Err(Violation {
                field: "partition".into(),
                detail: format!("the topic has partitions 0 to {}, not {partition}", self.partitions - 1),
            }),
            _ => Ok(()),
        }
    }

    /// Checks a value; answers its record key where that was found on the way.
    fn check_value(&self, value: &Bytes) -> Result<Option<Bytes>, Refused> {
        if let Some(read) = &self.read {
            return read.check(value);
        }
        let Some((validator, decoder)) = &self.schema else { return Ok(None) };
        let admitted = self.quick.as_ref().and_then(|quick| quick.admit(value));
        if admitted.is_none() {
            validator.check(&serde_json::from_slice::<Value>(value).map_err(not_json)?)?;
        }
        if admitted.as_ref().is_none_or(|admitted| admitted.decode) {
            // A schema admits more than its columns hold: integers past 64 bits, or both of two fields of one name.
            DecodeCheck::new(decoder, &WriterSchemas::default())
                .check(value)
                .map_err(|failure| Violation { field: failure.field, detail: failure.detail })?;
        }
        Ok(admitted.and_then(|admitted| admitted.key))
    }

    fn key_of(&self, value: Option<&[u8]>) -> Result<Bytes, Violation> {
        match value {
            Some(event) => record_key(&self.key, event),
            None => Err(Violation {
                field: "key".into(),
                detail: "a tombstone deletes what has its key; give the key".into(),
            }),
        }
    }
}

fn not_json(error: serde_json::Error) -> Violation {
    Violation { field: String::new(), detail: format!("not JSON: {error}") }
}

#[cfg(test)]
mod tests;
