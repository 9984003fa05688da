//! The log of an Apache Kafka cluster, through librdkafka.
//!
//! ```text
//! append ──► producer: idempotent, acks=all ──────────► brokers ──► cursors: what is committed ──► confirm identity ──► Arrow
//!            once: records + answer in a transaction ─►    │                                       note leader epochs
//! ranges ◄── ends: stable ends, looked at every 50 ms ◄────┤
//! topics ◄── catalog: ids, partitions, retention ◄─────────┘  + key fields and schema, from the topic `__rekap_topics`
//! ```
//! A topic's incarnation is made of the cluster's and the topic's id, so it is another one when the topic is deleted and made again;
//! before records are handed out the cluster is asked whether it still is the same. Truncation is seen by the epochs of leaders.
//! Retention is Kafka's own. Owns nothing durable but notes about epochs and the name of its writer, in one folder.

mod catalog;
mod cluster;
mod cursors;
mod ends;
mod epochs;
mod exam;
mod fill;
mod flight;
mod groups;
mod native;
mod once;
mod producer;
mod registry;
mod settings;
mod watcher;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::catalog::{Catalog, check_life, is_shown};
use self::cluster::{Cluster, Keeps};
use self::cursors::{Cursors, ReadFailure};
use self::ends::Ends;
use self::epochs::Epochs;
use self::groups::Groups;
use self::native::At;
use self::once::Once;
use self::producer::Producer;
use self::registry::Registry;
use self::watcher::Watcher;
use super::doubled;
use crate::{
    AppendKey, Appended, Clock, HeldBack, HotLog, HotRange, LogBatch, LogError, NewRecord, Offset, OffsetRange,
    Partition, Positions, Timestamp, Topic, TopicConfig, TopicName, to_the_end,
};

pub use exam::{KafkaExam, examine_kafka};
pub use settings::KafkaSettings;

/// How long an append in a transaction waits until readers see it.
const READABLE: Duration = Duration::from_secs(2);

/// How long a change of a topic may take until every broker knows of it.
const SPREADS: Duration = Duration::from_secs(20);

/// The time between two looks whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The hot log in a Kafka cluster.
pub struct KafkaLog {
    cluster: Arc<Cluster>,
    catalog: Catalog,
    ends: Arc<Ends>,
    cursors: Arc<Cursors>,
    epochs: Epochs,
    producer: Producer,
    once: Arc<Once>,
    groups: Arc<Groups>,
    watching: JoinHandle<()>,
}

impl KafkaLog {
    /// Connects to a cluster. Fails with what to look at when nobody answers or the credentials are refused.
    pub async fn open(settings: KafkaSettings, clock: Arc<dyn Clock>) -> Result<Arc<Self>, LogError> {
        settings.check()?;
        let epochs = Epochs::open(&settings.folder)?;
        let watcher = Watcher::default();
        let client = producer::client(&settings, watcher.clone())?;
        let cluster = Cluster::connect(&settings, watcher.clone()).await?;
        let cursors = Cursors::new(settings.clone(), watcher);
        let ends = Arc::new(Ends::new(cluster.clone(), clock.clone()));
        let watching = {
            let (ends, cursors) = (ends.clone(), cursors.clone());
            tokio::spawn(async move { ends.watch(|| cursors.sweep()).await })
        };
        let once = Arc::new(Once::new(cluster.clone(), cursors.clone(), settings.clone(), clock));
        let groups = Arc::new(Groups::new(cluster.clone(), settings.clone()));
        let recovering = once.clone();
        tokio::spawn(async move { recovering.recover().await });
        Ok(Arc::new(KafkaLog {
            catalog: Catalog::new(cluster.clone(), Registry::new(cluster.clone(), cursors.clone())),
            producer: Producer::new(cluster.clone(), settings, client),
            once,
            groups,
            cluster,
            ends,
            cursors,
            epochs,
            watching,
        }))
    }

    /// What is held of each partition of the topic, which is still the caller's.
    async fn held(&self, topic: &Topic) -> Result<Arc<BTreeMap<Partition, HotRange>>, LogError> {
        let present = self.catalog.topic(&topic.name).await?;
        check_life(topic, Some(present.incarnation))?;
        self.ends.get(&present).await
    }

    /// Why a read lost its place: retention was faster, or the log is not the one that was read before.
    async fn lost(&self, topic: &Topic, partition: Partition, from: Offset, said: &str) -> LogError {
        let held = async {
            self.catalog.confirm(topic).await?;
            self.ends.get_now(&self.catalog.topic_now(&topic.name).await?).await
        };
        let held = match held.await {
            Ok(held) => of(topic, partition, &held),
            Err(error) => return error,
        };
        match held {
            Err(error) => error,
            Ok(held) if from < held.earliest => out_of_range(topic, partition, from, held),
            Ok(held) => {
                let end = said.split("broker end offset is ").nth(1).and_then(|rest| rest.split(' ').next());
                let end = end.and_then(|text| Offset::from_i64(text.parse().ok()?)).unwrap_or(held.end);
                LogError::Truncated { topic: topic.name.clone(), partition, end: end.min(from), reached: from }
            }
        }
    }

