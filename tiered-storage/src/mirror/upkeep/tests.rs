use object_store::ObjectStore;
use object_store::memory::InMemory;
use tokio::time::Instant;

use super::*;
use crate::memory_log::MemoryLog;
use crate::{
    Clock as _, ColdTier, HotLog, Log, ManualClock, MirrorPolicy, NewRecord, Offset, Partition, SystemClock,
    TopicConfig,
};

/// How many quiet partitions there are.
const PARTITIONS: u32 = 100;

/// A day, in minutes.
const MINUTES: u64 = 24 * 60;

/// How many live files a table may have at the end of the day.
const FEW: usize = 5_000;

fn record(partition: u32, minute: u64) -> NewRecord {
    let value = format!(r#"{{"partition": {partition}, "minute": {minute}}}"#);
    NewRecord {
        partition: Some(Partition(partition)),
        key: None,
        value: Some(value.into()),
        headers: vec![],
        timestamp: Some(Timestamp::from_micros(minute as i64 * 60_000_000)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_of_a_hundred_quiet_partitions_ends_with_few_files_that_load_at_once() {
    let hot = MemoryLog::new();
    let config = TopicConfig { partitions: PARTITIONS, ..TopicConfig::default() };
    let topic = hot.create_topic(&"quiet".parse().unwrap(), config).await.unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp::from_micros(0)));
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let log = || Log::new(hot.clone(), Arc::new(ColdTier::over(objects.clone(), clock.clone())));
    let work = Work::new(log(), MirrorPolicy::default(), clock.clone());
    let mut kept = Kept::default();
    let mut most = 0;
    for minute in 0..MINUTES {
        hot.append(&topic.name, (0..PARTITIONS).map(|p| record(p, minute)).collect(), None).await.unwrap();
        clock.advance(Duration::from_secs(60));
        work.mirror_topic(&topic).await.unwrap();
        work.keep(&topic, &mut kept).await.unwrap();
        let coverage = work.log.cold.topic(&topic).await.unwrap().coverage();
        most = most.max(coverage.partitions.values().map(|covered| covered.files().len()).sum());
    }
    work.flush(&topic.name).await.unwrap();
    let began = Instant::now();
    let coverage = log().cold.topic(&topic).await.unwrap().coverage();
    let took = began.elapsed();
    assert!(most < FEW, "{most} live files");
    assert!(took < Duration::from_secs(1), "the table loaded in {took:?}");
    for partition in (0..PARTITIONS).map(Partition) {
        let covered = coverage.partition(partition).unwrap();
        assert_eq!(coverage.mirrored_to(partition), Some(Offset::new(MINUTES)));
        assert_eq!(covered.files().iter().map(|file| file.records).sum::<u64>(), MINUTES);
    }
    let counts = work.counts.lock().unwrap()[&topic.name];
    eprintln!("{most} live files at most, loaded in {took:?}; {counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_schedule_does_is_not_done_by_itself_and_is_done_when_it_is_asked_for() {
    let hot = MemoryLog::new();
    let topic = hot.create_topic(&"quiet".parse().unwrap(), TopicConfig::default()).await.unwrap();
    // The store stamps its objects with the machine's time.
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let log = Log::new(hot.clone(), Arc::new(ColdTier::over(objects, clock.clone())));
    let policy = MirrorPolicy { compacts: false, cleans: false, ..MirrorPolicy::default() };
    let work = Arc::new(Work::new(log, policy, clock.clone()));
    let mirror = Mirror { work: work.clone(), tasks: [0; 3].map(|_| tokio::spawn(async {})) };
    let files = async || {
        let coverage = work.log.cold.topic(&topic).await.unwrap().coverage();
        coverage.partition(Partition(0)).map_or(0, |covered| covered.files().len())
    };
    let mut kept = Kept::default();
    for minute in 0..20 {
        hot.append(&topic.name, vec![record(0, minute)], None).await.unwrap();
        clock.advance(Duration::from_secs(3600));
        work.flush(&topic.name).await.unwrap();
        work.keep(&topic, &mut kept).await.unwrap();
    }
    assert_eq!(files().await, 20, "nothing was joined by itself");
    assert!(mirror.compact().await.unwrap() >= 16);
    assert!(files().await < 10);
    assert_eq!(mirror.compact().await.unwrap(), 0, "nothing is left to join");
    assert_eq!(mirror.clean_up().await.unwrap(), 0, "what was joined stays for its readers");
    clock.advance(Duration::from_secs(8 * 86_400));
    work.keep(&topic, &mut kept).await.unwrap();
    assert!(mirror.clean_up().await.unwrap() >= 16, "and then it goes");
}
