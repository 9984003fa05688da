//! What the mirror says of retention that comes near what is not mirrored, and does against it where it is told to.
//!
//! It goes on while the mirror waits for a store that hangs, or works off the backlog of another topic. What a process forgets when it dies
//! it sees again; a topic's retention that was raised stays so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};

use super::headroom::{by_age, headroom, is_low};
use super::plan::{Urgency, longest_wait};
use super::watched::{Seen, Watched};
use super::{LOOK_EVERY, Work};
use crate::{LogError, Partition, Topic};

/// A topic that the mirror did not come to for this long is looked at beside it.
const LOOK_BESIDE: Duration = Duration::from_secs(2);

/// A mirror is late when a record waits for this many times as long as the longest that one waits when all is well.
const LATE: u32 = 2;

/// Ages of records that are looked up at the same time: each is a small read, which waits for the network.
const AGES_AT_ONCE: usize = 16;

impl Work {
    /// Warns of retention that comes near, also while the mirror waits for a store that hangs, or is at work on other topics.
    pub(super) async fn run_warnings(self: Arc<Self>) {
        let mut look = tokio::time::interval(LOOK_EVERY.1);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            if let Ok(topics) = self.log.hot.topics().await {
                for topic in topics.iter().filter(|topic| self.policy.mirrors(&topic.name)) {
                    // The mirror itself tells of topics that cannot be looked at.
                    _ = self.look_beside(topic).await;
                    self.warn_early(topic).await;
                }
            }
        }
    }

    /// Looks at what waits of a topic to which the mirror has not come for a while. It waits for no store.
    pub(super) async fn look_beside(&self, topic: &Topic) -> Result<(), LogError> {
        let seen = self.seen.lock().expect("no holder panics").get(&topic.incarnation).map(|(at, _)| *at);
        if seen.is_some_and(|at| self.clock.now().since(at) < LOOK_BESIDE) {
            return Ok(());
        }
        let Some(cold) = self.log.cold.opened(topic).await else { return Ok(()) };
        let watched = self.watched(topic.incarnation).await;
        let Ok(mut watched) = watched.try_lock() else { return Ok(()) };
        self.plan(topic, &cold.coverage(), Urgency::Due, &mut watched).await?;
        self.look_at_ages(topic, &mut watched).await;
        Ok(())
    }

    /// Looks up when records that wait were appended, where it may matter, and publishes what was seen.
    pub(super) async fn look_at_ages(&self, topic: &Topic, watched: &mut Watched) {
        let now = self.clock.now();
        if let Some(retention) = topic.config.retention_ms.map(Duration::from_millis) {
            let unknown = watched.iter().filter_map(|(p, seen)| Some((*p, seen.of_unknown_age(retention, now)?)));
            let unknown: Vec<_> = unknown.collect();
            let ages = stream::iter(unknown).map(|(partition, offset)| async move {
                (partition, self.log.hot.appended_at(topic, partition, offset).await)
            });
            for (partition, age) in ages.buffer_unordered(AGES_AT_ONCE).collect::<Vec<_>>().await {
                if let Some(waiting) = watched.get_mut(&partition).and_then(|seen| seen.waiting.as_mut()) {
                    // Where that cannot be said now, the time since it was seen counts until the next look.
                    waiting.appended = age.ok().flatten();
                }
            }
        }
        self.seen.lock().expect("no holder panics").insert(topic.incarnation, (now, Arc::new(watched.clone())));
    }

    pub(super) fn headroom(&self, topic: &Topic) -> BTreeMap<Partition, Duration> {
        let now = self.clock.now();
        let watched = self.last_seen(topic);
        let left = |(p, seen): (&Partition, &Seen)| Some((*p, headroom(seen, &topic.config, now)?));
        watched.iter().filter_map(left).collect()
    }

    fn last_seen(&self, topic: &Topic) -> Arc<Watched> {
        let seen = self.seen.lock().expect("no holder panics");
        seen.get(&topic.incarnation).map(|(_, watched)| watched.clone()).unwrap_or_default()
    }

    /// Tells the operator, once, that retention comes near records that are not mirrored, and raises it where that is wanted and helps.
    pub(super) async fn warn_early(&self, topic: &Topic) {
        let lowest = self.headroom(topic).into_iter().min_by_key(|(_, left)| *left);
        let lowest = lowest.filter(|(_, left)| is_low(*left, &topic.config));
        let Some((partition, left)) = lowest else {
            self.low.lock().expect("no holder panics").remove(&topic.name);
            return;
        };
        if !self.low.lock().expect("no holder panics").contains_key(&topic.name) {
            tracing::warn!(topic = %topic.name, %partition, "retention reaches records that are not mirrored in {left:?}");
            self.low.lock().expect("no holder panics").insert(topic.name.clone(), None);
        }
        if self.is_late(topic) {
            self.raise_retention(topic).await;
        }
    }

    /// True when age takes records that wait because the mirror is late. A record may be old when it comes (it says its time itself, on
    /// Kafka): that is no reason to keep all others for longer.
    fn is_late(&self, topic: &Topic) -> bool {
        let Some(retention) = topic.config.retention_ms.map(Duration::from_millis) else { return false };
        let (now, longest) = (self.clock.now(), longest_wait(&self.policy, retention) * LATE);
        let near = |seen: &Seen| by_age(seen, &topic.config, now).is_some_and(|left| is_low(left, &topic.config));
        self.last_seen(topic).values().any(|seen| near(seen) && seen.late(now) >= longest)
    }

    /// Doubles a topic's retention by time, as far as the policy lets it. It is lowered again by people only: they know why it was late.
    /// A failure is told once, and it is tried again as long as it is needed.
    async fn raise_retention(&self, topic: &Topic) {
        let Some(limit) = self.policy.raise_retention_to else { return };
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let failed = match self.log.hot.double_retention(topic, limit).await {
            Ok(raised) => {
                if let Some((from, to)) = raised {
                    tracing::warn!(topic = %topic.name, "raised retention_ms from {from} to {to}: the mirror is late");
                }
                None
            }
            Err(error) => Some(error.to_string()),
        };
        let mut low = self.low.lock().expect("no holder panics");
        let told = low.insert(topic.name.clone(), failed.clone()).flatten();
        if let Some(error) = failed.filter(|error| told.as_ref() != Some(error)) {
            tracing::error!(topic = %topic.name, error, "retention_ms cannot be raised, and the mirror is late");
        }
    }
}
