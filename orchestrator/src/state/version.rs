//! One version of a job, as far as the catalog tells.

use std::collections::BTreeMap;
use std::sync::Arc;

use rekap_jobs::{ActionSpec, Failure, JobSpec, LostRange};
use rekap_tiered_storage::{Positions, Timestamp, Topic, TopicName};
use serde::{Deserialize, Serialize};

use crate::event::{Deployment, Measured};
use crate::verify::{Report, Verdict};

/// What a version is for. Only catalog events change it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// It may be promoted.
    Candidate,
    /// The alias points at it.
    Serving,
    /// It served, and is kept warm for a rollback.
    Standby {
        /// When its rollback window ends.
        until: Timestamp,
    },
    /// It is no longer needed.
    Retired,
    /// It was given up before it served.
    Aborted,
}

impl Role {
    /// True while the version has a table and, unless it failed or is paused, a runner.
    pub fn is_live(&self) -> bool {
        matches!(self, Role::Candidate | Role::Serving | Role::Standby { .. })
    }

    /// The role's name.
    pub fn name(&self) -> &'static str {
        match self {
            Role::Candidate => "Candidate",
            Role::Serving => "Serving",
            Role::Standby { .. } => "Standby",
            Role::Retired => "Retired",
            Role::Aborted => "Aborted",
        }
    }
}

/// Who asked for a promotion that is to come: as soon as the version is ready, or once a second person asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Who it is.
    pub by: String,
    /// The conditions that they would waive.
    pub force: Vec<String>,
}

/// The last verification of the present attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// The version that it was compared with.
    pub against: Option<u32>,
    /// When it was done.
    pub at: Timestamp,
    /// What was found.
    pub report: Arc<Report>,
}

/// One version.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// Its number.
    pub number: u32,
    /// What decides its rows, in one hash.
    pub digest: String,
    /// What was asked for.
    pub spec: Arc<JobSpec>,
    /// The topic behind each input, as it was at deploy.
    pub topics: Arc<BTreeMap<String, Topic>>,
    /// Where each partition starts; one that is absent starts at 0.
    pub start: Arc<Positions>,
    /// The ranges that are lost and that it was told to do without.
    pub left_out: Arc<Vec<LostRange>>,
    /// The most records a second that its replay may read, where somebody said so.
    pub max_records_per_s: Option<u64>,
    /// When it was deployed.
    pub deployed_at: Timestamp,
    /// Which table is its present one, from 1.
    pub attempt: u32,
    /// The table of the present attempt was made.
    pub started: bool,
    /// When that was.
    pub started_at: Option<Timestamp>,
    /// What the replay of the present attempt took, where it was measured.
    pub replayed: Option<Measured>,
    /// Its table was lost and is not yet back to where the log ends.
    pub rebuilding: bool,
    /// What it is for.
    pub role: Role,
    /// Somebody told it to wait.
    pub paused: bool,
    /// Why it cannot go on.
    pub failure: Option<Failure>,
    /// Since when every condition of promotion holds.
    pub ready_since: Option<Timestamp>,
    /// It is promoted as soon as it is ready; who asked for that.
    pub armed: Option<Approval>,
    /// Who approved the promotion of the present attempt, where that takes two.
    pub approved: Option<Approval>,
    /// It served before.
    pub served: bool,
    /// It served and was rolled back: never again promoted by itself.
    pub rolled_back: bool,
    /// The last verification.
    pub verified: Option<Verified>,
    /// Somebody asked for another verification.
    pub verification_asked: bool,
    /// What it sends about the rows that it changes while it serves.
    pub actions: Arc<Vec<ActionSpec>>,
    /// The stretches of the log over which its changes were what readers of the alias saw, oldest first.
    pub stretches: Arc<Vec<Stretch>>,
    /// How many messages of the present attempt are recorded as dropped.
    pub actions_dropped: u64,
}

/// A stretch of the log over which a version served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// What ends up to here was the version's before.
    pub from: Positions,
    /// What ends past this is the version's after; none while it serves.
    pub until: Option<Positions>,
}

