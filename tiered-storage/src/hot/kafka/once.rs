//! Appends with a key: records and what was answered are one transaction, so an append that is sent again appends nothing again.
//!
//! ```text
//! begin ─► records ─► their offsets are acknowledged ─► the answer, into `__rekap_requests` ─► commit
//! ```
//! A process that dies in between leaves a transaction that its successor ends before it reads the answers, so it sees whether the
//! append happened. The writer's name is kept in the data folder. A commit is readable a moment after it is acknowledged: a writer
//! remembers its own answers, and waits for those of other front ends that are under way. The same key sent to two of them *at the same
//! moment* can append twice. Appends with a key go one after the other, each in about 10 ms.
//! Answers are records of format 1: `{"format": 1, "digest": "…", "appended": {"0": [from, to]}}`, keyed `<life>/<key>`, kept 24 hours.
//!
//! Memory: all of them, about 400 bytes each; so as many as appends with a key came within 24 hours.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{Producer as _, ThreadedProducer};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::cluster::{Cluster, blocking};
use super::cursors::Cursors;
use super::flight::Flight;
use super::native::At;
use super::producer::{Turns, landing, send};
use super::settings::KafkaSettings;
use super::watcher::Watcher;
use crate::{
    AppendKey, Appended, Clock, Incarnation, LogError, NewRecord, Offset, OffsetRange, Partition, Timestamp, Topic,
    TopicName,
};

/// The topic that holds the answers.
const TOPIC: &str = "__rekap_requests";

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long Kafka keeps it: a little longer.
const RETENTION_MS: u64 = 25 * 60 * 60 * 1000;

/// How long a step of a transaction may take.
const STEP: Duration = Duration::from_secs(30);

/// How long an append waits for answers of other front ends that are under way. One that died leaves its own open for longer.
const UNDECIDED: Duration = Duration::from_secs(1);

/// How often it looks.
const LOOK: Duration = Duration::from_millis(5);

/// Bytes of answers read at a time.
const READ_BYTES: usize = 4 << 20;

/// The version of the answers.
const FORMAT: u32 = 1;

/// Appends that happen once.
pub(super) struct Once {
    cluster: Arc<Cluster>,
    cursors: Arc<Cursors>,
    settings: KafkaSettings,
    clock: Arc<dyn Clock>,
    turns: Turns,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    writer: Option<Writer>,
    answers: Answers,
}

/// A transactional producer.
struct Writer {
    client: Arc<ThreadedProducer<Watcher>>,
    /// The topic of the answers that it writes to.
    life: Incarnation,
}

/// All answers up to where they were read. They outlive the producer, which any failure ends.
#[derive(Default)]
struct Answers {
    life: Option<Incarnation>,
    next: Offset,
    by_key: HashMap<Arc<str>, Answer>,
    /// The keys with the times of their answers, about in the order of time.
    by_age: VecDeque<(i64, Arc<str>)>,
    /// Where an open transaction holds the answers up that was waited for in vain.
    stuck: Option<Offset>,
}

/// What an append answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Answer {
    format: u32,
    digest: String,
    appended: BTreeMap<u32, (u64, u64)>,
    #[serde(skip)]
    at_micros: i64,
}

impl Once {
    pub(super) fn new(
        cluster: Arc<Cluster>,
        cursors: Arc<Cursors>,
        settings: KafkaSettings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Once { cluster, cursors, settings, clock, turns: Turns::default(), state: Mutex::default() }
    }

    /// Appends all records or none, or answers again what the append of that key answered.
    pub(super) async fn append(
        &self,
        topic: &Topic,
        records: Vec<NewRecord>,
        once: AppendKey,
    ) -> Result<Appended, LogError> {
        let mut held = self.state.lock().await;
        let State { writer: kept, answers } = &mut *held;
        // Taken out: after any failure the next append begins with a new writer, which ends what this one left open.
        let writer = match kept.take() {
            Some(writer) => writer,
            None => self.open().await?,
        };
        let appended = self.append_with(&writer, answers, topic, records, once).await;
        match appended {
            Ok(_) | Err(LogError::KeyReused(_)) => *kept = Some(writer),
            // Its last moments take up to half a second.
            Err(_) => drop(tokio::task::spawn_blocking(move || drop(writer))),
        }
        appended
    }

