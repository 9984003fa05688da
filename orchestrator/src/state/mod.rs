//! State: a fold over the catalog, and nothing else.
//!
//! The running server, recovery at start and the audit all come here through [`State::apply`], so they cannot disagree. An event
//! that does not fit (only a catalog that was tampered with has one) changes nothing.

mod job;
#[cfg(test)]
mod tests;
mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use job::{Drilled, Freeze, Job, Watched};
pub(crate) use version::within;
pub use version::{Approval, Role, Stretch, Verified, Version};

use rekap_tiered_storage::{Incarnation, Timestamp, Topic, TopicName};

use crate::Rejection;
use crate::catalog::Entry;
use crate::event::{Chosen, Deployment, Event, Moved, Swap, What};
use crate::schedules::{Known, Ran};
use crate::token::Issued;

/// All that the catalog tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// The last entry that is folded in.
    pub seq: u64,
    /// Every job, deleted ones included (their numbers are not used again).
    jobs: BTreeMap<String, Arc<Job>>,
    /// Every topic that was made and not deleted, as far as the catalog was told.
    topics: BTreeMap<TopicName, Arc<Topic>>,
    /// Every topic that somebody deleted.
    deleted: BTreeSet<Incarnation>,
    /// Every token there ever was, by id.
    tokens: BTreeMap<String, Arc<Issued>>,
    /// The promotions of each group that were not taken back, oldest first.
    pub groups: BTreeMap<String, Vec<Arc<Vec<GroupMove>>>>,
    /// What is known of each schedule that there was.
    pub schedules: BTreeMap<String, Arc<Known>>,
}

/// One job's part of a group's promotion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMove {
    /// The job.
    pub job: String,
    /// What it served.
    pub from: Option<u32>,
    /// What it served from then on.
    pub to: u32,
}

impl State {
    /// The state after `entry`.
    pub fn apply(&mut self, entry: &Entry) {
        self.seq = entry.seq;
        let event = &entry.event;
        if let What::Deployed(deployment) = &event.what {
            let job = self.jobs.entry(event.job.clone());
            let job = job.or_insert_with(|| Arc::new(Job::new(&event.job, deployment.spec.promote.clone())));
            Arc::make_mut(job).deploy(deployment, entry.at);
        } else if let What::GroupApproved { versions, force, .. } = &event.what {
            for Chosen { job, version, attempt } in versions {
                let (version, attempt, force) = (*version, *attempt, force.clone());
                self.apply_to_job(job, &What::Approved { version, attempt, force }, entry);
            }
        } else if let What::GroupPromoted { group, swaps } = &event.what {
            let to_move = |m: &Moved| GroupMove { job: m.job.clone(), from: m.swap.from, to: m.swap.to };
            self.groups.entry(group.clone()).or_default().push(Arc::new(swaps.iter().map(to_move).collect()));
            self.apply_all(swaps, What::Promoted, entry);
        } else if let What::GroupRolledBack { group, swaps } = &event.what {
            self.groups.entry(group.clone()).or_default().pop();
            self.apply_all(swaps, What::RolledBack, entry);
        } else if let Some(job) = self.jobs.get_mut(&event.job) {
            Arc::make_mut(job).apply(&event.what, entry);
        } else {
            self.apply_to_token(entry);
            self.apply_to_topic(&event.what);
            self.apply_to_schedule(&event.what, entry.at);
        }
    }

    fn apply_all(&mut self, swaps: &[Moved], as_one: fn(Box<Swap>) -> What, entry: &Entry) {
        for moved in swaps {
            self.apply_to_job(&moved.job, &as_one(moved.swap.clone()), entry);
        }
    }

    fn apply_to_job(&mut self, job: &str, what: &What, entry: &Entry) {
        if let Some(job) = self.jobs.get_mut(job) {
            Arc::make_mut(job).apply(what, entry);
        }
    }

