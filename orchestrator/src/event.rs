//! What can happen to a job, as it stands in the catalog for ever.
//!
//! An event is a fact, written in the past tense and durable before anything acts on it. Fields are only ever added, with a default;
//! a change of meaning takes a new type.

use std::collections::BTreeMap;
use std::fmt;

use rekap_jobs::{ActionSpec, Failure, JobSpec, LostRange, PromotePolicy};
use rekap_tiered_storage::{Incarnation, Positions, Timestamp, Topic, TopicName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Report;
use crate::schedules::Ran;
use crate::token::Token;

/// Something that happened to one job, or to a topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The job; empty for what happened to a group or a topic.
    pub job: String,
    /// What happened.
    pub what: What,
}

impl Event {
    /// That happened to this job.
    pub fn new(job: impl Into<String>, what: What) -> Self {
        Event { job: job.into(), what }
    }

    /// Its type, as `version.ready`, and the rest of it as one flat object.
    pub fn to_json(&self) -> Result<(String, serde_json::Map<String, Value>), serde_json::Error> {
        let Value::Object(tagged) = serde_json::to_value(&self.what)? else { return Ok(Default::default()) };
        let (kind, fields) = tagged.into_iter().next().unwrap_or_default();
        let Value::Object(mut fields) = fields else { return Ok((kind, Default::default())) };
        if !self.job.is_empty() {
            fields.insert("job".into(), self.job.clone().into());
        }
        Ok((kind, fields))
    }

    /// True when it happened to that job, alone or in a group.
    pub fn concerns(&self, job: &str) -> bool {
        match &self.what {
            What::GroupPromoted { swaps, .. } | What::GroupRolledBack { swaps, .. } => {
                swaps.iter().any(|moved| moved.job == job)
            }
            What::GroupApproved { versions, .. } => versions.iter().any(|chosen| chosen.job == job),
            _ => self.job == job,
        }
    }
}

/// Its type.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json().map(|(kind, _)| kind).unwrap_or_default())
    }
}

