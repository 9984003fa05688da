//! What to do next: pure, from the state, facts about the world, and the time.
//!
//! The driver looks, asks, does what is answered, and looks again. Nothing here remembers what was asked for before, so whatever a
//! crash left half done is found by the next look: a version without a table gets one, a table without a version goes.

use std::collections::{BTreeMap, BTreeSet};

use rekap_jobs::Failure;
use rekap_tables::TableId;
use rekap_tiered_storage::Timestamp;

use crate::decide::{self, Order};
use crate::event::{Cause, Measured, What};
use crate::phase::Run;
use crate::state::{Job, Role, State, Version};

/// A version of a job.
pub type Key = (String, u32);

/// What is seen of the world.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// The tables that there are.
    pub tables: BTreeSet<TableId>,
    /// The runners that there are, by version.
    pub runners: BTreeMap<Key, Running>,
    /// What is known of those that run.
    pub standing: BTreeMap<Key, Judged>,
    /// The versions that are being compared.
    pub verifying: BTreeSet<Key>,
    /// What does not hold of what was promoted, by job.
    pub breaches: BTreeMap<String, String>,
    /// Jobs whose alias is being moved, or whose last automatic promotion was called off a moment ago.
    pub busy: BTreeSet<String>,
    /// The tables that drills fill.
    pub drilled: BTreeSet<TableId>,
}

/// A runner.
#[derive(Debug, Clone, PartialEq)]
pub struct Running {
    /// The attempt whose table it fills.
    pub attempt: u32,
    /// What it does.
    pub run: Run,
    /// Why it cannot go on.
    pub failure: Option<Failure>,
}

/// What is known of a version that runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judged {
    /// It keeps up with the log and the serving version.
    pub keeps_up: bool,
    /// The conditions of promotion that do not hold, each with what that rests on.
    pub unmet: BTreeMap<String, String>,
    /// It has been watched for long enough for a lost condition to mean something.
    pub measured: bool,
    /// It makes no progress.
    pub stalled: Option<String>,
    /// What its replay took, if the whole of it was watched.
    pub replayed: Option<Measured>,
}

/// Something to do. Each is safe to do twice.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Write that into the catalog.
    Record(String, What),
    /// Make the table of the version's attempt.
    MakeTable(Key),
    /// Start to read for the version.
    Start(Key),
    /// Stop reading for it.
    Stop(Key),
    /// Let its runner wait.
    Pause(Key),
    /// Let its runner go on.
    Resume(Key),
    /// Compare it with the serving version.
    Verify(Key),
    /// Move the alias.
    Promote(Order),
    /// Take a promotion back, because of that.
    RollBack(String, String),
    /// Drop a table that nothing refers to.
    Drop(TableId),
}

/// What to do now, most urgent first.
pub fn react(state: &State, facts: &Facts, now: Timestamp) -> Vec<Action> {
    let mut actions = vec![];
    for (job, version) in state.versions() {
        actions.extend(run(job, version, facts));
    }
    for (job, version) in state.live() {
        actions.extend(advance(job, version, facts, now));
    }
    actions.extend(state.jobs().filter_map(|job| after_swap(job, facts, now)));
    actions.extend(state.jobs().filter_map(|job| promotion(job, facts, now)).map(Action::Promote));
    actions.extend(unreferenced(state, facts, now).cloned().map(Action::Drop));
    actions
}

fn key(job: &Job, version: &Version) -> Key {
    (job.name.clone(), version.number)
}

/// The table that a version fills.
pub fn table_id(job: &Job, version: &Version) -> TableId {
    TableId { job: job.name.clone(), version: version.number, attempt: version.attempt }
}

