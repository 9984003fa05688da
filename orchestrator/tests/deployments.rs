//! Deployments on the real log, tables and runners: what a user sees from deploy to rollback, and what a restart makes of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arrow::array::{BooleanArray, RecordBatch};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use rekap_jobs::JobSpec;
use rekap_orchestrator::views::{Promoted, Promotion, RolledBack};
use rekap_orchestrator::{
    By, Config, Hash, Kind, Orchestrator, Phase, PromotionRequest, Rejection, ReplayLimits, RequestKey, SqlLimits,
    Verdict,
};
use rekap_tables::{Commit, RowsQuery, TableId, Tables};
use rekap_tiered_storage::{
    ColdTier, EmbeddedLog, HotLog, Log, NewRecord, Partition, Positions, SystemClock, TopicConfig, TopicName,
};

/// Long enough for a busy machine; no test waits that long when all is well.
const DEADLINE: Duration = Duration::from_secs(60);

const FAST: &str = "max_lag = \"200ms\"\nready_for = \"200ms\"";

/// One Rekap on a folder. `stop` ends it as a server's shutdown would.
struct Rekap {
    hot: Arc<EmbeddedLog>,
    tables: Tables,
    orchestrator: Arc<Orchestrator>,
    topic: TopicName,
    sent: AtomicU64,
}

impl Rekap {
    async fn open(folder: &Path) -> Self {
        Self::open_with(folder, ReplayLimits::default(), vec![]).await.unwrap()
    }

    async fn open_with(folder: &Path, replay: ReplayLimits, pause: Vec<(String, u32)>) -> Result<Self, Rejection> {
        let clock = Arc::new(SystemClock);
        let hot = EmbeddedLog::open(&folder.join("log"), clock.clone()).unwrap();
        let cold = ColdTier::open(&format!("file:{}", folder.join("cold").display()), clock.clone()).unwrap();
        let tables = Tables::open(&folder.join("tables")).unwrap();
        let config = Config {
            catalog: folder.join("catalog"),
            log: Arc::new(Log::new(hot.clone(), Arc::new(cold))),
            tables: tables.clone(),
            clock,
            memory: Arc::new(GreedyMemoryPool::new(64 << 20)),
            sql: SqlLimits::default(),
            export: None,
            replay,
            pause,
        };
        let topic: TopicName = "ticks".parse().unwrap();
        if hot.topic(&topic).await.is_err() {
            let config = TopicConfig { partitions: 2, ..TopicConfig::default() };
            hot.create_topic(&topic, config).await.unwrap();
        }
        let orchestrator = Orchestrator::open(config).await?;
        Ok(Rekap { hot, tables, orchestrator, topic, sent: AtomicU64::new(0) })
    }

    async fn stop(self) {
        self.orchestrator.shutdown().await;
        let mut weak = Arc::downgrade(&self.orchestrator);
        drop(self);
        until("the orchestrator is gone", || std::mem::take(&mut weak).upgrade().is_none()).await;
    }

    /// Appends that many events, alternating between the partitions and two currencies.
    async fn send(&self, n: u64) {
        let first = self.sent.fetch_add(n, Ordering::SeqCst);
        self.hot.append(&self.topic, (first..first + n).map(tick).collect(), None).await.unwrap();
    }

    async fn deploy(&self, aggregate: &str, policy: &str) -> u32 {
        self.orchestrator.deploy(spec(aggregate, policy), false, By::actor("ann")).await.unwrap().version
    }

    fn phase(&self, version: u32) -> Phase {
        self.orchestrator.version("bpi", version).unwrap().phase
    }

    async fn until_phase(&self, version: u32, phase: Phase) {
        until(&format!("bpi@{version} is {phase}"), || self.phase(version) == phase).await;
    }

    async fn promote(&self, version: u32) -> Result<Promoted, Rejection> {
        let asked = PromotionRequest::default();
        match self.orchestrator.promote("bpi", version, asked, By::actor("ann")).await? {
            Promotion::Promoted(promoted) => Ok(promoted),
            waits => panic!("{waits:?}"),
        }
    }

