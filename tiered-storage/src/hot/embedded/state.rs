//! What the log holds, in memory: each topic, and the ends of each of its partitions. Readers see only what is durable.

use std::collections::BTreeMap;

use crate::{HotRange, LogError, Offset, OffsetRange, Partition, Timestamp, Topic, TopicName};

/// All topics.
pub(super) type Topics = BTreeMap<TopicName, TopicState>;

/// One topic.
#[derive(Debug, Clone)]
pub(super) struct TopicState {
    pub(super) topic: Topic,
    pub(super) partitions: Vec<PartitionState>,
}

/// The ends of a partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct PartitionState {
    /// The first offset held.
    pub(super) earliest: Offset,
    /// The next offset to be written.
    pub(super) end: Offset,
    /// When the last record was appended.
    pub(super) appended: Timestamp,
    /// The greatest timestamp of any record.
    pub(super) max_time: Timestamp,
    /// The bytes of all records so far.
    pub(super) bytes: u64,
}

impl PartitionState {
    /// A partition without records, whose next record gets that offset.
    pub(super) fn empty_at(offset: Offset) -> Self {
        let never = Timestamp::from_micros(i64::MIN);
        PartitionState { earliest: offset, end: offset, appended: never, max_time: never, bytes: 0 }
    }

    pub(super) fn held(&self) -> OffsetRange {
        OffsetRange::new(self.earliest, self.end)
    }

    pub(super) fn range(&self) -> HotRange {
        HotRange { earliest: self.earliest, end: self.end }
    }
}

/// A topic by name.
pub(super) fn find<'a>(topics: &'a Topics, name: &TopicName) -> Result<&'a TopicState, LogError> {
    topics.get(name).ok_or_else(|| LogError::UnknownTopic(name.clone()))
}

/// The very topic that a reader knows, not another one of its name.
pub(super) fn find_same<'a>(topics: &'a Topics, topic: &Topic) -> Result<&'a TopicState, LogError> {
    let found = find(topics, &topic.name)?;
    match found.topic.incarnation == topic.incarnation {
        true => Ok(found),
        false => Err(LogError::Diverged {
            topic: topic.name.clone(),
            expected: topic.incarnation,
            found: found.topic.incarnation,
        }),
    }
}

impl TopicState {
    pub(super) fn partition(&self, partition: Partition) -> Result<&PartitionState, LogError> {
        let last = Partition(self.topic.config.partitions - 1);
        let unknown = || LogError::UnknownPartition { topic: self.topic.name.clone(), partition, last };
        self.partitions.get(partition.0 as usize).ok_or_else(unknown)
    }
}