/// What happened. Tagged from outside: serde reads numbers as keys of a map (partitions) in no other way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum What {
    /// A new version was accepted.
    #[serde(rename = "version.deployed")]
    Deployed(Box<Deployment>),
    /// The version's table of that attempt was made for the first time: from here on its absence is a loss.
    #[serde(rename = "version.started")]
    Started {
        /// The version.
        version: u32,
        /// The attempt.
        attempt: u32,
    },
    /// The table of a version that was started is gone; it is built again by replay.
    #[serde(rename = "version.table_lost")]
    TableLost {
        /// The version.
        version: u32,
        /// The attempt that replaces the lost one.
        attempt: u32,
    },
    /// The table that was lost is back where the log ends; readers of the alias see it again.
    #[serde(rename = "version.rebuilt")]
    Rebuilt {
        /// The version.
        version: u32,
        /// The attempt.
        attempt: u32,
    },
    /// Somebody asked for a fresh attempt into a fresh table.
    #[serde(rename = "version.replayed")]
    Replayed {
        /// The version.
        version: u32,
        /// The new attempt.
        attempt: u32,
        /// Where it starts.
        start: Positions,
        /// The ranges that are lost and that it was told to do without.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left_out: Vec<LostRange>,
        /// The most records a second that it may read, where somebody said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_records_per_s: Option<u64>,
    },
    /// Every condition of promotion holds.
    #[serde(rename = "version.ready")]
    Ready {
        /// The version.
        version: u32,
        /// The attempt of which that is true.
        attempt: u32,
        /// What its replay took, where the whole of it was watched.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replayed: Option<Measured>,
    },
    /// A condition of promotion no longer holds.
    #[serde(rename = "version.not_ready")]
    NotReady {
        /// The version.
        version: u32,
        /// The condition that was lost, told in words.
        reason: String,
    },
    /// Somebody asked for another verification.
    #[serde(rename = "version.verification_asked")]
    VerificationAsked {
        /// The version.
        version: u32,
    },
    /// The version was compared with the one that serves.
    #[serde(rename = "version.verified")]
    Verified {
        /// The version.
        version: u32,
        /// The attempt that was compared.
        attempt: u32,
        /// The version that served; none when nothing did.
        against: Option<u32>,
        /// What was found.
        report: Box<Report>,
    },
    /// The version cannot go on.
    #[serde(rename = "version.failed")]
    Failed {
        /// The version.
        version: u32,
        /// The attempt that failed.
        attempt: u32,
        /// Why, with the place and the remedy.
        reason: Failure,
    },
    /// Somebody asked that the version be promoted as soon as it is ready.
    #[serde(rename = "version.armed")]
    Armed {
        /// The version.
        version: u32,
        /// The conditions that it need not meet.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        force: Vec<String>,
    },
    /// Somebody approved that the version be promoted; it is once somebody else asks for it too.
    #[serde(rename = "version.approved")]
    Approved {
        /// The version.
        version: u32,
        /// The attempt that was looked at.
        attempt: u32,
        /// The conditions that may be waived.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        force: Vec<String>,
    },
    /// The candidate was given up.
    #[serde(rename = "version.aborted")]
    Aborted {
        /// The version.
        version: u32,
    },
    /// The version stopped reading until it is resumed.
    #[serde(rename = "version.paused")]
    Paused {
        /// The version.
        version: u32,
    },
    /// The version reads on, whether it had been paused or had failed.
    #[serde(rename = "version.resumed")]
    Resumed {
        /// The version.
        version: u32,
    },
    /// The version is no longer needed; its table may go.
    #[serde(rename = "version.retired")]
    Retired {
        /// The version.
        version: u32,
        /// Why.
        reason: String,
    },
    /// The alias was moved to a newer version.
    #[serde(rename = "job.promoted")]
    Promoted(Box<Swap>),
    /// The alias was moved back to the version that served before.
    #[serde(rename = "job.rolled_back")]
    RolledBack(Box<Swap>),
    /// Somebody approved that the jobs of a group be promoted to these versions; they are once somebody else asks for it too.
    #[serde(rename = "group.approved")]
    GroupApproved {
        /// The group.
        group: String,
        /// The versions, as they were looked at.
        versions: Vec<Chosen>,
        /// The conditions that may be waived.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        force: Vec<String>,
    },
    /// The aliases of a group were moved to newer versions, all at once.
    #[serde(rename = "group.promoted")]
    GroupPromoted {
        /// The group.
        group: String,
        /// What became of each job.
        swaps: Vec<Moved>,
    },
    /// The aliases of a group were moved back, all at once.
    #[serde(rename = "group.rolled_back")]
    GroupRolledBack {
        /// The group.
        group: String,
        /// What became of each job.
        swaps: Vec<Moved>,
    },
    /// What was promoted did what `[promote.watch]` asks for as long as it asks.
    #[serde(rename = "job.watch_passed")]
    WatchPassed {
        /// The version.
        version: u32,
    },
    /// What was promoted does not do what `[promote.watch]` asks, and the promotion could not be taken back.
    #[serde(rename = "job.watch_failed")]
    WatchFailed {
        /// The version.
        version: u32,
        /// What does not hold, and why there is no way back.
        reason: String,
    },
    /// History was replayed through the version that serves and compared with what it serves, at the same positions.
    #[serde(rename = "job.drilled")]
    Drilled {
        /// The version that served.
        version: u32,
        /// The attempt whose table was compared.
        attempt: u32,
        /// How many offsets were read.
        records: u64,
        /// How long it took, the wait for its turn left out.
        took_ms: u64,
        /// What was found: `new` is what history gives, `old` what is served.
        report: Box<Report>,
    },
    /// The policy of promotion changed; no version did.
    #[serde(rename = "job.policy_changed")]
    PolicyChanged {
        /// The new policy.
        policy: Box<PromotePolicy>,
        /// The version whose actions are to be these from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u32>,
        /// Its actions.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        actions: Vec<ActionSpec>,
    },
    /// Messages of actions were given up: their target failed for too long, too many waited, or the action or the version is gone.
    #[serde(rename = "job.actions_dropped")]
    ActionsDropped {
        /// The version.
        version: u32,
        /// The attempt.
        attempt: u32,
        /// How many of that attempt there were by now.
        dropped: u64,
        /// Why, in words.
        reason: String,
    },
    /// No automatic promotion, no clean-up and no promotion by others until then.
    #[serde(rename = "job.frozen")]
    Frozen {
        /// When the freeze ends.
        until: Timestamp,
    },
    /// The former versions are kept warm until then.
    #[serde(rename = "job.rollback_window_set")]
    RollbackWindowSet {
        /// When the window ends.
        until: Timestamp,
    },
    /// The job was deleted: each of its versions is retired and its alias is gone.
    #[serde(rename = "job.deleted")]
    Deleted {},
    /// A topic was made.
    #[serde(rename = "topic.created")]
    TopicCreated {
        /// The topic as it was made.
        topic: Box<Topic>,
    },
    /// A topic's configuration was changed.
    #[serde(rename = "topic.changed")]
    TopicChanged {
        /// The topic as it is after that.
        topic: Box<Topic>,
    },
    /// Somebody deleted a topic. Recorded before its records go; a start in between goes on with the deletion.
    #[serde(rename = "topic.deleted")]
    TopicDeleted {
        /// Its name.
        topic: TopicName,
        /// Which topic of that name it was.
        incarnation: Incarnation,
    },
    /// A topic that nobody deleted is not in the log any more.
    #[serde(rename = "topic.lost")]
    TopicLost {
        /// Its name.
        topic: TopicName,
        /// Which topic of that name it was.
        incarnation: Incarnation,
    },
    /// Somebody had a topic mirrored up to its end.
    #[serde(rename = "topic.mirrored")]
    TopicMirrored {
        /// The topic.
        topic: TopicName,
        /// How far the cold tier reached afterwards.
        mirrored_to: Positions,
    },
    /// Somebody appended records and said something about it. Recorded after they were acknowledged.
    #[serde(rename = "topic.appended")]
    TopicAppended {
        /// The topic.
        topic: TopicName,
        /// How many records.
        appended: u64,
    },
    /// A schedule is there that was not, or not so. From here on the times at which it was not run are known.
    #[serde(rename = "schedule.set")]
    ScheduleSet {
        /// Its name.
        schedule: String,
        /// What it says, in one line.
        says: String,
    },
    /// A schedule's time came.
    #[serde(rename = "schedule.ran")]
    ScheduleRan(Box<Ran>),
    /// Somebody made a token. Its secret is not recorded, only the secret's hash.
    #[serde(rename = "token.created")]
    TokenCreated {
        /// The token.
        token: Box<Token>,
    },
    /// Somebody revoked a token.
    #[serde(rename = "token.revoked")]
    TokenRevoked {
        /// Its id.
        id: String,
    },
    /// A request was answered without changing anything; its idempotency key and its note are kept.
    #[serde(rename = "request.answered")]
    Answered {},
}