    async fn rollback(&self, key: &str) -> Result<RolledBack, Rejection> {
        let request = RequestKey { key: key.into(), digest: Hash::of(b"POST rollback") };
        self.orchestrator.rollback("bpi", None, By { request: Some(request), ..By::actor("ann") }).await
    }

    /// All rows of what the alias serves, as text, with where it stands.
    fn read(&self) -> (u32, Positions, BTreeMap<String, String>) {
        let (version, table) = self.orchestrator.serving("bpi").unwrap();
        let snapshot = table.snapshot();
        let page = snapshot.rows(&RowsQuery { prefix: None, after: None, limit: 100 }).unwrap();
        let rows = rekap_tables::json::values(&page.rows).unwrap();
        let row = |row: serde_json::Value| (row["currency"].as_str().unwrap().to_owned(), row.to_string());
        (version, snapshot.positions().clone(), rows.into_iter().map(row).collect())
    }

    /// Waits until the alias has counted every event that was sent.
    async fn until_counted(&self) {
        let sent = self.sent.load(Ordering::SeqCst);
        let counted = || {
            let Ok((_, table)) = self.orchestrator.serving("bpi") else { return false };
            table.status().positions.iter().map(|(_, _, next)| next.get()).sum::<u64>() == sent
        };
        until("every event is counted", counted).await;
    }
}

/// The event of that number.
fn tick(i: u64) -> NewRecord {
    let value = format!(r#"{{"currency": "{}", "price": {i}}}"#, if i.is_multiple_of(3) { "EUR" } else { "USD" });
    let partition = Some(Partition((i % 2) as u32));
    NewRecord { partition, key: None, value: Some(value.into_bytes().into()), headers: vec![], timestamp: None }
}

fn spec(aggregate: &str, policy: &str) -> JobSpec {
    let toml = format!(
        "name = \"bpi\"\nkey = [\"currency\"]\n[inputs.ticks]\ntopic = \"ticks\"\n[inputs.ticks.columns]\n\
         currency = \"text\"\nprice = \"double\"\n[promote]\n{policy}"
    );
    JobSpec::from_toml(&toml, format!("SELECT currency, {aggregate} AS price FROM ticks GROUP BY currency")).unwrap()
}

/// Looks every few milliseconds until that is so.
async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let mut look = tokio::time::interval(Duration::from_millis(5));
    let looking = async {
        while !so() {
            look.tick().await;
        }
    };
    if tokio::time::timeout(DEADLINE, looking).await.is_err() {
        panic!("not within {} s: {what}", DEADLINE.as_secs());
    }
}

fn code<T: std::fmt::Debug>(answer: Result<T, Rejection>) -> String {
    answer.unwrap_err().code().to_owned()
}

