//! What every [`HotLog`] keeps to, as one suite that runs on any of them.
//!
//! An implementation is tested by calling [`run`] with a way to make a [`Fresh`] log. Offsets of an implementation may have holes, so
//! the suite compares records and orders, and looks at plain numbers only through the offsets that appends answered.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray};
use bytes::Bytes;

use super::{AppendKey, Appended, HotLog, NewRecord};
use crate::{
    LogBatch, LogError, Offset, OffsetRange, Partition, Timestamp, Topic, TopicConfig, TopicName, partition_of,
};

const P0: Partition = Partition(0);
const ANY: usize = 1 << 20;

/// A log in which nobody else uses names that begin with `prefix`.
pub(crate) struct Fresh {
    /// The log.
    pub(crate) log: Arc<dyn HotLog>,
    /// What the names of all topics of the suite begin with.
    pub(crate) prefix: String,
    /// The log's unit of time, in µs.
    pub(crate) tick_micros: i64,
    /// Whether times before 1970 can be kept.
    pub(crate) keeps_old_times: bool,
}

impl Fresh {
    /// An empty log that keeps every time as it is.
    pub(crate) fn own(log: Arc<dyn HotLog>) -> Self {
        Fresh { log, prefix: String::new(), tick_micros: 1, keeps_old_times: true }
    }

    fn name(&self, name: &str) -> TopicName {
        self::name(&format!("{}{name}", self.prefix))
    }

    fn time(&self, ticks: i64) -> Timestamp {
        Timestamp::from_micros(ticks * self.tick_micros)
    }

    async fn topics(&self) -> Vec<Topic> {
        let mut all = self.log.topics().await.unwrap();
        all.retain(|topic| topic.name.as_str().starts_with(&self.prefix));
        all
    }
}

/// A record with that value and nothing else.
pub(crate) fn value(value: &str) -> NewRecord {
    let value = Some(Bytes::copy_from_slice(value.as_bytes()));
    NewRecord { partition: None, key: None, value, headers: Vec::new(), timestamp: None }
}

/// A record for one partition.
pub(crate) fn at(partition: u32, text: &str) -> NewRecord {
    NewRecord { partition: Some(Partition(partition)), ..value(text) }
}

/// A configuration without schema, key or retention.
pub(crate) fn partitions(partitions: u32) -> TopicConfig {
    TopicConfig { partitions, ..TopicConfig::default() }
}

/// A topic's name.
pub(crate) fn name(name: &str) -> TopicName {
    name.parse().expect("a topic's name")
}

/// The values of a batch.
pub(crate) fn values(batch: &LogBatch) -> Vec<String> {
    batch.values().iter().map(|value| String::from_utf8(value.expect("a value").to_vec()).expect("text")).collect()
}

/// All that a partition holds.
pub(crate) async fn read_all(log: &dyn HotLog, topic: &Topic, partition: Partition) -> Vec<String> {
    let held = log.ranges(&topic.name).await.unwrap()[&partition];
    let (mut from, mut all) = (held.earliest, Vec::new());
    while from < held.end {
        let batch = log.read(topic, partition, OffsetRange::new(from, held.end), ANY).await.unwrap();
        assert!(batch.range.from == from && batch.range.to > from, "a read covers something");
        all.extend(values(&batch));
        from = batch.range.to;
    }
    all
}

/// Runs the whole suite; each part gets its own log.
pub(crate) async fn run<F: Future<Output = Fresh>>(fresh: impl Fn() -> F) {
    topics_are_made_found_changed_and_deleted(&fresh().await).await;
    retention_is_doubled_up_to_a_limit_and_nothing_else_changes(&fresh().await).await;
    a_topic_made_again_is_another_one(&fresh().await).await;
    records_come_back_as_they_were_appended(&fresh().await).await;
    keys_and_turns_choose_the_partition(&fresh().await).await;
    a_read_is_bounded_and_goes_on_where_it_stopped(&fresh().await).await;
    what_is_not_held_is_out_of_range(&fresh().await).await;
    an_append_with_a_key_happens_once(&fresh().await).await;
    a_bad_append_changes_nothing(&fresh().await).await;
    a_time_leads_to_the_first_record_that_is_not_older(&fresh().await).await;
    trimming_goes_down_to_the_last_record(&fresh().await).await;
    appends_wake_readers(&fresh().await).await;
    appends_at_once_are_all_there_in_their_own_order(&fresh().await).await;
}

