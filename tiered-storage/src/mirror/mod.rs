//! The mirror: carries what is appended to the hot tier into the cold tier, exactly once.
//!
//! ```text
//! facts ──plan (pure)──► parts ──write──► data files ──one commit──► progress of every partition of the round
//! ```
//! A round's files mean nothing until its commit, which holds them together with the new progress and swaps only if the table is
//! still the one that the round was planned on. So a mirror that dies at any point, or races another one, leaves at most files that
//! nothing refers to, and the next round goes on where the table says.

mod counts;
mod headroom;
mod plan;
mod policy;
mod round;
mod upkeep;
mod warning;
mod watched;
mod writing;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;

pub use counts::MirrorCounts;
pub use policy::MirrorPolicy;

use crate::{Clock, Incarnation, Log, LogError, Partition, Timestamp, Topic, TopicName};
use plan::Urgency;
use round::RoundOutcome;
use watched::Watched;

/// Rounds in a row that a flush may lose to another mirror before it gives up. Each loss means that the other one got further.
const MAX_LOST_ROUNDS: u32 = 100;

/// How often a flush begins a round anew that the store failed, and the wait before the second time; each further one is twice as long.
const FLUSH_ATTEMPTS: u32 = 4;
const FLUSH_WAIT: Duration = Duration::from_millis(200);

/// Bounds of the time between two looks at what is due.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Mirrors a topic to its end, with nothing going on beside it.
#[cfg(test)]
pub(crate) async fn flush_once(
    log: Log,
    max_bytes: u64,
    clock: Arc<dyn Clock>,
    topic: &TopicName,
) -> Result<(), LogError> {
    Work::new(log, MirrorPolicy { max_bytes, ..MirrorPolicy::default() }, clock).flush(topic).await
}

/// The mirror of all topics that its policy names. It runs until it is dropped.
pub struct Mirror {
    work: Arc<Work>,
    tasks: [JoinHandle<()>; 3],
}

/// What the background task and flushes share.
struct Work {
    log: Log,
    policy: MirrorPolicy,
    clock: Arc<dyn Clock>,
    /// One entry per life of a topic. Whoever mirrors a topic holds its lock, so one process never races itself.
    topics: Mutex<HashMap<Incarnation, Arc<Mutex<Watched>>>>,
    /// What was seen at the end of the last look, and when, for those who ask while a topic is being mirrored.
    seen: StdMutex<HashMap<Incarnation, (Timestamp, Arc<Watched>)>>,
    problems: StdMutex<BTreeMap<TopicName, String>>,
    counts: StdMutex<BTreeMap<TopicName, MirrorCounts>>,
    /// The topics whose headroom is low, so that it is told once, and why their retention could not be raised.
    low: StdMutex<BTreeMap<TopicName, Option<String>>>,
}

impl Mirror {
    /// Starts to mirror, and to keep the tables in order.
    pub fn spawn(log: Log, policy: MirrorPolicy, clock: Arc<dyn Clock>) -> Self {
        let work = Arc::new(Work::new(log, policy, clock));
        let tasks = [
            tokio::spawn(work.clone().run()),
            tokio::spawn(work.clone().run_upkeep()),
            tokio::spawn(work.clone().run_warnings()),
        ];
        Mirror { work, tasks }
    }

    /// Mirrors a topic up to its present end, and answers when that is done.
    pub async fn flush(&self, name: &TopicName) -> Result<(), LogError> {
        self.work.flush(name).await
    }

    /// Why topics are not being mirrored, by topic. Empty when all is well.
    pub fn problems(&self) -> BTreeMap<TopicName, String> {
        self.work.problems.lock().expect("no holder panics").clone()
    }

    /// What was done to each topic so far.
    pub fn counts(&self) -> BTreeMap<TopicName, MirrorCounts> {
        self.work.counts.lock().expect("no holder panics").clone()
    }