/// Two versions that both serve or served: 1 sums, 2 counts.
async fn two_versions(folder: &Path) -> Rekap {
    let rekap = Rekap::open(folder).await;
    rekap.send(300).await;
    assert_eq!(rekap.deploy("sum(price)", FAST).await, 1);
    rekap.until_phase(1, Phase::Serving).await;
    assert_eq!(rekap.deploy("avg(price)", FAST).await, 2);
    rekap.until_phase(2, Phase::Ready).await;
    rekap
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_replays_is_promoted_and_is_rolled_back_to_fresh_rows() {
    let folder = tempfile::tempdir().unwrap();
    let rekap = two_versions(folder.path()).await;
    let verification = rekap.orchestrator.verification("bpi", 2).unwrap();
    assert_eq!(verification.against, Some(1));
    assert_eq!(verification.report.unwrap().counts.changed, 2);

    let promoted = rekap.promote(2).await.unwrap();
    assert_eq!((promoted.serving, rekap.read().0), (2, 2));
    assert_eq!(rekap.promote(2).await.unwrap().swap_ms, 0, "it serves already");
    let job = rekap.orchestrator.job("bpi").unwrap();
    assert_eq!((job.serving, job.standby, job.generation), (Some(2), Some(1), promoted.generation));
    assert!(job.rollback.possible && job.rollback.until.is_some());

    rekap.send(100).await;
    rekap.until_counted().await;
    let rolled_back = rekap.rollback("k-1").await.unwrap();
    assert_eq!((rolled_back.serving, rolled_back.generation), (1, promoted.generation + 1));
    assert!(rolled_back.stepped_back.is_empty(), "{rolled_back:?}");
    rekap.until_counted().await;
    let (version, _, rows) = rekap.read();
    assert_eq!((version, rows.len()), (1, 2));
    assert!(rekap.orchestrator.version("bpi", 2).unwrap().rolled_back);
    assert_eq!(code(rekap.rollback("k-2").await), "NOTHING_TO_ROLL_BACK");
    rekap.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_rollback_is_answered_again_and_not_done_again_even_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let rekap = two_versions(folder.path()).await;
    rekap.promote(2).await.unwrap();
    let first = rekap.rollback("k-1").await.unwrap();
    let again = rekap.rollback("k-1").await.unwrap();
    assert_eq!((again.serving, again.generation), (first.serving, first.generation));
    rekap.stop().await;

    let rekap = Rekap::open(folder.path()).await;
    let again = rekap.rollback("k-1").await.unwrap();
    assert_eq!((again.serving, again.generation), (first.serving, first.generation));
    let other = RequestKey { key: "k-1".into(), digest: Hash::of(b"POST abort") };
    let by = By { request: Some(other), ..By::actor("ann") };
    assert_eq!(code(rekap.orchestrator.abort("bpi", 2, by).await), "IDEMPOTENCY_KEY_REUSED");
    rekap.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reader_goes_back_in_time_while_versions_swap_under_steady_writes() {
    let folder = tempfile::tempdir().unwrap();
    let rekap = Arc::new(two_versions(folder.path()).await);
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (rekap, stop) = (rekap.clone(), stop.clone());
        async move {
            while !stop.load(Ordering::SeqCst) {
                rekap.send(20).await;
            }
        }
    });
    let reader = std::thread::Builder::new().spawn({
        let (rekap, stop) = (rekap.clone(), stop.clone());
        move || {
            let (mut last, mut reads) = (rekap.read().1, 0u64);
            while !stop.load(Ordering::SeqCst) {
                let (version, now, rows) = rekap.read();
                assert!(now.reached(&last), "version {version} shows {now} after {last}");
                assert_eq!(rows.len(), 2);
                (last, reads) = (now, reads + 1);
            }
            reads
        }
    });
    for _ in 0..3 {
        let promoted = rekap.promote(2).await.unwrap();
        assert!(promoted.swap_ms < 2000);
        let back = rekap.orchestrator.rollback("bpi", None, By::actor("ann")).await.unwrap();
        assert!(back.stepped_back.is_empty(), "{back:?}");
        assert!(back.swap_ms < 250);
    }
    stop.store(true, Ordering::SeqCst);
    writer.await.unwrap();
    assert!(reader.unwrap().join().unwrap() > 0);
    rekap.until_counted().await;
    let Ok(rekap) = Arc::try_unwrap(rekap) else { panic!("nobody else has it") };
    rekap.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_everything_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let rekap = two_versions(folder.path()).await;
    let asked = PromotionRequest { when_ready: true, force: vec![] };
    rekap.orchestrator.pause("bpi", 2, By::actor("ann")).await.unwrap();
    until("it is not ready", || !rekap.orchestrator.version("bpi", 2).unwrap().ready["caught_up"].met).await;
    let armed = rekap.orchestrator.promote("bpi", 2, asked, By::actor("ann")).await.unwrap();
    assert!(matches!(armed, Promotion::Armed(_)));
    let sent = rekap.sent.load(Ordering::SeqCst);
    rekap.stop().await;

    let rekap = Rekap::open(folder.path()).await;
    rekap.sent.store(sent, Ordering::SeqCst);
    assert_eq!((rekap.read().0, rekap.phase(1)), (1, Phase::Serving));
    rekap.send(10).await;
    rekap.until_counted().await;
    rekap.until_phase(2, Phase::Paused).await;
    rekap.orchestrator.resume("bpi", 2, By::actor("ann")).await.unwrap();
    rekap.until_phase(2, Phase::Serving).await;
    let page = rekap.orchestrator.history("bpi", 0, 1000).await.unwrap();
    let promoted: Vec<_> = page.events.iter().filter(|event| event.kind == "job.promoted").collect();
    assert_eq!((promoted[1].actor.as_str(), promoted[1].fields["cause"].as_str()), ("ann", Some("armed")));
    assert_eq!(rekap.orchestrator.audit_verify().await.unwrap().broken, None);
    rekap.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_paused_at_the_start_reads_nothing_and_serves_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let rekap = two_versions(folder.path()).await;
    let (topic, before, sent) = (rekap.topic.clone(), rekap.read(), rekap.sent.load(Ordering::SeqCst));
    rekap.stop().await;
    let hot = EmbeddedLog::open(&folder.path().join("log"), Arc::new(SystemClock)).unwrap();
    hot.append(&topic, (sent..sent + 10).map(tick).collect(), None).await.unwrap();
    drop(hot);

    let start = |version| Rekap::open_with(folder.path(), ReplayLimits::default(), vec![("bpi".to_owned(), version)]);
    assert_eq!(start(7).await.map(drop).unwrap_err().code(), "UNKNOWN_VERSION");
    let rekap = start(1).await.unwrap();
    rekap.sent.store(sent + 10, Ordering::SeqCst);
    let positions = |version| rekap.orchestrator.version("bpi", version).unwrap().positions;
    let read = |at: Positions| at.iter().map(|(_, _, next)| next.get()).sum::<u64>();
    until("the other version reads on", || read(positions(2)) == sent + 10).await;
    assert_eq!(rekap.read(), before);
    let page = rekap.orchestrator.history("bpi", 0, 1000).await.unwrap();
    let paused = page.events.last().unwrap();
    assert_eq!((paused.kind.as_str(), paused.actor.as_str()), ("version.paused", "rekap"));
    rekap.orchestrator.resume("bpi", 1, By::actor("ann")).await.unwrap();
    rekap.until_counted().await;
    rekap.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serving_table_that_is_lost_is_rebuilt_by_replay_and_nobody_reads_it_half_full() {
    let folder = tempfile::tempdir().unwrap();
    let rekap = two_versions(folder.path()).await;
    let (sent, rows) = (rekap.sent.load(Ordering::SeqCst), rekap.read().2);
    rekap.stop().await;
    std::fs::remove_dir_all(folder.path().join("tables")).unwrap();

    let rekap = Rekap::open(folder.path()).await;
    rekap.sent.store(sent, Ordering::SeqCst);
    until("the alias is back", || match rekap.orchestrator.serving("bpi") {
        Ok(_) => true,
        Err(refused) => {
            assert_eq!((refused.code(), refused.kind()), ("RECOVERING", Kind::Unavailable));
            false
        }
    })
    .await;
    assert_eq!(rekap.read().2, rows);
    assert_eq!(rekap.orchestrator.version("bpi", 1).unwrap().attempt, 2);
    let page = rekap.orchestrator.history("bpi", 0, 1000).await.unwrap();
    assert!(page.events.iter().any(|event| event.kind == "version.table_lost"));
    rekap.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_kept_for_its_window_and_then_goes_with_its_table() {
    let folder = tempfile::tempdir().unwrap();
    let rekap = two_versions(folder.path()).await;
    rekap.promote(2).await.unwrap();
    assert_eq!(rekap.orchestrator.topic_readers(&rekap.topic), ["bpi@1", "bpi@2"]);
    let tables = folder.path().join("tables");
    assert!(rekap.orchestrator.version_table("bpi", 1).is_ok() && tables.exists());
    let until_then = rekap.orchestrator.version("bpi", 1).unwrap().deployed_at;
    assert_eq!(
        code(rekap.orchestrator.rollback_window("bpi", until_then, By::actor("ann")).await),
        "NOT_IN_THE_FUTURE"
    );
    let now = rekap.orchestrator.history("bpi", 0, 1000).await.unwrap().events.last().unwrap().at;
    let window = now.plus(Duration::from_millis(300));
    rekap.orchestrator.rollback_window("bpi", window, By::actor("ann")).await.unwrap();
    rekap.until_phase(1, Phase::Retired).await;
    until("its table is gone", || rekap.orchestrator.topic_readers(&rekap.topic) == ["bpi@2"]).await;
    assert_eq!(code(rekap.orchestrator.version_table("bpi", 1).map(drop)), "NO_TABLE");
    assert_eq!(code(rekap.rollback("k").await), "NOTHING_TO_ROLL_BACK");
    assert_eq!(rekap.read().0, 2);
    rekap.stop().await;
}

impl Rekap {
    /// Drills what the alias serves, and answers what was found.
    async fn drill(&self) -> rekap_orchestrator::views::DrillView {
        self.orchestrator.drill("bpi", By::actor("ann")).await.unwrap();
        let done = || self.orchestrator.drilled("bpi").is_ok_and(|drill| drill.since.is_none());
        until("the drill is done", done).await;
        self.orchestrator.drilled("bpi").unwrap()
    }

    /// The tables that there are, as text.
    fn table_names(&self) -> Vec<String> {
        self.tables.list().iter().map(ToString::to_string).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_finds_that_history_gives_what_is_served_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let rekap = Arc::new(two_versions(folder.path()).await);
    assert_eq!(code(rekap.orchestrator.drilled("bpi")), "NOT_DRILLED");
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (rekap, stop) = (rekap.clone(), stop.clone());
        async move {
            while !stop.load(Ordering::SeqCst) {
                rekap.send(20).await;
            }
        }
    });
    let found = rekap.drill().await;
    stop.store(true, Ordering::SeqCst);
    writer.await.unwrap();
    let report = found.report.unwrap();
    assert_eq!((report.verdict, report.counts.same, report.counts.changed), (Verdict::Pass, 2, 0), "{report:?}");
    assert!(found.version == 1 && found.records.is_some_and(|records| records >= 300), "{:?}", found.records);
    let events = rekap.orchestrator.history("bpi", 0, 1000).await.unwrap().events;
    let drilled = events.iter().find(|event| event.kind == "job.drilled").unwrap();
    assert_eq!((drilled.actor.as_str(), drilled.fields["verdict"].as_str()), ("ann", Some("pass")));
    assert!(drilled.fields["positions"]["ticks"].is_object() && drilled.fields.get("report").is_none());
    until("the scratch table is gone", || rekap.table_names() == ["bpi@1.1", "bpi@2.1"]).await;
    let job = rekap.orchestrator.job("bpi").unwrap();
    assert_eq!((job.serving, job.versions), (Some(1), vec![1, 2]));
    let Ok(rekap) = Arc::try_unwrap(rekap) else { panic!("nobody else has it") };
    rekap.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_finds_records_that_the_served_table_has_lost() {
    let folder = tempfile::tempdir().unwrap();
    let rekap = two_versions(folder.path()).await;
    rekap.until_counted().await;
    // The table moves past records that it never applied, as a bug would make it. Its own runner is fenced before they come.
    let table = rekap.orchestrator.version_table("bpi", 1).unwrap();
    let epoch = table.claim().unwrap();
    let (schema, here) = (table.schema().clone(), table.status().positions.clone());
    rekap.send(10).await;
    let next = |n: u64| rekap_tiered_storage::Offset::new(n);
    let to = here.iter().map(|(topic, partition, at)| (topic, partition, next(at.get() + 5))).collect();
    let lost = Commit {
        epoch,
        from: here,
        to,
        state: RecordBatch::new_empty(schema.state_schema()),
        has_row: BooleanArray::from(Vec::<bool>::new()),
        rows: RecordBatch::new_empty(schema.columns().clone()),
        dead_letters: vec![],
        tombstones_skipped: 0,
        late: 0,
        horizon: None,
        outbox: vec![],
    };
    assert_eq!(table.commit(lost).unwrap(), rekap_tables::CommitOutcome::Committed);
    let found = rekap.drill().await.report.unwrap();
    assert_eq!((found.verdict, found.counts.changed, found.counts.same), (Verdict::Fail, 2, 0), "{found:?}");
    assert!(found.reason.is_some_and(|reason| reason.contains("2 rows")) && !found.samples.is_empty());
    let shown = rekap.orchestrator.job("bpi").unwrap().drill.unwrap().report.unwrap();
    assert!(shown.verdict == Verdict::Fail && shown.samples.is_empty(), "a job shows it in short");
    rekap.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_that_a_crash_cuts_short_leaves_nothing_but_the_wish_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let rekap = two_versions(folder.path()).await;
    let schema = rekap.orchestrator.version_table("bpi", 1).unwrap().schema().clone();
    let scratch: TableId = "drill-bpi@1.7".parse().unwrap();
    rekap.stop().await;
    let tables = Tables::open(&folder.path().join("tables")).unwrap();
    tables.create(&scratch, &schema, &Positions::new()).unwrap();
    drop(tables);
    let rekap = Rekap::open(folder.path()).await;
    until("what a crash left is gone", || rekap.table_names() == ["bpi@1.1", "bpi@2.1"]).await;
    assert_eq!(code(rekap.orchestrator.drilled("bpi")), "NOT_DRILLED");
    rekap.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_in_a_drill_stops_at_once_and_records_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let limits = ReplayLimits { max_records_per_s: Some(1), cores: Some(1) };
    let rekap = Rekap::open_with(folder.path(), limits, vec![]).await.unwrap();
    rekap.send(4).await;
    rekap.deploy("sum(price)", FAST).await;
    rekap.until_phase(1, Phase::Serving).await;
    rekap.send(1_000).await;
    rekap.orchestrator.drill("bpi", By::actor("ann")).await.unwrap();
    assert_eq!(code(rekap.orchestrator.drill("bpi", By::actor("ann")).await), "DRILL_RUNNING");
    let throttled = || rekap.orchestrator.drilled("bpi").is_ok_and(|drill| drill.throttled.is_some());
    until("the drill keeps to its limit", throttled).await;
    rekap.stop().await;
    let rekap = Rekap::open(folder.path()).await;
    assert_eq!(code(rekap.orchestrator.drilled("bpi")), "NOT_DRILLED");
    rekap.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_of_the_same_spec_makes_nothing_and_a_plan_says_so_before() {
    let folder = tempfile::tempdir().unwrap();
    let rekap = two_versions(folder.path()).await;
    let same = rekap.orchestrator.deploy(spec("avg(price)", FAST), false, By::actor("ann")).await.unwrap();
    assert_eq!((same.version, same.created, same.policy_changed), (2, false, false));
    let plan = rekap.orchestrator.plan(&spec("avg(price)", FAST), false).await.unwrap();
    assert_eq!((plan.version, plan.changes), (Some(2), false));

    let auto = format!("auto = true\n{FAST}");
    let plan = rekap.orchestrator.plan(&spec("avg(price)", &auto), false).await.unwrap();
    assert!(plan.changes && plan.policy_only);
    let policy = rekap.orchestrator.deploy(spec("avg(price)", &auto), false, By::actor("ann")).await.unwrap();
    assert_eq!((policy.version, policy.policy_changed), (2, true));
    rekap.until_phase(2, Phase::Serving).await;

    let plan = rekap.orchestrator.plan(&spec("max(price)", &auto), false).await.unwrap();
    assert_eq!((plan.version, plan.serving, plan.records), (Some(3), Some(2), 300));
    assert!(plan.differences.iter().any(|change| change.field == "query"), "{:?}", plan.differences);
    let refused = rekap.orchestrator.plan(&spec("median(price)", &auto), false).await.unwrap();
    assert!(refused.refusal.is_some() && refused.version.is_none());
    rekap.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_job_is_gone_with_its_alias_and_can_be_deployed_again() {
    let folder = tempfile::tempdir().unwrap();
    let rekap = two_versions(folder.path()).await;
    rekap.orchestrator.delete_job("bpi", By::actor("ann")).await.unwrap();
    assert_eq!(code(rekap.orchestrator.serving("bpi").map(drop)), "UNKNOWN_JOB");
    assert!(rekap.orchestrator.topic_readers(&rekap.topic).is_empty());
    assert_eq!(rekap.deploy("sum(price)", FAST).await, 3);
    rekap.until_phase(3, Phase::Serving).await;
    rekap.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_deleted_or_read_but_never_both() {
    let folder = tempfile::tempdir().unwrap();
    let rekap = two_versions(folder.path()).await;
    let ticks = rekap.hot.topic(&rekap.topic).await.unwrap();
    let refused = rekap.orchestrator.delete_topic(&ticks, &By::actor("ann")).await;
    assert_eq!(code(refused), "TOPIC_IN_USE");
    for round in 0..30 {
        let name: TopicName = format!("t{round}").parse().unwrap();
        let topic = rekap.hot.create_topic(&name, TopicConfig::default()).await.unwrap();
        let mut spec = spec("sum(price)", FAST);
        spec.name = format!("j{round}");
        spec.inputs.get_mut("ticks").unwrap().topic = name;
        let by = By::actor("ann");
        let (deployed, deleted) = tokio::join!(
            rekap.orchestrator.deploy(spec, false, by.clone()),
            rekap.orchestrator.delete_topic(&topic, &by)
        );
        assert!(deployed.is_ok() != deleted.is_ok(), "{deployed:?}, {deleted:?}");
    }
    rekap.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_kept_for_the_slowest_live_version_as_far_as_its_table_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let rekap = two_versions(folder.path()).await;
    rekap.orchestrator.pause("bpi", 2, By::actor("ann")).await.unwrap();
    rekap.until_phase(2, Phase::Paused).await;
    let at = rekap.orchestrator.version("bpi", 2).unwrap().positions;
    rekap.send(50).await;
    rekap.until_counted().await;
    let mut slowest = rekap.orchestrator.slowest_positions();
    let told = tokio::time::timeout(DEADLINE, slowest.wait_for(|slowest| *slowest == at)).await.is_ok();
    assert!(told, "{:?} is not {at}", rekap.orchestrator.slowest_positions().borrow());
    rekap.stop().await;
}

impl Rekap {
    /// Goes on with one and the same story, wherever it was cut short: two versions, a promotion once ready, a rollback.
    async fn go_on(&self) {
        let by = |key: &str| {
            let request = RequestKey { key: key.into(), digest: Hash::of(key.as_bytes()) };
            By { request: Some(request), ..By::actor("ann") }
        };
        let now = || self.orchestrator.job("bpi").unwrap();
        self.orchestrator.deploy(spec("sum(price)", FAST), false, by("d-1")).await.unwrap();
        until("something serves", || now().serving.is_some()).await;
        self.orchestrator.deploy(spec("avg(price)", FAST), false, by("d-2")).await.unwrap();
        let asked = PromotionRequest { when_ready: true, force: vec![] };
        match self.orchestrator.promote("bpi", 2, asked, by("p")).await {
            Ok(_) => {}
            Err(refused) => assert_eq!(refused.code(), "PROMOTION_CALLED_OFF", "{refused}"),
        }
        let rolled_back = || self.orchestrator.version("bpi", 2).unwrap().rolled_back;
        until("version 2 serves, or did", || now().serving == Some(2) || rolled_back()).await;
        self.orchestrator.rollback("bpi", None, by("r")).await.unwrap();
    }
}

/// Every task is cut off where it waits. What blocks on the disk ends first, as it may in a crash.
#[test]
fn a_story_that_is_cut_short_at_any_moment_goes_on_and_ends_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut sent = 0;
    for cut in 1..=25u64 {
        let runtime = runtime();
        runtime.block_on(async {
            let rekap = Rekap::open(folder.path()).await;
            rekap.sent.store(sent, Ordering::SeqCst);
            rekap.send(20).await;
            _ = tokio::time::timeout(Duration::from_millis(cut * 30), rekap.go_on()).await;
        });
        sent += 20;
        runtime.shutdown_timeout(DEADLINE);
    }
    runtime().block_on(async {
        let rekap = Rekap::open(folder.path()).await;
        rekap.sent.store(sent, Ordering::SeqCst);
        rekap.go_on().await;
        rekap.until_counted().await;
        let job = rekap.orchestrator.job("bpi").unwrap();
        assert_eq!((job.serving, job.versions), (Some(1), vec![1, 2]));
        let events = rekap.orchestrator.history("bpi", 0, 1000).await.unwrap().events;
        let of = |kind: &str| events.iter().filter(|event| event.kind == kind).count();
        assert_eq!((of("version.deployed"), of("job.promoted"), of("job.rolled_back")), (2, 2, 1));
        assert_eq!(rekap.orchestrator.audit_verify().await.unwrap().broken, None);
        rekap.stop().await;
    });
}