    /// Waits for a moment until readers see what was committed: a transaction is committed before its marker is in every partition. An
    /// older transaction that is open holds the records back for longer, which is not waited for.
    async fn readable(&self, topic: &Topic, appended: &Appended) {
        let until = Instant::now() + READABLE;
        while Instant::now() < until {
            let Ok(held) = self.ends.get_now(topic).await else { return };
            if appended.iter().all(|(p, given)| held.get(p).is_none_or(|held| held.end >= given.to)) {
                return;
            }
        }
    }

    /// Waits until the cluster shows a topic as it was made, and answers it.
    async fn shown(&self, name: &TopicName, partitions: u32) -> Result<Topic, LogError> {
        self.catalog.changed(self.cluster.shown(name, partitions).await?);
        self.catalog.topic_now(name).await
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

fn check(config: &TopicConfig) -> Result<(), LogError> {
    config.check().map_err(|error| LogError::Invalid(error.to_string()))
}

/// What the registry keeps of a topic, and Kafka does not: all but partitions and retention.
fn registered(config: &TopicConfig) -> TopicConfig {
    TopicConfig { partitions: 1, retention_ms: None, retention_bytes: None, ..config.clone() }
}

fn keeps(config: &TopicConfig) -> Keeps {
    Keeps { ms: config.retention_ms, bytes: config.retention_bytes }
}

fn of(topic: &Topic, partition: Partition, held: &BTreeMap<Partition, HotRange>) -> Result<HotRange, LogError> {
    let last = held.keys().next_back().copied().unwrap_or(Partition(0));
    let unknown = || LogError::UnknownPartition { topic: topic.name.clone(), partition, last };
    held.get(&partition).copied().ok_or_else(unknown)
}

fn out_of_range(topic: &Topic, partition: Partition, asked: Offset, held: HotRange) -> LogError {
    let held = OffsetRange { from: held.earliest, to: held.end };
    LogError::OutOfRange { topic: topic.name.clone(), partition, asked, held }
}

#[async_trait]
impl HotLog for KafkaLog {
    async fn create_topic(&self, name: &TopicName, config: TopicConfig) -> Result<Topic, LogError> {
        check(&config)?;
        if !is_shown(name) {
            return Err(LogError::Invalid(format!(
                "topic `{name}`: names that begin with `__` are kept for internal use"
            )));
        }
        if !self.cluster.create(name, config.partitions, &keeps(&config).settings()).await? {
            return Err(LogError::TopicExists(name.clone()));
        }
        let made = self.shown(name, config.partitions).await?;
        if registered(&config) == registered(&made.config) {
            return Ok(made);
        }
        self.catalog.registry.put(&self.producer, &Topic { config, ..made }).await?;
        self.catalog.topic_now(name).await
    }

    async fn alter_topic(&self, name: &TopicName, config: TopicConfig) -> Result<Topic, LogError> {
        check(&config)?;
        let present = self.catalog.topic_now(name).await?;
        let (before, after) = (present.config.partitions, config.partitions);
        if after < before {
            return Err(LogError::Invalid(format!(
                "topic `{name}` has {before} partitions, which may only grow, not {after}"
            )));
        }
        if keeps(&config) != keeps(&present.config) {
            self.cluster.retain(name, keeps(&config)).await?;
        }
        if registered(&config) != registered(&present.config) {
            let topic = Topic { config: config.clone(), ..present.clone() };
            self.catalog.registry.put(&self.producer, &topic).await?;
        }
        if after > before {
            self.cluster.grow(name, after).await?;
        }
        self.shown(name, after).await
    }

    async fn double_retention(&self, topic: &Topic, limit_ms: u64) -> Result<Option<(u64, u64)>, LogError> {
        self.catalog.confirm(topic).await?;
        // Asked of the cluster: what the catalog knows may be seconds old, and somebody else may have set it.
        let found = self.cluster.retention(std::slice::from_ref(&topic.name)).await?.pop();
        let present = found.map(|(_, keeps)| keeps).ok_or_else(|| LogError::UnknownTopic(topic.name.clone()))?;
        let Some((from, to)) = doubled(topic, present.ms, limit_ms) else { return Ok(None) };
        self.cluster.retain(&topic.name, Keeps { ms: Some(to), ..present }).await?;
        self.catalog.changed(topic.incarnation);
        Ok(Some((from, to)))
    }

    async fn delete_topic(&self, name: &TopicName) -> Result<(), LogError> {
        let topic = self.catalog.topic(name).await?;
        if !self.cluster.delete(name).await? {
            return Err(LogError::UnknownTopic(name.clone()));
        }
        self.catalog.registry.remove(&self.producer, topic.incarnation).await?;
        let until = Instant::now() + SPREADS;
        let life = async || -> Result<_, LogError> {
            Ok(self.cluster.describe_one(name).await?.map(|found| self.cluster.incarnation(&found.id)))
        };
        while life().await? == Some(topic.incarnation) && Instant::now() < until {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.catalog.changed(topic.incarnation);
        Ok(())
    }

    async fn topics(&self) -> Result<Vec<Topic>, LogError> {
        Ok(self.catalog.topics().await?.values().cloned().collect())
    }

    async fn topic(&self, name: &TopicName) -> Result<Topic, LogError> {
        self.catalog.topic(name).await
    }

    async fn ranges(&self, name: &TopicName) -> Result<BTreeMap<Partition, HotRange>, LogError> {
        let topic = self.catalog.topic(name).await?;
        Ok(self.ends.get(&topic).await?.as_ref().clone())
    }

    async fn held_back(&self, name: &TopicName) -> Result<BTreeMap<Partition, HeldBack>, LogError> {
        self.ranges(name).await?;
        Ok(self.ends.held_back(name))
    }

    async fn append(
        &self,
        name: &TopicName,
        records: Vec<NewRecord>,
        once: Option<AppendKey>,
    ) -> Result<Appended, LogError> {
        once.as_ref().map_or(Ok(()), AppendKey::check)?;
        let topic = self.catalog.topic(name).await?;
        let partitions = topic.config.partitions;
        producer::check(name, partitions, &records)?;
        let appended = match once {
            _ if records.is_empty() => return Ok(Appended::new()),
            Some(key) => {
                // To its end also where the client goes away: a transaction left open holds up all readers of the topic.
                let (once, to) = (self.once.clone(), topic.clone());
                let appended = to_the_end(async move { once.append(&to, records, key).await }).await;
                if let Ok(appended) = &appended {
                    self.readable(&topic, appended).await;
                }
                appended
            }
            None => self.producer.append(name, partitions, records).await,
        };
        self.ends.moved(name);
        appended
    }

    async fn read(
        &self,
        topic: &Topic,
        partition: Partition,
        range: OffsetRange,
        max_bytes: usize,
    ) -> Result<LogBatch, LogError> {
        let mut held = of(topic, partition, &*self.held(topic).await?)?;
        if range.from < held.earliest || held.end < range.from {
            held = of(topic, partition, &*self.ends.get_now(&self.catalog.topic(&topic.name).await?).await?)?;
        }
        if range.from < held.earliest || held.end < range.from {
            return Err(out_of_range(topic, partition, range.from, held));
        }
        let range = OffsetRange { from: range.from, to: range.to.min(held.end) };
        if range.to <= range.from {
            return Ok(LogBatch::empty(partition, OffsetRange { from: range.from, to: range.from }));
        }
        let life = topic.incarnation;
        let epoch = self.epochs.before(life, partition, range.from);
        let read = match self.cursors.read(&topic.name, life, partition, range, max_bytes, epoch).await {
            Ok(read) => read,
            Err(ReadFailure::OffsetLost(said)) => return Err(self.lost(topic, partition, range.from, &said).await),
            Err(refused) => {
                self.catalog.confirm(topic).await?;
                return Err(refused.explain(&self.cluster, &topic.name));
            }
        };
        self.catalog.confirm(topic).await?;
        self.epochs.note(life, partition, &read.epochs, read.batch.range.to)?;
        Ok(read.batch)
    }

    async fn offset_at(&self, topic: &Topic, partition: Partition, time: Timestamp) -> Result<Offset, LogError> {
        let held = of(topic, partition, &*self.held(topic).await?)?;
        let first_ms = time.as_micros().div_euclid(1000) + i64::from(time.as_micros().rem_euclid(1000) > 0);
        let asked = Arc::new(vec![(topic.name.clone(), partition)]);
        match self.cluster.list(asked, At::Time(first_ms)).await?.into_iter().next() {
            Some((_, _, Err(code))) => Err(self.cluster.unanswered("looking for a time in", code, &code.to_string())),
            Some((_, _, Ok(Some(found)))) => Ok(found.max(held.earliest)),
            _ => Ok(held.end),
        }
    }

    async fn note_progress(&self, reader: &str, at: &Positions) -> Result<(), LogError> {
        self.groups.commit(format!("rekap-{reader}"), at.clone()).await
    }

    fn appended(&self) -> watch::Receiver<u64> {
        self.ends.appended.subscribe()
    }

    /// Nothing: Kafka deletes by itself what a topic's retention lets go.
    async fn expired(&self, topic: &Topic, _now: Timestamp) -> Result<BTreeMap<Partition, Offset>, LogError> {
        let topic = self.catalog.topic(&topic.name).await?;
        Ok((0..topic.config.partitions).map(|p| (Partition(p), Offset::ZERO)).collect())
    }

    async fn trim(&self, topic: &Topic, partition: Partition, before: Offset) -> Result<(), LogError> {
        self.catalog.confirm(topic).await?;
        let held = of(topic, partition, &*self.ends.get_now(&self.catalog.topic(&topic.name).await?).await?)?;
        let before = before.min(held.end);
        if before > held.earliest {
            self.cluster.trim(&topic.name, partition, before).await?;
            self.ends.moved(&topic.name);
        }
        Ok(())
    }
}
