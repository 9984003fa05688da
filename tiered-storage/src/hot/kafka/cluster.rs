//! Questions and changes to the cluster, with errors that name what was asked, of whom, and what to look at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::native::{self, At, Described, Listed, Right};
use super::settings::{KafkaSettings, MAX_MESSAGE_BYTES};
use super::watcher::Watcher;
use super::{LOOK_EVERY, SPREADS};
use crate::{Incarnation, LogError, Offset, Partition, TopicName};

/// How long a question may go unanswered.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// Topics in one question: an answer stays below a few MB.
const TOPICS_AT_ONCE: usize = 1000;

/// The cluster, as one asks it and changes it.
pub(super) struct Cluster {
    admin: AdminClient<Watcher>,
    pub(super) watcher: Watcher,
    bootstrap: String,
    id: String,
}

/// The retention of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keeps {
    pub(super) ms: Option<u64>,
    pub(super) bytes: Option<u64>,
}

impl Cluster {
    /// Connects, and learns the cluster's identity. Fails when nobody answers, or when the credentials are refused: a producer with
    /// the same watcher, which listens to its connection, says why.
    pub(super) async fn connect(settings: &KafkaSettings, watcher: Watcher) -> Result<Arc<Self>, LogError> {
        let invalid = |e: KafkaError| LogError::Invalid(format!("log.properties: {e}"));
        let admin = AdminClient::from_config_and_context(&settings.admin(), watcher.clone()).map_err(invalid)?;
        let bootstrap = settings.bootstrap.clone();
        let mut cluster = Cluster { admin, watcher, bootstrap, id: String::new() };
        let until = Instant::now() + ANSWER;
        while cluster.id.is_empty() {
            let (again, id) = blocking(move || {
                let id = cluster.admin.inner().fetch_cluster_id(Duration::from_millis(500));
                (cluster, id)
            })
            .await;
            cluster = again;
            cluster.id = id.unwrap_or_default();
            let refused = cluster.watcher.last_error().is_some_and(|(code, _)| {
                matches!(code, Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL)
            });
            if cluster.id.is_empty() && (refused || Instant::now() >= until) {
                return Err(cluster.unanswered("connecting to", Code::OperationTimedOut, "nobody answers"));
            }
        }
        Ok(Arc::new(cluster))
    }

    /// The identity of one life of a topic: the cluster's and the topic's own.
    pub(super) fn incarnation(&self, topic_id: &[u8; 16]) -> Incarnation {
        let digest = Sha256::new().chain_update(self.id.as_bytes()).chain_update(topic_id).finalize();
        let (half, _) = digest.split_first_chunk::<16>().expect("a digest has 32 bytes");
        Incarnation::from_bytes(*half)
    }

    /// The names of all topics.
    pub(super) async fn names(self: &Arc<Self>) -> Result<Vec<TopicName>, LogError> {
        let cluster = self.clone();
        let found = blocking(move || cluster.admin.inner().fetch_metadata(None, ANSWER)).await;
        let found = found.map_err(|e| self.failed("listing the topics of", e))?;
        Ok(found.topics().iter().filter_map(|topic| topic.name().parse().ok()).collect())
    }

    /// Describes topics; one that there is not is left out. Topics without ids are refused: their lives could not be told apart.
    pub(super) async fn describe(
        self: &Arc<Self>,
        names: Vec<TopicName>,
    ) -> Result<Vec<(TopicName, Described)>, LogError> {
        let cluster = self.clone();
        let described = blocking(move || {
            let client = cluster.admin.inner().native_ptr();
            let parts = names.chunks(TOPICS_AT_ONCE).map(|names| native::describe(client, names, ANSWER));
            parts.collect::<Result<Vec<_>, _>>()
        });
        let described = described.await.map_err(|(code, said)| self.unanswered("describing topics of", code, &said))?;
        let described: Vec<_> = described.into_iter().flatten().collect();
        match described.iter().find(|(_, found)| !found.has_id()) {
            None => Ok(described),
            Some((name, _)) => Err(LogError::Invalid(format!(
                "the brokers at {} give topic `{name}` no id, as brokers before Kafka 2.8 do; use newer ones",
                self.bootstrap
            ))),
        }
    }

