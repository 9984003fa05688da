//! The topics of the cluster as the log shows them: Kafka's own description, with key fields and schema from the registry.
//!
//! What is known is at most [`FRESH`] old. Where identity decides (before records are handed out) it is asked for anew. Names that begin
//! with two underscores are internal, Kafka's and the log's own, and not shown.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use super::cluster::{Cluster, Keeps};
use super::native::Described;
use super::registry::{Entry, Registry};
use crate::{Incarnation, LogError, Topic, TopicConfig, TopicName};

/// How old a description may be.
const FRESH: Duration = Duration::from_secs(1);

/// How old a topic's retention may be: somebody else may change it.
const RETENTION_FRESH: Duration = Duration::from_secs(10);

/// How long a failure is the answer to whoever asks next.
const FAILED: Duration = Duration::from_secs(1);

/// The topics.
pub(super) struct Catalog {
    cluster: Arc<Cluster>,
    pub(super) registry: Registry,
    known: Mutex<Known>,
    looking: AsyncMutex<Option<(Instant, String)>>,
    confirmed: Mutex<HashMap<TopicName, Arc<AsyncMutex<Confirmed>>>>,
}

#[derive(Default)]
struct Known {
    at: Option<Instant>,
    topics: Arc<BTreeMap<TopicName, Topic>>,
    retention: HashMap<Incarnation, (Instant, Keeps)>,
}

/// When a topic was last asked for its identity, and what it was.
#[derive(Default)]
struct Confirmed(Option<(Instant, Option<Incarnation>)>);

impl Catalog {
    pub(super) fn new(cluster: Arc<Cluster>, registry: Registry) -> Self {
        let (known, looking, confirmed) = (Mutex::default(), AsyncMutex::default(), Mutex::default());
        Catalog { cluster, registry, known, looking, confirmed }
    }

    /// All topics.
    pub(super) async fn topics(&self) -> Result<Arc<BTreeMap<TopicName, Topic>>, LogError> {
        self.since(Instant::now() - FRESH).await
    }

    /// One topic.
    pub(super) async fn topic(&self, name: &TopicName) -> Result<Topic, LogError> {
        if let Some(topic) = self.topics().await?.get(name) {
            return Ok(topic.clone());
        }
        // It may have been made just now.
        if !is_shown(name) || self.cluster.describe_one(name).await?.is_none() {
            return Err(LogError::UnknownTopic(name.clone()));
        }
        self.topic_now(name).await
    }

    /// One topic, as it is now.
    pub(super) async fn topic_now(&self, name: &TopicName) -> Result<Topic, LogError> {
        let topics = self.since(Instant::now()).await?;
        topics.get(name).cloned().ok_or_else(|| LogError::UnknownTopic(name.clone()))
    }

    /// Refuses a topic that is another one by now: asked of the cluster after this call.
    pub(super) async fn confirm(&self, topic: &Topic) -> Result<(), LogError> {
        let asked = Instant::now();
        let slot = self.confirmed.lock().expect("no holder panics").entry(topic.name.clone()).or_default().clone();
        let mut confirmed = slot.lock().await;
        let life = match confirmed.0 {
            Some((at, life)) if at >= asked => life,
            _ => {
                let began = Instant::now();
                let described = self.cluster.describe_one(&topic.name).await?;
                let life = described.map(|described| self.cluster.incarnation(&described.id));
                confirmed.0 = Some((began, life));
                life
            }
        };
        drop(confirmed);
        check_life(topic, life)
    }

    /// Forgets the topic's retention: it was changed.
    pub(super) fn changed(&self, life: Incarnation) {
        let mut known = self.known.lock().expect("no holder panics");
        known.retention.remove(&life);
        known.at = None;
    }

    async fn since(&self, since: Instant) -> Result<Arc<BTreeMap<TopicName, Topic>>, LogError> {
        let fresh = || {
            let known = self.known.lock().expect("no holder panics");
            known.at.filter(|at| *at >= since).map(|_| known.topics.clone())
        };
        if let Some(topics) = fresh() {
            return Ok(topics);
        }
        let mut failed = self.looking.lock().await;
        if let Some(topics) = fresh() {
            return Ok(topics);
        }
        if let Some((at, said)) = &*failed
            && at.elapsed() < FAILED
        {
            return Err(LogError::store("listing the topics of Kafka", said.clone()));
        }
        let began = Instant::now();
        let looked = self.look(began).await;
        *failed = match &looked {
            Err(LogError::Store { source, .. }) => Some((Instant::now(), source.to_string())),
            _ => None,
        };
        looked
    }

    async fn look(&self, began: Instant) -> Result<Arc<BTreeMap<TopicName, Topic>>, LogError> {
        let names = self.cluster.names().await?.into_iter().filter(is_shown).collect();
        let described = self.cluster.describe(names).await?;
        let entries = self.registry.entries().await?;
        let retention = self.retention(&described).await?;
        let topic = |(name, described): &(TopicName, Described)| {
            let life = self.cluster.incarnation(&described.id);
            let Entry { key, encoding, wire, schema, compatibility, past_schemas, .. } =
                entries.get(&life).cloned().unwrap_or_default();
            let keeps = retention.get(&life).map_or(Keeps { ms: None, bytes: None }, |(_, keeps)| *keeps);
            let (retention_ms, retention_bytes) = (keeps.ms, keeps.bytes);
            let partitions = described.partitions;
            let config = TopicConfig {
                partitions,
                retention_ms,
                retention_bytes,
                key,
                format: encoding,
                wire,
                schema,
                compatibility,
                past_schemas,
            };
            (name.clone(), Topic { name: name.clone(), incarnation: life, config })
        };
        let topics = Arc::new(described.iter().map(topic).collect::<BTreeMap<_, _>>());
        self.confirmed.lock().expect("no holder panics").retain(|name, _| topics.contains_key(name));
        let mut known = self.known.lock().expect("no holder panics");
        (known.at, known.topics, known.retention) = (Some(began), topics.clone(), retention);
        Ok(topics)
    }

    /// The retention of the topics, asked for anew where it is not fresh.
    async fn retention(
        &self,
        described: &[(TopicName, Described)],
    ) -> Result<HashMap<Incarnation, (Instant, Keeps)>, LogError> {
        let lives: HashMap<_, _> =
            described.iter().map(|(name, described)| (name.clone(), self.cluster.incarnation(&described.id))).collect();
        let mut retention = self.known.lock().expect("no holder panics").retention.clone();
        retention.retain(|_, (at, _)| at.elapsed() < RETENTION_FRESH);
        let asked: Vec<TopicName> =
            lives.iter().filter(|(_, life)| !retention.contains_key(life)).map(|(name, _)| name.clone()).collect();
        let began = Instant::now();
        for (name, keeps) in self.cluster.retention(&asked).await? {
            retention.insert(lives[&name], (began, keeps));
        }
        Ok(retention)
    }
}

/// Refuses a topic that is another one, or gone.
pub(super) fn check_life(topic: &Topic, found: Option<Incarnation>) -> Result<(), LogError> {
    match found {
        Some(found) if found == topic.incarnation => Ok(()),
        Some(found) => Err(LogError::Diverged { topic: topic.name.clone(), expected: topic.incarnation, found }),
        None => Err(LogError::UnknownTopic(topic.name.clone())),
    }
}

/// False for the topics that Kafka and the log keep for themselves.
pub(super) fn is_shown(name: &TopicName) -> bool {
    !name.as_str().starts_with("__")
}
