//! Both tiers in one place, for tests: a hot log in memory, a cold tier in a folder, and everything that was ever appended.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt as _;
use serde_json::json;
use tempfile::TempDir;

use crate::memory_log::MemoryLog;
use crate::{
    ColdTier, Coverage, HotLog, Log, LogError, LogSlice, ManualClock, Mirror, MirrorPolicy, NewRecord, Offset,
    OffsetRange, Partition, ReadPlan, Tier, Timestamp, Topic, TopicConfig, TopicSchema, Undecodable,
};

/// A topic of two partitions with a schema, on a hot log in memory and a cold tier in a folder.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) hot: Arc<MemoryLog>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) topic: Topic,
    /// Every record ever appended: partition, offset, bytes.
    pub(crate) appended: BTreeMap<(Partition, u64), Option<String>>,
}

/// A file size that no test reaches.
pub(crate) const WHOLE: u64 = 1 << 30;

pub(crate) const PARTITIONS: u32 = 2;

/// A schema with these fields, given as JSON Schema.
pub(crate) fn schema(fields: serde_json::Value) -> TopicSchema {
    TopicSchema::parse(json!({"type": "object", "properties": fields})).unwrap()
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on(MemoryLog::new()).await
    }

    pub(crate) async fn on(hot: Arc<MemoryLog>) -> Self {
        let config = TopicConfig {
            partitions: PARTITIONS,
            key: vec![],
            schema: Some(schema(
                json!({"id": {"type": "integer"}, "price": {"type": "number"}, "name": {"type": "string"}}),
            )),
            ..TopicConfig::default()
        };
        let topic = hot.create_topic(&"ticks".parse().unwrap(), config).await.unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_700_000_000_000_000)));
        World { dir: TempDir::new().unwrap(), hot, clock, topic, appended: BTreeMap::new() }
    }

    /// Both tiers, as a process that starts now sees them.
    pub(crate) fn log(&self) -> Log {
        let cold = ColdTier::open(&format!("file:{}", self.dir.path().display()), self.clock.clone()).unwrap();
        Log::new(self.hot.clone(), Arc::new(cold))
    }

    /// Mirrors everything into files of about that size, as a process that starts now does.
    pub(crate) async fn flush(&self, max_bytes: u64) {
        let policy = MirrorPolicy { topics: vec![], max_bytes, ..MirrorPolicy::default() };
        let mirror = Mirror::spawn(self.log(), policy, self.clock.clone());
        mirror.flush(&self.topic.name).await.unwrap();
    }

    /// As [`World::flush`], without the upkeep that runs beside a mirror.
    pub(crate) async fn flush_only(&self, max_bytes: u64) {
        crate::mirror::flush_once(self.log(), max_bytes, self.clock.clone(), &self.topic.name).await.unwrap();
    }

    /// Appends records: every seventh a tombstone, every eleventh undecodable.
    pub(crate) async fn append(&mut self, partition: u32, records: usize) {
        for _ in 0..records {
            let n = self.appended.len();
            let value = match n {
                _ if n % 7 == 3 => None,
                _ if n % 11 == 5 => Some(format!(r#"{{"id": "not {n}"}}"#)),
                _ => Some(json!({"id": n, "price": n as f64 / 4.0, "name": format!("né{}", n % 5)}).to_string()),
            };
            self.append_value(partition, value).await;
        }
    }

    /// Appends one record with that value.
    pub(crate) async fn append_value(&mut self, partition: u32, value: Option<String>) {
        let n = self.appended.len();
        let record = NewRecord {
            partition: Some(Partition(partition)),
            key: (!n.is_multiple_of(3)).then(|| Bytes::from(format!("k{n}"))),
            value: value.clone().map(Bytes::from),
            headers: vec![("n".into(), Some(Bytes::from(n.to_string()))); n % 2],
            timestamp: Some(Timestamp::from_micros(n as i64 * 1000)),
        };
        let given = self.hot.append(&self.topic.name, vec![record], None).await.unwrap();
        self.appended.insert((Partition(partition), given[&Partition(partition)].from.get()), value);
    }

    /// Deletes hot records below an offset.
    pub(crate) async fn trim(&self, partition: u32, before: u64) {
        self.hot.trim(&self.topic, Partition(partition), Offset::new(before)).await.unwrap();
    }

    /// Every raw record that both tiers hold, as `records` pages through them.
    pub(crate) async fn raw(&self, log: &Log, page: usize) -> BTreeMap<(Partition, u64), (Tier, Option<String>)> {
        let mut all = BTreeMap::new();
        for (partition, extent) in log.extent(&self.topic).await.unwrap() {
            let mut next = extent.start;
            loop {
                let (batches, to) = log.records(&self.topic, partition, next, page).await.unwrap();
                for (tier, batch) in &batches {
                    for row in 0..batch.len() {
                        let value = batch.values().iter().nth(row).unwrap();
                        let text = value.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
                        let at = batch.offsets().value(row) as u64;
                        assert!(all.insert((partition, at), (*tier, text)).is_none(), "offset {at} came twice");
                    }
                }
                if to == next {
                    break;
                }
                next = to;
            }
        }
        all
    }

    /// Checks that both tiers together hold every record exactly once, byte for byte.
    pub(crate) async fn check_complete(&self) {
        let raw = self.raw(&self.log(), 333).await;
        let values: BTreeMap<_, _> = raw.into_iter().map(|(at, (_, value))| (at, value)).collect();
        assert_eq!(values, self.appended);
    }

    pub(crate) async fn coverage(&self) -> Arc<Coverage> {
        self.log().cold.topic(&self.topic).await.unwrap().coverage()
    }

    pub(crate) async fn hot_ends(&self) -> Vec<u64> {
        self.hot.ranges(&self.topic.name).await.unwrap().values().map(|range| range.end.get()).collect()
    }

    pub(crate) async fn mirrored_to(&self) -> Vec<u64> {
        let coverage = self.coverage().await;
        (0..PARTITIONS).map(|p| coverage.mirrored_to(Partition(p)).map_or(0, Offset::get)).collect()
    }
}

/// Everything that a read gives, as one line per record: `offset id price name`, `offset tombstone`, `offset refused …`.
pub(crate) async fn read_lines(log: &Log, topic: &Topic, range: OffsetRange, read: &ReadPlan) -> Vec<String> {
    let slice = log.slice_across_gaps(topic, Partition(0), range).await.unwrap();
    lines(log, slice, read).await.unwrap()
}

/// What reading a slice gives, as [`read_lines`].
pub(crate) async fn lines(log: &Log, slice: LogSlice, read: &ReadPlan) -> Result<Vec<String>, LogError> {
    let range = slice.range();
    let batches: Vec<_> = log.read(slice, Arc::new(read.clone())).try_collect().await?;
    let mut lines = vec![];
    let mut next = range.from;
    for batch in batches {
        assert_eq!(batch.range.from, next, "batches tile the range");
        next = batch.range.to;
        let mut of_batch = vec![];
        for row in 0..batch.rows.num_rows() {
            let columns = batch.rows.columns().iter();
            let cell =
                |column: &arrow::array::ArrayRef| arrow::util::display::array_value_to_string(column, row).unwrap();
            of_batch.push((batch.offsets.value(row), columns.map(cell).collect::<Vec<_>>().join(" ")));
        }
        let refused = |f: &Undecodable| format!("refused {} {}", f.detail, String::from_utf8_lossy(&f.value));
        of_batch.extend(batch.failures.iter().map(|f| (f.offset.as_i64(), refused(f))));
        of_batch.sort();
        lines.extend(of_batch.into_iter().map(|(at, line)| format!("{at} {line}")));
    }
    assert_eq!(next, range.to);
    Ok(lines)
}