async fn topics_are_made_found_changed_and_deleted(own: &Fresh) {
    let log = &*own.log;
    assert_eq!(own.topics().await, []);
    let b = log.create_topic(&own.name("b"), partitions(1)).await.unwrap();
    let a = log.create_topic(&own.name("a"), partitions(2)).await.unwrap();
    assert_eq!(own.topics().await, [a.clone(), b.clone()]);
    assert!(matches!(log.create_topic(&own.name("a"), partitions(2)).await, Err(LogError::TopicExists(_))));
    let grown = log.alter_topic(&own.name("a"), partitions(3)).await.unwrap();
    assert_eq!((grown.incarnation, grown.config.partitions), (a.incarnation, 3));
    assert_eq!(log.topic(&own.name("a")).await.unwrap(), grown);
    assert_eq!(log.ranges(&own.name("a")).await.unwrap().len(), 3);
    assert!(matches!(log.alter_topic(&own.name("a"), partitions(2)).await, Err(LogError::Invalid(_))));
    assert!(matches!(log.create_topic(&own.name("c"), partitions(0)).await, Err(LogError::Invalid(_))));
    log.delete_topic(&own.name("a")).await.unwrap();
    assert!(matches!(log.topic(&own.name("a")).await, Err(LogError::UnknownTopic(_))));
    assert!(matches!(log.delete_topic(&own.name("a")).await, Err(LogError::UnknownTopic(_))));
    assert_eq!(own.topics().await, [b]);
}

async fn retention_is_doubled_up_to_a_limit_and_nothing_else_changes(own: &Fresh) {
    let log = &*own.log;
    let config = TopicConfig { retention_ms: Some(100_000), retention_bytes: Some(1 << 30), ..partitions(2) };
    let first = log.create_topic(&own.name("t"), config.clone()).await.unwrap();
    assert_eq!(log.double_retention(&first, 300_000).await.unwrap(), Some((100_000, 200_000)));
    assert_eq!(log.double_retention(&first, 300_000).await.unwrap(), None, "it is not what the caller knows");
    let second = log.topic(&own.name("t")).await.unwrap();
    assert_eq!(second.config, TopicConfig { retention_ms: Some(200_000), ..config });
    assert_eq!(log.double_retention(&second, 300_000).await.unwrap(), Some((200_000, 300_000)));
    let third = log.topic(&own.name("t")).await.unwrap();
    assert_eq!(log.double_retention(&third, 300_000).await.unwrap(), None, "that is the limit");
    let kept = log.create_topic(&own.name("kept"), TopicConfig { retention_ms: None, ..partitions(1) }).await.unwrap();
    assert_eq!(log.double_retention(&kept, 300_000).await.unwrap(), None);
}

async fn a_topic_made_again_is_another_one(own: &Fresh) {
    let log = &*own.log;
    let old = log.create_topic(&own.name("t"), partitions(1)).await.unwrap();
    log.append(&own.name("t"), vec![value("old")], None).await.unwrap();
    log.delete_topic(&own.name("t")).await.unwrap();
    let new = log.create_topic(&own.name("t"), partitions(1)).await.unwrap();
    assert_ne!(old.incarnation, new.incarnation);
    assert_eq!(read_all(log, &new, P0).await, Vec::<String>::new());
    let range = OffsetRange::new(Offset::ZERO, Offset::new(1));
    assert!(matches!(log.read(&old, P0, range, ANY).await, Err(LogError::Diverged { .. })));
    assert!(matches!(log.trim(&old, P0, Offset::new(1)).await, Err(LogError::Diverged { .. })));
}

