//! The stitched log: both tiers of a topic as one sequence of offsets per partition.
//!
//! Whoever reads asks for a range of offsets and gets a [`LogSlice`], which says what is read where; reading it gives typed batches
//! that tile the range. It pins nothing: when the seam moves under a reader (a file compacted away, records trimmed from the hot
//! tier), it plans again from the offset where it stands. Nothing here is written, so a crash loses nothing.

mod extent;
mod input;
mod raw;
mod read;
mod slice;
mod start;
mod written;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::BinaryArray;

pub use extent::Extent;
pub use input::{InputBatch, ReadPlan, Undecodable};
pub use raw::Tier;
pub use slice::{LogSlice, Segment};
pub use start::Start;
pub use written::Written;

use crate::cold::ColdTopic;
use crate::{
    ColdTier, Decoder, HotLog, HotRange, LogError, OffsetRange, Partition, SchemaRegistry, Topic, WriterSchemas,
};

/// Both tiers of every topic. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    /// Where producers append.
    pub hot: Arc<dyn HotLog>,
    /// Where everything is kept.
    pub cold: Arc<ColdTier>,
    /// Where the schemas are with which records were written that name them.
    pub registry: Arc<SchemaRegistry>,
}

impl Log {
    /// The log over these tiers, without a schema registry.
    pub fn new(hot: Arc<dyn HotLog>, cold: Arc<ColdTier>) -> Self {
        Log { hot, cold, registry: Arc::new(SchemaRegistry::none()) }
    }

    /// The log with that schema registry.
    pub fn with_registry(self, registry: SchemaRegistry) -> Self {
        Log { registry: Arc::new(registry), ..self }
    }

    /// The writers' schemas that decoding these values needs. [`LogError::Registry`] when they cannot be had now.
    pub(crate) async fn writers(&self, decoder: &Decoder, values: &BinaryArray) -> Result<WriterSchemas, LogError> {
        match decoder.needs_writers() {
            true => self.registry.writers(decoder.writer_ids(values)).await,
            false => Ok(WriterSchemas::default()),
        }
    }

    /// Plans how `range` is read. [`LogError::Gap`] when neither tier holds some of it any more, [`LogError::OutOfRange`] when it
    /// reaches past the end, [`LogError::Diverged`] when the topic is another one than the caller's. No I/O but what the hot tier
    /// needs for its ranges.
    pub async fn slice(&self, topic: &Topic, partition: Partition, range: OffsetRange) -> Result<LogSlice, LogError> {
        let slice = self.slice_across_gaps(topic, partition, range).await?;
        match slice.first_gap() {
            Some(missing) => Err(LogError::Gap { topic: topic.name.clone(), partition, missing }),
            None => Ok(slice),
        }
    }

    /// Plans how `range` is read, with [`Segment::Gap`] for what neither tier holds any more.
    pub async fn slice_across_gaps(
        &self,
        topic: &Topic,
        partition: Partition,
        range: OffsetRange,
    ) -> Result<LogSlice, LogError> {
        let cold = self.cold(topic).await?;
        let slice = self.plan(topic, partition, range, &cold).await?;
        if slice.first_gap().is_none() {
            return Ok(slice);
        }
        // What looks lost may have been mirrored by another process in the meantime.
        cold.refresh().await?;
        self.plan(topic, partition, range, &cold).await
    }

    async fn plan(
        &self,
        topic: &Topic,
        partition: Partition,
        range: OffsetRange,
        cold: &ColdTopic,
    ) -> Result<LogSlice, LogError> {
        // In this order: what leaves the hot tier after the first look is in the cold one at the second.
        let hot = self.hot_range(topic, partition).await?;
        let coverage = cold.coverage();
        let segments = slice::plan(coverage.partition(partition), hot, range).ok_or_else(|| LogError::OutOfRange {
            topic: topic.name.clone(),
            partition,
            asked: range.to,
            held: OffsetRange { from: hot.earliest, to: hot.end },
        })?;
        Ok(LogSlice { topic: topic.clone(), partition, range, segments })
    }

    async fn cold(&self, topic: &Topic) -> Result<Arc<ColdTopic>, LogError> {
        self.cold.topic(topic).await
    }

    /// What the hot tier holds of a partition, after a look at whether the topic is still the caller's.
    async fn hot_range(&self, topic: &Topic, partition: Partition) -> Result<HotRange, LogError> {
        let ranges = self.hot.ranges(&topic.name).await?;
        // After the ranges: they are of this topic, or of one that is found to be another.
        self.check_identity(topic).await?;
        let last = ranges.keys().next_back().copied().unwrap_or(Partition(0));
        let unknown = || LogError::UnknownPartition { topic: topic.name.clone(), partition, last };
        ranges.get(&partition).copied().ok_or_else(unknown)
    }

    pub(crate) async fn check_identity(&self, topic: &Topic) -> Result<(), LogError> {
        let found = self.hot.topic(&topic.name).await?.incarnation;
        if found == topic.incarnation {
            return Ok(());
        }
        Err(LogError::Diverged { topic: topic.name.clone(), expected: topic.incarnation, found })
    }
}
