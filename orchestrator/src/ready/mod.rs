//! *Ready*: proof that a version may take over, from samples of the log's ends on our own clock.
//!
//! Positions are compared, never record timestamps, rows or counts. Everything here is in memory and is measured anew after a restart.

mod conditions;
mod samples;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use rekap_jobs::PromotePolicy;
use rekap_tiered_storage::{Offset, Partition, Positions, Timestamp, TopicName};

pub(crate) use conditions::unmet;
pub use conditions::{Condition, Conditions, FORCIBLE};
pub use samples::{Sample, Samples};

use crate::state::Version;

/// After a restart a version that was ready has this much longer than its policy's times to show it again.
const SETTLE: Duration = Duration::from_secs(5);

/// A version whose table was made no longer ago than that was watched from the start of its replay.
const WATCHED_FROM_START: Duration = Duration::from_secs(2);

/// What is looked at to judge one version.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The job's name.
    pub job: &'a str,
    /// Its policy.
    pub policy: &'a PromotePolicy,
    /// The version.
    pub version: &'a Version,
    /// The version that serves.
    pub serving: Option<&'a Version>,
    /// Where its table stands.
    pub table: &'a Positions,
    /// True while its runner should make progress.
    pub running: bool,
    /// The recent past.
    pub samples: &'a Samples,
    /// Now.
    pub now: Timestamp,
}

/// What is known of one attempt of one version from having watched it.
#[derive(Debug, Clone, PartialEq)]
pub struct Readiness {
    attempt: u32,
    /// The ends when it was first looked at, until it has passed them.
    replay_to: Option<Positions>,
    held_since: Option<Timestamp>,
    begun_at: Timestamp,
    measured: bool,
    /// Records and ms of the replay, once it is over, where it was watched from its first moment.
    replayed: Option<(u64, u64)>,
    progress: Positions,
    progress_at: Timestamp,
    /// What the last look showed.
    pub judgement: Judgement,
}

/// What one look at a version showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// It has passed what was there when it began, and what the serving version had `max_lag` ago.
    pub caught_up: Condition,
    /// It has passed what was the readable end `max_lag` ago.
    pub lag: Condition,
    /// Both have held for as long as the policy asks.
    pub ready_for: Condition,
    /// How long the oldest record that it has not passed has been there; `None` while that is not known.
    pub behind: Option<Duration>,
    /// It makes no progress: where, and since when.
    pub stalled: Option<String>,
}

impl Default for Judgement {
    fn default() -> Self {
        let unknown = Condition::unmet("not looked at yet");
        Judgement { caught_up: unknown.clone(), lag: unknown.clone(), ready_for: unknown, behind: None, stalled: None }
    }
}

impl Judgement {
    /// True when it keeps up with the log and with the serving version.
    pub fn keeps_up(&self) -> bool {
        self.caught_up.met && self.lag.met
    }
}

impl Readiness {
    /// Begins to watch the present attempt of a version.
    pub fn begin(look: &Look<'_>) -> Self {
        let ends = look.samples.latest().map(|sample| sample.ends.clone()).unwrap_or_default();
        Readiness {
            attempt: look.version.attempt,
            replay_to: Some(look.targets(&ends)),
            held_since: None,
            begun_at: look.now,
            measured: false,
            replayed: None,
            progress: look.table.clone(),
            progress_at: look.now,
            judgement: Judgement::default(),
        }
    }

    /// True once it was watched for long enough for a lost condition to mean something: not so right after a restart.
    pub fn measured(&self) -> bool {
        self.measured
    }

    /// How many records the replay read, and how many ms it took; `None` while it goes on, or when a restart cut it in two.
    pub fn replayed(&self) -> Option<(u64, u64)> {
        self.replayed
    }

    /// True when this is about the version's present attempt.
    pub fn is_of(&self, version: &Version) -> bool {
        self.attempt == version.attempt
    }

    /// True when its table has moved on since the last look.
    pub fn moved(&self, table: &Positions) -> bool {
        *table != self.progress
    }