    fn apply_to_topic(&mut self, what: &What) {
        match what {
            What::TopicCreated { topic } | What::TopicChanged { topic } => {
                self.topics.insert(topic.name.clone(), Arc::new((**topic).clone()));
            }
            What::TopicDeleted { topic, incarnation } | What::TopicLost { topic, incarnation } => {
                if matches!(what, What::TopicDeleted { .. }) {
                    self.deleted.insert(*incarnation);
                }
                self.topics.retain(|name, known| name != topic || known.incarnation != *incarnation);
            }
            _ => {}
        }
    }

    fn apply_to_schedule(&mut self, what: &What, at: Timestamp) {
        match what {
            What::ScheduleSet { schedule, says } => {
                let known = Arc::make_mut(self.schedules.entry(schedule.clone()).or_default());
                (known.says, known.since) = (says.clone(), Some(at));
            }
            What::ScheduleRan(ran) => {
                Arc::make_mut(self.schedules.entry(ran.schedule.clone()).or_default()).ran(Ran::clone(ran));
            }
            _ => {}
        }
    }

    fn apply_to_token(&mut self, entry: &Entry) {
        match &entry.event.what {
            What::TokenCreated { token } => {
                let (created_at, created_by) = (entry.at, entry.actor.clone());
                let issued = Issued { token: (**token).clone(), created_at, created_by, revoked_at: None };
                self.tokens.insert(token.id.clone(), Arc::new(issued));
            }
            What::TokenRevoked { id } => {
                if let Some(issued) = self.tokens.get_mut(id) {
                    Arc::make_mut(issued).revoked_at.get_or_insert(entry.at);
                }
            }
            _ => {}
        }
    }

    /// A token by its id, also one that has ended.
    pub fn token(&self, id: &str) -> Result<&Arc<Issued>, Rejection> {
        self.tokens.get(id).ok_or_else(|| Rejection::UnknownToken(id.to_owned()))
    }

    /// Every token there ever was, by id.
    pub fn tokens(&self) -> impl Iterator<Item = &Arc<Issued>> {
        self.tokens.values()
    }

    /// True when somebody deleted that very topic.
    pub fn was_deleted(&self, topic: Incarnation) -> bool {
        self.deleted.contains(&topic)
    }

    /// The live versions that read a topic, as `bpi@3`.
    pub fn readers(&self, topic: &TopicName) -> Vec<String> {
        let readers = self.live().filter(|(_, version)| version.reads(topic));
        readers.map(|(job, version)| format!("{}@{}", job.name, version.number)).collect()
    }

    /// The topics that were made and not deleted, by name.
    pub fn topics(&self) -> &BTreeMap<TopicName, Arc<Topic>> {
        &self.topics
    }

    /// The state as it will be when `event` is recorded.
    pub fn after(&self, event: Option<Event>, actor: &str, at: Timestamp) -> State {
        let mut after = self.clone();
        if let Some(event) = event {
            let seq = self.seq + 1;
            after.apply(&Entry { seq, at, actor: actor.to_owned(), address: None, note: None, request: None, event });
        }
        after
    }

    /// A job that is not deleted.
    pub fn job(&self, name: &str) -> Result<&Arc<Job>, Rejection> {
        let job = self.jobs.get(name).filter(|job| !job.deleted);
        job.ok_or_else(|| Rejection::UnknownJob(name.to_owned()))
    }

    /// A job, also a deleted one.
    pub fn ever(&self, name: &str) -> Option<&Arc<Job>> {
        self.jobs.get(name)
    }

    /// The jobs that are not deleted, by name.
    pub fn jobs(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.jobs.values().filter(|job| !job.deleted)
    }

    /// Every version that has a table, with its job.
    pub fn live(&self) -> impl Iterator<Item = (&Arc<Job>, &Version)> {
        self.versions().filter(|(_, version)| version.role.is_live())
    }

    /// Every version there ever was, with its job.
    pub fn versions(&self) -> impl Iterator<Item = (&Arc<Job>, &Version)> {
        self.jobs.values().flat_map(|job| job.versions.values().map(move |version| (job, version)))
    }
}