async fn records_come_back_as_they_were_appended(own: &Fresh) {
    let log = &*own.log;
    let topic = log.create_topic(&own.name("t"), partitions(1)).await.unwrap();
    let text = |text: &'static str| Bytes::from_static(text.as_bytes());
    let full_time = own.time(if own.keeps_old_times { -5 } else { 5 });
    let full = NewRecord {
        partition: Some(P0),
        key: Some(text("k")),
        value: Some(text("grüß 🛹")),
        headers: vec![("a".into(), Some(text("1"))), ("a".into(), None), ("".into(), Some(text("")))],
        timestamp: Some(full_time),
    };
    let tombstone = NewRecord { key: Some(text("")), value: None, headers: Vec::new(), ..full.clone() };
    let appended = log.append(&own.name("t"), vec![full, value(""), tombstone], None).await.unwrap();
    let held = log.ranges(&own.name("t")).await.unwrap()[&P0];
    assert_eq!(appended, Appended::from([(P0, OffsetRange::new(held.earliest, held.end))]));
    let batch = log.read(&topic, P0, appended[&P0], ANY).await.unwrap();
    assert_eq!(batch.range, appended[&P0]);
    assert_eq!(batch.keys().iter().collect::<Vec<_>>(), [Some(&b"k"[..]), None, Some(b"")]);
    assert_eq!(batch.values().iter().collect::<Vec<_>>(), [Some("grüß 🛹".as_bytes()), Some(b""), None]);
    let time = full_time.as_micros();
    assert_eq!((batch.timestamps().value(0), batch.timestamps().value(2)), (time, time));
    assert!(batch.timestamps().value(1) > 0, "a record without a time has the time of its append");
    assert!(batch.headers().is_null(1) || batch.headers().value(1).is_empty());
    let headers = batch.headers().value(0);
    let headers = headers.as_struct();
    assert_eq!(headers.column(0).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("a"), Some("a"), Some("")]);
    let header_values = headers.column(1).as_binary::<i32>();
    assert_eq!(header_values.iter().collect::<Vec<_>>(), [Some(&b"1"[..]), None, Some(b"")]);
}

async fn keys_and_turns_choose_the_partition(own: &Fresh) {
    let log = &*own.log;
    let topic = log.create_topic(&own.name("t"), partitions(3)).await.unwrap();
    let keyed = |i: u32| NewRecord { key: Some(Bytes::from(format!("k{}", i % 7))), ..value(&format!("{i}")) };
    log.append(&own.name("t"), (0..50).map(keyed).collect(), None).await.unwrap();
    for p in 0..3 {
        let expected = (0..50).filter(|i| partition_of(&keyed(*i).key.unwrap(), 3) == Partition(p));
        let expected: Vec<_> = expected.map(|i| i.to_string()).collect();
        assert_eq!(read_all(log, &topic, Partition(p)).await, expected, "the order of a key's records is kept");
    }
    let turns = log.append(&own.name("t"), (0..30).map(|i| value(&i.to_string())).collect(), None).await.unwrap();
    assert_eq!(turns.len(), 3, "records without a key go to all partitions");
}

async fn a_read_is_bounded_and_goes_on_where_it_stopped(own: &Fresh) {
    let log = &*own.log;
    let topic = log.create_topic(&own.name("t"), partitions(1)).await.unwrap();
    let texts: Vec<_> = (0..100).map(|i| format!("{i:010}")).collect();
    for chunk in texts.chunks(7) {
        log.append(&own.name("t"), chunk.iter().map(|text| value(text)).collect(), None).await.unwrap();
    }
    let held = log.ranges(&own.name("t")).await.unwrap()[&P0];
    for max_bytes in [0, 1, 10, 25, 1000, ANY] {
        let (mut from, mut all) = (held.earliest, Vec::new());
        while from < held.end {
            let batch = log.read(&topic, P0, OffsetRange::new(from, held.end), max_bytes).await.unwrap();
            assert!(!batch.is_empty() && batch.values().value_data().len() <= max_bytes.max(10) + 16 * 10);
            all.extend(values(&batch));
            from = batch.range.to;
        }
        assert_eq!(all, texts);
    }
    let second = log.read(&topic, P0, OffsetRange::new(held.earliest, held.end), 1).await.unwrap().range.to;
    let upto = log.read(&topic, P0, OffsetRange::new(held.earliest, second), ANY).await.unwrap();
    assert_eq!(
        (upto.range.to, values(&upto)),
        (second, vec![texts[0].clone()]),
        "a read stops at the end of its range"
    );
}

