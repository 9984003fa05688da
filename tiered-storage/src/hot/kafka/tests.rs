mod identity;
mod transactions;

// The harness of the whole system's tests, taken in as it is.
#[path = "../../../../tests/src/kafka.rs"]
#[allow(dead_code, unreachable_pub, reason = "rooms need a part of it")]
mod broker;
#[path = "../../../../tests/src/maven.rs"]
mod maven;
#[path = "../../../../tests/src/target.rs"]
#[allow(unreachable_pub, reason = "the harness shows it")]
mod target;

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::hot::conformance::{self, Fresh, at, name, partitions, read_all, value};
use crate::{SystemClock, TopicSchema};
use broker::Kafka;

const P0: Partition = Partition(0);
const ANY: usize = 1 << 20;

fn settings(bootstrap: &str, folder: &TempDir) -> KafkaSettings {
    let folder = folder.path().to_owned();
    KafkaSettings { bootstrap: bootstrap.to_owned(), properties: BTreeMap::new(), folder }
}

/// A log on a broker, as a process that starts now opens it.
async fn open(kafka: &Kafka, folder: &TempDir) -> Arc<KafkaLog> {
    KafkaLog::open(settings(&kafka.bootstrap(), folder), Arc::new(SystemClock)).await.unwrap()
}

/// A log on the shared broker, and a prefix that nobody else uses.
async fn shared() -> (Arc<KafkaLog>, String, TempDir) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let kafka = tokio::task::spawn_blocking(Kafka::shared).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let prefix = format!("test{}-", COUNT.fetch_add(1, Ordering::Relaxed));
    (open(kafka, &folder).await, prefix, folder)
}

fn range(from: u64, to: u64) -> OffsetRange {
    OffsetRange::new(Offset::new(from), Offset::new(to))
}