    /// One topic, if there is one of that name.
    pub(super) async fn describe_one(self: &Arc<Self>, name: &TopicName) -> Result<Option<Described>, LogError> {
        Ok(self.describe(vec![name.clone()]).await?.pop().map(|(_, described)| described))
    }

    /// Waits until the cluster shows a topic as it was made, and answers which life of the name it is.
    pub(super) async fn shown(self: &Arc<Self>, name: &TopicName, partitions: u32) -> Result<Incarnation, LogError> {
        let until = Instant::now() + SPREADS;
        loop {
            let described = self.describe_one(name).await?;
            if let Some(described) = described.filter(|found| found.led && found.partitions >= partitions) {
                return Ok(self.incarnation(&described.id));
            }
            if Instant::now() > until {
                let said = format!("topic `{name}` was made, and has no leaders after {SPREADS:?}");
                return Err(LogError::store("making a topic in Kafka", said));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// An offset of a topic of our own, which has one partition; 0 where there is none.
    pub(super) async fn offset(self: &Arc<Self>, name: &TopicName, at: At, doing: &str) -> Result<Offset, LogError> {
        let listed = self.list(Arc::new(vec![(name.clone(), Partition(0))]), at).await?;
        match listed.into_iter().next() {
            Some((_, _, Ok(found))) => Ok(found.unwrap_or_default()),
            Some((_, _, Err(code))) => Err(self.unanswered(doing, code, &code.to_string())),
            None => Ok(Offset::ZERO),
        }
    }

    /// An offset of each of many partitions.
    pub(super) async fn list(
        self: &Arc<Self>,
        partitions: Arc<Vec<(TopicName, Partition)>>,
        at: At,
    ) -> Result<Vec<Listed>, LogError> {
        let cluster = self.clone();
        let listed = blocking(move || {
            let client = cluster.admin.inner().native_ptr();
            native::list_offsets(client, partitions.iter().map(|(topic, partition)| (topic, *partition)), at, ANSWER)
        });
        let listed = listed.await.map_err(|(code, said)| self.unanswered("looking at the ends of", code, &said))?;
        Ok(listed.into_iter().map(|(topic, partition, found)| (topic, partition, answered(found, at))).collect())
    }

    /// The retention of topics.
    pub(super) async fn retention(&self, names: &[TopicName]) -> Result<Vec<(TopicName, Keeps)>, LogError> {
        let asked: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name.as_str())).collect();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let answered = self.admin.describe_configs(&asked, &self.options()).await;
        let answered = answered.map_err(|e| self.failed("asking for the settings of topics of", e))?;
        let mut found = Vec::new();
        for (name, resource) in names.iter().zip(answered) {
            // A topic that is gone by now has no settings.
            let Ok(resource) = resource else { continue };
            let value = |name: &str| resource.get(name).and_then(|entry| entry.value.clone());
            let number = |name: &str| value(name).and_then(|text| text.parse::<i64>().ok());
            let deletes = value("cleanup.policy").is_none_or(|policy| policy.contains("delete"));
            let bound = |name: &str| number(name).filter(|_| deletes).and_then(|n| u64::try_from(n).ok());
            found.push((name.clone(), Keeps { ms: bound("retention.ms"), bytes: bound("retention.bytes") }));
        }
        Ok(found)
    }

    /// All settings of topics.
    pub(super) async fn settings(
        &self,
        names: &[TopicName],
    ) -> Result<Vec<(TopicName, BTreeMap<String, String>)>, LogError> {
        let mut found = Vec::new();
        for names in names.chunks(TOPICS_AT_ONCE) {
            let asked: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name.as_str())).collect();
            let answered = self.admin.describe_configs(&asked, &self.options()).await;
            let answered = answered.map_err(|e| self.failed("asking for the settings of topics of", e))?;
            for (name, resource) in names.iter().zip(answered) {
                let Ok(resource) = resource else { continue };
                let settings = resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?)));
                found.push((name.clone(), settings.collect()));
            }
        }
        Ok(found)
    }

    /// What this principal may do with topics.
    pub(super) async fn rights(
        self: &Arc<Self>,
        names: Vec<TopicName>,
    ) -> Result<Vec<(TopicName, Vec<Right>)>, LogError> {
        let cluster = self.clone();
        let found = blocking(move || {
            let client = cluster.admin.inner().native_ptr();
            let parts = names.chunks(TOPICS_AT_ONCE).map(|names| native::rights(client, names, ANSWER));
            parts.collect::<Result<Vec<_>, _>>()
        });
        let found = found.await.map_err(|(code, said)| self.unanswered("asking for rights in", code, &said))?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The brokers that answer, as `host:port`.
    pub(super) async fn brokers(self: &Arc<Self>) -> Result<Vec<String>, LogError> {
        let cluster = self.clone();
        let found = blocking(move || cluster.admin.inner().fetch_metadata(None, ANSWER)).await;
        let found = found.map_err(|e| self.failed("listing the brokers of", e))?;
        Ok(found.brokers().iter().map(|broker| format!("{}:{}", broker.host(), broker.port())).collect())
    }

    /// The cluster's own identity.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Makes a topic; false when there is one.
    pub(super) async fn create(
        &self,
        name: &TopicName,
        partitions: u32,
        settings: &[(&str, String)],
    ) -> Result<bool, LogError> {
        let mut topic = NewTopic::new(name.as_str(), partitions as i32, TopicReplication::Fixed(-1));
        let max_message = MAX_MESSAGE_BYTES.to_string();
        topic = topic.set("max.message.bytes", &max_message);
        for (name, value) in settings {
            topic = topic.set(name, value);
        }
        let made = self.admin.create_topics([&topic], &self.options()).await;
        match made.map_err(|e| self.failed("making a topic in", e))?.pop() {
            Some(Ok(_)) => Ok(true),
            Some(Err((_, Code::TopicAlreadyExists))) => Ok(false),
            Some(Err((_, code))) => Err(self.refused(&format!("topic `{name}` cannot be made in"), code)),
            None => Err(self.unanswered("making a topic in", Code::Unknown, "an empty answer")),
        }
    }

    /// Gives a topic more partitions.
    pub(super) async fn grow(&self, name: &TopicName, partitions: u32) -> Result<(), LogError> {
        let more = NewPartitions::new(name.as_str(), partitions as usize);
        let done = self.admin.create_partitions([&more], &self.options()).await;
        match done.map_err(|e| self.failed("adding partitions in", e))?.pop() {
            Some(Err((_, code))) => Err(self.refused(&format!("topic `{name}` cannot grow in"), code)),
            _ => Ok(()),
        }
    }

    /// Sets a topic's retention, and leaves its other settings alone.
    pub(super) async fn retain(self: &Arc<Self>, name: &TopicName, keeps: Keeps) -> Result<(), LogError> {
        let (cluster, name) = (self.clone(), name.clone());
        let set =
            blocking(move || native::alter_topic(cluster.admin.inner().native_ptr(), &name, &keeps.settings(), ANSWER));
        set.await.map_err(|(code, said)| self.unanswered("setting a topic's retention in", code, &said))
    }

    /// Deletes a topic; false when there is none.
    pub(super) async fn delete(&self, name: &TopicName) -> Result<bool, LogError> {
        let done = self.admin.delete_topics(&[name.as_str()], &self.options()).await;
        match done.map_err(|e| self.failed("deleting a topic of", e))?.pop() {
            Some(Err((_, Code::UnknownTopicOrPartition | Code::UnknownTopic))) => Ok(false),
            Some(Err((_, code))) => Err(self.refused(&format!("topic `{name}` cannot be deleted in"), code)),
            _ => Ok(true),
        }
    }

    /// Deletes a partition's records below an offset.
    pub(super) async fn trim(&self, name: &TopicName, partition: Partition, before: Offset) -> Result<(), LogError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(name.as_str(), partition.0 as i32, KafkaOffset::Offset(before.as_i64()))
            .map_err(|e| self.failed("deleting records of", e))?;
        let done = self.admin.delete_records(&list, &self.options()).await;
        let done = done.map_err(|e| self.failed("deleting records of", e))?;
        let failed = done.elements().iter().find_map(|one| one.error().err());
        failed.map_or(Ok(()), |e| Err(self.failed("deleting records of", e)))
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER))
    }

    /// A failed call of the binding.
    pub(super) fn failed(&self, doing: &str, error: KafkaError) -> LogError {
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        self.unanswered(doing, code, &error.to_string())
    }

    /// What the cluster refuses for good.
    fn refused(&self, what: &str, code: Code) -> LogError {
        match code {
            Code::InvalidReplicationFactor | Code::InvalidPartitions | Code::InvalidConfig | Code::PolicyViolation => {
                LogError::Invalid(format!("{what} Kafka at {}: {code}", self.bootstrap))
            }
            _ => self.unanswered(what, code, &code.to_string()),
        }
    }

    /// A question without an answer, with what the connection last said, and the remedy.
    pub(super) fn unanswered(&self, doing: &str, code: Code, said: &str) -> LogError {
        let why = match self.watcher.last_error() {
            Some((_, last)) if is_silence(code) => format!("{said}; the connection says: {last}"),
            _ => said.to_owned(),
        };
        LogError::store(format!("{doing} Kafka at {}", self.bootstrap), format!("{why}; {}", remedy(code, &why)))
    }
}

