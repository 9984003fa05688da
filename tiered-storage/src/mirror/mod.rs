//! The mirror: carries what is appended to the hot tier into the cold tier, exactly once.
//!
//! ```text
//! facts ──plan (pure)──► parts ──write──► data files ──one commit──► progress of every partition of the round
//! ```
//! A round's files mean nothing until its commit, which holds them together with the new progress and swaps only if the table is
//! still the one that the round was planned on. So a mirror that dies at any point, or races another one, leaves at most files that
//! nothing refers to, and the next round goes on where the table says.

mod plan;
mod policy;
mod round;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;

pub use policy::MirrorPolicy;

use crate::{Clock, Incarnation, Log, LogError, Offset, Partition, Timestamp, Topic, TopicName};
use plan::Urgency;
use round::RoundOutcome;

/// Rounds in a row that a flush may lose to another mirror before it gives up. Each loss means that the other one got further.
const MAX_LOST_ROUNDS: u32 = 100;

/// Bounds of the time between two looks at what is due.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The mirror of all topics that its policy names. It runs until it is dropped.
pub struct Mirror {
    work: Arc<Work>,
    task: JoinHandle<()>,
}

/// What the background task and flushes share.
struct Work {
    log: Log,
    policy: MirrorPolicy,
    clock: Arc<dyn Clock>,
    /// One entry per life of a topic. Whoever mirrors a topic holds its lock, so one process never races itself.
    topics: Mutex<HashMap<Incarnation, Arc<Mutex<Waiting>>>>,
    problems: StdMutex<BTreeMap<TopicName, String>>,
}

/// Since when each partition has records at the offset that is mirrored next.
type Waiting = BTreeMap<Partition, (Offset, Timestamp)>;

impl Mirror {
    /// Starts to mirror.
    pub fn spawn(log: Log, policy: MirrorPolicy, clock: Arc<dyn Clock>) -> Self {
        let work = Arc::new(Work { log, policy, clock, topics: Mutex::default(), problems: StdMutex::default() });
        let task = tokio::spawn(work.clone().run());
        Mirror { work, task }
    }

    /// Mirrors a topic up to its present end, and answers when that is done.
    pub async fn flush(&self, name: &TopicName) -> Result<(), LogError> {
        self.work.flush(name).await
    }

    /// Why topics are not being mirrored, by topic. Empty when all is well.
    pub fn problems(&self) -> BTreeMap<TopicName, String> {
        self.work.problems.lock().expect("no holder panics").clone()
    }

    /// How long until retention may delete records that are not mirrored yet: of each partition of the topic that has some.
    pub async fn headroom(&self, topic: &Topic) -> BTreeMap<Partition, Duration> {
        let Some(retention) = topic.config.retention_ms.map(Duration::from_millis) else { return BTreeMap::new() };
        let now = self.work.clock.now();
        let waiting = self.work.waiting(topic.incarnation).await;
        let waiting = waiting.lock().await;
        waiting.iter().map(|(p, (_, since))| (*p, retention.saturating_sub(now.since(*since)))).collect()
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Work {
    async fn run(self: Arc<Self>) {
        let mut look = tokio::time::interval((self.policy.max_age / 10).clamp(LOOK_EVERY.0, LOOK_EVERY.1));
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            match self.log.hot.topics().await {
                Ok(topics) => self.mirror_due(&topics).await,
                Err(error) => tracing::warn!(%error, "the mirror cannot list the topics"),
            }
        }
    }

    async fn mirror_due(&self, topics: &[Topic]) {
        for topic in topics.iter().filter(|topic| self.policy.mirrors(&topic.name)) {
            let done = self.mirror_topic(topic).await;
            self.report(&topic.name, done.err());
        }
        let live = |name: &TopicName| topics.iter().any(|topic| topic.name == *name);
        self.problems.lock().expect("no holder panics").retain(|name, _| live(name));
        self.topics.lock().await.retain(|life, _| topics.iter().any(|topic| topic.incarnation == *life));
    }

    /// Mirrors what is due of a topic. A topic that a flush is at work on is left to it.
    async fn mirror_topic(&self, topic: &Topic) -> Result<(), LogError> {
        let waiting = self.waiting(topic.incarnation).await;
        let Ok(mut waiting) = waiting.try_lock() else { return Ok(()) };
        while self.round(topic, Urgency::Due, &mut waiting).await? == RoundOutcome::Moved {}
        Ok(())
    }

    async fn flush(&self, name: &TopicName) -> Result<(), LogError> {
        let topic = self.log.hot.topic(name).await?;
        let ends = self.log.hot.ranges(name).await?;
        let cold = self.log.cold.topic(&topic).await?;
        let waiting = self.waiting(topic.incarnation).await;
        let mut waiting = waiting.lock().await;
        let reached = || {
            let coverage = cold.coverage();
            ends.iter().all(|(p, hot)| hot.earliest == hot.end || coverage.mirrored_to(*p) >= Some(hot.end))
        };
        let mut lost = 0;
        while !reached() {
            match self.round(&topic, Urgency::Now, &mut waiting).await? {
                RoundOutcome::Moved => lost = 0,
                RoundOutcome::Idle => break,
                RoundOutcome::Lost if lost == MAX_LOST_ROUNDS => {
                    return Err(LogError::Invalid(format!(
                        "topic `{name}` is being mirrored by another process as well; mirror it by one only"
                    )));
                }
                RoundOutcome::Lost => lost += 1,
            }
        }
        Ok(())
    }

    async fn waiting(&self, life: Incarnation) -> Arc<Mutex<Waiting>> {
        self.topics.lock().await.entry(life).or_default().clone()
    }

    /// Keeps the topic's problem for whoever asks, and tells the operator when it is a new one.
    fn report(&self, topic: &TopicName, error: Option<LogError>) {
        let mut problems = self.problems.lock().expect("no holder panics");
        let Some(error) = error.map(|e| e.to_string()) else {
            problems.remove(topic);
            return;
        };
        if problems.insert(topic.clone(), error.clone()).as_ref() != Some(&error) {
            tracing::error!(%topic, error, "the topic is not being mirrored");
        }
    }
}
