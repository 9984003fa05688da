//! How far each partition can be read, looked at on and on for the topics that somebody asks about.
//!
//! One look asks for the stable ends of all watched partitions at once; the earliest offsets and the high watermarks, which move
//! slowly or matter little, are asked for once a second. Whoever asks gets what a fresh look found, or waits for the next look.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode as Code;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::cluster::Cluster;
use super::native::At;
use crate::{Clock, HeldBack, HotRange, Incarnation, LogError, Offset, Partition, Topic, TopicName};

/// The time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The time between two looks at what moves slowly.
const SLOW_LOOK_EVERY: Duration = Duration::from_secs(1);

/// How old a look may be to be an answer.
const FRESH: Duration = Duration::from_millis(200);

/// How long a topic is watched after somebody asked.
const WATCHED: Duration = Duration::from_secs(60);

/// For how long an end must be seen below a former one until it is believed: a loss of records, not a leader that begins.
const FALLS: Duration = Duration::from_secs(1);

/// How long a leader may be missing while another is elected.
const MOMENT: Duration = Duration::from_secs(3);

/// How long whoever asks waits for a look.
const PATIENCE: Duration = Duration::from_secs(15);

type Ranges = Arc<BTreeMap<Partition, HotRange>>;

/// The ends of the watched topics.
pub(super) struct Ends {
    cluster: Arc<Cluster>,
    clock: Arc<dyn Clock>,
    watched: Mutex<HashMap<TopicName, Watched>>,
    /// Changes with every end that moves.
    pub(super) appended: watch::Sender<u64>,
    looked: watch::Sender<u64>,
    hurry: Notify,
}

struct Watched {
    life: Incarnation,
    partitions: u32,
    asked: Instant,
    /// When the look began that found `ranges`.
    at: Option<Instant>,
    slowly_at: Option<Instant>,
    ranges: Ranges,
    held_back: BTreeMap<Partition, HeldBack>,
    /// What is older was found before an append.
    not_before: Instant,
    failure: Option<(Instant, String)>,
    failing_since: Option<Instant>,
    falling_since: Option<Instant>,
}

/// What a look asks about one topic.
type Asked = Vec<(TopicName, Partition)>;

impl Ends {
    pub(super) fn new(cluster: Arc<Cluster>, clock: Arc<dyn Clock>) -> Self {
        let (appended, looked) = (watch::Sender::new(0), watch::Sender::new(0));
        Ends { cluster, clock, watched: Mutex::default(), appended, looked, hurry: Notify::new() }
    }

    /// What is held of each partition, no older than [`FRESH`].
    pub(super) async fn get(&self, topic: &Topic) -> Result<Ranges, LogError> {
        self.since(topic, Instant::now() - FRESH).await
    }

    /// What is held of each partition now.
    pub(super) async fn get_now(&self, topic: &Topic) -> Result<Ranges, LogError> {
        self.since(topic, Instant::now()).await
    }

    /// An append has moved the ends: wakes readers, and looks at once.
    pub(super) fn moved(&self, topic: &TopicName) {
        if let Some(watched) = self.watched.lock().expect("no holder panics").get_mut(topic) {
            (watched.not_before, watched.slowly_at) = (Instant::now(), None);
        }
        self.hurry.notify_one();
        self.appended.send_modify(|n| *n += 1);
    }

    /// The partitions that end, for readers, before what was written to them.
    pub(super) fn held_back(&self, topic: &TopicName) -> BTreeMap<Partition, HeldBack> {
        let watched = self.watched.lock().expect("no holder panics");
        watched.get(topic).map(|watched| watched.held_back.clone()).unwrap_or_default()
    }

