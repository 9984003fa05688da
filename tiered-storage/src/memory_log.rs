//! A hot log in memory, for tests: with holes in its offsets if wanted, as Kafka has them, and trimmed at will.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow::array::{
    ArrayRef, BinaryArray, BinaryBuilder, Int64Array, ListBuilder, RecordBatch, StringBuilder, StructBuilder,
    TimestampMicrosecondArray,
};
use arrow::datatypes::DataType;
use async_trait::async_trait;
use tokio::sync::watch;

use crate::{
    AppendKey, Appended, ENVELOPE, HotLog, HotRange, Incarnation, LogBatch, LogError, NewRecord, Offset, OffsetRange,
    Partition, Timestamp, Topic, TopicConfig, TopicName, UTC, headers_type,
};

/// Records per read at most, so that reads come in several batches.
const READ_RECORDS: usize = 700;

#[derive(Default)]
struct Part {
    earliest: u64,
    end: u64,
    records: BTreeMap<u64, NewRecord>,
}

#[derive(Default)]
struct State {
    topics: BTreeMap<TopicName, (Topic, BTreeMap<Partition, Part>)>,
}

/// From which offset on a partition cannot be read, and why.
type Unreadable = (Partition, u64, fn() -> LogError);

/// What a log can do to those who use it.
#[derive(Default)]
pub(crate) struct Faults {
    /// Nothing is read there.
    pub(crate) unreadable: Option<Unreadable>,
    /// A record is appended to that topic whenever its ranges are looked at.
    pub(crate) grows: Option<TopicName>,
    /// No topic can be changed.
    pub(crate) refuses_changes: bool,
}

pub(crate) struct MemoryLog {
    pub(crate) faults: Mutex<Faults>,
    state: Mutex<State>,
    appended: watch::Sender<u64>,
    /// Offsets skipped after each record.
    holes: u64,
}

impl MemoryLog {
    pub(crate) fn new() -> Arc<Self> {
        Self::with_holes(0)
    }

    pub(crate) fn with_holes(holes: u64) -> Arc<Self> {
        Arc::new(MemoryLog {
            faults: Mutex::default(),
            state: Mutex::default(),
            appended: watch::Sender::new(0),
            holes,
        })
    }

    fn with<T>(
        &self,
        name: &TopicName,
        look: impl FnOnce(&mut Topic, &mut BTreeMap<Partition, Part>) -> T,
    ) -> Result<T, LogError> {
        let mut state = self.state.lock().unwrap();
        let entry = state.topics.get_mut(name).ok_or_else(|| LogError::UnknownTopic(name.clone()))?;
        Ok(look(&mut entry.0, &mut entry.1))
    }

    /// Holds a topic that was made elsewhere, whose partitions were written up to these ends and trimmed.
    pub(crate) fn adopt(&self, topic: Topic, ends: &[u64]) {
        let part = |end: &u64| Part { earliest: *end, end: *end, records: BTreeMap::new() };
        let parts = ends.iter().enumerate().map(|(p, end)| (Partition(p as u32), part(end))).collect();
        self.state.lock().unwrap().topics.insert(topic.name.clone(), (topic, parts));
    }

    /// Loses the tail of a partition, as a disk that lied about its writes would.
    pub(crate) fn truncate(&self, name: &TopicName, partition: Partition, end: u64) {
        let cut = |_: &mut Topic, parts: &mut BTreeMap<Partition, Part>| {
            let part = parts.get_mut(&partition).unwrap();
            part.records.split_off(&end);
            part.end = end;
        };
        self.with(name, cut).unwrap();
    }
}

#[async_trait]
impl HotLog for MemoryLog {
    async fn create_topic(&self, name: &TopicName, config: TopicConfig) -> Result<Topic, LogError> {
        let parts = (0..config.partitions).map(|p| (Partition(p), Part::default())).collect();
        let topic = Topic { name: name.clone(), incarnation: Incarnation::random(), config };
        self.state.lock().unwrap().topics.insert(name.clone(), (topic.clone(), parts));
        Ok(topic)
    }

    async fn alter_topic(&self, name: &TopicName, config: TopicConfig) -> Result<Topic, LogError> {
        self.with(name, |topic, _| {
            topic.config = config;
            topic.clone()
        })
    }

    async fn double_retention(&self, topic: &Topic, limit_ms: u64) -> Result<Option<(u64, u64)>, LogError> {
        if self.faults.lock().unwrap().refuses_changes {
            return Err(LogError::store("changing a topic", "not now"));
        }
        self.with(&topic.name, |held, _| {
            let raised = crate::hot::doubled(topic, held.config.retention_ms, limit_ms);
            held.config.retention_ms = raised.map_or(held.config.retention_ms, |(_, to)| Some(to));
            raised
        })
    }

    async fn delete_topic(&self, name: &TopicName) -> Result<(), LogError> {
        self.state.lock().unwrap().topics.remove(name);
        Ok(())
    }

    async fn topics(&self) -> Result<Vec<Topic>, LogError> {
        Ok(self.state.lock().unwrap().topics.values().map(|(topic, _)| topic.clone()).collect())
    }

    async fn topic(&self, name: &TopicName) -> Result<Topic, LogError> {
        self.with(name, |topic, _| topic.clone())
    }