/// What a replay took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// How many offsets it read.
    pub records: u64,
    /// From the first record to the end that there was when it began.
    pub took_ms: u64,
    /// What its table took on disk then.
    pub bytes: u64,
}

/// All that a version is made of. The topics are pinned as they were, so that it compiles to the same thing for ever.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its number.
    pub version: u32,
    /// What decides its rows, in one hash.
    pub digest: String,
    /// What was asked for.
    pub spec: JobSpec,
    /// The topic behind each input, as it was.
    pub topics: BTreeMap<String, Topic>,
    /// Where each partition starts, resolved once.
    pub start: Positions,
}

/// One move of an alias. This event *is* the swap; the pointer that readers load only follows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Swap {
    /// The version that served; none when nothing did.
    pub from: Option<u32>,
    /// The version that serves now.
    pub to: u32,
    /// The generation of the job after the swap.
    pub generation: u64,
    /// When the rollback window of the version that served ends.
    pub until: Timestamp,
    /// Where the version that serves now stood.
    pub positions: Positions,
    /// How long the serving version was held.
    pub held_ms: u64,
    /// Who or what moved it.
    pub cause: Cause,
    /// The conditions that were waived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forced: Vec<String>,
    /// Where the version that served was held, in jobs with actions: up to there changes were its own.
    #[serde(default, skip_serializing_if = "Positions::is_empty")]
    pub held_at: Positions,
    /// How many offsets each partition stepped back, where it did.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stepped_back: SteppedBack,
    /// The version that serves now was paused, and reads on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resumed: bool,
}

/// One job's part of a group's swap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// The job.
    pub job: String,
    /// Its move.
    pub swap: Box<Swap>,
}

/// The version of one job that is to be promoted with its group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The job.
    pub job: String,
    /// The version.
    pub version: u32,
    /// The attempt that was looked at.
    pub attempt: u32,
}

/// By topic and partition, how many offsets an alias stepped back.
pub type SteppedBack = BTreeMap<String, BTreeMap<String, u64>>;

/// Why an alias moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Somebody asked for it.
    Asked,
    /// Somebody had asked for it as soon as the version is ready.
    Armed,
    /// The policy says `auto`.
    Auto,
    /// Nothing served yet.
    First,
    /// What `[promote.watch]` asks did not hold; the entry's note says what.
    Watch,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_was_armed_before_conditions_could_be_waived_reads_as_it_was_written() {
        let text = r#"{"job":"bpi","what":{"version.armed":{"version":2}}}"#;
        let event = Event::new("bpi", What::Armed { version: 2, force: vec![] });
        assert_eq!(serde_json::from_str::<Event>(text).unwrap(), event);
        assert_eq!(serde_json::to_string(&event).unwrap(), text);
    }

    #[test]
    fn an_event_reads_back_and_shows_as_one_flat_object_with_its_type() {
        let start: Positions = "ticks/0=120,ticks/11=3".parse().unwrap();
        let event = What::Replayed { version: 2, attempt: 1, start, left_out: vec![], max_records_per_s: None };
        let event = Event::new("bpi", event);
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
        let (kind, fields) = event.to_json().unwrap();
        assert_eq!(kind, "version.replayed");
        let flat =
            serde_json::json!({"job": "bpi", "version": 2, "attempt": 1, "start": {"ticks": {"0": 120, "11": 3}}});
        assert_eq!(Value::Object(fields), flat);
    }
}