    async fn since(&self, topic: &Topic, since: Instant) -> Result<Ranges, LogError> {
        let mut looked = self.looked.subscribe();
        let answer = async {
            loop {
                looked.borrow_and_update();
                if let Some(answer) = self.found(topic, since) {
                    return answer;
                }
                self.hurry.notify_one();
                if looked.changed().await.is_err() {
                    return Err("the log is closed".to_owned());
                }
            }
        };
        let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| Err("no answer".into()));
        answer.map_err(|said| {
            let doing = format!("looking at the ends of topic `{}` of", topic.name);
            self.cluster.unanswered(&doing, Code::OperationTimedOut, &said)
        })
    }

    /// What a look that began at or after `since` found. Registers the topic with the watched ones.
    fn found(&self, topic: &Topic, since: Instant) -> Option<Result<Ranges, String>> {
        let mut all = self.watched.lock().expect("no holder panics");
        let now = Instant::now();
        let watched = all.entry(topic.name.clone()).or_insert_with(|| Watched::new(topic, now));
        if watched.life != topic.incarnation || watched.partitions != topic.config.partitions {
            *watched = Watched::new(topic, now);
        }
        watched.asked = now;
        let since = since.max(watched.not_before);
        if watched.at.is_some_and(|at| at >= since) {
            return Some(Ok(watched.ranges.clone()));
        }
        // A partition that is without a leader for a moment is no failure yet.
        let lasts = watched.failing_since.is_some_and(|since| since.elapsed() > MOMENT);
        let failure = watched.failure.as_ref().filter(|(at, _)| lasts && *at >= since);
        failure.map(|(_, said)| Err(said.clone()))
    }

    /// Looks for as long as the log is open.
    pub(super) async fn watch(&self, mut each: impl FnMut()) {
        loop {
            _ = tokio::time::timeout(LOOK_EVERY, self.hurry.notified()).await;
            each();
            let (asked, slowly) = self.asked();
            if !asked.is_empty() {
                self.look(asked, slowly).await;
                self.looked.send_modify(|n| *n += 1);
            }
        }
    }

    /// The partitions to look at, and those of them that are due for the slow look.
    fn asked(&self) -> (Asked, Asked) {
        let mut all = self.watched.lock().expect("no holder panics");
        all.retain(|_, watched| watched.asked.elapsed() < WATCHED);
        let partitions = |(name, watched): (&TopicName, &Watched)| {
            let name = name.clone();
            (0..watched.partitions).map(move |p| (name.clone(), Partition(p))).collect::<Vec<_>>()
        };
        let slow = |watched: &Watched| {
            watched.at.is_none() || watched.slowly_at.is_none_or(|at| at.elapsed() > SLOW_LOOK_EVERY)
        };
        let slowly = all.iter().filter(|(_, watched)| slow(watched)).flat_map(partitions).collect();
        (all.iter().flat_map(partitions).collect(), slowly)
    }

    async fn look(&self, asked: Asked, slowly: Asked) {
        let began = Instant::now();
        let slowly = Arc::new(slowly);
        let looks = tokio::join!(
            self.cluster.list(slowly.clone(), At::Earliest),
            self.cluster.list(slowly, At::High),
            self.cluster.list(Arc::new(asked), At::Stable)
        );
        let mut found = HashMap::new();
        for (look, of) in [(looks.0, At::Earliest), (looks.1, At::High), (looks.2, At::Stable)] {
            match look {
                Ok(listed) => {
                    for (topic, partition, offset) in listed {
                        let topic: &mut Found = found.entry(topic).or_default();
                        topic.add(partition, of, offset);
                    }
                }
                Err(error) => return self.fail(began, &error),
            }
        }
        let now = self.clock.now();
        let mut all = self.watched.lock().expect("no holder panics");
        let mut moved = false;
        for (name, found) in found {
            if let Some(watched) = all.get_mut(&name) {
                moved |= watched.take(began, found, now);
            }
        }
        drop(all);
        if moved {
            self.appended.send_modify(|n| *n += 1);
        }
    }

    /// Tells everyone who waits that this look found nothing.
    fn fail(&self, began: Instant, error: &LogError) {
        let said = match error {
            LogError::Store { source, .. } => source.to_string(),
            error => error.to_string(),
        };
        for watched in self.watched.lock().expect("no holder panics").values_mut() {
            watched.fail(began, said.clone());
        }
    }
}

/// What a look found of one topic.
#[derive(Default)]
struct Found {
    earliest: BTreeMap<Partition, Offset>,
    high: BTreeMap<Partition, Offset>,
    stable: BTreeMap<Partition, Offset>,
    failure: Option<String>,
}

impl Found {
    fn add(&mut self, partition: Partition, of: At, offset: Result<Option<Offset>, Code>) {
        let into = match of {
            At::Earliest => &mut self.earliest,
            At::High => &mut self.high,
            _ => &mut self.stable,
        };
        match offset {
            Ok(offset) => _ = into.insert(partition, offset.unwrap_or_default()),
            Err(code) => self.failure = Some(format!("partition {partition}: {code}")),
        }
    }
}

impl Watched {
    fn new(topic: &Topic, asked: Instant) -> Self {
        Watched {
            life: topic.incarnation,
            partitions: topic.config.partitions,
            asked,
            at: None,
            slowly_at: None,
            ranges: Ranges::default(),
            held_back: BTreeMap::new(),
            not_before: asked - FRESH,
            failure: None,
            failing_since: None,
            falling_since: None,
        }
    }

    /// True where an end is before the one that is known.
    fn falls(&self, ranges: &BTreeMap<Partition, HotRange>) -> bool {
        ranges.iter().any(|(p, range)| self.ranges.get(p).is_some_and(|known| range.end < known.end))
    }

    fn fail(&mut self, began: Instant, said: String) {
        self.failing_since.get_or_insert(began);
        self.failure = Some((began, said));
    }

    /// Takes over what a look found; true when an end moved.
    fn take(&mut self, began: Instant, found: Found, now: crate::Timestamp) -> bool {
        if let Some(said) = found.failure {
            self.fail(began, said);
            return false;
        }
        if found.stable.len() != self.partitions as usize {
            return false;
        }
        let slow = !found.earliest.is_empty();
        let range = |(partition, end): (&Partition, &Offset)| {
            let before = self.ranges.get(partition).map(|range| range.earliest);
            let earliest = found.earliest.get(partition).copied().or(before).unwrap_or_default();
            (*partition, HotRange { earliest: earliest.min(*end), end: *end })
        };
        let ranges: BTreeMap<_, _> = found.stable.iter().map(range).collect();
        if slow {
            self.slowly_at = (began >= self.not_before).then_some(began);
            self.hold_back(&found, now);
        } else if self.at.is_none() && self.ranges.is_empty() {
            // The first look at a topic is a slow one; this one began before somebody asked.
            return false;
        }
        if self.falls(&ranges) && self.falling_since.get_or_insert(began).elapsed() < FALLS {
            return false;
        }
        self.falling_since = None;
        let moved = ranges.iter().any(|(p, range)| self.ranges.get(p).map(|known| known.end) != Some(range.end));
        self.ranges = Arc::new(ranges);
        (self.at, self.failure, self.failing_since) = (Some(began), None, None);
        moved
    }

    /// Notes since when a partition's end stands still below what was written.
    fn hold_back(&mut self, found: &Found, now: crate::Timestamp) {
        let before = std::mem::take(&mut self.held_back);
        for (partition, high) in &found.high {
            let end = found.stable.get(partition).copied().unwrap_or_default();
            if end < *high {
                let known = before.get(partition).filter(|known| known.end == end);
                let since = known.map_or(now, |known| known.since);
                self.held_back.insert(*partition, HeldBack { end, high_watermark: *high, since });
            }
        }
    }
}