async fn what_is_not_held_is_out_of_range(own: &Fresh) {
    let log = &*own.log;
    let topic = log.create_topic(&own.name("t"), partitions(1)).await.unwrap();
    log.append(&own.name("t"), vec![value("a"), value("b")], None).await.unwrap();
    let held = log.ranges(&own.name("t")).await.unwrap()[&P0];
    let at_end = log.read(&topic, P0, OffsetRange::new(held.end, held.end.plus(9)), ANY).await.unwrap();
    assert!(at_end.is_empty() && at_end.range == OffsetRange::new(held.end, held.end));
    let past = OffsetRange::new(held.end.next(), held.end.plus(9));
    assert!(matches!(log.read(&topic, P0, past, ANY).await, Err(LogError::OutOfRange { .. })));
    let elsewhere = log.read(&topic, Partition(1), OffsetRange::new(Offset::ZERO, Offset::ZERO), ANY).await;
    assert!(matches!(elsewhere, Err(LogError::UnknownPartition { .. })));
    log.trim(&topic, P0, held.end).await.unwrap();
    let gone = OffsetRange::new(held.earliest, held.end);
    assert!(
        matches!(log.read(&topic, P0, gone, ANY).await, Err(LogError::OutOfRange { asked, .. }) if asked == gone.from)
    );
}

async fn an_append_with_a_key_happens_once(own: &Fresh) {
    let log = &*own.log;
    let topic = log.create_topic(&own.name("t"), partitions(2)).await.unwrap();
    let once = |key: &str, body: u8| Some(AppendKey { key: key.into(), body_digest: [body; 32] });
    let records = || vec![at(0, "a"), at(1, "b"), at(0, "c")];
    let first = log.append(&own.name("t"), records(), once("k", 1)).await.unwrap();
    assert_eq!(log.append(&own.name("t"), records(), once("k", 1)).await.unwrap(), first);
    assert!(
        matches!(log.append(&own.name("t"), records(), once("k", 2)).await, Err(LogError::KeyReused(key)) if key == "k")
    );
    assert_eq!(read_all(log, &topic, P0).await, ["a", "c"]);
    let next = log.append(&own.name("t"), records(), once("l", 1)).await.unwrap();
    assert_ne!(next, first);
    assert!(matches!(
        log.append(&own.name("t"), records(), once(&"x".repeat(100_000), 1)).await,
        Err(LogError::Invalid(_))
    ));
    let t = own.name("t");
    let (a, b) = tokio::join!(log.append(&t, records(), once("m", 1)), log.append(&t, records(), once("m", 1)));
    assert_eq!(a.unwrap(), b.unwrap(), "also when both wait at once");
    assert_eq!(read_all(log, &topic, Partition(1)).await, ["b", "b", "b"]);
}

async fn a_bad_append_changes_nothing(own: &Fresh) {
    let log = &*own.log;
    let topic = log.create_topic(&own.name("t"), partitions(2)).await.unwrap();
    let bad = log.append(&own.name("t"), vec![at(0, "a"), at(2, "b")], None).await;
    assert!(matches!(bad, Err(LogError::UnknownPartition { partition: Partition(2), last: Partition(1), .. })));
    assert!(matches!(log.append(&own.name("u"), vec![at(0, "a")], None).await, Err(LogError::UnknownTopic(_))));
    assert_eq!(log.append(&own.name("t"), vec![], None).await.unwrap(), Appended::new());
    assert!(read_all(log, &topic, P0).await.is_empty());
}

