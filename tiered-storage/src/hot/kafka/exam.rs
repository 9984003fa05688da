//! Whether a cluster can hold the log: reached, allowed, set up so that acknowledged records stay, and tried out with one record.
//!
//! What is written lies in a topic of its own, which is deleted at the end; dying on the way leaves that topic, `__rekap_doctor_…`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::cluster::Cluster;
use super::cursors::Cursors;
use super::native::Right;
use super::producer::{self, Producer};
use super::settings::KafkaSettings;
use super::watcher::Watcher;
use crate::{
    Clock, Finding, LogError, NewRecord, Offset, OffsetRange, Partition, Timestamp, TopicName, matches_pattern,
};

/// Clocks further apart than this make ages and retention look other than they are.
const CLOCKS_APART: Duration = Duration::from_secs(60);

/// How long the probe topic may take to be there, and its record to be read.
const PATIENCE: Duration = Duration::from_secs(20);

/// Retention below this many times the age at which the mirror takes records leaves no room for an outage.
const RETENTION_TIMES: u32 = 10;

/// What is tried once the cluster is reached.
const OTHERS: [&str; 7] = [
    "kafka-topics",
    "kafka-version",
    "kafka-rights",
    "kafka-durability",
    "kafka-retention",
    "kafka-write",
    "kafka-clock",
];

/// How many topics a finding names.
const NAMED: usize = 5;

/// What of a cluster is examined.
pub struct KafkaExam {
    /// How the cluster is spoken to; nothing is written to its folder.
    pub settings: KafkaSettings,
    /// The topics that the mirror's policy names: names, `*` matches any text.
    pub topics: Vec<String>,
    /// When the mirror takes a record at the latest.
    pub max_age: Duration,
    /// The clock that the cluster's is compared with.
    pub clock: Arc<dyn Clock>,
}

/// Tries out everything that the log needs of its cluster. What failed keeps the rest from being tried.
pub async fn examine_kafka(exam: KafkaExam) -> Vec<Finding> {
    let began = Instant::now();
    let watcher = Watcher::default();
    let connected = async {
        exam.settings.check()?;
        let client = producer::client(&exam.settings, watcher.clone())?;
        let cluster = Cluster::connect(&exam.settings, watcher.clone()).await?;
        let brokers = cluster.brokers().await?;
        Ok::<_, LogError>((client, cluster, brokers))
    };
    let timed = |began: Instant, found: Finding| Finding { took: began.elapsed(), ..found };
    let (client, cluster, brokers) = match connected.await {
        Ok(connected) => connected,
        Err(e) => {
            let failed = Finding::fail("kafka-reachable", e.to_string(), "correct `[log]`, or start the brokers");
            return std::iter::once(timed(began, failed)).chain(OTHERS.map(Finding::skipped)).collect();
        }
    };
    let detail = format!("cluster {}: {}", cluster.id(), brokers.join(", "));
    let mut findings = vec![timed(began, Finding::pass("kafka-reachable", detail))];
    let began = Instant::now();
    let (found, names) = topics(&cluster, &exam.topics).await;
    findings.push(timed(began, found));
    let began = Instant::now();
    findings.push(timed(began, version(&cluster, &names).await));
    let began = Instant::now();
    findings.push(timed(began, rights(&cluster, &names).await));
    let began = Instant::now();
    findings.extend(settings(&cluster, &names, exam.max_age).await.map(|found| timed(began, found)));
    let began = Instant::now();
    let probe = Probe {
        cursors: Cursors::new(exam.settings.clone(), watcher),
        producer: Producer::new(cluster.clone(), exam.settings, client),
        cluster,
        clock: exam.clock,
    };
    findings.extend(probe.run().await.map(|found| timed(began, found)));
    findings
}