impl Job {
    fn deploy(&mut self, deployment: &Deployment, at: Timestamp) {
        self.deleted = false;
        self.generation += 1;
        self.policy = deployment.spec.promote.clone();
        self.versions.insert(deployment.version, Version::deployed(deployment, at));
    }

    fn apply(&mut self, what: &What, entry: &Entry) {
        match what {
            What::Promoted(swap) => {
                self.promote(swap);
                let first = swap.from.is_none();
                self.watched = (!first).then_some(Watched { version: swap.to, since: entry.at });
            }
            What::RolledBack(swap) => {
                self.roll_back(swap);
                self.watched = None;
            }
            What::WatchPassed { .. } | What::WatchFailed { .. } => self.watched = None,
            What::Drilled { version, records, took_ms, report, .. } => {
                let report = Arc::new((**report).clone());
                self.drilled =
                    Some(Drilled { version: *version, at: entry.at, records: *records, took_ms: *took_ms, report });
            }
            What::PolicyChanged { policy, version, actions } => {
                self.generation += 1;
                if !policy.asks_the_same(&self.policy) {
                    self.forget_verifications();
                }
                self.policy = (**policy).clone();
                if let Some(version) = version.and_then(|version| self.versions.get_mut(&version)) {
                    version.actions = Arc::new(actions.clone());
                }
            }
            What::Frozen { until } => self.freeze = Some(Freeze { by: entry.actor.clone(), until: *until }),
            What::RollbackWindowSet { until } => self.keep_warm(*until),
            What::Deleted {} => self.delete(),
            What::Deployed(_) | What::Answered {} => {}
            What::GroupApproved { .. } | What::GroupPromoted { .. } | What::GroupRolledBack { .. } => {}
            What::ScheduleSet { .. } | What::ScheduleRan(_) => {}
            What::TokenCreated { .. } | What::TokenRevoked { .. } => {}
            What::TopicCreated { .. }
            | What::TopicChanged { .. }
            | What::TopicDeleted { .. }
            | What::TopicLost { .. }
            | What::TopicMirrored { .. }
            | What::TopicAppended { .. } => {}
            What::Started { version, .. }
            | What::TableLost { version, .. }
            | What::Rebuilt { version, .. }
            | What::Replayed { version, .. }
            | What::Ready { version, .. }
            | What::NotReady { version, .. }
            | What::VerificationAsked { version }
            | What::Verified { version, .. }
            | What::Failed { version, .. }
            | What::Armed { version, .. }
            | What::Approved { version, .. }
            | What::Aborted { version }
            | What::Paused { version }
            | What::Resumed { version }
            | What::ActionsDropped { version, .. }
            | What::Retired { version, .. } => {
                let structural = matches!(what, What::Replayed { .. } | What::Aborted { .. } | What::Retired { .. });
                self.generation += u64::from(structural);
                if let Some(version) = self.versions.get_mut(version) {
                    version.apply(what, entry);
                }
            }
        }
    }

    fn promote(&mut self, swap: &Swap) {
        self.generation = swap.generation;
        if let Some(from) = swap.from.and_then(|from| self.versions.get_mut(&from)) {
            from.role = Role::Standby { until: swap.until };
        }
        self.lineage.push(swap.to);
        self.hand_over(swap);
        self.serve(swap);
    }

    fn roll_back(&mut self, swap: &Swap) {
        self.generation = swap.generation;
        self.held_back = self.newest_number();
        while self.lineage.last().is_some_and(|last| *last != swap.to) {
            let passed = self.lineage.pop().and_then(|passed| self.versions.get_mut(&passed));
            let Some(passed) = passed else { continue };
            passed.rolled_back = true;
            if passed.role == Role::Serving {
                passed.role = Role::Standby { until: swap.until };
            }
        }
        self.hand_over(swap);
        self.serve(swap);
    }

