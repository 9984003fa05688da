//! What there is to read of a topic, over both tiers, and where a start comes to.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use futures::TryStreamExt as _;

use super::{Log, Start};
use crate::cold::{ColdFile, ColdTopic, Columns, TIMESTAMP};
use crate::{HotRange, LogError, Offset, OffsetRange, Partition, Positions, Timestamp, Topic};

/// What there is of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// The earliest offset that either tier holds.
    pub start: Offset,
    /// What the hot tier holds.
    pub hot: HotRange,
    /// What has been mirrored, gaps included; `None` before the first round.
    pub mirrored: Option<OffsetRange>,
    /// The ranges that were lost before they were mirrored.
    pub gaps: Vec<OffsetRange>,
}

impl Log {
    /// What there is of each partition of a topic.
    pub async fn extent(&self, topic: &Topic) -> Result<BTreeMap<Partition, Extent>, LogError> {
        self.check_identity(topic).await?;
        let cold = self.cold(topic).await?;
        // In this order: what leaves the hot tier after the first look is in the cold one at the second.
        let ranges = self.hot.ranges(&topic.name).await?;
        let coverage = cold.coverage();
        let extent = |(partition, hot): (Partition, HotRange)| {
            let covered = coverage.partition(partition);
            let mirrored = covered.and_then(|covered| covered.mirrored());
            let start = mirrored.map_or(hot.earliest, |mirrored| mirrored.from.min(hot.earliest));
            let gaps = covered.map_or(Vec::new(), |covered| covered.gaps().to_vec());
            (partition, Extent { start, hot, mirrored, gaps })
        };
        Ok(ranges.into_iter().map(extent).collect())
    }

    /// The readable end of each partition of a topic, for a reader that has come to `reached`. [`LogError::Diverged`] when the topic is
    /// another one than the reader's, [`LogError::Truncated`] when it ends before what was read of it.
    pub async fn ends(&self, topic: &Topic, reached: &Positions) -> Result<BTreeMap<Partition, Offset>, LogError> {
        let ranges = self.hot.ranges(&topic.name).await?;
        // After the ends: they are of this topic, or of one that is found to be another.
        self.check_identity(topic).await?;
        for (partition, reached) in reached.of(&topic.name) {
            if let Some(hot) = ranges.get(&partition).filter(|hot| hot.end < reached) {
                return Err(LogError::Truncated { topic: topic.name.clone(), partition, end: hot.end, reached });
            }
        }
        Ok(ranges.into_iter().map(|(partition, hot)| (partition, hot.end)).collect())
    }

    /// The positions at which a reader of the topic's present partitions begins.
    pub async fn resolve_start(&self, topic: &Topic, start: Start) -> Result<Positions, LogError> {
        let extents = self.extent(topic).await?;
        if let Start::Offsets(offsets) = &start
            && let Some(partition) = offsets.keys().find(|partition| !extents.contains_key(partition))
        {
            let last = extents.keys().next_back().copied().unwrap_or(Partition(0));
            return Err(LogError::UnknownPartition { topic: topic.name.clone(), partition: *partition, last });
        }
        let mut positions = Positions::new();
        for (partition, extent) in extents {
            let next = match &start {
                Start::Beginning => extent.start,
                Start::End => extent.hot.end,
                Start::At(time) => self.offset_at(topic, partition, &extent, *time).await?,
                Start::Offsets(offsets) => offsets.get(&partition).copied().unwrap_or(extent.start),
            };
            positions.set(&topic.name, partition, next);
        }
        Ok(positions)
    }

    /// The first offset whose record was written at or after `time`: by the files' newest timestamps, then in the hot tier.
    async fn offset_at(
        &self,
        topic: &Topic,
        partition: Partition,
        extent: &Extent,
        time: Timestamp,
    ) -> Result<Offset, LogError> {
        let cold = self.cold(topic).await?;
        let coverage = cold.coverage();
        let files = coverage.partition(partition).map_or(&[][..], |covered| covered.files());
        if let Some(file) = files.iter().find(|file| file.records > 0 && file.newest >= time) {
            return first_at(&cold, file, time).await;
        }
        let seam = extent.mirrored.map_or(Offset::ZERO, |mirrored| mirrored.to);
        Ok(self.hot.offset_at(topic, partition, time).await?.max(seam))
    }
}

/// The first offset in the file whose record was written at or after `time`.
async fn first_at(cold: &ColdTopic, file: &Arc<ColdFile>, time: Timestamp) -> Result<Offset, LogError> {
    let reader = cold.open_file(file.clone()).await?;
    let columns = Columns { envelope: vec![TIMESTAMP], data: Vec::new() };
    let mut batches = reader.read(file.range, &columns)?;
    while let Some(rows) = batches.try_next().await? {
        let Some(times) = rows.envelope(TIMESTAMP) else { continue };
        let times = times.as_primitive::<TimestampMicrosecondType>();
        if let Some(row) = times.values().iter().position(|at| *at >= time.as_micros()) {
            return Ok(Offset::from_i64(rows.offsets.value(row)).expect("offsets are not negative"));
        }
    }
    Ok(file.range.to)
}
