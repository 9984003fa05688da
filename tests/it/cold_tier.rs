//! What every kind of cold tier keeps to, tried on a folder and on a bucket: the promises of `ColdTier` and `Mirror`, seen from outside.

use std::collections::BTreeMap;
use std::sync::Arc;

use rekap_tests::{Bucket, Proxy, seeded};
use rekap_tiered_storage::{
    Clock, ColdLocation, ColdTier, EmbeddedLog, HotLog, Log, Mirror, MirrorPolicy, NewRecord, Offset, Partition,
    Positions, Retention, RetentionPolicy, SystemClock, Tier, Topic, TopicConfig,
};
use tempfile::TempDir;

/// How many partitions the topic has.
const PARTITIONS: u32 = 3;

/// A hot log of the test's own, and the place of a cold tier.
struct Tiers {
    _folder: TempDir,
    hot: Arc<dyn HotLog>,
    topic: Topic,
    location: ColdLocation,
    /// The way to the place that fails now and then, where there is one.
    failing: Option<(Proxy, ColdLocation)>,
    sent: BTreeMap<u32, Vec<Vec<u8>>>,
}

impl Tiers {
    async fn on_disk() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let location = ColdLocation::from(&format!("file:{}", folder.path().join("cold").display()));
        Self::at(folder, location, None).await
    }

    async fn on_s3() -> Self {
        let bucket = Bucket::fresh().await;
        let proxy = Proxy::chaos(bucket.endpoint(), seeded("a bucket that fails now and then"), 10).await;
        let failing = bucket.through(proxy.endpoint()).location();
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::at(folder, bucket.location(), Some((proxy, failing))).await
    }

    async fn at(folder: TempDir, location: ColdLocation, failing: Option<(Proxy, ColdLocation)>) -> Self {
        let hot = EmbeddedLog::open(&folder.path().join("hot"), clock()).expect("a fresh log");
        let config = TopicConfig { partitions: PARTITIONS, retention_ms: Some(1), ..TopicConfig::default() };
        let topic = hot.create_topic(&"events".parse().expect("a name"), config).await.expect("a topic");
        Tiers { _folder: folder, hot, topic, location, failing, sent: BTreeMap::new() }
    }

    /// Both tiers, as a process that starts now sees them.
    fn log(&self) -> Log {
        Log::new(self.hot.clone(), Arc::new(ColdTier::open(self.location.clone(), clock()).expect("it opens")))
    }

    fn mirror(&self, log: Log, max_bytes: u64) -> Mirror {
        // Nothing is due by itself: rounds are the test's.
        let policy =
            MirrorPolicy { max_age: std::time::Duration::from_secs(3600), max_bytes, ..MirrorPolicy::default() };
        Mirror::spawn(log, policy, clock())
    }

    async fn append(&mut self, records: u32, bytes: usize, random: &mut fastrand::Rng) {
        let mut batch = Vec::new();
        for n in 0..records {
            let value: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(bytes).collect();
            self.sent.entry(n % PARTITIONS).or_default().push(value.clone());
            batch.push(NewRecord {
                partition: Some(Partition(n % PARTITIONS)),
                key: Some(n.to_string().into()),
                value: Some(value.into()),
                headers: vec![],
                timestamp: None,
            });
        }
        self.hot.append(&self.topic.name, batch, None).await.expect("appended");
    }

    async fn drop_hot_copy(&self) {
        let policy = RetentionPolicy { mirror: MirrorPolicy::default(), waits_for_mirror: true };
        let readers = tokio::sync::watch::Sender::new(Positions::new());
        let _retention = Retention::spawn(self.log(), policy, readers.subscribe(), clock());
        rekap_tests::until("retention has dropped the hot copy", async || {
            let ranges = self.hot.ranges(&self.topic.name).await.expect("the topic is there");
            let empty = ranges.values().all(|range| range.earliest == range.end);
            if empty { Ok(()) } else { Err(format!("{ranges:?}")) }
        })
        .await;
    }

    /// Checks that the cold tier alone holds everything once, byte for byte and in order.
    async fn check_cold(&self) {
        let log = self.log();
        for (partition, sent) in &self.sent {
            let mut read: Vec<Vec<u8>> = Vec::new();
            let mut next = Offset::ZERO;
            loop {
                let page = log.records(&self.topic, Partition(*partition), next, 1000).await.expect("readable");
                for (tier, batch) in &page.0 {
                    assert_eq!(*tier, Tier::Cold);
                    read.extend(batch.values().iter().map(|value| value.expect("no tombstone").to_vec()));
                }
                if page.1 == next {
                    break;
                }
                next = page.1;
            }
            assert!(read == *sent, "partition {partition}: {} of {} records, or others", read.len(), sent.len());
        }
    }

    async fn files(&self) -> usize {
        let coverage = self.log().cold.topic(&self.topic).await.expect("readable").coverage();
        coverage.partitions.values().map(|covered| covered.files().len()).sum()
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

async fn what_is_mirrored_reads_back_byte_for_byte(mut tiers: Tiers) {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..3 {
        tiers.append(600, 50, &mut random).await;
        tiers.mirror(tiers.log(), 8_000).flush(&tiers.topic.name).await.expect("mirrored");
    }
    tiers.drop_hot_copy().await;
    tiers.check_cold().await;
}

async fn many_small_files_become_few_and_nothing_changes(mut tiers: Tiers) {
    let mut random = fastrand::Rng::with_seed(2);
    let mirror = tiers.mirror(tiers.log(), 1 << 20);
    for _ in 0..12 {
        tiers.append(30, 50, &mut random).await;
        mirror.flush(&tiers.topic.name).await.expect("mirrored");
    }
    mirror.keep_up().await.expect("in order");
    let files = tiers.files().await;
    assert!((3..=15).contains(&files), "{files} files");
    tiers.drop_hot_copy().await;
    tiers.check_cold().await;
}

async fn two_who_mirror_and_join_at_once_through_failures_lose_and_double_nothing(mut tiers: Tiers) {
    let mut random = fastrand::Rng::with_seed(3);
    if let Some((proxy, failing)) = &tiers.failing {
        proxy.fail();
        tiers.location = failing.clone();
    }
    let mirrors = [0, 1].map(|_| tiers.mirror(tiers.log(), 1 << 20));
    for _ in 0..8 {
        tiers.append(60, 50, &mut random).await;
        let name = &tiers.topic.name;
        // What fails is tried again in the next turn.
        let _ = tokio::join!(mirrors[0].flush(name), mirrors[1].flush(name));
        let _ = tokio::join!(mirrors[0].keep_up(), mirrors[1].keep_up());
    }
    if let Some((proxy, _)) = &tiers.failing {
        proxy.release();
    }
    mirrors[0].flush(&tiers.topic.name).await.expect("mirrored");
    mirrors[1].keep_up().await.expect("in order");
    tiers.drop_hot_copy().await;
    tiers.check_cold().await;
}

async fn a_large_file_goes_up_in_parts_and_reads_back_whole(mut tiers: Tiers) {
    let mut random = fastrand::Rng::with_seed(4);
    tiers.append(150, 400_000, &mut random).await;
    tiers.mirror(tiers.log(), 128_000_000).flush(&tiers.topic.name).await.expect("mirrored");
    assert_eq!(tiers.files().await, PARTITIONS as usize);
    tiers.drop_hot_copy().await;
    tiers.check_cold().await;
}

/// Runs each promise on each kind of cold tier.
macro_rules! on_every_cold_tier {
    ($($promise:ident)*) => {
        mod on_disk {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                super::$promise(super::Tiers::on_disk().await).await;
            })*
        }
        mod on_s3 {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                super::$promise(super::Tiers::on_s3().await).await;
            })*
        }
    };
}

on_every_cold_tier! {
    what_is_mirrored_reads_back_byte_for_byte
    many_small_files_become_few_and_nothing_changes
    two_who_mirror_and_join_at_once_through_failures_lose_and_double_nothing
    a_large_file_goes_up_in_parts_and_reads_back_whole
}