/// Brings the runner of a version to what its state asks for. A table comes before its runner, and its record between the two.
fn run(job: &Job, version: &Version, facts: &Facts) -> Option<Action> {
    let key = key(job, version);
    let (number, attempt) = (version.number, version.attempt);
    let record = |what| Some(Action::Record(job.name.clone(), what));
    let runner = facts.runners.get(&key);
    if let Some(runner) = runner {
        if !version.wants_runner() || runner.attempt != attempt {
            return Some(Action::Stop(key));
        }
        if let Some(reason) = &runner.failure {
            return record(What::Failed { version: number, attempt, reason: reason.clone() });
        }
        return match (version.paused, runner.run == Run::Paused) {
            (true, false) => Some(Action::Pause(key)),
            (false, true) => Some(Action::Resume(key)),
            _ => None,
        };
    }
    if !version.role.is_live() {
        return None;
    }
    match (facts.tables.contains(&table_id(job, version)), version.started) {
        (true, true) => version.wants_runner().then_some(Action::Start(key)),
        (true, false) => record(What::Started { version: number, attempt }),
        (false, true) => record(What::TableLost { version: number, attempt: attempt + 1 }),
        (false, false) => version.wants_runner().then_some(Action::MakeTable(key)),
    }
}

/// Moves a version that runs through its life.
fn advance(job: &Job, version: &Version, facts: &Facts, now: Timestamp) -> Option<Action> {
    let key = key(job, version);
    let number = version.number;
    let record = |what| Some(Action::Record(job.name.clone(), what));
    let over = job.kept_until(version, now).is_some_and(|until| until <= now);
    if over && !facts.busy.contains(&job.name) {
        return record(What::Retired { version: number, reason: "its rollback window is over".into() });
    }
    let judged = facts.standing.get(&key).filter(|_| version.failure.is_none())?;
    if let (Role::Candidate, Some(detail)) = (&version.role, &judged.stalled) {
        return record(What::Failed { version: number, attempt: version.attempt, reason: stalled(detail) });
    }
    if judged.keeps_up && version.rebuilding {
        return record(What::Rebuilt { version: number, attempt: version.attempt });
    }
    if judged.keeps_up && wants_verification(job, version) && !facts.verifying.contains(&key) {
        return Some(Action::Verify(key));
    }
    if version.role != Role::Candidate {
        return None;
    }
    match (version.ready_since.is_some(), judged.unmet.first_key_value()) {
        (false, None) => record(What::Ready { version: number, attempt: version.attempt, replayed: judged.replayed }),
        (true, Some((name, detail))) if judged.measured => {
            record(What::NotReady { version: number, reason: format!("{name}: {detail}") })
        }
        _ => None,
    }
}

fn stalled(detail: &str) -> Failure {
    let remedy = "see the server's log for what holds it up, then resume it".into();
    Failure { code: "STALLED".into(), detail: detail.to_owned(), remedy }
}

/// True when a version was never compared with what serves now, or somebody asked for it.
fn wants_verification(job: &Job, version: &Version) -> bool {
    let serving = job.serving().map(|serving| serving.number);
    let stale = version.verified.as_ref().is_none_or(|verified| verified.against != serving);
    version.verification_asked || version.role == Role::Candidate && stale
}

/// What follows for a promotion that is watched: it is taken back when something does not hold, whether the job is frozen or not.
fn after_swap(job: &Job, facts: &Facts, now: Timestamp) -> Option<Action> {
    let (watched, policy) = (job.watched.as_ref()?, job.policy.watch.as_ref()?);
    let version = watched.version;
    let record = |what| Some(Action::Record(job.name.clone(), what));
    match facts.breaches.get(&job.name) {
        _ if facts.busy.contains(&job.name) => None,
        Some(reason) => match decide::roll_back(job, None) {
            Ok(_) => Some(Action::RollBack(job.name.clone(), reason.clone())),
            Err(refused) => record(What::WatchFailed { version, reason: format!("{reason}; {refused}") }),
        },
        None if watched.since.plus(policy.lasts.0) <= now => record(What::WatchPassed { version }),
        None => None,
    }
}

