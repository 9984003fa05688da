mod format;
mod kill;
mod speed;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::Array;
use bytes::Bytes;
use proptest::prelude::*;

use super::EmbeddedLog;
use super::store::Store;
use crate::hot::conformance::{self, at, name, partitions, read_all, value};
use crate::{
    AppendKey, HotLog, LogError, ManualClock, NewRecord, Offset, OffsetRange, Partition, SystemClock, Timestamp,
    TopicConfig,
};

const P0: Partition = Partition(0);

fn open(path: &Path) -> Arc<EmbeddedLog> {
    EmbeddedLog::open(path, Arc::new(SystemClock)).unwrap()
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_micros(1_700_000_000_000_000)))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_log_is_a_hot_log() {
    let folder = tempfile::tempdir().unwrap();
    let next = std::sync::atomic::AtomicU32::new(0);
    conformance::run(async || {
        let i = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        conformance::Fresh::own(open(&folder.path().join(i.to_string())))
    })
    .await;
}

#[tokio::test]
async fn everything_is_there_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let once = Some(AppendKey { key: "k".into(), body_digest: [7; 32] });
    let log = open(folder.path());
    let config = TopicConfig { retention_ms: Some(5), key: vec!["id".into()], ..partitions(2) };
    let topic = log.create_topic(&name("t"), config).await.unwrap();
    let appended = log.append(&name("t"), vec![at(0, "a"), at(1, "b"), at(0, "c")], once.clone()).await.unwrap();
    log.trim(&topic, P0, Offset::new(1)).await.unwrap();
    log.trim(&topic, Partition(1), Offset::new(1)).await.unwrap();
    drop(log);

    let log = open(folder.path());
    assert_eq!(log.topic(&name("t")).await.unwrap(), topic);
    assert_eq!(read_all(&*log, &topic, P0).await, ["c"]);
    assert_eq!(log.append(&name("t"), vec![at(0, "a")], once).await.unwrap(), appended);
    let next = log.append(&name("t"), vec![at(0, "d"), at(1, "e")], None).await.unwrap();
    assert_eq!((next[&P0].from, next[&Partition(1)].from), (Offset::new(2), Offset::new(1)));
}

#[tokio::test]
async fn a_folder_that_is_open_elsewhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _log = open(folder.path());
    let refused = EmbeddedLog::open(folder.path(), Arc::new(SystemClock)).err();
    assert!(matches!(refused, Some(LogError::InUse(path)) if path == folder.path()));
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), clock()).unwrap();
    store.log.insert(super::keys::FORMAT, 2u32.to_be_bytes()).unwrap();
    drop(store);
    let refused = EmbeddedLog::open(folder.path(), clock()).err();
    assert!(matches!(refused, Some(LogError::NewerFormat { found: 2, supported: 1, .. })), "{refused:?}");
}

#[tokio::test]
async fn an_idempotency_key_is_kept_for_a_day_and_then_forgotten() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let log = EmbeddedLog::open(folder.path(), clock.clone()).unwrap();
    let topic = log.create_topic(&name("t"), partitions(1)).await.unwrap();
    let once = |i: u32| Some(AppendKey { key: format!("k{i}"), body_digest: [1; 32] });
    for i in 0..3 {
        log.append(&name("t"), vec![value("a")], once(i)).await.unwrap();
    }
    clock.advance(Duration::from_secs(24 * 3600 - 1));
    log.append(&name("t"), vec![value("a")], once(0)).await.unwrap();
    assert_eq!(read_all(&*log, &topic, P0).await.len(), 3);
    clock.advance(Duration::from_secs(1));
    log.append(&name("t"), vec![value("a")], once(0)).await.unwrap();
    assert_eq!(read_all(&*log, &topic, P0).await.len(), 4);
    clock.advance(Duration::from_secs(1));
    log.append(&name("t"), vec![value("a")], once(0)).await.unwrap();
    assert_eq!(read_all(&*log, &topic, P0).await.len(), 4, "the newer answer outlives the older one");
    assert_eq!(log.store.log.prefix("o").count(), 1, "old answers are removed");
}

#[tokio::test]
async fn retention_counts_age_from_the_append() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let log = EmbeddedLog::open(folder.path(), clock.clone()).unwrap();
    let config = TopicConfig { retention_ms: Some(1_000), ..partitions(2) };
    let topic = log.create_topic(&name("t"), config).await.unwrap();
    for i in 0..10 {
        let old = NewRecord { timestamp: Some(Timestamp::from_micros(0)), ..at(0, &i.to_string()) };
        log.append(&name("t"), vec![old.clone(), old], None).await.unwrap();
        clock.advance(Duration::from_millis(100));
    }
    let start = Timestamp::from_micros(1_700_000_000_000_000);
    let expired = async |ms| log.expired(&topic, start.plus(Duration::from_millis(ms))).await.unwrap()[&P0].get();
    assert_eq!(expired(999).await, 0);
    assert_eq!(expired(1_000).await, 2);
    assert_eq!(expired(1_499).await, 10);
    assert_eq!(expired(5_000).await, 20);
    log.trim(&topic, P0, Offset::new(13)).await.unwrap();
    assert_eq!(expired(1_000).await, 13);
    assert_eq!(expired(5_000).await, 20);
    assert_eq!(log.expired(&topic, start).await.unwrap()[&Partition(1)], Offset::ZERO);
}