    async fn append_with(
        &self,
        writer: &Writer,
        answers: &mut Answers,
        topic: &Topic,
        records: Vec<NewRecord>,
        once: AppendKey,
    ) -> Result<Appended, LogError> {
        self.catch_up(writer.life, answers).await?;
        let key = format!("{}/{}", topic.incarnation, once.key);
        let digest = BASE64_STANDARD.encode(once.body_digest);
        if let Some(answer) = answers.get(&key, self.kept_since()) {
            return match answer.digest == digest {
                true => Ok(answer.appended()),
                false => Err(LogError::KeyReused(once.key)),
            };
        }
        let answer = self.transact(writer, topic, &records, &key, digest).await?;
        let appended = answer.appended();
        answers.insert(key.into(), answer);
        Ok(appended)
    }

    /// Answers from before this are forgotten.
    fn kept_since(&self) -> i64 {
        self.clock.now().minus(KEPT).as_micros()
    }

    /// Ends what this data folder's writer left open when it died, so that no reader waits for it. Where that fails, the transaction
    /// times out by itself.
    pub(super) async fn recover(&self) {
        let mut state = self.state.lock().await;
        let writer = &mut state.writer;
        if writer.is_none() && self.settings.folder.join("writer").exists() {
            match self.open().await {
                Ok(opened) => *writer = Some(opened),
                Err(error) => tracing::warn!(%error, "what an append left open is not ended yet"),
            }
        }
    }

    /// A writer that has ended what its predecessor of the same name left open.
    async fn open(&self) -> Result<Writer, LogError> {
        let settings = [("retention.ms", RETENTION_MS.to_string()), ("cleanup.policy", "delete".to_owned())];
        self.cluster.create(&requests(), 1, &settings).await?;
        let life = self.cluster.shown(&requests(), 1).await?;
        let id = self.name().await?;
        let (config, watcher) = (self.settings.transactional(&id), self.cluster.watcher.clone());
        let opened = blocking(move || {
            let client = ThreadedProducer::from_config_and_context(&config, watcher)?;
            client.init_transactions(STEP)?;
            Ok(Arc::new(client))
        });
        let client = opened.await.map_err(|e: KafkaError| self.cluster.failed("beginning to write to", e))?;
        Ok(Writer { client, life })
    }

