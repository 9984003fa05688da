//! Raw records of both tiers, as they were appended.

use arrow::array::{ArrayRef, RecordBatch};
use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};

use super::{Log, Segment};
use crate::cold::{Columns, HEADERS, KEY, Rows, TIMESTAMP, VALUE};
use crate::{ENVELOPE, LogBatch, LogError, Offset, OffsetRange, Partition, Topic};

/// Bytes of records in one answer, beside the limit of records: 10,000 records of 1 MiB would not fit into memory.
const ANSWER_BYTES: usize = 16 << 20;

/// Which tier a record was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// The hot tier.
    Hot,
    /// The cold tier.
    Cold,
}

impl Log {
    /// At most `limit` records from `from` on, and the offset at which to go on. Fewer come when they are large; none come only at the
    /// end, where the next offset is `from`. A [`LogError::Gap`] when `from` itself is lost.
    pub async fn records(
        &self,
        topic: &Topic,
        partition: Partition,
        from: Offset,
        limit: usize,
    ) -> Result<(Vec<(Tier, LogBatch)>, Offset), LogError> {
        let end = self.hot_range(topic, partition).await?.end.max(from);
        let slice = self.slice_across_gaps(topic, partition, OffsetRange { from, to: end }).await?;
        let mut answer = Answer { batches: Vec::new(), next: from, left: limit, bytes: 0 };
        for segment in slice.segments() {
            if answer.is_full() {
                break;
            }
            match segment {
                Segment::Gap { range } if answer.batches.is_empty() => {
                    return Err(LogError::Gap { topic: topic.name.clone(), partition, missing: *range });
                }
                Segment::Gap { .. } => break,
                Segment::Hot { range } => self.hot_records(topic, partition, *range, &mut answer).await?,
                Segment::Cold { file, range } => {
                    let reader = self.cold(topic).await?.open_file(file.clone()).await?;
                    let mut batches = reader.read(*range, &Columns::raw())?;
                    while !answer.is_full()
                        && let Some(rows) = batches.try_next().await?
                    {
                        answer.add(Tier::Cold, log_batch(partition, rows)?);
                    }
                }
            }
        }
        Ok((answer.batches, answer.next))
    }

    async fn hot_records(
        &self,
        topic: &Topic,
        partition: Partition,
        range: OffsetRange,
        answer: &mut Answer,
    ) -> Result<(), LogError> {
        let mut at = range.from;
        while at < range.to && !answer.is_full() {
            let left = OffsetRange { from: at, to: range.to };
            let batch = self.read_on(topic, partition, left, ANSWER_BYTES).await?;
            at = batch.range.to;
            answer.add(Tier::Hot, batch);
        }
        Ok(())
    }
}

struct Answer {
    batches: Vec<(Tier, LogBatch)>,
    next: Offset,
    left: usize,
    bytes: usize,
}

impl Answer {
    fn is_full(&self) -> bool {
        self.left == 0 || self.bytes >= ANSWER_BYTES
    }

    fn add(&mut self, tier: Tier, batch: LogBatch) {
        let batch = match batch.len() > self.left {
            true => first(&batch, self.left),
            false => batch,
        };
        self.next = batch.range.to;
        self.left -= batch.len();
        self.bytes += batch.records.get_array_memory_size();
        if !batch.is_empty() {
            self.batches.push((tier, batch));
        }
    }
}

/// The first `n` records of a batch, which covers as far as the last of them.
fn first(batch: &LogBatch, n: usize) -> LogBatch {
    let to = Offset::from_i64(batch.offsets().value(n)).expect("offsets are not negative");
    batch.clip(&OffsetRange { from: batch.range.from, to }).expect("it begins before its record number n")
}

impl Columns {
    /// All that a record is made of, beside its offset.
    fn raw() -> Self {
        Columns { envelope: vec![TIMESTAMP, KEY, VALUE, HEADERS], data: Vec::new() }
    }
}

fn log_batch(partition: Partition, rows: Rows) -> Result<LogBatch, LogError> {
    let stored = |name: &str| rows.envelope(name).cloned().expect("asked for");
    let offsets: ArrayRef = std::sync::Arc::new(rows.offsets.clone());
    let columns = vec![offsets, stored(TIMESTAMP), stored(KEY), stored(VALUE), stored(HEADERS)];
    let records = RecordBatch::try_new(ENVELOPE.clone(), columns)
        .map_err(|e| LogError::store("laying out records of the cold tier", e))?;
    Ok(LogBatch::new(partition, rows.range, records))
}
