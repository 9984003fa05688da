use object_store::ObjectStore;
use object_store::memory::InMemory;
use tokio::time::Instant;

use super::*;
use crate::memory_log::MemoryLog;
use crate::{ColdTier, HotLog, Log, ManualClock, MirrorPolicy, NewRecord, Offset, Partition, TopicConfig};

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