/// The promotion that happens by itself, if any: of the newest version that is ready, but for what was waived when it was armed, and may.
fn promotion(job: &Job, facts: &Facts, now: Timestamp) -> Option<Order> {
    if job.frozen(now).is_some() || facts.busy.contains(&job.name) {
        return None;
    }
    let mut newest_first = job.versions.values().rev();
    let (version, cause, forced) = newest_first.find_map(|version| {
        let unmet = &facts.standing.get(&key(job, version))?.unmet;
        let cause = cause(job, version)?;
        let waived = version.armed.iter().filter(|_| cause == Cause::Armed).flat_map(|armed| &armed.force);
        let waived: BTreeSet<&String> = waived.filter(|name| unmet.contains_key(*name)).collect();
        // One that something is waived for is never `Ready`.
        let ready = waived.len() == unmet.len() && (version.ready_since.is_some() || !unmet.is_empty());
        ready.then(|| (version, cause, waived.into_iter().cloned().collect()))
    })?;
    let from = job.serving().map(|serving| serving.number);
    let (to, attempt) = (version.number, version.attempt);
    Some(Order { job: job.name.clone(), from, to, attempt, cause, forced })
}

/// Why a ready candidate may be promoted by itself. By the policy `auto` it is only the newest version that was ever deployed, not one
/// that has served, and not one that was there at the job's last rollback: that holds until a person promotes, or deploys.
fn cause(job: &Job, version: &Version) -> Option<Cause> {
    if version.role != Role::Candidate || version.failure.is_some() || version.paused {
        return None;
    }
    let newest = job.newest_number() == Some(version.number) && !version.served;
    let may = newest && job.held_back.is_none_or(|held_back| held_back < version.number);
    let armed = version.armed.as_ref().filter(|armed| !decide::lacks_second(job, version, &armed.by, &armed.force));
    match version {
        _ if armed.is_some() => Some(Cause::Armed),
        _ if !version.rolled_back && job.serving().is_none() => Some(Cause::First),
        _ if may && job.policy.auto && !job.policy.two_people => Some(Cause::Auto),
        _ => None,
    }
}

/// The tables that no live version and no drill fills, leaving those of frozen jobs alone, and those that a runner still writes to.
fn unreferenced<'a>(state: &'a State, facts: &'a Facts, now: Timestamp) -> impl Iterator<Item = &'a TableId> {
    let needed: BTreeSet<TableId> = state.live().map(|(job, version)| table_id(job, version)).collect();
    facts.tables.iter().filter(move |table| {
        let frozen =
            state.ever(&table.job).is_some_and(|job| job.frozen(now).is_some() || facts.busy.contains(&job.name));
        let written = facts.runners.get(&(table.job.clone(), table.version));
        !needed.contains(*table)
            && !facts.drilled.contains(*table)
            && !frozen
            && written.is_none_or(|runner| runner.attempt != table.attempt)
    })
}

/// True while what the steward saw is still so when it comes to be written: a command may have come first.
pub fn still_holds(state: &State, job: &str, what: &What, now: Timestamp) -> bool {
    let version = |number: u32| state.ever(job).and_then(|job| job.versions.get(&number));
    let of_attempt = |number, attempt| version(number).is_some_and(|v| v.role.is_live() && v.attempt == attempt);
    match what {
        What::Retired { version: number, .. } => {
            let role = version(*number).map(|version| &version.role);
            matches!(role, Some(Role::Standby { until }) if *until <= now)
        }
        What::Started { version, attempt }
        | What::Rebuilt { version, attempt }
        | What::Ready { version, attempt, .. }
        | What::Failed { version, attempt, .. }
        | What::Verified { version, attempt, .. } => of_attempt(*version, *attempt),
        What::TableLost { version, attempt } => of_attempt(*version, attempt - 1),
        What::WatchPassed { version } | What::WatchFailed { version, .. } => {
            let watched = state.ever(job).and_then(|job| job.watched.as_ref());
            watched.is_some_and(|watched| watched.version == *version)
        }
        What::NotReady { version: number, .. } => version(*number).is_some_and(|v| v.ready_since.is_some()),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