    /// Whose changes are sent from here on: up to where the one was held they are its own, past it the other's.
    fn hand_over(&mut self, swap: &Swap) {
        if let Some(from) = swap.from.and_then(|from| self.versions.get_mut(&from))
            && let Some(last) = Arc::make_mut(&mut from.stretches).last_mut()
        {
            last.until = Some(swap.held_at.clone());
        }
        let Some(to) = self.versions.get_mut(&swap.to) else { return };
        // Of what the one did not read, the other's changes count from where it stands.
        let mut from = swap.positions.clone();
        swap.held_at.iter().for_each(|(topic, partition, next)| from.set(topic, partition, next));
        Arc::make_mut(&mut to.stretches).push(Stretch { from, until: None });
    }

    fn serve(&mut self, swap: &Swap) {
        let Some(version) = self.versions.get_mut(&swap.to) else { return };
        version.role = Role::Serving;
        version.paused &= !swap.resumed;
        version.served = true;
        version.rolled_back = false;
        version.armed = None;
        version.approved = None;
    }

    /// What was verified was asked something else: candidates are to be compared again.
    fn forget_verifications(&mut self) {
        for version in self.versions.values_mut().filter(|version| version.role == Role::Candidate) {
            version.verified = None;
        }
    }

    fn keep_warm(&mut self, until: Timestamp) {
        for version in self.versions.values_mut() {
            if let Role::Standby { until: end } = &mut version.role {
                *end = until;
            }
        }
    }

    fn delete(&mut self) {
        self.generation += 1;
        self.deleted = true;
        self.lineage.clear();
        self.freeze = None;
        self.watched = None;
        for version in self.versions.values_mut().filter(|version| version.role.is_live()) {
            version.end(Role::Retired);
        }
    }
}

impl Version {
    fn apply(&mut self, what: &What, entry: &Entry) {
        match what {
            What::Started { attempt, .. } if *attempt == self.attempt => {
                self.started = true;
                self.started_at = Some(entry.at);
            }
            What::TableLost { attempt, .. } => {
                self.begin(*attempt);
                self.rebuilding = true;
            }
            What::Rebuilt { attempt, .. } if *attempt == self.attempt => self.rebuilding = false,
            What::Replayed { attempt, start, left_out, max_records_per_s, .. } => {
                self.max_records_per_s = *max_records_per_s;
                self.begin(*attempt);
                self.left_out = Arc::new(left_out.clone());
                self.start = Arc::new(start.clone());
                self.role = Role::Candidate;
                self.paused = false;
                self.rebuilding = false;
            }
            What::Ready { attempt, replayed, .. } if *attempt == self.attempt => {
                self.ready_since = Some(entry.at);
                self.replayed = replayed.or(self.replayed);
            }
            What::NotReady { .. } => self.ready_since = None,
            What::VerificationAsked { .. } => self.verification_asked = true,
            What::Verified { attempt, against, report, .. } if *attempt == self.attempt => {
                let report = Arc::new((**report).clone());
                self.verified = Some(Verified { against: *against, at: entry.at, report });
                self.verification_asked = false;
            }
            What::Failed { attempt, reason, .. } if *attempt == self.attempt => {
                self.failure = Some(reason.clone());
                self.ready_since = None;
                self.verification_asked = false;
            }
            What::ActionsDropped { attempt, dropped, .. } if *attempt == self.attempt => {
                self.actions_dropped = *dropped
            }
            What::Armed { force, .. } => {
                self.armed = Some(Approval { by: entry.actor.clone(), force: force.clone() });
            }
            What::Approved { attempt, force, .. } if *attempt == self.attempt => {
                self.approved = Some(Approval { by: entry.actor.clone(), force: force.clone() });
            }
            What::Aborted { .. } => self.end(Role::Aborted),
            What::Retired { .. } => self.end(Role::Retired),
            What::Paused { .. } => self.paused = true,
            What::Resumed { .. } => {
                self.paused = false;
                self.failure = None;
            }
            _ => {}
        }
    }

    fn end(&mut self, role: Role) {
        self.role = role;
        self.armed = None;
        self.approved = None;
        self.ready_since = None;
        self.verification_asked = false;
    }
}