impl Stretch {
    /// True when a commit that ends at `to` is one of this stretch.
    pub fn holds(&self, to: &Positions) -> bool {
        !within(to, &self.from) && self.until.as_ref().is_none_or(|until| within(to, until))
    }
}

/// True when no partition of `to` is past `bound`.
pub(crate) fn within(to: &Positions, bound: &Positions) -> bool {
    to.iter().all(|(topic, partition, next)| bound.get(topic, partition).is_some_and(|bound| next <= bound))
}

impl Version {
    pub(super) fn deployed(deployment: &Deployment, at: Timestamp) -> Self {
        Version {
            number: deployment.version,
            digest: deployment.digest.clone(),
            spec: Arc::new(deployment.spec.clone()),
            topics: Arc::new(deployment.topics.clone()),
            start: Arc::new(deployment.start.clone()),
            left_out: Arc::default(),
            max_records_per_s: None,
            deployed_at: at,
            attempt: 1,
            started: false,
            started_at: None,
            replayed: None,
            rebuilding: false,
            role: Role::Candidate,
            paused: false,
            failure: None,
            ready_since: None,
            armed: None,
            approved: None,
            served: false,
            rolled_back: false,
            verified: None,
            verification_asked: false,
            actions: Arc::new(deployment.spec.actions.clone()),
            stretches: Arc::default(),
            actions_dropped: 0,
        }
    }

    /// Forgets all that was true of the attempt before.
    pub(super) fn begin(&mut self, attempt: u32) {
        self.attempt = attempt;
        self.started = false;
        self.started_at = None;
        self.replayed = None;
        self.failure = None;
        self.ready_since = None;
        self.approved = None;
        self.verified = None;
        self.verification_asked = false;
        self.actions_dropped = 0;
    }

    /// True when the changes of a commit that ends at `to` were the alias's.
    pub fn served_at(&self, to: &Positions) -> bool {
        self.stretches.iter().any(|stretch| stretch.holds(to))
    }

    /// True when somebody else than `actor` approved its promotion, whatever is waived of `forced`.
    pub fn is_approved_by_another(&self, actor: &str, forced: &[String]) -> bool {
        let covers = |approval: &Approval| forced.iter().all(|name| approval.force.contains(name));
        self.approved.as_ref().is_some_and(|approval| approval.by != actor && covers(approval))
    }

    /// True while it is kept warm.
    pub fn is_standby(&self) -> bool {
        matches!(self.role, Role::Standby { .. })
    }

    /// True while a runner should read for it.
    pub fn wants_runner(&self) -> bool {
        self.role.is_live() && self.failure.is_none()
    }

    /// True while it comes to its verification by itself.
    pub fn is_on_its_way(&self) -> bool {
        self.role == Role::Candidate && self.failure.is_none() && !self.paused
    }

    /// True when `topic` is one of its inputs.
    pub fn reads(&self, topic: &TopicName) -> bool {
        self.topics.values().any(|read| read.name == *topic)
    }

    /// True when `topic` is one of its inputs, in the same life in which `other` reads it (if it does): only then do positions of both say
    /// which is further.
    pub fn reads_alike(&self, other: &Version, topic: &TopicName) -> bool {
        // A topic is an input once.
        let life = |of: &Version| of.topics.values().find(|read| read.name == *topic).map(|read| read.incarnation);
        life(self).is_some_and(|here| life(other).is_none_or(|there| there == here))
    }

    /// True when the last verification passed and is about the version that serves now. The table that serves, or served and is still
    /// warm, needs none; one that was filled anew since does.
    pub fn passed_against(&self, serving: Option<u32>) -> bool {
        let has_served = self.served && self.role != Role::Candidate;
        self.verified.as_ref().map_or(has_served, |verified| {
            verified.report.verdict == Verdict::Pass && (verified.against == serving || has_served)
        })
    }

    /// Its position in each partition of `ends` that it reads: what `table` says, else where it starts.
    pub fn positions_within(&self, table: &Positions, ends: &Positions) -> Positions {
        let mut positions = table.max(&self.start);
        for (topic, partition, _) in ends.iter().filter(|(topic, ..)| self.reads(topic)) {
            if positions.get(topic, partition).is_none() {
                positions.set(topic, partition, Default::default());
            }
        }
        positions
    }
}