async fn a_time_leads_to_the_first_record_that_is_not_older(own: &Fresh) {
    let log = &*own.log;
    let topic = log.create_topic(&own.name("t"), partitions(1)).await.unwrap();
    let times = [10, 30, 20, 20, 50, 40, 70];
    let mut offsets = Vec::new();
    for time in times {
        let record = NewRecord { timestamp: Some(own.time(time)), ..value("x") };
        offsets.push(log.append(&own.name("t"), vec![record], None).await.unwrap()[&P0].from);
    }
    let end = log.ranges(&own.name("t")).await.unwrap()[&P0].end;
    for trimmed in 0..times.len() {
        log.trim(&topic, P0, offsets[trimmed]).await.unwrap();
        for time in 0..80 {
            let first = (trimmed..times.len()).find(|i| times[*i] >= time);
            let expected = first.map_or(end, |i| offsets[i]);
            let found = log.offset_at(&topic, P0, own.time(time)).await.unwrap();
            assert_eq!(found, expected, "time {time} with {trimmed} trimmed");
        }
    }
}

async fn trimming_goes_down_to_the_last_record(own: &Fresh) {
    let log = &*own.log;
    let topic = log.create_topic(&own.name("t"), partitions(2)).await.unwrap();
    log.append(&own.name("t"), vec![at(0, "a"), at(0, "b"), at(0, "c"), at(1, "d")], None).await.unwrap();
    let end = log.ranges(&own.name("t")).await.unwrap()[&P0].end;
    let second = log.read(&topic, P0, OffsetRange::new(Offset::ZERO, end), 1).await.unwrap().range.to;
    log.trim(&topic, P0, second).await.unwrap();
    assert_eq!(read_all(log, &topic, P0).await, ["b", "c"]);
    log.trim(&topic, P0, Offset::ZERO).await.unwrap();
    assert_eq!(log.ranges(&own.name("t")).await.unwrap()[&P0].earliest, second, "the earliest offset never goes back");
    log.trim(&topic, P0, end.plus(100)).await.unwrap();
    let held = log.ranges(&own.name("t")).await.unwrap()[&P0];
    assert_eq!((held.earliest, held.end), (end, end), "and never past the end");
    assert_eq!(read_all(log, &topic, Partition(1)).await, ["d"]);
    let next = log.append(&own.name("t"), vec![at(0, "e")], None).await.unwrap();
    assert!(next[&P0].from >= end);
    assert_eq!(read_all(log, &topic, P0).await, ["e"]);
}

async fn appends_wake_readers(own: &Fresh) {
    let log = &*own.log;
    log.create_topic(&own.name("t"), partitions(1)).await.unwrap();
    let mut appended = log.appended();
    appended.mark_unchanged();
    log.append(&own.name("t"), vec![value("a")], None).await.unwrap();
    let woken = tokio::time::timeout(Duration::from_secs(10), appended.changed()).await;
    woken.expect("a reader wakes").unwrap();
}

async fn appends_at_once_are_all_there_in_their_own_order(own: &Fresh) {
    let log = own.log.clone();
    let topic = log.create_topic(&own.name("t"), partitions(3)).await.unwrap();
    let sender = |sender: u32| {
        let (log, t) = (log.clone(), own.name("t"));
        tokio::spawn(async move {
            for i in 0..50 {
                let record =
                    NewRecord { key: Some(Bytes::from(format!("{sender}"))), ..value(&format!("{sender}/{i}")) };
                log.append(&t, vec![record], None).await.unwrap();
            }
        })
    };
    for sender in (0..8).map(sender).collect::<Vec<_>>() {
        sender.await.unwrap();
    }
    let mut all = Vec::new();
    for p in 0..3 {
        all.extend(read_all(&*log, &topic, Partition(p)).await);
    }
    assert_eq!(all.len(), 400);
    for sender in 0..8 {
        let prefix = format!("{sender}/");
        let own: Vec<_> = all.iter().filter_map(|text| text.strip_prefix(&prefix)).collect();
        assert_eq!(own, (0..50).map(|i| i.to_string()).collect::<Vec<_>>());
    }
}
