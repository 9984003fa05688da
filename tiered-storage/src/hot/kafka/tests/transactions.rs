//! Caught up is right where others leave open, give up or end transactions, and where compaction leaves holes.

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::*;

/// Somebody else's transactional producer.
struct Other(BaseProducer);

impl Other {
    fn new(id: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", Kafka::shared().bootstrap()).set("transactional.id", id);
        let producer: BaseProducer = config.create().unwrap();
        producer.init_transactions(STEP).unwrap();
        Other(producer)
    }

    fn begin(&self, topic: &TopicName, values: &[&str]) {
        self.0.begin_transaction().unwrap();
        for value in values {
            self.0
                .send(BaseRecord::<(), str>::to(topic.as_str()).partition(0).payload(*value))
                .map_err(|(e, _)| e)
                .unwrap();
        }
        self.0.flush(STEP).unwrap();
    }

    fn commit(&self) {
        self.0.commit_transaction(STEP).unwrap();
    }

    fn abort(&self) {
        self.0.abort_transaction(STEP).unwrap();
    }
}

const STEP: Duration = Duration::from_secs(20);

async fn end(log: &KafkaLog, name: &TopicName, end: u64) {
    until("the end is there", async || {
        let held = log.ranges(name).await.unwrap()[&P0];
        if held.end == Offset::new(end) { Ok(()) } else { Err(held) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_aborted_below_a_hanging_one_is_passed_and_the_hanging_one_is_shown() {
    let (log, prefix, _folder) = shared().await;
    let name = name(&format!("{prefix}t"));
    let topic = log.create_topic(&name, partitions(2)).await.unwrap();
    log.append(&name, vec![at(0, "a")], None).await.unwrap();
    assert_eq!(read_all(&*log, &topic, P0).await, ["a"], "a cursor stands at the end");

    let (one, two) = (Other::new(&format!("{prefix}one")), Other::new(&format!("{prefix}two")));
    one.begin(&name, &["x", "y"]);
    one.abort();
    two.begin(&name, &["z"]);
    // a x y marker z: the end for readers is z's offset.
    end(&log, &name, 4).await;
    for from in 0..4 {
        let batch = log.read(&topic, P0, range(from, 4), ANY).await.unwrap();
        let (covered, values) = (batch.range, conformance::values(&batch));
        let all = read_all(&*log, &topic, P0).await;
        assert_eq!(
            (covered.from.get(), values, all),
            (from, vec!["a".to_owned(); usize::from(from == 0)], vec!["a".to_owned()])
        );
    }
    assert_eq!(
        log.read(&topic, P0, range(1, 4), ANY).await.unwrap().range,
        range(1, 4),
        "nothing is there, and it is covered"
    );
    let held = until("the hanging transaction is seen", async || {
        log.held_back(&name).await.unwrap().get(&P0).copied().ok_or("none")
    })
    .await;
    assert_eq!((held.end.get(), held.high_watermark.get()), (4, 5));
    let since = held.since;
    assert!(!log.held_back(&name).await.unwrap().contains_key(&Partition(1)), "an empty partition is not held back");
    log.append(&name, vec![at(0, "b")], None).await.unwrap();
    end(&log, &name, 4).await;
    until("the high watermark moves on and the time stays", async || {
        let held = log.held_back(&name).await.unwrap()[&P0];
        if (held.high_watermark.get(), held.since) == (6, since) { Ok(()) } else { Err(held) }
    })
    .await;

    two.abort();
    // a x y marker z b marker.
    end(&log, &name, 7).await;
    assert_eq!(log.read(&topic, P0, range(4, 7), ANY).await.unwrap().range, range(4, 7));
    assert_eq!(read_all(&*log, &topic, P0).await, ["a", "b"]);
    until("nothing is held back any more", async || {
        let held = log.held_back(&name).await.unwrap();
        if held.is_empty() { Ok(()) } else { Err(held) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_ends_in_a_marker_is_read_to_its_end() {
    let (log, prefix, _folder) = shared().await;
    let name = name(&format!("{prefix}t"));
    let topic = log.create_topic(&name, partitions(1)).await.unwrap();
    let other = Other::new(&format!("{prefix}other"));
    let mut expected = Vec::new();
    for (i, commits) in [true, false, true, true, false].into_iter().enumerate() {
        let value = i.to_string();
        other.begin(&name, &[&value]);
        if commits {
            other.commit();
            expected.push(value);
        } else {
            other.abort();
        }
        let at = 2 * (i as u64 + 1);
        end(&log, &name, at).await;
        assert_eq!(read_all(&*log, &topic, P0).await, expected);
        let last = log.read(&topic, P0, range(at - 1, at), ANY).await.unwrap();
        assert_eq!((last.range, last.len()), (range(at - 1, at), 0), "the marker alone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_topic_is_covered_without_its_holes() {
    let (log, prefix, _folder) = shared().await;
    let name = name(&format!("{prefix}t"));
    let settings = [
        ("cleanup.policy", "compact".to_owned()),
        ("segment.ms", "100".to_owned()),
        ("min.cleanable.dirty.ratio", "0.01".to_owned()),
        ("max.compaction.lag.ms", "200".to_owned()),
    ];
    log.cluster.create(&name, 1, &settings).await.unwrap();
    let topic = log.shown(&name, 1).await.unwrap();
    assert_eq!(topic.config.retention_ms, None, "compaction has no age");
    let keyed = |key: u32, i: u32| NewRecord { key: Some(format!("k{key}").into()), ..value(&format!("{key}/{i}")) };
    let mut round = 0;
    let read = until("the log is compacted", async || {
        // A record in a new segment lets the ones before it be compacted.
        let records = (0..20).map(|i| keyed(i % 5, round * 20 + i)).collect();
        round += 1;
        log.append(&name, records, None).await.unwrap();
        let read = read_all(&*log, &topic, P0).await;
        if (read.len() as u32) < round * 20 { Ok(read) } else { Err(read.len()) }
    })
    .await;
    let held = log.ranges(&name).await.unwrap()[&P0];
    assert_eq!(held.end, Offset::new(u64::from(round) * 20), "the end does not move by compaction");
    for key in 0..5 {
        let last = read.iter().rfind(|text| text.starts_with(&format!("{key}/"))).unwrap();
        assert_eq!(*last, format!("{key}/{}", (round - 1) * 20 + 15 + key), "the last record of each key is there");
    }
    // Any place, in a hole too, can be read from and to.
    let mut from = held.earliest;
    let mut pieces = Vec::new();
    while from < held.end {
        let to = from.plus(7).min(held.end);
        let batch = log.read(&topic, P0, OffsetRange::new(from, to), ANY).await.unwrap();
        pieces.extend(conformance::values(&batch));
        from = batch.range.to;
    }
    assert!(pieces.len() <= read.len() && pieces.ends_with(&read[read.len() - 5..]), "{pieces:?} {read:?}");
}
