//! What can go wrong in the log, by what one does about it.

use std::path::PathBuf;

use crate::{Appended, Incarnation, Offset, OffsetRange, Partition, TopicName};

/// A failure of the hot tier, the cold tier or the stitched log. Each variant is one thing that a caller can act on.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// There is no such topic.
    #[error("there is no topic `{0}`")]
    UnknownTopic(TopicName),
    /// There is a topic of that name already.
    #[error("topic `{0}` exists already")]
    TopicExists(TopicName),
    /// The topic has no such partition.
    #[error("topic `{topic}` has partitions 0 to {last}, not {partition}")]
    UnknownPartition {
        /// The topic.
        topic: TopicName,
        /// The partition asked for.
        partition: Partition,
        /// The last one that there is.
        last: Partition,
    },
    /// A request that can never succeed as it is, with the reason.
    #[error("{0}")]
    Invalid(String),
    /// The offset asked for is not held.
    #[error("topic `{topic}` partition {partition} holds offsets {held}, not {asked}")]
    OutOfRange {
        /// The topic.
        topic: TopicName,
        /// The partition.
        partition: Partition,
        /// The offset asked for.
        asked: Offset,
        /// What is held.
        held: OffsetRange,
    },
    /// Offsets that neither tier holds any more.
    #[error(
        "topic `{topic}` partition {partition}: offsets {missing} were deleted before they were mirrored; \
         what follows begins at {}", missing.to
    )]
    Gap {
        /// The topic.
        topic: TopicName,
        /// The partition.
        partition: Partition,
        /// What is missing.
        missing: OffsetRange,
    },
    /// The topic is another one than it was: deleted and made again, or truncated.
    #[error(
        "topic `{topic}` was {expected} and is {found} now: it was deleted and made again; deploy with `rebuild` to read the new one"
    )]
    Diverged {
        /// The topic.
        topic: TopicName,
        /// The incarnation that the reader knows.
        expected: Incarnation,
        /// The incarnation found.
        found: Incarnation,
    },
    /// The hot log does not hold any more what was read of it: records that were acknowledged are missing from it.
    #[error(
        "topic `{topic}` partition {partition} was read up to {reached}, but the hot log is the same one only up to {end}: \
         it lost its tail; restore it, or delete the topic and make it again"
    )]
    Truncated {
        /// The topic.
        topic: TopicName,
        /// The partition.
        partition: Partition,
        /// Where the hot log ends, or where its history begins to be another one.
        end: Offset,
        /// Where its reader, or the mirror, had come to.
        reached: Offset,
    },
    /// A part of an append is in the log and the rest is not.
    #[error(
        "topic `{topic}`: {} records landed ({}), {failed} did not: {reason}",
        landed.values().map(OffsetRange::len).sum::<u64>(), ranges(landed)
    )]
    PartialAppend {
        /// The topic.
        topic: TopicName,
        /// The offsets of what landed; other producers' records may lie between them.
        landed: Appended,
        /// How many records are not known to have landed.
        failed: usize,
        /// Why.
        reason: String,
    },
    /// The idempotency key was used for another request.
    #[error(
        "the idempotency key `{0}` was used for another body in the last 24 hours; use a new key for a new request"
    )]
    KeyReused(String),
    /// Another process has the data folder open.
    #[error("the data folder `{}` is in use by another Rekap; stop that one, or choose another folder", .0.display())]
    InUse(PathBuf),
    /// The store is written by a newer Rekap.
    #[error("{what} has format {found}, this Rekap reads up to {supported}; upgrade Rekap")]
    NewerFormat {
        /// What has that format.
        what: String,
        /// The format found.
        found: u32,
        /// The newest format that is readable.
        supported: u32,
    },
    /// The schema registry does not answer, or there is none. Nothing happened; trying again is safe.
    #[error("schema registry: {0}")]
    Registry(String),
    /// The disk or the object store failed. The effect may have happened; trying again is safe.
    #[error("{what}: {source}")]
    Store {
        /// What was being done, to what.
        what: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl LogError {
    /// A failure of the store below, told with what was being done.
    pub fn store(what: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        LogError::Store { what: what.into(), source: source.into() }
    }
}

fn ranges(appended: &Appended) -> String {
    let range = |(partition, range): (&Partition, &OffsetRange)| format!("partition {partition}: {range}");
    appended.iter().map(range).collect::<Vec<_>>().join(", ")
}
