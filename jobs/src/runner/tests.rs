//! Tests of the runner on the embedded log, a cold tier on disk and real tables.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use rekap_tables::{TableId, Tables};
use rekap_tiered_storage::{
    ColdTier, EmbeddedLog, Mirror, MirrorPolicy, NewRecord, Offset, Partition, SystemClock, TopicConfig, TopicName,
    TopicSchema,
};

use super::*;
use crate::spec::JobSpec;

/// How long a test waits for what has to come.
const DEADLINE: Duration = Duration::from_secs(20);

const TOML: &str = "name = 'sums'\n[inputs.t]\ntopic = 't'\n";
const SUMS: &str = "SELECT k, count(*) AS n, sum(v) AS s FROM t GROUP BY k";

struct World {
    log: Arc<Log>,
    mirror: Mirror,
    tables: Tables,
    _folder: tempfile::TempDir,
}

fn name() -> TopicName {
    "t".parse().unwrap()
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

fn event(k: u64, v: i64) -> String {
    format!("{{\"k\":\"k{k}\",\"v\":{v}}}")
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hot = EmbeddedLog::open(&folder.path().join("log"), clock()).unwrap();
        let cold = ColdTier::open(&format!("file:{}", folder.path().join("cold").display()), clock()).unwrap();
        let log = Log::new(hot, Arc::new(cold));
        let schema =
            serde_json::json!({"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}});
        let config = TopicConfig {
            partitions: 2,
            key: vec![],
            schema: Some(TopicSchema::parse(schema).unwrap()),
            ..TopicConfig::default()
        };
        log.hot.create_topic(&name(), config).await.unwrap();
        let policy = MirrorPolicy { max_age: Duration::from_secs(3_600), ..MirrorPolicy::default() };
        let mirror = Mirror::spawn(log.clone(), policy, clock());
        let tables = Tables::open(&folder.path().join("tables")).unwrap();
        World { log: Arc::new(log), mirror, tables, _folder: folder }
    }

    /// Appends values to a partition; answers where the partitions end.
    async fn append(&self, partition: u32, values: impl IntoIterator<Item = String>) -> Positions {
        let record = |value: String| NewRecord {
            partition: Some(Partition(partition)),
            key: None,
            value: Some(value.into()),
            headers: vec![],
            timestamp: None,
        };
        self.log.hot.append(&name(), values.into_iter().map(record).collect(), None).await.unwrap();
        self.end().await
    }

    async fn end(&self) -> Positions {
        let ranges = self.log.hot.ranges(&name()).await.unwrap();
        let ends: Vec<_> = ranges.into_iter().map(|(partition, range)| (partition, range.end)).collect();
        let topic = name();
        ends.iter().map(|(partition, end)| (&topic, *partition, *end)).collect()
    }

    async fn job(&self, toml: &str, query: &str) -> Arc<CompiledJob> {
        let spec = JobSpec::from_toml(toml, query).unwrap();
        let topics = BTreeMap::from([("t".to_owned(), self.log.hot.topic(&name()).await.unwrap())]);
        Arc::new(CompiledJob::compile(&spec, &topics).await.unwrap())
    }

    async fn table(&self, job: &CompiledJob, attempt: u32) -> Table {
        let id = TableId { job: "sums".into(), version: 1, attempt };
        let topic = name();
        let start = [(&topic, Partition(0), Offset::ZERO), (&topic, Partition(1), Offset::ZERO)].into_iter().collect();
        match self.tables.open_table(&id).unwrap() {
            Some(table) => table,
            None => self.tables.create(&id, job.table_schema(), &start).unwrap(),
        }
    }

    fn init(&self, job: &Arc<CompiledJob>, table: &Table) -> RunnerInit {
        RunnerInit {
            job: job.clone(),
            table: table.clone(),
            log: self.log.clone(),
            start: Positions::new(),
            accepted_gaps: vec![],
            pace: Pace::default(),
            throttle: None,
            paused: false,
            memory: Arc::new(GreedyMemoryPool::new(256 << 20)),
            clock: clock(),
            trigger: Arc::default(),
        }
    }

    async fn run(&self, query: &str) -> RunnerHandle {
        let job = self.job(TOML, query).await;
        let table = self.table(&job, 1).await;
        Runner::spawn(self.init(&job, &table)).unwrap()
    }
}

async fn until(runner: &RunnerHandle, what: &str, holds: impl FnMut(&RunnerStatus) -> bool) -> RunnerStatus {
    let mut status = runner.watch();
    let seen = tokio::time::timeout(DEADLINE, status.wait_for(holds)).await;
    match seen {
        Ok(seen) => seen.unwrap().clone(),
        Err(_) => panic!("no {what}: {:?}", runner.status()),
    }
}

async fn reaches(runner: &RunnerHandle, target: &Positions) -> RunnerStatus {
    until(runner, "progress", |status| status.positions.reached(target)).await
}

/// Key and the two numbers of each row.
fn rows(snapshot: &TableSnapshot) -> Vec<(String, i64, i64)> {
    let numbers = |batch: &RecordBatch, i: usize| batch.column(i).as_primitive::<Int64Type>().values().to_vec();
    let of = |batch: RecordBatch| {
        let keys: Vec<String> = batch.column(0).as_string::<i32>().iter().map(|key| key.unwrap().to_owned()).collect();
        let (n, s) = (numbers(&batch, 1), numbers(&batch, 2));
        keys.into_iter().zip(n).zip(s).map(|((key, n), s)| (key, n, s)).collect::<Vec<_>>()
    };
    snapshot.scan(100).flat_map(|batch| of(batch.unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_appended_is_soon_in_the_table() {
    let world = World::new().await;
    let runner = world.run(SUMS).await;
    let end = world.append(0, (0..10).map(|i| event(i % 2, 1))).await;
    reaches(&runner, &end).await;
    let end = world.append(1, (0..10).map(|i| event(i % 2, 2))).await;
    let status = reaches(&runner, &end).await;
    assert_eq!(rows(&runner.table().snapshot()), [("k0".into(), 10, 15), ("k1".into(), 10, 15)]);
    assert_eq!((status.records_done, status.records_total), (20, 20));
    until(&runner, "live run", |status| status.run == Run::Live).await;
    runner.stop().await;
    assert_eq!(runner.status().run, Run::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_runner_goes_on_where_the_table_is_and_the_old_one_is_fenced() {
    let world = World::new().await;
    let old = world.run(SUMS).await;
    let end = world.append(0, (0..100).map(|i| event(i % 3, 1))).await;
    reaches(&old, &end).await;
    let new = world.run(SUMS).await;
    let end = world.append(0, (0..100).map(|i| event(i % 3, 1))).await;
    reaches(&new, &end).await;
    let fenced = |status: &RunnerStatus| matches!(&status.run, Run::Failed { reason } if reason.code == "FENCED");
    until(&old, "fence", |status| fenced(status) || status.positions == end).await;
    assert_eq!(rows(&new.table().snapshot()).iter().map(|row| row.1).sum::<i64>(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_that_wakes_up_with_a_computed_range_is_fenced_and_counts_nothing_twice() {
    let world = World::new().await;
    let zombie = world.run(SUMS).await;
    let end = world.append(0, (0..10).map(|i| event(i % 3, 1))).await;
    reaches(&zombie, &end).await;
    // It computes the next range, and falls asleep before it commits.
    zombie.hold(DEADLINE).await.unwrap();
    let end = world.append(0, (0..10).map(|i| event(i % 3, 1))).await;
    let heir = world.run(SUMS).await;
    reaches(&heir, &end).await;
    let before = rows(&heir.table().snapshot());
    zombie.release();
    let fenced = |status: &RunnerStatus| matches!(&status.run, Run::Failed { reason } if reason.code == "FENCED");
    world.append(0, [event(0, 0)]).await;
    until(&zombie, "fence", fenced).await;
    let end = world.end().await;
    reaches(&heir, &end).await;
    let counted = |rows: &[(String, i64, i64)]| rows.iter().map(|row| row.1).sum::<i64>();
    assert_eq!((counted(&before), counted(&rows(&heir.table().snapshot()))), (20, 21));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_its_tail_stops_its_readers_with_the_place() {
    let world = World::new().await;
    let runner = world.run(SUMS).await;
    let end = world.append(0, [event(0, 1), event(0, 1)]).await;
    reaches(&runner, &end).await;
    let job = world.job(TOML, SUMS).await;
    let (topic, id) = (name(), TableId { job: "sums".into(), version: 2, attempt: 1 });
    let past = [(&topic, Partition(0), Offset::new(5))].into_iter().collect();
    let table = world.tables.create(&id, job.table_schema(), &past).unwrap();
    let reader = Runner::spawn(world.init(&job, &table)).unwrap();
    let failed = until(&reader, "failure", |status| matches!(status.run, Run::Failed { .. })).await;
    let Run::Failed { reason } = failed.run else { unreachable!() };
    assert_eq!(reason.code, "LOG_DIVERGED");
    assert!(
        reason
            .detail
            .starts_with("topic `t` partition 0 was read up to 5, but the hot log is the same one only up to 2"),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_from_the_cold_tier_goes_on_hot_at_the_exact_offset() {
    let world = World::new().await;
    for partition in [0, 1] {
        world.append(partition, (0..3_000).map(|i| event(i % 7, i as i64))).await;
    }
    world.mirror.flush(&name()).await.unwrap();
    let topic = world.log.hot.topic(&name()).await.unwrap();
    world.log.hot.trim(&topic, Partition(0), Offset::new(2_500)).await.unwrap();
    let end = world.append(0, (0..500).map(|i| event(i % 7, 1))).await;

    let job = world.job(TOML, SUMS).await;
    let mut tables = vec![];
    for (attempt, max_records, max_keys) in [(1, 4 << 20, 1_000), (2, 700, 1_000), (3, 7_777, 3), (4, 4 << 20, 1)] {
        let table = world.table(&job, attempt).await;
        let pace = Pace { max_records, max_keys, workers: 2 };
        let runner = Runner::spawn(RunnerInit { pace, ..world.init(&job, &table) }).unwrap();
        reaches(&runner, &end).await;
        tables.push(rows(&table.snapshot()));
        let in_one = table.status().commit_seq == 1;
        assert_eq!(in_one, attempt == 1, "neither many records nor many keys are taken at once");
        runner.stop().await;
    }
    assert_eq!(tables[0].iter().map(|row| row.1).sum::<i64>(), 6_500);
    assert!(tables.iter().all(|table| *table == tables[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_runner_commits_nothing_until_it_is_released() {
    let world = World::new().await;
    let runner = world.run(SUMS).await;
    let held = reaches(&runner, &world.append(0, [event(0, 1)]).await).await.positions;
    assert_eq!(runner.hold(DEADLINE).await, Ok(held.clone()));
    assert_eq!(runner.hold(DEADLINE).await, Ok(held.clone()));
    let end = world.append(0, [event(0, 1)]).await;
    let other = world.job(TOML, SUMS).await;
    let table = world.table(&other, 2).await;
    let other = Runner::spawn(world.init(&other, &table)).unwrap();
    reaches(&other, &end).await;
    assert_eq!(runner.table().status().positions, held);
    runner.release();
    reaches(&runner, &end).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_of_two_held_runners_are_at_the_very_same_positions() {
    let world = World::new().await;
    let job = world.job(TOML, SUMS).await;
    let mut runners = vec![];
    for attempt in [1, 2] {
        let table = world.table(&job, attempt).await;
        let pace = Pace { max_records: 40 * u64::from(attempt), max_keys: 3, workers: 1 };
        runners.push(Runner::spawn(RunnerInit { pace, ..world.init(&job, &table) }).unwrap());
    }
    for round in 0..20 {
        world.append(round % 2, (0..100).map(|i| event(i % 5, 1))).await;
        let (a, b) = (runners[0].hold(DEADLINE).await.unwrap(), runners[1].hold(DEADLINE).await.unwrap());
        let target = a.max(&b);
        let snapshots = runners.iter().map(|runner| runner.snapshot_at(target.clone())).collect::<Vec<_>>();
        runners.iter().for_each(RunnerHandle::release);
        let mut tables = vec![];
        for snapshot in snapshots {
            let snapshot = tokio::time::timeout(DEADLINE, snapshot).await.unwrap().unwrap();
            assert_eq!(snapshot.positions(), &target);
            tables.push(rows(&snapshot));
        }
        assert_eq!(tables[0], tables[1]);
    }
    let end = world.end().await;
    for runner in &runners {
        reaches(runner, &end).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_was_passed_is_an_error_that_says_where_the_table_is() {
    let world = World::new().await;
    let runner = world.run(SUMS).await;
    let end = world.append(0, [event(0, 1), event(0, 1)]).await;
    reaches(&runner, &end).await;
    let target: Positions = "t/0=1".parse().unwrap();
    let asked = runner.snapshot_at(target.clone()).await.map(|_| ());
    assert_eq!(asked, Err(SnapshotError::PastTarget { at: end.clone(), target }));
    runner.pause();
    until(&runner, "pause", |status| status.run == Run::Paused).await;
    let asked = runner.snapshot_at(end.clone()).await.map(|_| ());
    assert_eq!(asked, Err(SnapshotError::NotRunning { at: end.clone() }));
    runner.resume();
    let end = world.append(0, [event(0, 1)]).await;
    reaches(&runner, &end).await;
    assert_eq!(runner.snapshot_at(end.clone()).await.unwrap().positions(), &end);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_cannot_be_used_become_dead_letters_with_their_bytes() {
    let world = World::new().await;
    let values = [event(0, 2), "{\"k\":1}".into(), event(0, 0), "no json".into(), event(0, 5)];
    let end = world.append(0, values.clone()).await;
    let runner = world.run("SELECT k, count(*) AS n, sum(10 / v) AS s FROM t GROUP BY k").await;
    reaches(&runner, &end).await;
    let snapshot = runner.table().snapshot();
    assert_eq!(rows(&snapshot), [("k0".into(), 2, 7)]);
    let letters = snapshot.dead_letters(None, 10).unwrap().dead_letters;
    let seen: Vec<_> =
        letters.iter().map(|letter| (letter.offset.get(), letter.code.as_str(), letter.value.clone())).collect();
    let value = |i: usize| Some(values[i].clone().into_bytes());
    assert_eq!(seen, [(1, "UNDECODABLE", value(1)), (2, "EVALUATION_FAILED", value(2)), (3, "UNDECODABLE", value(3)),]);
    assert_eq!(runner.status().dead_letters, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_record_fails_the_version_where_that_is_asked_for() {
    let world = World::new().await;
    world.append(1, [event(0, 2), "{\"k\":1}".into()]).await;
    let job = world.job(&format!("{TOML}on_error = 'fail'\n"), SUMS).await;
    let table = world.table(&job, 1).await;
    let runner = Runner::spawn(world.init(&job, &table)).unwrap();
    let failed = until(&runner, "failure", |status| matches!(status.run, Run::Failed { .. })).await;
    let Run::Failed { reason } = failed.run else { unreachable!() };
    assert_eq!(reason.code, "RECORD_FAILED");
    assert!(reason.detail.starts_with("topic `t` partition 1 offset 1: "), "{reason}");
    assert_eq!(table.status().rows, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_range_fails_the_version_unless_it_is_accepted() {
    let world = World::new().await;
    let end = world.append(0, (0..10).map(|_| event(0, 1))).await;
    let topic = world.log.hot.topic(&name()).await.unwrap();
    world.log.hot.trim(&topic, Partition(0), Offset::new(4)).await.unwrap();
    let job = world.job(TOML, SUMS).await;
    let table = world.table(&job, 1).await;
    let runner = Runner::spawn(world.init(&job, &table)).unwrap();
    let failed = until(&runner, "failure", |status| matches!(status.run, Run::Failed { .. })).await;
    assert!(matches!(failed.run, Run::Failed { reason } if reason.code == "GAP"));
    let lost = |to: u64| {
        let range = rekap_tiered_storage::OffsetRange { from: Offset::ZERO, to: Offset::new(to) };
        vec![crate::LostRange { topic: name(), partition: Partition(0), range }]
    };
    let runner = Runner::spawn(RunnerInit { accepted_gaps: lost(3), ..world.init(&job, &table) }).unwrap();
    let failed = until(&runner, "failure", |status| matches!(status.run, Run::Failed { .. })).await;
    assert!(matches!(failed.run, Run::Failed { reason } if reason.code == "GAP"), "one offset was not named");
    let runner = Runner::spawn(RunnerInit { accepted_gaps: lost(4), ..world.init(&job, &table) }).unwrap();
    reaches(&runner, &end).await;
    assert_eq!(rows(&table.snapshot()), [("k0".into(), 6, 6)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_does_not_fit_into_memory_is_cut_smaller() {
    let world = World::new().await;
    let end = world.append(0, (0..30_000).map(|i| event(i, 1))).await;
    let job = world.job(TOML, SUMS).await;
    let table = world.table(&job, 1).await;
    let memory = Arc::new(GreedyMemoryPool::new(1 << 20));
    let runner = Runner::spawn(RunnerInit { memory, ..world.init(&job, &table) }).unwrap();
    reaches(&runner, &end).await;
    assert_eq!(table.status().rows, 30_000);
    assert!(table.status().commit_seq > 2, "{}", table.status().commit_seq);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_runner_stays_and_goes_on_when_resumed() {
    let world = World::new().await;
    let runner = world.run(SUMS).await;
    runner.pause();
    until(&runner, "pause", |status| status.run == Run::Paused).await;
    let at = runner.table().status().positions.clone();
    let end = world.append(0, [event(0, 1)]).await;
    assert_eq!(runner.table().status().positions, at);
    runner.resume();
    reaches(&runner, &end).await;
}

const SHARES: &str = "SELECT k, count(*) AS n, 100 / sum(v) AS s FROM t GROUP BY k";

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_computed_is_told_until_it_can_be_and_after_a_restart() {
    let world = World::new().await;
    let job = world.job(TOML, SHARES).await;
    let table = world.table(&job, 1).await;
    let runner = Runner::spawn(world.init(&job, &table)).unwrap();
    let end = world.append(0, [event(0, 5), event(1, 0)]).await;
    let status = until(&runner, "failed row", |status| status.positions.reached(&end) && status.failed_rows == 1).await;
    let problem = status.output_error.unwrap();
    assert!(problem.contains("{\"k\":\"k1\"}") && problem.contains("Divide by zero"), "{problem}");
    assert_eq!(rows(&table.snapshot()), [("k0".into(), 1, 20)]);
    runner.stop().await;
    let runner = Runner::spawn(world.init(&job, &table)).unwrap();
    assert_eq!((runner.status().failed_rows, runner.status().output_error.is_some()), (1, true));
    world.append(0, [event(1, 4)]).await;
    let status = until(&runner, "mended row", |status| status.failed_rows == 0).await;
    assert_eq!(status.output_error, None);
    assert_eq!(rows(&table.snapshot()), [("k0".into(), 1, 20), ("k1".into(), 2, 25)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_computed_fails_the_version_where_that_is_asked_for() {
    let world = World::new().await;
    world.append(0, [event(0, 5), event(1, 0)]).await;
    let job = world.job(&format!("{TOML}on_error = 'fail'\n"), SHARES).await;
    let table = world.table(&job, 1).await;
    let runner = Runner::spawn(world.init(&job, &table)).unwrap();
    let failed = until(&runner, "failure", |status| matches!(status.run, Run::Failed { .. })).await;
    assert!(matches!(failed.run, Run::Failed { reason } if reason.code == "OUTPUT_FAILED"));
    assert_eq!(table.status().rows, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_replay_keeps_to_its_limit_says_so_and_goes_on_freely_once_the_limit_is_gone() {
    let world = World::new().await;
    let end = world.append(0, (0..20_000).map(|i| event(i % 7, 1))).await;
    let limit = Throttle { records_per_s: 2_000, by: ThrottledBy::LiveLag };
    let job = world.job(TOML, SUMS).await;
    let table = world.table(&job, 1).await;
    let runner = Runner::spawn(RunnerInit { throttle: Some(limit), ..world.init(&job, &table) }).unwrap();
    let begun = tokio::time::Instant::now();
    let first = until(&runner, "rest", |status| status.throttled.is_some()).await;
    assert_eq!(first.throttled, Some(limit));
    let before = first.records_done;
    let later = until(&runner, "progress", |status| status.records_done >= before + 1_500).await;
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(500), "1,500 records came within {took:?} under a limit of 2,000 a second");
    assert!(later.records_done < 20_000, "{later:?}");
    runner.throttle(None);
    let done = until(&runner, "end", |status| status.positions.reached(&end) && status.run == Run::Live).await;
    assert_eq!(done.throttled, None);
    assert_eq!(rows(&runner.table().snapshot()).iter().map(|row| row.1).sum::<i64>(), 20_000);
}
