//! Reading: a range of offsets, the offset of a time, and what retention allows to be deleted.
//!
//! Times and bytes only grow along a partition's entries, so all three questions are answered by seeking entries, never by a scan.

use fjall::Slice;

use super::batch::BatchBuilder;
use super::entry::Entry;
use super::keys;
use super::state::{PartitionState, find_same};
use super::store::{Store, failed};
use crate::{LogBatch, LogError, Offset, OffsetRange, Partition, Timestamp, Topic};

/// The most record bytes of one read, whatever is asked for: Arrow's offsets hold 2 GiB.
const MAX_READ_BYTES: usize = 1 << 30;

/// The most records of one read, so that tiny records do not make huge batches.
const MAX_READ_RECORDS: u64 = 1 << 20;

/// One partition, as it is held while a question about it is answered.
pub(super) struct Reader<'a> {
    store: &'a Store,
    topic: &'a Topic,
    partition: Partition,
    pub(super) state: PartitionState,
}

/// A stored entry with the offset of its first record.
struct Found {
    first: Offset,
    last: Offset,
    bytes: Slice,
}

impl Found {
    fn entry(&self) -> Entry<'_> {
        Entry::parse(&self.bytes).expect("an entry is parsed when it is found")
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(store: &'a Store, topic: &'a Topic, partition: Partition) -> Result<Self, LogError> {
        let state = *find_same(&store.topics(), topic)?.partition(partition)?;
        Ok(Reader { store, topic, partition, state })
    }

    /// The records from `range.from` on, to `range.to` or about `max_bytes`.
    pub(super) fn read(&self, range: OffsetRange, max_bytes: usize) -> Result<LogBatch, LogError> {
        let held = self.state.held();
        if range.from < held.from || held.to < range.from {
            return Err(self.out_of_range(range.from, held));
        }
        let to = range.to.min(held.to).min(range.from.plus(MAX_READ_RECORDS));
        let mut left = max_bytes.min(MAX_READ_BYTES) as u64;
        let mut batch = BatchBuilder::new(self.partition, range.from);
        for found in self.entries(range.from, to) {
            let found = found?;
            if found.first > batch.next() {
                break;
            }
            let entry = found.entry();
            let start = batch.next().since(found.first) as usize;
            let end = (entry.count as usize).min(to.since(found.first) as usize);
            let fits = fitting(&entry, start, end, &mut left, batch.next() == range.from);
            batch.push(&entry, start, fits);
            if fits < end || left == 0 || batch.next() == to {
                break;
            }
        }
        if batch.next() == range.from && range.from < to {
            // Trimmed since the ends were looked at.
            return Err(
                self.out_of_range(range.from, Reader::new(self.store, self.topic, self.partition)?.state.held())
            );
        }
        Ok(batch.finish())
    }

    /// The first offset held whose record has that time or a later one.
    pub(super) fn offset_at(&self, time: Timestamp) -> Result<Offset, LogError> {
        let from = self.first_where(|entry| entry.max_time >= time)?;
        for found in self.entries(from, self.state.end) {
            let found = found?;
            let entry = found.entry();
            let skip = self.state.earliest.since(found.first) as usize;
            if let Some(i) = (skip..entry.count as usize).find(|i| entry.time(*i) >= time) {
                return Ok(found.first.plus(i as u64));
            }
        }
        Ok(self.state.end)
    }

    /// When the record at an offset was appended.
    pub(super) fn appended_at(&self, offset: Offset) -> Result<Option<Timestamp>, LogError> {
        let found = self.entries(offset, offset.next()).next().transpose()?;
        Ok(found.filter(|_| self.state.held().contains(offset)).map(|found| found.entry().appended))
    }

    /// The offset below which the topic's retention lets everything go at `now`.
    pub(super) fn expired(&self, now: Timestamp) -> Result<Offset, LogError> {
        let config = &self.topic.config;
        let mut before = self.state.earliest;
        if let Some(age) = config.retention_ms {
            let kept_since = now.minus(std::time::Duration::from_millis(age));
            before = before.max(self.first_where(|entry| entry.appended > kept_since)?);
        }
        if let Some(bytes) = config.retention_bytes {
            before = before.max(self.first_within(bytes)?);
        }
        Ok(before)
    }

    /// The bytes of the records held.
    pub(super) fn held_bytes(&self) -> Result<u64, LogError> {
        let earliest = self.state.earliest;
        let Some(found) = self.entries(earliest, self.state.end).next().transpose()? else { return Ok(0) };
        let entry = found.entry();
        let gone = earliest.since(found.first) as usize;
        let before = entry.bytes_before + (0..gone).map(|i| entry.record_bytes(i)).sum::<u64>();
        Ok(self.state.bytes.saturating_sub(before))
    }

    /// The first offset from which on the records have no more than `bytes`.
    fn first_within(&self, bytes: u64) -> Result<Offset, LogError> {
        let gone = self.state.bytes.saturating_sub(bytes);
        let from = self.first_where(|entry| entry.bytes_after() > gone)?;
        let Some(found) = self.entries(from, self.state.end).next().transpose()? else { return Ok(from) };
        let entry = found.entry();
        let mut before = entry.bytes_before;
        let kept = (0..entry.count as usize).find(|i| {
            let kept = before >= gone;
            before += entry.record_bytes(*i);
            kept
        });
        Ok(found.first.plus(kept.map_or(u64::from(entry.count), |i| i as u64)))
    }

    /// The first offset of the first entry for which `wanted` holds, which once true stays true; the end when there is none. Never
    /// below the earliest offset.
    fn first_where(&self, wanted: impl Fn(&Entry<'_>) -> bool) -> Result<Offset, LogError> {
        let (mut low, mut high) = (self.state.earliest, self.state.end);
        // The first entry is the answer most of the time: retention asks every few seconds.
        let mut middle = low;
        while low < high {
            let Some(found) = self.entries(middle, self.state.end).next().transpose()? else { break };
            match wanted(&found.entry()) {
                true => high = found.first.max(self.state.earliest),
                false => low = found.last.next(),
            }
            middle = Offset::new(low.get() + high.since(low) / 2);
        }
        Ok(high)
    }

    /// The entries that hold `[from, to)`, in order.
    fn entries(&self, from: Offset, to: Offset) -> impl Iterator<Item = Result<Found, LogError>> {
        let incarnation = &self.topic.incarnation;
        let start = keys::entry(incarnation, self.partition, from);
        let stored = self.store.log.range(start..keys::entries_end(incarnation, self.partition));
        let found = (from < to).then_some(stored).into_iter().flatten().map(|stored| {
            let (key, bytes) = stored.into_inner().map_err(failed("reading the log"))?;
            let (last, entry) = self.store.parse(self.topic, self.partition, &key, &bytes)?;
            Ok(Found { first: Offset::new(last.get() + 1 - u64::from(entry.count)), last, bytes })
        });
        found.take_while(move |found| found.as_ref().map_or(true, |found| found.first < to))
    }

    fn out_of_range(&self, asked: Offset, held: OffsetRange) -> LogError {
        LogError::OutOfRange { topic: self.topic.name.clone(), partition: self.partition, asked, held }
    }
}

/// Where the records from `start` on, at most to `end`, stop to fit into what is left of a read; the read's first record always fits.
fn fitting(entry: &Entry<'_>, start: usize, end: usize, left: &mut u64, first: bool) -> usize {
    for i in start..end {
        let bytes = entry.record_bytes(i);
        if bytes > *left && !(first && i == start) {
            *left = 0;
            return i;
        }
        *left = left.saturating_sub(bytes);
    }
    end
}