/// The topics asked for that are there, and whether any is missing.
async fn topics(cluster: &Arc<Cluster>, patterns: &[String]) -> (Finding, Vec<TopicName>) {
    const CHECK: &str = "kafka-topics";
    let all = match cluster.names().await {
        Ok(all) => all,
        Err(e) => {
            return (
                Finding::fail(CHECK, e.to_string(), "allow Describe on the topics, or on the cluster"),
                Vec::new(),
            );
        }
    };
    let shown = all.into_iter().filter(super::is_shown);
    let found: Vec<TopicName> =
        shown.filter(|topic| patterns.iter().any(|p| matches_pattern(p, topic.as_str()))).collect();
    let missing: Vec<&str> = patterns
        .iter()
        .filter(|p| !p.contains('*') && !found.iter().any(|topic| topic.as_str() == **p))
        .map(String::as_str)
        .collect();
    let finding = match missing.is_empty() {
        true => Finding::pass(CHECK, format!("{} topics that `mirror.topics` names are there", found.len())),
        false => Finding::warn(
            CHECK,
            format!("`mirror.topics` names {}, which this principal does not see", few(&missing)),
            "make them, correct the names, or allow Describe on them",
        ),
    };
    (finding, found)
}

/// Whether the brokers are new enough. Their protocol tells no version, only what they can: topics have ids since Kafka 2.8, and all else
/// that the log needs is older.
async fn version(cluster: &Arc<Cluster>, names: &[TopicName]) -> Finding {
    const CHECK: &str = "kafka-version";
    let (_, client) = rdkafka::util::get_rdkafka_version();
    match cluster.describe(names.iter().take(1).cloned().collect()).await {
        Ok(described) if described.is_empty() => {
            Finding::pass(CHECK, format!("librdkafka {client}; there is no topic yet to tell the brokers' version by"))
        }
        Ok(_) => Finding::pass(CHECK, format!("the brokers are of Kafka 2.8 or newer; librdkafka {client}")),
        Err(e) => {
            Finding::fail(CHECK, e.to_string(), "use brokers of Kafka 2.8 or newer, and allow Describe on the topics")
        }
    }
}

/// What this principal may do.
async fn rights(cluster: &Arc<Cluster>, names: &[TopicName]) -> Finding {
    const CHECK: &str = "kafka-rights";
    let found = match cluster.rights(names.to_vec()).await {
        Ok(found) => found,
        Err(e) => return Finding::warn(CHECK, format!("the cluster does not say: {e}"), "look at the ACLs yourself"),
    };
    let without = |right: Right| -> Vec<&str> {
        found.iter().filter(|(_, may)| !may.contains(&right)).map(|(name, _)| name.as_str()).collect()
    };
    let needed = [(Right::Read, "Read"), (Right::Describe, "Describe"), (Right::DescribeConfigs, "DescribeConfigs")];
    let lacks = needed.iter().map(|(right, name)| (name, without(*right))).find(|(_, topics)| !topics.is_empty());
    let no_writes = without(Right::Write);
    match lacks {
        Some((right, topics)) => Finding::fail(
            CHECK,
            format!("{right} is not allowed on {}", few(&topics)),
            "give Rekap's principal the rights that docs/operations.md lists",
        ),
        None if !no_writes.is_empty() => Finding::warn(
            CHECK,
            format!("Write is not allowed on {}", few(&no_writes)),
            "nothing, if nobody appends to them through Rekap; else allow Write",
        ),
        None => Finding::pass(CHECK, format!("may read and write {} topics", names.len())),
    }
}

/// Whether the topics' settings endanger acknowledged records, and what is not mirrored yet.
async fn settings(
    cluster: &Arc<Cluster>,
    names: &[TopicName],
    max_age: Duration,
) -> impl Iterator<Item = Finding> + use<> {
    let (durability, retention) = match cluster.settings(names).await {
        Ok(found) => (durability(&found), retention(&found, max_age)),
        Err(e) => {
            let failed = |check| Finding::fail(check, e.to_string(), "allow DescribeConfigs on the topics");
            (failed("kafka-durability"), failed("kafka-retention"))
        }
    };
    [durability, retention].into_iter()
}

type Settings = [(TopicName, BTreeMap<String, String>)];

