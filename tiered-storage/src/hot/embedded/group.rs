//! Appends that are written together: what each of them does, and the one batch that does it all.

use std::collections::BTreeMap;

use fjall::{Keyspace, OwnedWriteBatch, PersistMode};

use super::entry::EntryBuilder;
use super::keys;
use super::once::{self, Answer};
use super::state::{PartitionState, TopicState, Topics, find};
use super::store::Store;
use super::writer::Append;
use crate::partitioner::partition_of;
use crate::{Appended, Incarnation, LogError, NewRecord, Offset, OffsetRange, Partition, Timestamp, TopicName, steps};

/// Record bytes after which an entry is closed: a reader that wants one record loads no more than this.
const ENTRY_BYTES: u64 = 512 << 10;

/// The records that wait for the one batch.
pub(super) struct Group<'a> {
    store: &'a Store,
    now: Timestamp,
    batch: OwnedWriteBatch,
    tails: BTreeMap<TopicName, BTreeMap<Partition, Tail>>,
    answered: BTreeMap<(Incarnation, String), Answer>,
}

/// The end of one partition, with the entry that grows there.
struct Tail {
    incarnation: Incarnation,
    partition: Partition,
    state: PartitionState,
    entry: EntryBuilder,
}

impl<'a> Group<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Group {
            store,
            now: store.clock.now(),
            batch: store.db.batch().durability(Some(PersistMode::SyncAll)),
            tails: BTreeMap::new(),
            answered: BTreeMap::new(),
        }
    }

    /// Takes the records of one append, all or none.
    pub(super) fn append(
        &mut self,
        append: &Append,
        turns: &mut BTreeMap<Incarnation, u32>,
    ) -> Result<Appended, LogError> {
        let topics = self.store.topics();
        let topic = find(&topics, &append.topic)?;
        let incarnation = topic.topic.incarnation;
        let Some(key) = &append.once else {
            let partitions = assign(topic, &append.records, turns)?;
            return Ok(self.take(topic, &append.records, partitions));
        };
        let pending = self.answered.get(&(incarnation, key.key.clone())).cloned();
        let answer = match pending {
            Some(answer) => Some(answer),
            None => once::find(self.store, &incarnation, &key.key)?,
        };
        if let Some(answer) = answer {
            return answer.again(key);
        }
        let partitions = assign(topic, &append.records, turns)?;
        let appended = self.take(topic, &append.records, partitions);
        let answer = Answer { at: self.now, body_digest: key.body_digest, appended: appended.clone() };
        self.remember(incarnation, &key.key, answer);
        Ok(appended)
    }

    fn take(&mut self, topic: &TopicState, records: &[NewRecord], partitions: Vec<Partition>) -> Appended {
        let tails = self.tails.entry(topic.topic.name.clone()).or_default();
        let mut appended = Appended::new();
        for (record, partition) in records.iter().zip(partitions) {
            let tail = tails.entry(partition).or_insert_with(|| Tail::new(topic, partition, self.now));
            let offset = tail.push(record);
            let given = appended.entry(partition).or_insert(OffsetRange::new(offset, offset));
            given.to = offset.next();
            if tail.entry.record_bytes() >= ENTRY_BYTES {
                tail.close(&mut self.batch, &self.store.log);
            }
        }
        appended
    }

    fn remember(&mut self, incarnation: Incarnation, key: &str, answer: Answer) {
        let once = keys::once(&incarnation, key);
        self.batch.insert(&self.store.log, keys::expiry(answer.at, &once), []);
        self.batch.insert(&self.store.log, once, answer.encode());
        self.answered.insert((incarnation, key.to_owned()), answer);
    }

    /// Writes everything and waits for the disk; then readers see it.
    pub(super) fn commit(mut self) -> Result<(), LogError> {
        for tail in self.tails.values_mut().flat_map(BTreeMap::values_mut) {
            if !tail.entry.is_empty() {
                tail.close(&mut self.batch, &self.store.log);
            }
        }
        if self.batch.is_empty() {
            return Ok(());
        }
        let number = self.store.acknowledged.next();
        self.batch.insert(&self.store.log, keys::GROUPS, number.to_be_bytes());
        let first = self.tails.keys().next().map_or("", |topic| topic.as_str());
        steps::passed("append.gathered", &first);
        let failed = |error| self.store.write_failed("appending to the log, which may have happened", error);
        self.batch.commit().map_err(failed)?;
        self.store.acknowledged.tell(number);
        steps::passed("append.synced", &first);
        self.store.publish(|topics| {
            for (name, tails) in &self.tails {
                show(topics, name, tails);
            }
        });
        steps::passed("append.published", &first);
        Ok(())
    }
}

fn show(topics: &mut Topics, name: &TopicName, tails: &BTreeMap<Partition, Tail>) {
    let topic = topics.get_mut(name).expect("only this thread deletes topics");
    for (partition, tail) in tails {
        let shown = &mut topic.partitions[partition.0 as usize];
        *shown = PartitionState { earliest: shown.earliest, ..tail.state };
    }
}

/// The partition of each record: the one it names, the one of its key, or the next in turn.
fn assign(
    topic: &TopicState,
    records: &[NewRecord],
    turns: &mut BTreeMap<Incarnation, u32>,
) -> Result<Vec<Partition>, LogError> {
    let count = topic.topic.config.partitions;
    if let Some(partition) = records.iter().filter_map(|record| record.partition).find(|p| p.0 >= count) {
        topic.partition(partition)?;
    }
    let turn = turns.entry(topic.topic.incarnation).or_default();
    let mut next = || {
        let partition = Partition(*turn % count);
        *turn = partition.0 + 1;
        partition
    };
    let of = |record: &NewRecord| match (record.partition, &record.key) {
        (Some(partition), _) => partition,
        (None, Some(key)) => partition_of(key, count),
        (None, None) => next(),
    };
    Ok(records.iter().map(of).collect())
}

impl Tail {
    fn new(topic: &TopicState, partition: Partition, now: Timestamp) -> Self {
        let mut state = topic.partitions[partition.0 as usize];
        // Retention searches by this time, so it never goes back, even when the clock does.
        state.appended = state.appended.max(now);
        let entry = EntryBuilder::new(state.appended, state.max_time, state.bytes);
        Tail { incarnation: topic.topic.incarnation, partition, state, entry }
    }

    fn push(&mut self, record: &NewRecord) -> Offset {
        self.entry.push(record);
        let offset = self.state.end;
        self.state.end = offset.next();
        offset
    }

    fn close(&mut self, batch: &mut OwnedWriteBatch, log: &Keyspace) {
        (self.state.max_time, self.state.bytes) = (self.entry.max_time(), self.entry.bytes_after());
        let next = EntryBuilder::new(self.state.appended, self.state.max_time, self.state.bytes);
        let entry = std::mem::replace(&mut self.entry, next);
        let last = Offset::new(self.state.end.get() - 1);
        batch.insert(log, keys::entry(&self.incarnation, self.partition, last), entry.finish());
    }
}
