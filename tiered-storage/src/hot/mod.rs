//! The hot tier: where producers append and where the newest records are read.
//!
//! [`HotLog`] is the seam. [`EmbeddedLog`] keeps the log in this process's data folder, [`KafkaLog`] is the log of an Apache Kafka
//! cluster. What an implementation acknowledges is durable: it survives `kill -9` and a power cut (on Kafka: as far as the topic's
//! replicas do).

mod columns;
#[cfg(test)]
pub(crate) mod conformance;
mod embedded;
mod kafka;

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use crate::{LogBatch, LogError, Offset, OffsetRange, Partition, Positions, Timestamp, Topic, TopicConfig, TopicName};

pub use embedded::EmbeddedLog;
pub use kafka::{KafkaExam, KafkaLog, KafkaSettings, examine_kafka};

/// A record as a producer hands it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// The partition to append to; `None` derives it from the key (Kafka's murmur2), without a key round robin.
    pub partition: Option<Partition>,
    /// The record's key.
    pub key: Option<Bytes>,
    /// The event's bytes as sent; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers, in order.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// The producer's own time; `None` takes the time of the append.
    pub timestamp: Option<Timestamp>,
}

/// What the hot tier holds of one partition: the records in `[earliest, end)`. `earliest == end` means that it is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HotRange {
    /// The first offset still held.
    pub earliest: Offset,
    /// The next offset to be written (on Kafka: the last stable offset that readers may see).
    pub end: Offset,
}

/// A partition that readers see only up to a transaction that is still open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldBack {
    /// The last stable offset: the first one of the oldest open transaction, and the end for readers.
    pub end: Offset,
    /// Where the log ends, open transactions included.
    pub high_watermark: Offset,
    /// Since when the end has been seen to stand there.
    pub since: Timestamp,
}

/// What an append did: the offsets given, by partition (first and next).
pub type Appended = BTreeMap<Partition, OffsetRange>;

/// Names one request of a producer, so that sending it again appends nothing again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendKey {
    /// The client's `Idempotency-Key`.
    pub key: String,
    /// A digest of the request's body: the same key with another body is [`LogError::KeyReused`].
    pub body_digest: [u8; 32],
}

impl AppendKey {
    /// The bytes that a key may have.
    pub const MAX_BYTES: usize = 255;

    fn check(&self) -> Result<(), LogError> {
        match self.key.len() {
            0..=Self::MAX_BYTES => Ok(()),
            _ => {
                let most = Self::MAX_BYTES;
                Err(LogError::Invalid(format!("an idempotency key has at most {most} bytes; use a UUID")))
            }
        }
    }
}