/// Asks again until the answer is there; fails after 60 s with what was said last.
async fn until<T, E: std::fmt::Debug>(what: &str, mut probe: impl AsyncFnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match probe().await {
            Ok(answer) => return answer,
            Err(not_yet) if Instant::now() > deadline => panic!("waited until {what}: {not_yet:?}"),
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kafka_log_is_a_hot_log() {
    let folders = std::sync::Mutex::new(Vec::new());
    conformance::run(async || {
        let (log, prefix, folder) = shared().await;
        folders.lock().unwrap().push(folder);
        Fresh { log, prefix, tick_micros: 1000, keeps_old_times: false }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_with_a_key_happens_once_across_restarts_and_front_ends() {
    let (log, prefix, folder) = shared().await;
    let name = name(&format!("{prefix}t"));
    let topic = log.create_topic(&name, partitions(2)).await.unwrap();
    let once = Some(AppendKey { key: "k".into(), body_digest: [7; 32] });
    let records = || vec![at(0, "a"), at(1, "b"), at(0, "c")];
    let first = log.append(&name, records(), once.clone()).await.unwrap();
    drop(log);
    let again = open(Kafka::shared(), &folder).await;
    assert_eq!(again.append(&name, records(), once.clone()).await.unwrap(), first);
    let other_folder = tempfile::tempdir().unwrap();
    let other = open(Kafka::shared(), &other_folder).await;
    assert_eq!(other.append(&name, records(), once).await.unwrap(), first);
    assert_eq!(read_all(&*other, &topic, P0).await, ["a", "c"]);
    // The answer of one is found by the other at once, while its commit may not be readable yet.
    for n in 0..10 {
        let once = Some(AppendKey { key: format!("at once {n}"), body_digest: [7; 32] });
        let first = again.append(&name, records(), once.clone()).await.unwrap();
        assert_eq!(other.append(&name, records(), once).await.unwrap(), first);
    }
    assert_eq!(read_all(&*other, &topic, P0).await.len(), 2 + 2 * 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_fields_and_schema_are_seen_by_every_front_end_and_settings_of_others_stay() {
    let (log, prefix, _folder) = shared().await;
    let folder = tempfile::tempdir().unwrap();
    let other = open(Kafka::shared(), &folder).await;
    let name = name(&format!("{prefix}t"));
    let schema = TopicSchema::parse(json!({"type": "object", "properties": {"id": {"type": "string"}}})).unwrap();
    let config =
        TopicConfig { retention_ms: Some(60_000), key: vec!["id".into()], schema: Some(schema), ..partitions(2) };
    let made = log.create_topic(&name, config.clone()).await.unwrap();
    assert_eq!(made.config, config);
    assert_eq!(other.topic(&name).await.unwrap(), made);
    let longer = TopicConfig { retention_ms: None, retention_bytes: Some(1 << 20), ..config };
    let altered = other.alter_topic(&name, longer.clone()).await.unwrap();
    assert_eq!(altered, Topic { config: longer, ..made.clone() });
    until("the first one sees it", async || {
        let seen = log.topic(&name).await.unwrap();
        if seen == altered { Ok(()) } else { Err(seen) }
    })
    .await;
    log.delete_topic(&name).await.unwrap();
    let anew = log.create_topic(&name, partitions(2)).await.unwrap();
    assert_eq!(anew.config, partitions(2), "a topic that is made again does not inherit the schema");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_added_while_readers_run_are_read_too() {
    let (log, prefix, _folder) = shared().await;
    let (name, folder) = (name(&format!("{prefix}t")), tempfile::tempdir().unwrap());
    let topic = log.create_topic(&name, partitions(1)).await.unwrap();
    log.append(&name, vec![value("a")], None).await.unwrap();
    assert_eq!(read_all(&*log, &topic, P0).await, ["a"]);
    let other = open(Kafka::shared(), &folder).await;
    other.alter_topic(&name, partitions(3)).await.unwrap();
    other.append(&name, vec![at(2, "b")], None).await.unwrap();
    until("the new partitions are seen", async || {
        let ranges = log.ranges(&name).await.unwrap();
        if ranges.len() == 3 && ranges[&Partition(2)].end == Offset::new(1) { Ok(()) } else { Err(ranges) }
    })
    .await;
    assert_eq!(read_all(&*log, &topic, Partition(2)).await, ["b"]);
    assert_eq!(log.ranges(&name).await.unwrap()[&Partition(1)].end, Offset::ZERO);
    // Whoever appended before there were more appends to the new ones at once, with a key and without.
    log.append(&name, vec![at(0, "c"), at(1, "d")], None).await.unwrap();
    log.append(&name, vec![at(0, "e")], Some(AppendKey { key: "k".into(), body_digest: [7; 32] })).await.unwrap();
    log.alter_topic(&name, partitions(4)).await.unwrap();
    let once = Some(AppendKey { key: "l".into(), body_digest: [7; 32] });
    log.append(&name, vec![at(3, "f"), at(3, "g")], once).await.unwrap();
    assert_eq!(read_all(&*log, &topic, Partition(1)).await, ["d"]);
    assert_eq!(read_all(&*log, &topic, Partition(3)).await, ["f", "g"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_not_there_and_credentials_that_are_wrong_are_named() {
    let (_, _, folder) = shared().await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let refused = KafkaLog::open(settings("127.0.0.1:1", &folder), clock.clone()).await.err().unwrap();
    let said = full(&refused);
    assert!(said.contains("127.0.0.1:1") && said.contains("refused") && said.contains("log.bootstrap"), "{said}");

    let login = |password: &str| {
        let mut settings = settings(&Kafka::shared().sasl_bootstrap(), &folder);
        let login = [("sasl.username", "rekap"), ("sasl.password", password), ("sasl.mechanism", "PLAIN")];
        settings.properties = login.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        settings.properties.insert("security.protocol".into(), "sasl_plaintext".into());
        settings
    };
    let began = Instant::now();
    let said = full(&KafkaLog::open(login("wrong"), clock.clone()).await.err().unwrap());
    assert!(said.contains("uthentication failed") && said.contains("sasl.password"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(8), "a refused login is told at once");
    let log = KafkaLog::open(login("secret"), clock.clone()).await.unwrap();
    log.topics().await.unwrap();

    let mut own = settings(&Kafka::shared().bootstrap(), &folder);
    own.properties.insert("isolation.level".into(), "read_uncommitted".into());
    let refused = KafkaLog::open(own, clock.clone()).await.err().unwrap();
    assert!(matches!(&refused, LogError::Invalid(said) if said.contains("isolation.level")), "{refused}");
    let mut unknown = settings(&Kafka::shared().bootstrap(), &folder);
    unknown.properties.insert("no.such.thing".into(), "1".into());
    let refused = KafkaLog::open(unknown, clock).await.err().unwrap();
    assert!(matches!(&refused, LogError::Invalid(said) if said.contains("no.such.thing")), "{refused}");
}

/// An error with all that it is caused by.
fn full(error: &LogError) -> String {
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_and_started_again_loses_and_doubles_nothing() {
    let kafka = tokio::task::spawn_blocking(Kafka::start).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let log = open(&kafka, &folder).await;
    let topic = log.create_topic(&name("t"), partitions(1)).await.unwrap();
    let sent = Arc::new(AtomicU32::new(0));
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let sender = {
        let (log, sent, stop) = (log.clone(), sent.clone(), stop.clone());
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let next = sent.load(Ordering::Relaxed);
                log.append(&name("t"), vec![value(&next.to_string())], None).await.unwrap();
                sent.store(next + 1, Ordering::Relaxed);
            }
            sent.load(Ordering::Relaxed)
        })
    };
    let reaches = async |count: u32| {
        until("more is sent", async || {
            let now = sent.load(Ordering::Relaxed);
            if now >= count { Ok(()) } else { Err(now) }
        })
        .await;
    };
    // A reader's progress is told all the while: for tools, so what becomes of it does not matter.
    let telling = {
        let (log, stop) = (log.clone(), stop.clone());
        tokio::spawn(async move {
            let at = "t/0=1".parse().unwrap();
            while !stop.load(Ordering::Relaxed) {
                _ = log.note_progress("reader", &at).await;
                tokio::time::sleep(LOOK_EVERY).await;
            }
        })
    };
    reaches(50).await;
    assert!(read_all(&*log, &topic, P0).await.len() >= 50);
    let kafka = tokio::task::spawn_blocking(move || {
        kafka.kill();
        kafka.launch();
        kafka
    })
    .await
    .unwrap();
    reaches(sent.load(Ordering::Relaxed) + 50).await;
    stop.store(true, Ordering::Relaxed);
    let count = sender.await.unwrap();
    telling.await.unwrap();
    let expected: Vec<_> = (0..count).map(|i| i.to_string()).collect();
    assert_eq!(read_all(&*log, &topic, P0).await, expected);
    drop(kafka);
}
