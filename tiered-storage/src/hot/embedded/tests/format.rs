//! Format 1 is frozen: a log that was written when it was new is read. `fixture/v1` was made by `writes_the_fixture` and is never
//! made again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::{P0, open};
use crate::hot::conformance::{at, name, read_all};
use crate::hot::embedded::EmbeddedLog;
use crate::{
    AppendKey, HotLog, HotRange, ManualClock, NewRecord, Offset, OffsetRange, Partition, Timestamp, TopicConfig,
    TopicSchema,
};

const P1: Partition = Partition(1);

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/hot/embedded/fixture/v1")
}

fn start() -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000)
}

fn config() -> TopicConfig {
    TopicConfig {
        partitions: 2,
        retention_ms: Some(60_000),
        retention_bytes: Some(1_000_000),
        key: vec!["id".into()],
        schema: Some(TopicSchema::parse(json!({"properties": {"id": {"type": "string"}}})).unwrap()),
        ..TopicConfig::default()
    }
}

fn once() -> Option<AppendKey> {
    Some(AppendKey { key: "the-key".into(), body_digest: [3; 32] })
}

fn full() -> NewRecord {
    NewRecord {
        partition: Some(P1),
        key: Some(Bytes::from_static(b"k")),
        value: Some(Bytes::from_static(b"v")),
        headers: vec![("h".into(), Some(Bytes::from_static(b"1"))), ("n".into(), None)],
        timestamp: Some(Timestamp::from_micros(-7)),
    }
}

/// Longer than what the tree holds itself.
fn long() -> String {
    "long".repeat(1_000)
}

async fn fill(path: &Path) {
    let log = EmbeddedLog::open(path, Arc::new(ManualClock::at(start()))).unwrap();
    let topic = log.create_topic(&name("ticks"), config()).await.unwrap();
    log.append(&topic.name, vec![at(0, "a"), at(0, "b"), full()], once()).await.unwrap();
    log.append(&topic.name, vec![at(0, &long()), NewRecord { value: None, ..full() }], None).await.unwrap();
    log.trim(&topic, P0, Offset::new(1)).await.unwrap();
    log.store.log.rotate_memtable_and_wait().unwrap();
    log.append(&topic.name, vec![at(0, "c")], None).await.unwrap();
    drop(log);
    // The journal is cut to what it holds when it is opened again.
    drop(open(path));
}

async fn check(path: &Path) {
    let log = EmbeddedLog::open(path, Arc::new(ManualClock::at(start()))).unwrap();
    let topic = log.topic(&name("ticks")).await.unwrap();
    assert_eq!(topic.config, config());
    assert_eq!(read_all(&*log, &topic, P0).await, ["b", &long(), "c"]);
    let held = log.ranges(&topic.name).await.unwrap()[&P0];
    assert_eq!(held, HotRange { earliest: Offset::new(1), end: Offset::new(4) });
    let range = OffsetRange::new(Offset::ZERO, Offset::new(2));
    let batch = log.read(&topic, P1, range, 1 << 20).await.unwrap();
    assert_eq!(batch.values().iter().collect::<Vec<_>>(), [Some(&b"v"[..]), None]);
    assert_eq!(batch.keys().iter().collect::<Vec<_>>(), [Some(&b"k"[..]); 2]);
    assert_eq!(batch.timestamps().values(), &[-7, -7]);
    assert_eq!(
        arrow::util::display::array_value_to_string(batch.headers(), 0).unwrap(),
        "[{key: h, value: 31}, {key: n, value: }]"
    );
    let again = log.append(&topic.name, vec![], once()).await.unwrap();
    assert_eq!(again[&P0], OffsetRange::new(Offset::ZERO, Offset::new(2)), "the answer of its idempotency key");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for found in std::fs::read_dir(from).unwrap() {
        let found = found.unwrap();
        let (from, to) = (found.path(), to.join(found.file_name()));
        if from.is_dir() { copy(&from, &to) } else { std::fs::copy(from, to).map(drop).unwrap() }
    }
}

#[tokio::test]
async fn a_log_of_format_1_is_read() {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture(), folder.path());
    check(folder.path()).await;
}

#[tokio::test]
async fn a_log_written_now_reads_the_same() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path()).await;
    check(folder.path()).await;
}

#[tokio::test]
#[ignore = "the fixture is frozen; run this only for a new format, into a new folder"]
async fn writes_the_fixture() {
    assert!(!fixture().exists(), "a frozen fixture is never written again");
    fill(&fixture()).await;
}