fn which(topics: &Settings, hazard: impl Fn(&BTreeMap<String, String>) -> bool) -> Vec<&str> {
    topics.iter().filter(|(_, settings)| hazard(settings)).map(|(name, _)| name.as_str()).collect()
}

fn durability(topics: &Settings) -> Finding {
    const CHECK: &str = "kafka-durability";
    let is =
        |settings: &BTreeMap<String, String>, name: &str, value: &str| settings.get(name).is_some_and(|v| v == value);
    let unclean = which(topics, |settings| is(settings, "unclean.leader.election.enable", "true"));
    if !unclean.is_empty() {
        return Finding::warn(
            CHECK,
            format!(
                "unclean.leader.election.enable is true on {}: a leader that lags may drop acknowledged records",
                few(&unclean)
            ),
            "set it to false; Rekap stops with LOG_DIVERGED where a log lost its tail",
        );
    }
    let single = which(topics, |settings| is(settings, "min.insync.replicas", "1"));
    match single.is_empty() {
        true => Finding::pass(CHECK, "acknowledged records are on at least two replicas"),
        false => Finding::warn(
            CHECK,
            format!("min.insync.replicas is 1 on {}: an acknowledged record may be on one disk only", few(&single)),
            "use a replication factor of 3 and min.insync.replicas=2",
        ),
    }
}

fn retention(topics: &Settings, max_age: Duration) -> Finding {
    const CHECK: &str = "kafka-retention";
    let ms =
        |settings: &BTreeMap<String, String>| settings.get("retention.ms").and_then(|text| text.parse::<i64>().ok());
    let below = |times: u32| {
        let bound = (max_age * times).as_millis() as i64;
        which(topics, move |settings| ms(settings).is_some_and(|kept| (0..bound).contains(&kept)))
    };
    let compacted = which(topics, |settings| settings.get("cleanup.policy").is_some_and(|p| p.contains("compact")));
    let (too_short, short) = (below(2), below(RETENTION_TIMES));
    if !too_short.is_empty() {
        return Finding::fail(
            CHECK,
            format!(
                "retention of {} is less than twice mirror.max_age ({max_age:?}): records would be lost unmirrored",
                few(&too_short)
            ),
            "raise retention.ms, or lower mirror.max_age",
        );
    }
    if !short.is_empty() {
        return Finding::warn(
            CHECK,
            format!(
                "retention of {} is less than {RETENTION_TIMES} times mirror.max_age: an outage of the store loses records",
                few(&short)
            ),
            "raise retention.ms to several times the longest outage that you want to survive",
        );
    }
    match compacted.is_empty() {
        true => Finding::pass(CHECK, "records stay long enough to be mirrored"),
        false => Finding::warn(
            CHECK,
            format!("{} are compacted: an older record of a key is lost if the mirror comes late", few(&compacted)),
            "raise min.compaction.lag.ms above the longest outage that you want to survive",
        ),
    }
}

/// One record through a topic of its own.
struct Probe {
    cluster: Arc<Cluster>,
    cursors: Arc<Cursors>,
    producer: Producer,
    clock: Arc<dyn Clock>,
}

impl Probe {
    async fn run(&self) -> impl Iterator<Item = Finding> + use<> {
        const WRITE: &str = "kafka-write";
        let name: TopicName = format!("__rekap_doctor_{}", uuid::Uuid::new_v4()).parse().expect("a topic's name");
        let log_append_time = [("message.timestamp.type", "LogAppendTime".to_owned())];
        if let Err(e) = self.cluster.create(&name, 1, &log_append_time).await {
            let cannot = Finding::warn(
                WRITE,
                format!("a topic cannot be made: {e}"),
                "nothing, if all topics are made by others; else allow Create",
            );
            return [cannot, Finding::skipped("kafka-clock")].into_iter();
        }
        let began = Instant::now();
        let tried = tokio::time::timeout(PATIENCE, self.write_and_read(&name)).await;
        let took = began.elapsed();
        let deleted = self.cluster.delete(&name).await;
        let late = || Err(LogError::store("trying out Kafka", format!("no record came back within {PATIENCE:?}")));
        let found = match (tried.unwrap_or_else(|_| late()), deleted) {
            (Ok(written), Ok(_)) => {
                let detail = format!("a record was acknowledged and read back in {} ms", took.as_millis());
                [Finding::pass(WRITE, detail), self.clocks(written)]
            }
            (Ok(written), Err(e)) => {
                let detail = format!("the topic `{name}` of this examination stays: {e}");
                [Finding::warn(WRITE, detail, "delete it, or allow Delete"), self.clocks(written)]
            }
            (Err(e), _) => {
                let failed = Finding::fail(WRITE, e.to_string(), "look at the brokers' logs and at the rights");
                [failed, Finding::skipped("kafka-clock")]
            }
        };
        found.into_iter()
    }