    /// How long until retention deletes records that are not mirrored, if nothing is mirrored from now on: of each partition of the topic
    /// that has some, as of the mirror's last look.
    pub async fn headroom(&self, topic: &Topic) -> BTreeMap<Partition, Duration> {
        self.work.headroom(topic)
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Work {
    fn new(log: Log, policy: MirrorPolicy, clock: Arc<dyn Clock>) -> Self {
        Work {
            log,
            policy,
            clock,
            topics: Mutex::default(),
            seen: StdMutex::default(),
            problems: StdMutex::default(),
            counts: StdMutex::default(),
            low: StdMutex::default(),
        }
    }

    async fn run(self: Arc<Self>) {
        let mut look = tokio::time::interval((self.policy.max_age / 10).clamp(LOOK_EVERY.0, LOOK_EVERY.1));
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            while self.mirror_due().await {}
        }
    }

    /// One round of every topic that has something due, so that none waits for the backlog of another. True when one got further.
    async fn mirror_due(&self) -> bool {
        let topics = match self.log.hot.topics().await {
            Ok(topics) => topics,
            Err(error) => {
                tracing::warn!(%error, "the mirror cannot list the topics");
                return false;
            }
        };
        let mut moved = false;
        for topic in topics.iter().filter(|topic| self.policy.mirrors(&topic.name)) {
            let done = self.mirror_topic(topic).await;
            moved |= matches!(done, Ok(RoundOutcome::Moved));
            self.report(&topic.name, done.err());
        }
        self.forget_all_but(&topics).await;
        moved
    }

    async fn forget_all_but(&self, topics: &[Topic]) {
        let live = |name: &TopicName| topics.iter().any(|topic| topic.name == *name);
        let lives = |life: &Incarnation| topics.iter().any(|topic| topic.incarnation == *life);
        self.problems.lock().expect("no holder panics").retain(|name, _| live(name));
        self.counts.lock().expect("no holder panics").retain(|name, _| live(name));
        self.low.lock().expect("no holder panics").retain(|name, _| live(name));
        self.seen.lock().expect("no holder panics").retain(|life, _| lives(life));
        self.topics.lock().await.retain(|life, _| lives(life));
    }

    /// One round of what is due of a topic. A topic that a flush is at work on is left to it.
    async fn mirror_topic(&self, topic: &Topic) -> Result<RoundOutcome, LogError> {
        let watched = self.watched(topic.incarnation).await;
        let Ok(mut watched) = watched.try_lock() else { return Ok(RoundOutcome::Idle) };
        if self.problems.lock().expect("no holder panics").contains_key(&topic.name) {
            // A table that cannot be loaded takes no commit: found before anything is written for it.
            self.log.cold.topic(topic).await?.refresh().await?;
        }
        self.round(topic, Urgency::Due, &mut watched).await
    }

    fn count(&self, topic: &TopicName, change: impl FnOnce(&mut MirrorCounts)) {
        change(self.counts.lock().expect("no holder panics").entry(topic.clone()).or_default());
    }

    async fn flush(&self, name: &TopicName) -> Result<(), LogError> {
        let topic = self.log.hot.topic(name).await?;
        let ends = self.log.hot.ranges(name).await?;
        let cold = self.log.cold.topic(&topic).await?;
        let watched = self.watched(topic.incarnation).await;
        let mut watched = watched.lock().await;
        let reached = || {
            let coverage = cold.coverage();
            ends.iter().all(|(p, hot)| hot.earliest == hot.end || coverage.mirrored_to(*p) >= Some(hot.end))
        };
        let (mut lost, mut failed) = (0, 0);
        while !reached() {
            let outcome = match self.round(&topic, Urgency::Now, &mut watched).await {
                Err(LogError::Store { what, source }) if failed < FLUSH_ATTEMPTS => {
                    tracing::debug!(topic = %name, what, error = %source, "a flush failed; it is tried again");
                    tokio::time::sleep(FLUSH_WAIT * 2u32.pow(failed)).await;
                    failed += 1;
                    continue;
                }
                outcome => outcome?,
            };
            match outcome {
                RoundOutcome::Moved => (lost, failed) = (0, 0),
                RoundOutcome::Idle => break,
                RoundOutcome::Lost if lost == MAX_LOST_ROUNDS => {
                    return Err(LogError::Invalid(format!(
                        "topic `{name}` is being mirrored by another process as well; mirror it by one only"
                    )));
                }
                RoundOutcome::Lost => lost += 1,
            }
        }
        // Looks once more, so that those who ask hear that nothing waits any more.
        self.plan(&topic, &cold.coverage(), Urgency::Due, &mut watched).await?;
        self.look_at_ages(&topic, &mut watched).await;
        Ok(())
    }

    async fn watched(&self, life: Incarnation) -> Arc<Mutex<Watched>> {
        self.topics.lock().await.entry(life).or_default().clone()
    }

    /// Keeps the topic's problem for whoever asks, and tells the operator when it is a new one.
    fn report(&self, topic: &TopicName, error: Option<LogError>) {
        let mut problems = self.problems.lock().expect("no holder panics");
        let Some(error) = error.map(|e| e.to_string()) else {
            problems.remove(topic);
            return;
        };
        self.count(topic, |counts| counts.failures += 1);
        if problems.insert(topic.clone(), error.clone()).as_ref() != Some(&error) {
            tracing::error!(%topic, error, "the topic is not being mirrored");
        }
    }
}