impl Keeps {
    /// As Kafka writes them: -1 is for ever.
    pub(super) fn settings(self) -> [(&'static str, String); 2] {
        let text = |bound: Option<u64>| bound.map_or("-1".to_owned(), |n| n.min(i64::MAX as u64).to_string());
        [("retention.ms", text(self.ms)), ("retention.bytes", text(self.bytes))]
    }
}

/// A broker that goes away in the middle leaves offsets without an error and without a value. Only a time can have none.
fn answered(found: Result<Option<Offset>, Code>, at: At) -> Result<Option<Offset>, Code> {
    match found {
        Ok(None) if !matches!(at, At::Time(_)) => Err(Code::LeaderNotAvailable),
        found => found,
    }
}

/// True where the code only says that nobody answered.
fn is_silence(code: Code) -> bool {
    matches!(
        code,
        Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::MessageTimedOut
    )
}

/// What a person can do about it.
fn remedy(code: Code, why: &str) -> &'static str {
    let why = why.to_lowercase();
    if matches!(
        code,
        Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
    ) {
        "give Rekap's principal the rights that docs/operations.md lists"
    } else if code == Code::Authentication || why.contains("sasl") || why.contains("authentication") {
        "check the credentials in log.properties (security.protocol, sasl.mechanism, sasl.username, sasl.password)"
    } else if why.contains("ssl") {
        "check the certificates in log.properties (security.protocol, ssl.ca.location)"
    } else {
        "check log.bootstrap and that the brokers run"
    }
}

/// Does something that waits for the network, off the runtime's threads.
pub(super) async fn blocking<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(act).await {
        Ok(done) => done,
        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_without_a_value_is_no_end_at_0() {
        for at in [At::Earliest, At::Stable, At::High] {
            assert_eq!(answered(Ok(None), at), Err(Code::LeaderNotAvailable));
            assert_eq!(answered(Ok(Some(Offset::ZERO)), at), Ok(Some(Offset::ZERO)));
        }
        assert_eq!(answered(Ok(None), At::Time(1)), Ok(None), "no record is that young");
    }
}