/// The hot tier of the unified log.
#[async_trait]
pub trait HotLog: Send + Sync + 'static {
    /// Makes a topic; [`LogError::TopicExists`] when there is one of that name.
    async fn create_topic(&self, name: &TopicName, config: TopicConfig) -> Result<Topic, LogError>;

    /// Replaces a topic's configuration. Partitions may only grow; the schema's compatibility is the caller's business.
    async fn alter_topic(&self, name: &TopicName, config: TopicConfig) -> Result<Topic, LogError>;

    /// Doubles how long a topic's records are kept, at most to `limit_ms`, and changes nothing else of it. Answers what it was and what it
    /// is; `None` where it is that long already, where records are kept for ever, or where it is not what `topic` says: somebody else
    /// has just changed it.
    async fn double_retention(&self, topic: &Topic, limit_ms: u64) -> Result<Option<(u64, u64)>, LogError>;

    /// Deletes a topic with its records.
    async fn delete_topic(&self, name: &TopicName) -> Result<(), LogError>;

    /// All topics, by name.
    async fn topics(&self) -> Result<Vec<Topic>, LogError>;

    /// One topic; [`LogError::UnknownTopic`] when there is none.
    async fn topic(&self, name: &TopicName) -> Result<Topic, LogError>;

    /// What is held of each partition, all partitions of the topic included.
    async fn ranges(&self, name: &TopicName) -> Result<BTreeMap<Partition, HotRange>, LogError>;

    /// The bytes of the records held of each partition; empty where that is not known.
    async fn bytes(&self, _topic: &Topic) -> Result<BTreeMap<Partition, u64>, LogError> {
        Ok(BTreeMap::new())
    }

    /// The partitions whose readable end an open transaction holds back. Logs without transactions have none.
    async fn held_back(&self, _name: &TopicName) -> Result<BTreeMap<Partition, HeldBack>, LogError> {
        Ok(BTreeMap::new())
    }

    /// Appends records and answers once they are durable: all or none on the embedded log, and on any with a key. On Kafka an append
    /// without a key that fails on the way is a [`LogError::PartialAppend`], which says what landed. With a key seen in
    /// the last 24 h it answers what that append answered and appends nothing.
    async fn append(
        &self,
        name: &TopicName,
        records: Vec<NewRecord>,
        once: Option<AppendKey>,
    ) -> Result<Appended, LogError>;

    /// The digest of the body that came with that idempotency key, to whatever topic, if it is still kept.
    async fn body_of(&self, key: &str) -> Result<Option<[u8; 32]>, LogError> {
        let _ = key;
        Ok(None)
    }

    /// The first offset of every partition, in a log that has no history but its own: below the earliest offset held, records were lost
    /// if they were not mirrored. `None` for a log that may have been there before us.
    fn first_offset(&self) -> Option<Offset> {
        None
    }

    /// Why nothing can be appended any more, until the log is opened again; `None` while it can.
    fn failure(&self) -> Option<String> {
        None
    }

    /// Reads on from `range.from`, at most to `range.to` and about `max_bytes` of record bytes (at least one record). The answer's
    /// range starts at `range.from`, and covers something unless `range.from` is the end of the partition.
    /// [`LogError::OutOfRange`] when `range.from` is below the earliest offset held or past the end.
    async fn read(
        &self,
        topic: &Topic,
        partition: Partition,
        range: OffsetRange,
        max_bytes: usize,
    ) -> Result<LogBatch, LogError>;

    /// The first offset whose record was written at or after `time`; the end when there is none.
    async fn offset_at(&self, topic: &Topic, partition: Partition, time: Timestamp) -> Result<Offset, LogError>;

    /// When retention began to count for the record at `offset`; `None` where no record is held there. Unless an implementation knows
    /// better it is the record's own timestamp, which is what Kafka goes by.
    async fn appended_at(
        &self,
        topic: &Topic,
        partition: Partition,
        offset: Offset,
    ) -> Result<Option<Timestamp>, LogError> {
        let one = OffsetRange { from: offset, to: offset.next() };
        match self.read(topic, partition, one, 1).await {
            Ok(batch) => Ok(batch.timestamps().values().first().map(|micros| Timestamp::from_micros(*micros))),
            Err(LogError::OutOfRange { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Tells the log where a reader stands, for whoever watches lag with the log's own tools. Never read back.
    async fn note_progress(&self, _reader: &str, _at: &Positions) -> Result<(), LogError> {
        Ok(())
    }

    /// Changes whenever the end of any partition may have moved: a reader that waits looks again.
    fn appended(&self) -> watch::Receiver<u64>;

    /// How far the topic's own retention allows each partition to be deleted at `now`: the offset below which all may go.
    async fn expired(&self, topic: &Topic, now: Timestamp) -> Result<BTreeMap<Partition, Offset>, LogError>;

    /// Deletes the records below `before`. Nothing happens where they are gone already.
    async fn trim(&self, topic: &Topic, partition: Partition, before: Offset) -> Result<(), LogError>;
}

/// How long records are kept after doubling that, where it is as `topic` says: what it was and what it becomes; `None` where it stays.
pub(crate) fn doubled(topic: &Topic, present_ms: Option<u64>, limit_ms: u64) -> Option<(u64, u64)> {
    let present = present_ms.filter(|_| present_ms == topic.config.retention_ms)?;
    let raised = present.saturating_mul(2).min(limit_ms);
    (raised > present).then_some((present, raised))
}
