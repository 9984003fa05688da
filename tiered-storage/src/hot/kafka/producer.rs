//! Appends without a key: idempotent on the wire, acknowledged by all replicas in sync, each record for itself.
//!
//! A process that dies in an append leaves a part of it, and nobody was told that it is there. A broker that dies makes librdkafka send
//! again, for [`DELIVERY_MS`](super::settings) at most, and the broker drops what it has already.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use tokio::time::Instant;

use super::cluster::{ANSWER, Cluster, blocking};
use super::flight::{Flight, Landing};
use super::settings::KafkaSettings;
use super::watcher::Watcher;
use super::{LOOK_EVERY, SPREADS};
use crate::{Appended, LogError, NewRecord, Partition, Timestamp, TopicName, partition_of};

/// How long to wait before asking again whether there is room to send.
const ROOM: Duration = Duration::from_millis(100);

/// Sends records.
pub(super) struct Producer {
    cluster: Arc<Cluster>,
    settings: KafkaSettings,
    client: Mutex<Arc<ThreadedProducer<Watcher>>>,
    turns: Turns,
}

/// Whose turn it is among the partitions, for records without a key.
#[derive(Default)]
pub(super) struct Turns(AtomicU64);

impl Turns {
    /// The partition that a record goes to.
    pub(super) fn partition(&self, record: &NewRecord, partitions: u32) -> Partition {
        match (record.partition, &record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_of(key, partitions),
            (None, None) => Partition((self.0.fetch_add(1, Ordering::Relaxed) % u64::from(partitions)) as u32),
        }
    }
}

/// A client that sends, listening to its connection from now on.
pub(super) fn client(settings: &KafkaSettings, watcher: Watcher) -> Result<Arc<ThreadedProducer<Watcher>>, LogError> {
    let made = ThreadedProducer::from_config_and_context(&settings.producer(), watcher);
    made.map(Arc::new).map_err(|e| LogError::Invalid(format!("log.properties: {e}")))
}

impl Producer {
    pub(super) fn new(cluster: Arc<Cluster>, settings: KafkaSettings, client: Arc<ThreadedProducer<Watcher>>) -> Self {
        Producer { cluster, settings, client: Mutex::new(client), turns: Turns::default() }
    }

    /// Appends records, and answers once the fate of each is known.
    pub(super) async fn append(
        &self,
        topic: &TopicName,
        partitions: u32,
        records: Vec<NewRecord>,
    ) -> Result<Appended, LogError> {
        let client = self.client()?;
        let flight = Arc::new(Flight::default());
        let mut unsent = 0;
        let mut why = None;
        for record in &records {
            if why.is_none() {
                let partition = self.turns.partition(record, partitions);
                why = send(&flight, &client, topic, partition, record).await.err();
            }
            unsent += usize::from(why.is_some());
        }
        let mut landing = landing(&flight).await;
        landing.failed += unsent;
        self.answer(topic, landing, why)
    }

    /// The client; a new one where the old one cannot go on.
    fn client(&self) -> Result<Arc<ThreadedProducer<Watcher>>, LogError> {
        let mut present = self.client.lock().expect("no holder panics");
        if let Some((code, said)) = present.client().fatal_error() {
            tracing::warn!(%code, said, "the producer is made anew");
            *present = client(&self.settings, self.cluster.watcher.clone())?;
        }
        Ok(present.clone())
    }

    fn answer(&self, topic: &TopicName, landing: Landing, why: Option<KafkaError>) -> Result<Appended, LogError> {
        let Landing { appended, landed, failed, why: on_the_way } = landing;
        if failed == 0 {
            return Ok(appended);
        }
        let at_start = || why.map(|e| (e.rdkafka_error_code().unwrap_or(Code::Unknown), e.to_string()));
        let (code, said) = on_the_way.or_else(at_start).unwrap_or((Code::Unknown, "no reason is known".into()));
        if landed > 0 {
            return Err(LogError::PartialAppend { topic: topic.clone(), landed: appended, failed, reason: said });
        }
        Err(match code {
            Code::MessageSizeTooLarge => LogError::Invalid(format!(
                "topic `{topic}` does not take records of that size; raise its max.message.bytes, or send smaller ones"
            )),
            _ => self.cluster.unanswered(&format!("appending to topic `{topic}` of"), code, &said),
        })
    }
}

type Sent<'a> = BaseRecord<'a, [u8], [u8], Arc<Flight>>;

/// Hands one record to a client, waiting for room, and for the client to know the partition: it learns of one that was added to the
/// topic minutes later by itself.
pub(super) async fn send(
    flight: &Arc<Flight>,
    client: &Arc<ThreadedProducer<Watcher>>,
    topic: &TopicName,
    partition: Partition,
    record: &NewRecord,
) -> Result<(), KafkaError> {
    let until = Instant::now() + SPREADS;
    loop {
        flight.up();
        let error = match client.send(native(flight, topic, partition, record)) {
            Ok(()) => return Ok(()),
            Err((error, _)) => error,
        };
        flight.refused();
        match error.rdkafka_error_code() {
            Some(Code::QueueFull) => _ = tokio::time::timeout(ROOM, flight.moved.notified()).await,
            Some(Code::UnknownPartition) if Instant::now() < until => {
                let (client, topic) = (client.clone(), topic.clone());
                // Its answer is the client's to keep, and the next round shows what came of it.
                _ = blocking(move || client.client().fetch_metadata(Some(topic.as_str()), ANSWER).map(|_| ())).await;
                tokio::time::sleep(LOOK_EVERY).await;
            }
            _ => return Err(error),
        }
    }
}

/// Waits until nothing is in flight any more.
pub(super) async fn landing(flight: &Flight) -> Landing {
    loop {
        let moved = flight.moved.notified();
        if let Some(landing) = flight.landing() {
            return landing;
        }
        moved.await;
    }
}

fn native<'a>(flight: &Arc<Flight>, topic: &'a TopicName, partition: Partition, record: &'a NewRecord) -> Sent<'a> {
    let mut sent = BaseRecord::with_opaque_to(topic.as_str(), flight.clone()).partition(partition.0 as i32);
    sent.key = record.key.as_deref();
    sent.payload = record.value.as_deref();
    sent.timestamp = record.timestamp.map(milliseconds);
    if !record.headers.is_empty() {
        let none = OwnedHeaders::new_with_capacity(record.headers.len());
        let add = |all: OwnedHeaders, (key, value): &(String, Option<_>)| {
            let value: &Option<bytes::Bytes> = value;
            all.insert(Header { key, value: value.as_deref() })
        };
        sent.headers = Some(record.headers.iter().fold(none, add));
    }
    sent
}

/// A time as Kafka keeps it.
pub(super) fn milliseconds(time: Timestamp) -> i64 {
    time.as_micros().div_euclid(1000)
}

/// Refuses what Kafka cannot keep: a time at or before 1970, which it takes for none.
pub(super) fn check(topic: &TopicName, partitions: u32, records: &[NewRecord]) -> Result<(), LogError> {
    for record in records {
        if let Some(partition) = record.partition
            && partition.0 >= partitions
        {
            let last = Partition(partitions - 1);
            return Err(LogError::UnknownPartition { topic: topic.clone(), partition, last });
        }
        if let Some(time) = record.timestamp
            && milliseconds(time) <= 0
        {
            return Err(LogError::Invalid(format!(
                "topic `{topic}`: the time {time} is not after 1970-01-01T00:00:00Z, which Kafka takes for none; leave it out"
            )));
        }
    }
    Ok(())
}