    /// Writes a record and reads it back; answers when the broker wrote it.
    async fn write_and_read(&self, name: &TopicName) -> Result<Timestamp, LogError> {
        let life = self.cluster.shown(name, 1).await?;
        let record = NewRecord {
            partition: Some(Partition(0)),
            key: None,
            value: Some("rekap writes here to see whether it can".into()),
            headers: Vec::new(),
            timestamp: None,
        };
        self.producer.append(name, 1, vec![record]).await?;
        let range = OffsetRange::new(Offset::ZERO, Offset::new(1));
        let read = self.cursors.read(name, life, Partition(0), range, 1 << 20, None).await;
        let batch = read.map_err(|e| e.explain(&self.cluster, name))?.batch;
        match batch.is_empty() {
            true => Err(LogError::store("trying out Kafka", "the record that was acknowledged is not there")),
            false => Ok(Timestamp::from_micros(batch.timestamps().value(0))),
        }
    }

    fn clocks(&self, written: Timestamp) -> Finding {
        const CHECK: &str = "kafka-clock";
        let now = self.clock.now();
        let apart = written.since(now).max(now.since(written));
        match apart < CLOCKS_APART {
            true => Finding::pass(CHECK, format!("the broker's clock is within {} s of ours", apart.as_secs() + 1)),
            false => Finding::warn(
                CHECK,
                format!("the broker's clock is {} s from ours: retention and ages are off by as much", apart.as_secs()),
                "set both clocks by NTP",
            ),
        }
    }
}

/// The first few of some names.
fn few(names: &[&str]) -> String {
    let first = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > NAMED { format!("{first} and {} more", names.len() - NAMED) } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verdict;

    fn topic(name: &str, settings: &[(&str, &str)]) -> (TopicName, BTreeMap<String, String>) {
        let settings = settings.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        (name.parse().unwrap(), settings.collect())
    }

    #[test]
    fn settings_that_endanger_records_are_told_by_topic() {
        let fine = topic("fine", &[("min.insync.replicas", "2"), ("unclean.leader.election.enable", "false")]);
        assert_eq!(durability(std::slice::from_ref(&fine)).verdict, Verdict::Pass);
        let unclean = topic("unclean", &[("unclean.leader.election.enable", "true")]);
        let found = durability(&[fine.clone(), unclean]);
        assert!(found.verdict == Verdict::Warn && found.detail.contains("`unclean`"), "{found:?}");
        assert_eq!(durability(&[topic("one", &[("min.insync.replicas", "1")])]).verdict, Verdict::Warn);
    }

    #[test]
    fn retention_is_held_against_the_age_at_which_the_mirror_takes_records() {
        let of = |ms: &str| retention(&[topic("t", &[("retention.ms", ms)])], Duration::from_secs(60)).verdict;
        assert_eq!((of("-1"), of("86400000")), (Verdict::Pass, Verdict::Pass));
        assert_eq!((of("119999"), of("120000"), of("600000")), (Verdict::Fail, Verdict::Warn, Verdict::Pass));
        let compacted = retention(&[topic("t", &[("cleanup.policy", "compact")])], Duration::from_secs(60));
        assert_eq!(compacted.verdict, Verdict::Warn);
    }
}