    async fn ranges(&self, name: &TopicName) -> Result<BTreeMap<Partition, HotRange>, LogError> {
        if self.faults.lock().unwrap().grows.as_ref() == Some(name) {
            let record =
                NewRecord { partition: Some(Partition(0)), key: None, value: None, headers: vec![], timestamp: None };
            self.append(name, vec![record], None).await?;
        }
        let range = |part: &Part| HotRange { earliest: Offset::new(part.earliest), end: Offset::new(part.end) };
        self.with(name, |_, parts| parts.iter().map(|(p, part)| (*p, range(part))).collect())
    }

    async fn append(
        &self,
        name: &TopicName,
        records: Vec<NewRecord>,
        _once: Option<AppendKey>,
    ) -> Result<Appended, LogError> {
        let appended = self.with(name, |_, parts| {
            let mut appended = Appended::new();
            for record in records {
                let partition = record.partition.unwrap_or(Partition(0));
                let part = parts.get_mut(&partition).unwrap();
                let at = part.end;
                part.records.insert(at, record);
                part.end = at + 1 + self.holes;
                let given = appended.entry(partition).or_insert(OffsetRange::new(Offset::new(at), Offset::new(at)));
                given.to = Offset::new(part.end);
            }
            appended
        })?;
        self.appended.send_modify(|n| *n += 1);
        Ok(appended)
    }

    async fn read(
        &self,
        topic: &Topic,
        partition: Partition,
        range: OffsetRange,
        _max_bytes: usize,
    ) -> Result<LogBatch, LogError> {
        let unreadable = self.faults.lock().unwrap().unreadable.filter(|(faulty, ..)| *faulty == partition);
        let readable = match unreadable {
            Some((_, from, why)) if range.from.get() >= from => return Err(why()),
            Some((_, from, _)) => Offset::new(from),
            None => range.to,
        };
        self.with(&topic.name, |_, parts| {
            let part = &parts[&partition];
            let held = OffsetRange::new(Offset::new(part.earliest), Offset::new(part.end));
            if range.from < held.from || range.from > held.to {
                return Err(LogError::OutOfRange { topic: topic.name.clone(), partition, asked: range.from, held });
            }
            let to = range.to.min(held.to).min(readable);
            let records: Vec<_> = part.records.range(range.from.get()..to.get()).take(READ_RECORDS + 1).collect();
            let to = records.get(READ_RECORDS).map_or(to, |(at, _)| Offset::new(**at));
            let records = &records[..records.len().min(READ_RECORDS)];
            Ok(LogBatch::new(partition, OffsetRange::new(range.from, to), rows(records)))
        })?
    }

    async fn offset_at(&self, topic: &Topic, partition: Partition, time: Timestamp) -> Result<Offset, LogError> {
        self.with(&topic.name, |_, parts| {
            let part = &parts[&partition];
            let first = part.records.iter().find(|(_, record)| record.timestamp >= Some(time));
            Offset::new(first.map_or(part.end, |(at, _)| *at))
        })
    }

    fn appended(&self) -> watch::Receiver<u64> {
        self.appended.subscribe()
    }

    async fn expired(&self, topic: &Topic, _now: Timestamp) -> Result<BTreeMap<Partition, Offset>, LogError> {
        let bounded = topic.config.retention_ms.is_some();
        let expired = |part: &Part| Offset::new(if bounded { part.end } else { 0 });
        self.with(&topic.name, |_, parts| parts.iter().map(|(p, part)| (*p, expired(part))).collect())
    }

    async fn trim(&self, topic: &Topic, partition: Partition, before: Offset) -> Result<(), LogError> {
        self.with(&topic.name, |_, parts| {
            let part = parts.get_mut(&partition).unwrap();
            part.earliest = part.earliest.max(before.get().min(part.end));
            part.records = part.records.split_off(&part.earliest);
        })
    }
}

fn rows(records: &[(&u64, &NewRecord)]) -> RecordBatch {
    let bytes = |of: fn(&NewRecord) -> Option<&[u8]>| -> ArrayRef {
        Arc::new(records.iter().map(|(_, record)| of(record)).collect::<BinaryArray>())
    };
    let offsets = Int64Array::from_iter_values(records.iter().map(|(at, _)| **at as i64));
    let times = records.iter().map(|(_, record)| record.timestamp.map_or(0, Timestamp::as_micros));
    let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone(UTC);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(offsets),
        Arc::new(times),
        bytes(|record| record.key.as_deref()),
        bytes(|record| record.value.as_deref()),
        headers(records),
    ];
    RecordBatch::try_new(ENVELOPE.clone(), columns).unwrap()
}

fn headers(records: &[(&u64, &NewRecord)]) -> ArrayRef {
    let DataType::List(item) = headers_type() else { unreachable!("headers are a list") };
    let DataType::Struct(fields) = item.data_type() else { unreachable!("of structs") };
    let pair = StructBuilder::new(fields.clone(), vec![Box::new(StringBuilder::new()), Box::new(BinaryBuilder::new())]);
    let mut list = ListBuilder::new(pair).with_field(item);
    for (_, record) in records {
        for (key, value) in &record.headers {
            let pair = list.values();
            pair.field_builder::<StringBuilder>(0).unwrap().append_value(key);
            pair.field_builder::<BinaryBuilder>(1).unwrap().append_option(value.as_deref());
            pair.append(true);
        }
        list.append(true);
    }
    Arc::new(list.finish())
}