    /// Looks again. A fresh attempt is watched from scratch.
    pub fn observe(&mut self, look: &Look<'_>) {
        if look.version.attempt != self.attempt {
            *self = Self::begin(look);
        }
        let Some(latest) = look.samples.latest() else { return };
        let here = look.version.positions_within(look.table, &latest.ends);
        let caught_up = self.caught_up(look, &here);
        let lag = self.lag(look, &here);
        self.held_since = (caught_up.met && lag.met).then(|| self.held_since.unwrap_or(look.now));
        self.measured |= self.held_since.is_some_and(|since| look.now.since(since) >= look.policy.ready_for.0)
            || look.now.since(self.begun_at) >= look.policy.max_lag.0 + look.policy.ready_for.0 + SETTLE;
        let stalled = self.stalled(look, &here, &look.targets(&latest.ends));
        let behind = look.samples.lag(look.now, |ends| here.reached(&look.targets(ends)));
        self.judgement = Judgement { caught_up, lag, ready_for: self.ready_for(look), behind, stalled };
    }

    fn caught_up(&mut self, look: &Look<'_>, here: &Positions) -> Condition {
        let replaying = self.replay_to.is_some();
        self.replay_to = self.replay_to.take().filter(|target| !here.reached(target));
        if replaying && self.replay_to.is_none() {
            self.replayed = self.took(look, here);
        }
        if let Some(target) = &self.replay_to {
            return Condition::unmet(format!("replaying: {}", first_missing(here, target)));
        }
        let Some(version) = look.serving else { return Condition::met("nothing serves yet") };
        let Some(serving) = self.then(look).find_map(|sample| sample.serving.get(look.job)) else {
            return Condition::unmet("where the serving version stands was not sampled yet");
        };
        let target = serving.iter().filter(|(topic, ..)| look.version.reads_alike(version, topic)).collect();
        if here.reached(&target) {
            return Condition::met("it has passed the serving version");
        }
        Condition::unmet(format!("behind the serving version: {}", first_missing(here, &target)))
    }

    fn took(&self, look: &Look<'_>, here: &Positions) -> Option<(u64, u64)> {
        let started_at = look.version.started_at.filter(|at| self.begun_at.since(*at) < WATCHED_FROM_START)?;
        let took = u64::try_from(look.now.since(started_at).as_millis()).ok()?;
        Some((look.version.start.distance_to(here), took))
    }

    fn lag(&self, look: &Look<'_>, here: &Positions) -> Condition {
        let max_ms = look.policy.max_lag.0.as_millis();
        let Some(then) = self.then(look).next() else { return Condition::unmet("the ends were not sampled yet") };
        let target = look.targets(&then.ends);
        if here.reached(&target) {
            return Condition::met(format!("it has passed what was there {max_ms} ms ago"));
        }
        Condition::unmet(format!("not yet past what was there {max_ms} ms ago: {}", first_missing(here, &target)))
    }

    /// The samples against which the version is held: from `max_lag` ago on, or from when it was first looked at. The younger the
    /// sample, the more it asks for.
    fn then<'a>(&self, look: &Look<'a>) -> impl Iterator<Item = &'a Arc<Sample>> {
        look.samples.from(look.now.minus(look.policy.max_lag.0), self.begun_at)
    }

    fn ready_for(&self, look: &Look<'_>) -> Condition {
        let wanted = look.policy.ready_for.0;
        let held = self.held_since.map_or(Duration::ZERO, |since| look.now.since(since));
        let detail = format!("kept up for {} of {} ms", held.as_millis(), wanted.as_millis());
        Condition { met: self.held_since.is_some() && held >= wanted, detail }
    }

    fn stalled(&mut self, look: &Look<'_>, here: &Positions, ends: &Positions) -> Option<String> {
        if *look.table != self.progress || !look.running || here.reached(ends) {
            self.progress = look.table.clone();
            self.progress_at = look.now;
            return None;
        }
        let still = look.now.since(self.progress_at);
        (still >= look.policy.stall_timeout.0)
            .then(|| format!("no progress for {} s: {}", still.as_secs(), first_missing(here, ends)))
    }
}

impl Look<'_> {
    /// The part of `ends` that the version reads.
    fn targets(&self, ends: &Positions) -> Positions {
        ends.iter().filter(|(topic, ..)| self.version.reads(topic)).collect()
    }
}

/// The first partition of `target` that is not reached, for people.
pub(crate) fn first_missing(here: &Positions, target: &Positions) -> String {
    let place = |(topic, partition, at, wanted): (&TopicName, Partition, Option<Offset>, Offset)| {
        format!("`{topic}` partition {partition} is at {}, not {wanted}", at.unwrap_or(Offset::ZERO))
    };
    here.missing(target).next().map(place).unwrap_or_default()
}