#[tokio::test]
async fn retention_keeps_no_more_bytes_than_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let config = |bytes| TopicConfig { retention_bytes: Some(bytes), ..partitions(1) };
    let topic = log.create_topic(&name("t"), config(0)).await.unwrap();
    for _ in 0..4 {
        log.append(&name("t"), vec![value(""), value("0123456789"), value("01234")], None).await.unwrap();
    }
    let kept = async |bytes| {
        log.alter_topic(&name("t"), config(bytes)).await.unwrap();
        12 - log.expired(&topic, Timestamp::from_micros(0)).await.unwrap()[&P0].get()
    };
    for (bytes, records) in [(0, 0), (4, 0), (5, 1), (14, 1), (15, 3), (19, 3), (20, 4), (59, 10), (60, 12), (99, 12)] {
        assert_eq!(kept(bytes).await, records, "{bytes} bytes");
    }
    log.trim(&topic, P0, Offset::new(12)).await.unwrap();
    assert_eq!(kept(0).await, 0);
}

#[tokio::test]
async fn what_a_deletion_left_behind_goes_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let kept = log.create_topic(&name("kept"), partitions(1)).await.unwrap();
    let gone = log.create_topic(&name("gone"), partitions(2)).await.unwrap();
    let once = |key: &str| Some(AppendKey { key: key.into(), body_digest: [1; 32] });
    for i in 0..3 {
        log.append(&name("kept"), vec![value("a"), value("b")], once(&i.to_string())).await.unwrap();
        log.append(&name("gone"), vec![at(0, "a"), at(1, "b")], once(&i.to_string())).await.unwrap();
    }
    // As if the process died right after unlinking.
    super::unlink(&log.store, &gone.name).unwrap();
    super::trim(&log.store, &kept, P0, Offset::new(3)).unwrap();
    assert_eq!(log.store.log.prefix("e").count(), 9);
    drop(log);

    let log = open(folder.path());
    assert_eq!(log.store.log.prefix("e").count(), 2);
    assert_eq!(log.store.log.prefix("o").count(), 3);
    assert_eq!(read_all(&*log, &kept, P0).await, ["b", "a", "b"]);
}

#[tokio::test]
async fn one_append_of_many_megabytes_is_read_in_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let topic = log.create_topic(&name("t"), partitions(1)).await.unwrap();
    let big = Bytes::from(vec![b'x'; 1 << 20]);
    let records = (0..20).map(|_| NewRecord { value: Some(big.clone()), ..value("") }).collect();
    let appended = log.append(&name("t"), records, None).await.unwrap();
    assert_eq!(appended[&P0], OffsetRange::new(Offset::ZERO, Offset::new(20)));
    let some = log.read(&topic, P0, OffsetRange::new(Offset::new(5), Offset::new(20)), 3 << 20).await.unwrap();
    assert_eq!(some.range, OffsetRange::new(Offset::new(5), Offset::new(8)));
    assert!(log.store.log.prefix("e").count() >= 20, "large entries are cut");
}

/// One step of a random life of a log.
#[derive(Debug, Clone)]
enum Step {
    Append(Vec<(u32, u16)>),
    Trim(u32, u64),
    Restart,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec((0u32..2, 0u16..300), 1..12).prop_map(Step::Append),
        2 => (0u32..2, 0u64..60).prop_map(|(partition, before)| Step::Trim(partition, before)),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_log_holds_what_was_appended_and_not_trimmed(steps in prop::collection::vec(any_step(), 1..20), from in 0u64..40) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let mut log = open(folder.path());
            let topic = log.create_topic(&name("t"), partitions(2)).await.unwrap();
            let mut model: [(u64, Vec<String>); 2] = Default::default();
            for step in steps {
                match step {
                    Step::Append(records) => {
                        let text = |(p, len): &(u32, u16)| format!("{p}{}", "x".repeat(*len as usize));
                        let new = records.iter().map(|record| at(record.0, &text(record))).collect();
                        let appended = log.append(&name("t"), new, None).await.unwrap();
                        for (p, range) in appended {
                            prop_assert_eq!(range.from.get(), model[p.0 as usize].1.len() as u64);
                        }
                        records.iter().for_each(|record| model[record.0 as usize].1.push(text(record)));
                    }
                    Step::Trim(p, before) => {
                        log.trim(&topic, Partition(p), Offset::new(before)).await.unwrap();
                        let (earliest, all) = &mut model[p as usize];
                        *earliest = before.clamp(*earliest, all.len() as u64);
                    }
                    Step::Restart => {
                        drop(log);
                        log = open(folder.path());
                    }
                }
                for (p, (earliest, all)) in model.iter().enumerate() {
                    let p = Partition(p as u32);
                    let held = log.ranges(&name("t")).await.unwrap()[&p];
                    prop_assert_eq!((held.earliest.get(), held.end.get()), (*earliest, all.len() as u64));
                    prop_assert_eq!(read_all(&*log, &topic, p).await, &all[*earliest as usize..]);
                    let start = from.clamp(*earliest, all.len() as u64);
                    let rest = log.read(&topic, p, OffsetRange::new(Offset::new(start), held.end), 500).await.unwrap();
                    prop_assert_eq!(rest.values().len(), rest.range.len() as usize);
                    prop_assert!(conformance::values(&rest).iter().eq(all[start as usize..].iter().take(rest.len())));
                }
            }
            Ok(())
        })?;
    }
}
