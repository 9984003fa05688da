use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt as _;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::memory_log::MemoryLog;
use crate::{
    ColdTier, HotLog, ManualClock, NewRecord, OffsetRange, Positions, ReadPlan, Start, Tier, TopicConfig, TopicSchema,
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

pub(crate) const PARTITIONS: u32 = 2;

fn schema() -> TopicSchema {
    let fields = json!({"id": {"type": "integer"}, "price": {"type": "number"}, "name": {"type": "string"}});
    TopicSchema::parse(json!({"type": "object", "properties": fields})).unwrap()
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on(MemoryLog::new()).await
    }

    pub(crate) async fn on(hot: Arc<MemoryLog>) -> Self {
        let config = TopicConfig {
            partitions: PARTITIONS,
            retention_ms: None,
            retention_bytes: None,
            key: vec![],
            schema: Some(schema()),
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

    /// A mirror without its background task, as a process that starts now has it.
    pub(crate) fn mirror(&self) -> Work {
        self.mirror_with(MirrorPolicy::default())
    }

    pub(crate) fn mirror_with(&self, policy: MirrorPolicy) -> Work {
        let (topics, problems) = (Mutex::default(), StdMutex::default());
        Work { log: self.log(), policy, clock: self.clock.clone(), topics, problems }
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
            let record = NewRecord {
                partition: Some(Partition(partition)),
                key: (n % 3 > 0).then(|| Bytes::from(format!("k{n}"))),
                value: value.clone().map(Bytes::from),
                headers: vec![("n".into(), Some(Bytes::from(n.to_string()))); n % 2],
                timestamp: Some(Timestamp::from_micros(n as i64 * 1000)),
            };
            let given = self.hot.append(&self.topic.name, vec![record], None).await.unwrap();
            self.appended.insert((Partition(partition), given[&Partition(partition)].from.get()), value);
        }
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

    async fn coverage(&self) -> Arc<crate::Coverage> {
        self.log().cold.topic(&self.topic).await.unwrap().coverage()
    }

    async fn hot_ends(&self) -> Vec<u64> {
        self.hot.ranges(&self.topic.name).await.unwrap().values().map(|range| range.end.get()).collect()
    }

    async fn mirrored_to(&self) -> Vec<u64> {
        let coverage = self.coverage().await;
        (0..PARTITIONS).map(|p| coverage.mirrored_to(Partition(p)).map_or(0, Offset::get)).collect()
    }
}

#[tokio::test]
async fn a_flush_mirrors_to_the_end_and_the_hot_copy_may_go() {
    let mut world = World::new().await;
    world.append(0, 1500).await;
    world.append(1, 20).await;
    world.mirror().flush(&world.topic.name).await.unwrap();
    assert_eq!(world.mirrored_to().await, [1500, 20]);
    world.trim(0, 1500).await;
    world.trim(1, 5).await;
    world.append(0, 10).await;
    world.check_complete().await;
    let raw = world.raw(&world.log(), 1000).await;
    assert_eq!(raw[&(Partition(0), 1499)].0, Tier::Cold);
    assert_eq!(raw[&(Partition(0), 1500)].0, Tier::Hot);
}

#[tokio::test]
async fn rounds_go_on_where_the_last_one_ended() {
    let mut world = World::new().await;
    for round in 1..=3 {
        world.append(0, 10).await;
        world.mirror().flush(&world.topic.name).await.unwrap();
        assert_eq!(world.mirrored_to().await, [round * 10, 0]);
    }
    assert_eq!(world.coverage().await.partitions[&Partition(0)].files().len(), 3);
    world.check_complete().await;
}

#[tokio::test]
async fn files_are_cut_by_size() {
    let mut world = World::new().await;
    world.append(0, 5000).await;
    let policy = MirrorPolicy { max_bytes: 20_000, ..MirrorPolicy::default() };
    world.mirror_with(policy).flush(&world.topic.name).await.unwrap();
    let coverage = world.coverage().await;
    assert!(coverage.partitions[&Partition(0)].files().len() > 3);
    world.trim(0, 5000).await;
    world.check_complete().await;
}

#[tokio::test]
async fn offsets_with_holes_are_mirrored_as_they_are() {
    let mut world = World::on(MemoryLog::with_holes(2)).await;
    world.append(0, 2000).await;
    world.mirror().flush(&world.topic.name).await.unwrap();
    assert_eq!(world.mirrored_to().await, [6000, 0]);
    world.trim(0, 6000).await;
    world.check_complete().await;
}

#[tokio::test]
async fn what_retention_deletes_first_becomes_a_gap_that_everyone_sees() {
    let mut world = World::new().await;
    world.append(0, 100).await;
    world.mirror().flush(&world.topic.name).await.unwrap();
    world.append(0, 100).await;
    world.trim(0, 150).await;
    let unrecorded =
        world.log().slice(&world.topic, Partition(0), OffsetRange::new(Offset::ZERO, Offset::new(200))).await;
    assert!(
        matches!(unrecorded, Err(LogError::Gap { missing, .. }) if missing.from.get() == 100 && missing.to.get() == 150)
    );
    world.mirror().flush(&world.topic.name).await.unwrap();
    let gap = OffsetRange::new(Offset::new(100), Offset::new(150));
    assert_eq!(world.coverage().await.partitions[&Partition(0)].gaps(), [gap]);
    assert_eq!(world.log().extent(&world.topic).await.unwrap()[&Partition(0)].gaps, [gap]);
    // The gap stays when later rounds, and further gaps, are committed.
    world.append(0, 50).await;
    world.trim(0, 220).await;
    world.mirror().flush(&world.topic.name).await.unwrap();
    let later = OffsetRange::new(Offset::new(200), Offset::new(220));
    assert_eq!(world.coverage().await.partitions[&Partition(0)].gaps(), [gap, later]);
}

#[tokio::test]
async fn a_log_that_lost_its_tail_is_not_mirrored() {
    let mut world = World::new().await;
    world.append(0, 100).await;
    let mirror = world.mirror();
    mirror.flush(&world.topic.name).await.unwrap();
    world.hot.truncate(&world.topic.name, Partition(0), 60);
    world.append(1, 1).await;
    let refused = mirror.flush(&world.topic.name).await;
    assert!(
        matches!(refused, Err(LogError::Truncated { end, mirrored_to, .. }) if end.get() == 60 && mirrored_to.get() == 100)
    );
}

#[tokio::test]
async fn a_topic_made_again_has_a_table_of_its_own() {
    let mut world = World::new().await;
    world.append(0, 10).await;
    let mirror = world.mirror();
    mirror.flush(&world.topic.name).await.unwrap();
    let (old, config) = (world.topic.clone(), world.topic.config.clone());
    world.hot.delete_topic(&old.name).await.unwrap();
    world.topic = world.hot.create_topic(&old.name, config).await.unwrap();
    world.appended.clear();
    world.append(0, 3).await;
    mirror.flush(&world.topic.name).await.unwrap();
    assert_eq!(world.mirrored_to().await, [3, 0]);
    world.check_complete().await;
    let stale = world.log().slice(&old, Partition(0), OffsetRange::new(Offset::ZERO, Offset::new(3))).await;
    assert!(matches!(stale, Err(LogError::Diverged { .. })));
}

#[tokio::test]
async fn two_mirrors_that_race_mirror_everything_once() {
    let mut world = World::new().await;
    let (one, other) = (world.mirror(), world.mirror());
    for _ in 0..10 {
        world.append(0, 200).await;
        world.append(1, 100).await;
        let (a, b) = tokio::join!(one.flush(&world.topic.name), other.flush(&world.topic.name));
        a.unwrap();
        b.unwrap();
    }
    assert_eq!(world.mirrored_to().await, [2000, 1000]);
    world.trim(0, 2000).await;
    world.trim(1, 1000).await;
    world.check_complete().await;
}

/// Drives a future for so many polls and then drops it, as a crash would; true when it was done by then. What it handed to the
/// disk's threads goes on, so whether the last step took effect is left to chance, as in life.
async fn die_after(polls: usize, work: impl Future<Output = Result<(), LogError>>) -> bool {
    let mut work = Box::pin(work);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return std::task::Poll::Ready(false);
        }
        left -= 1;
        work.as_mut().poll(context).map(|done| {
            done.unwrap();
            true
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_dies_at_any_step_neither_loses_nor_doubles() {
    let mut finished = false;
    let mut polls = 0;
    while !finished {
        let mut world = World::new().await;
        world.append(0, 30).await;
        if polls % 2 == 0 {
            world.mirror().flush(&world.topic.name).await.unwrap();
            world.append(0, 20).await;
        }
        world.append(1, 10).await;
        finished = die_after(polls, world.mirror().flush(&world.topic.name)).await && polls % 2 == 0;
        world.append(1, 5).await;
        world.mirror().flush(&world.topic.name).await.unwrap();
        assert_eq!(world.mirrored_to().await, world.hot_ends().await, "after {polls} polls");
        world.trim(0, 50).await;
        world.trim(1, 15).await;
        world.check_complete().await;
        polls += 1;
    }
    assert!(polls > 5, "a round has steps to die at: {polls}");
}

#[tokio::test]
async fn the_background_mirrors_what_is_due_by_itself() {
    let mut world = World::new().await;
    world.append(0, 100).await;
    let policy = MirrorPolicy { max_age: Duration::ZERO, ..MirrorPolicy::default() };
    let log = world.log();
    let _mirror = Mirror::spawn(log.clone(), policy, world.clock.clone());
    let mirrored = async {
        loop {
            let cold = log.cold.topic(&world.topic).await.unwrap();
            if cold.coverage().mirrored_to(Partition(0)) == Some(Offset::new(100)) {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), mirrored).await.expect("mirrored within 20 s");
}

#[tokio::test]
async fn retention_waits_for_the_mirror_where_it_is_told_to() {
    use crate::retention::{RetentionPolicy, trim_all};
    let mut world = World::new().await;
    world.append(0, 100).await;
    let config = TopicConfig { retention_ms: Some(1), ..world.topic.config.clone() };
    world.topic = world.hot.alter_topic(&world.topic.name, config).await.unwrap();
    let (log, mirror) = (world.log(), MirrorPolicy::default());
    let policy = RetentionPolicy { mirror: mirror.clone(), waits_for_mirror: true };
    let earliest = || async { world.hot.ranges(&world.topic.name).await.unwrap()[&Partition(0)].earliest.get() };
    trim_all(&log, &policy, &Positions::new(), world.clock.as_ref()).await.unwrap();
    assert_eq!(earliest().await, 0);
    Work { log: log.clone(), ..world.mirror() }.flush(&world.topic.name).await.unwrap();
    trim_all(&log, &policy, &Positions::new(), world.clock.as_ref()).await.unwrap();
    assert_eq!(earliest().await, 100);
}

#[tokio::test]
async fn a_start_by_time_is_found_in_either_tier() {
    let mut world = World::new().await;
    world.append(0, 100).await;
    world.mirror().flush(&world.topic.name).await.unwrap();
    world.append(0, 100).await;
    world.trim(0, 100).await;
    let log = world.log();
    for (time, offset) in [(0, 0), (41_500, 42), (99_000, 99), (99_001, 100), (150_000, 150), (999_999_999, 200)] {
        let start = log.resolve_start(&world.topic, Start::At(Timestamp::from_micros(time))).await.unwrap();
        assert_eq!(start.get(&world.topic.name, Partition(0)), Some(Offset::new(offset)), "{time}");
    }
    let start = |start| log.resolve_start(&world.topic, start);
    assert_eq!(start(Start::Beginning).await.unwrap().to_string(), "ticks/0=0,ticks/1=0");
    assert_eq!(start(Start::End).await.unwrap().to_string(), "ticks/0=200,ticks/1=0");
    let named = Start::Offsets(BTreeMap::from([(Partition(0), Offset::new(7))]));
    assert_eq!(start(named).await.unwrap().to_string(), "ticks/0=7,ticks/1=0");
}

/// Everything that a read gives, as one line per record: `offset id price name`, `offset tombstone`, `offset refused …`.
pub(crate) async fn read_lines(log: &Log, topic: &Topic, range: OffsetRange, read: ReadPlan) -> Vec<String> {
    let slice = log.slice_across_gaps(topic, Partition(0), range).await.unwrap();
    let batches: Vec<_> = log.read(slice, Arc::new(read)).try_collect().await.unwrap();
    let mut lines = vec![];
    let mut next = range.from;
    for batch in batches {
        assert_eq!(batch.range.from, next, "batches tile the range");
        next = batch.range.to;
        let mut of_batch = vec![];
        for row in 0..batch.rows.num_rows() {
            let columns = batch.rows.columns().iter();
            let cell = |column| arrow::util::display::array_value_to_string(column, row).unwrap();
            of_batch.push((batch.offsets.value(row), columns.map(|c| cell(c)).collect::<Vec<_>>().join(" ")));
        }
        let refused = |f: &crate::Undecodable| format!("refused {} {}", f.detail, String::from_utf8_lossy(&f.value));
        of_batch.extend(batch.failures.iter().map(|f| (f.offset.as_i64(), refused(f))));
        of_batch.sort();
        lines.extend(of_batch.into_iter().map(|(at, line)| format!("{at} {line}")));
    }
    assert_eq!(next, range.to);
    lines
}
