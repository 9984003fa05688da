//! Figures, printed: `cargo test --release -p rekap-tiered-storage --lib speed -- --ignored --nocapture --test-threads 1`.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::{P0, open};
use crate::hot::conformance::{name, partitions, value};
use crate::{HotLog, NewRecord, Offset, OffsetRange, Topic};

const EVENT: &str = r#"{"auction":1017,"bidder":2043,"price":1234567,"channel":"Google","url":"https://www.nexmark.com/item","at":1436918400123,"extra":"abcdefghij"}"#;

fn say(what: &str, records: usize, since: Instant) {
    let seconds = since.elapsed().as_secs_f64();
    println!("{what}: {records} in {seconds:.3} s, {:.0}/s", records as f64 / seconds);
}

async fn read_whole(log: &dyn HotLog, topic: &Topic, what: &str) {
    let end = log.ranges(&topic.name).await.unwrap()[&P0].end;
    let (started, mut from) = (Instant::now(), Offset::ZERO);
    while from < end {
        from = log.read(topic, P0, OffsetRange::new(from, end), 8 << 20).await.unwrap().range.to;
    }
    say(what, end.get() as usize, started);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures"]
async fn appends_and_reads() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let large = log.create_topic(&name("large"), partitions(1)).await.unwrap();
    let record = NewRecord { value: Some(Bytes::from_static(EVENT.as_bytes())), ..value("") };
    let started = Instant::now();
    for _ in 0..100 {
        log.append(&large.name, vec![record.clone(); 10_000], None).await.unwrap();
    }
    say("appended in batches of 10,000", 1_000_000, started);
    read_whole(&*log, &large, "read of large entries").await;

    let small = log.create_topic(&name("small"), partitions(1)).await.unwrap();
    let started = Instant::now();
    let senders = (0..64).map(|_| {
        let (log, record): (Arc<dyn HotLog>, _) = (log.clone(), record.clone());
        tokio::spawn(async move {
            for _ in 0..500 {
                log.append(&name("small"), vec![record.clone()], None).await.unwrap();
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.unwrap();
    }
    say("appended one by one by 64 senders", 32_000, started);
    let started = Instant::now();
    for _ in 0..200 {
        log.append(&small.name, vec![record.clone()], None).await.unwrap();
    }
    say("appended one by one by one sender", 200, started);
    read_whole(&*log, &small, "read of small entries").await;
}