    /// The name of this data folder's writer.
    async fn name(&self) -> Result<String, LogError> {
        let path: PathBuf = self.settings.folder.join("writer");
        let failed = |e: std::io::Error| LogError::store(format!("opening {}", path.display()), e);
        match tokio::fs::read_to_string(&path).await {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let name = format!("rekap-{}", uuid::Uuid::new_v4());
                tokio::fs::write(&path, &name).await.map_err(failed)?;
                Ok(name)
            }
            read => read.map_err(failed),
        }
    }

    /// Reads the answers that came since, other front ends' among them.
    async fn catch_up(&self, life: Incarnation, answers: &mut Answers) -> Result<(), LogError> {
        if answers.life != Some(life) {
            *answers = Answers { life: Some(life), ..Answers::default() };
        }
        let end = self.decided(&mut answers.stuck).await?;
        answers.next = answers.next.max(self.offset(At::Earliest).await?);
        while answers.next < end {
            let range = OffsetRange::new(answers.next, end);
            let read = self.cursors.read(&requests(), life, Partition(0), range, READ_BYTES, None).await;
            let batch = read.map_err(|e| e.explain(&self.cluster, &requests()))?.batch;
            for row in 0..batch.len() {
                let (keys, values) = (batch.keys(), batch.values());
                let answer: Option<Answer> = serde_json::from_slice(values.value(row)).ok();
                if let (Ok(key), Some(answer)) = (std::str::from_utf8(keys.value(row)), answer)
                    && answer.format == FORMAT
                {
                    let at_micros = batch.timestamps().value(row);
                    answers.insert(key.into(), Answer { at_micros, ..answer });
                }
            }
            answers.next = batch.range.to;
        }
        answers.forget_before(self.kept_since());
        Ok(())
    }

    /// Where the answers end, once those that are under way now are committed or given up.
    async fn decided(&self, stuck: &mut Option<Offset>) -> Result<Offset, LogError> {
        let high = self.offset(At::High).await?;
        let deadline = Instant::now() + UNDECIDED;
        loop {
            let stable = self.offset(At::Stable).await?;
            if stable >= high || *stuck == Some(stable) {
                return Ok(stable);
            }
            if Instant::now() >= deadline {
                *stuck = Some(stable);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn offset(&self, at: At) -> Result<Offset, LogError> {
        self.cluster.offset(&requests(), at, "reading the answers in").await
    }

    async fn transact(
        &self,
        writer: &Writer,
        topic: &Topic,
        records: &[NewRecord],
        key: &str,
        digest: String,
    ) -> Result<Answer, LogError> {
        let failed = |e| self.cluster.failed(&format!("appending to topic `{}` of", topic.name), e);
        writer.client.begin_transaction().map_err(failed)?;
        let partitions = topic.config.partitions;
        let appended = self.fly(writer, &topic.name, partitions, records).await?;
        let now = self.clock.now();
        let answer = Answer {
            format: FORMAT,
            digest,
            appended: appended.iter().map(|(p, range)| (p.0, (range.from.get(), range.to.get()))).collect(),
            at_micros: now.as_micros(),
        };
        let record = NewRecord {
            partition: Some(Partition(0)),
            key: Some(key.to_owned().into()),
            value: Some(serde_json::to_vec(&answer).map_err(|e| LogError::store("writing an answer", e))?.into()),
            headers: Vec::new(),
            timestamp: Some(now).filter(|now| *now > Timestamp::from_micros(1000)),
        };
        self.fly(writer, &requests(), 1, &[record]).await?;
        let client = writer.client.clone();
        blocking(move || client.commit_transaction(STEP)).await.map_err(failed)?;
        Ok(answer)
    }

    /// Sends records within the transaction. Where one fails the transaction is given up, and nothing of it is ever read.
    async fn fly(
        &self,
        writer: &Writer,
        topic: &TopicName,
        partitions: u32,
        records: &[NewRecord],
    ) -> Result<Appended, LogError> {
        let flight = Arc::new(Flight::default());
        let mut why = None;
        for record in records {
            let partition = self.turns.partition(record, partitions);
            if let Err(error) = send(&flight, &writer.client, topic, partition, record).await {
                why = Some((error.rdkafka_error_code().unwrap_or(Code::Unknown), error.to_string()));
                break;
            }
        }
        let landing = landing(&flight).await;
        let Some((code, said)) = landing.why.or(why) else { return Ok(landing.appended) };
        let client = writer.client.clone();
        if let Err(error) = blocking(move || client.abort_transaction(STEP)).await {
            tracing::debug!(%error, "a transaction is left to its time-out");
        }
        Err(match code {
            Code::MessageSizeTooLarge => LogError::Invalid(format!(
                "topic `{topic}` does not take records of that size; raise its max.message.bytes, or send smaller ones"
            )),
            _ => self.cluster.unanswered(&format!("appending to topic `{topic}` of"), code, &said),
        })
    }
}

impl Answers {
    fn get(&self, key: &str, kept_since: i64) -> Option<&Answer> {
        self.by_key.get(key).filter(|answer| answer.at_micros >= kept_since)
    }

    fn insert(&mut self, key: Arc<str>, answer: Answer) {
        let at = answer.at_micros;
        // One that is read again, or is newer, stands in the order already.
        if self.by_key.insert(key.clone(), answer).is_none() {
            self.by_age.push_back((at, key));
        }
    }

    /// Forgets answers that are too old. Looks at these only, and at those that came anew meanwhile.
    fn forget_before(&mut self, kept_since: i64) {
        while let Some((_, key)) = self.by_age.pop_front_if(|(at, _)| *at < kept_since) {
            match self.by_key.get(&key) {
                Some(answer) if answer.at_micros >= kept_since => self.by_age.push_back((answer.at_micros, key)),
                _ => _ = self.by_key.remove(&key),
            }
        }
    }
}

impl Answer {
    fn appended(&self) -> Appended {
        let range = |(p, (from, to)): (&u32, &(u64, u64))| {
            (Partition(*p), OffsetRange { from: Offset::new(*from), to: Offset::new(*to) })
        };
        self.appended.iter().map(range).collect()
    }
}

fn requests() -> TopicName {
    TOPIC.parse().expect("a topic's name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(at_micros: i64) -> Answer {
        Answer { format: FORMAT, digest: "d".into(), appended: BTreeMap::new(), at_micros }
    }

    #[test]
    fn an_answer_is_forgotten_when_it_is_old_and_not_before() {
        let mut answers = Answers::default();
        for at in 0..10 {
            answers.insert(at.to_string().into(), answer(at));
        }
        // One is read again from the log, and one was given anew after it had expired.
        answers.insert("7".into(), answer(7));
        answers.insert("3".into(), answer(20));
        answers.forget_before(5);
        let mut left: Vec<_> = answers.by_key.keys().map(|key| key.to_string()).collect();
        left.sort();
        assert_eq!(left, ["3", "5", "6", "7", "8", "9"]);
        assert_eq!(answers.by_age.len(), 6);
        assert!(answers.get("3", 5).is_some() && answers.get("5", 6).is_none());
        answers.forget_before(21);
        assert!(answers.by_key.is_empty() && answers.by_age.is_empty());
    }
}
