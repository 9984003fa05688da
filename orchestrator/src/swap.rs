//! Moving an alias: the serving version is held at X, the other one reaches X, the event is recorded, the hold ends.
//!
//! ```text
//! serving    ──────● X  held ────────────● released, goes on as standby
//! candidate  ───────────● ≥ X            │
//! catalog                 ● Promoted     │
//! readers    ── serving ──┤── candidate ─────────────
//! ```
//!
//! Readers never wait, and never see a position go back: nothing is served past X before the swap and nothing below X after it. Only
//! a rollback whose target cannot reach X in time steps back, and says by how much. If the process dies before the event is durable
//! nothing has happened; after it, the next start serves the new version. Holds do not outlive the process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rekap_jobs::{Histogram, Run, RunnerHandle};
use rekap_tiered_storage::{Positions, Timestamp, TopicName, steps, to_the_end};
use tokio::time::{Instant, timeout_at};

use crate::book::Outcome;
use crate::decide::{self, Order};
use crate::event::{Cause, SteppedBack, Swap, What};
use crate::fleet::Member;
use crate::ready::first_missing;
use crate::state::{Job, State, Version};
use crate::views::{Promoted, RolledBack};
use crate::{By, Conditions, Orchestrator, Rejection};

/// A promotion that takes longer is called off: for that long the serving version stands still.
pub(crate) const PROMOTION_LIMIT: Duration = Duration::from_secs(2);

/// A rollback waits that long for its target and then swaps anyway. It leaves 100 ms of the 250 that are promised for the event to
/// become durable.
pub(crate) const ROLLBACK_LIMIT: Duration = Duration::from_millis(150);

/// A runner that commits nothing until this is dropped.
pub(crate) struct Held(Arc<RunnerHandle>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// A runner that reads no further than it was told until this is dropped.
struct Staying(Arc<RunnerHandle>);

impl Drop for Staying {
    fn drop(&mut self) {
        self.0.go_on();
    }
}

/// Two versions at the moment of a swap.
pub(crate) struct Meeting {
    /// Keep both versions where they are, in jobs with actions; else the one that served.
    _held: Vec<Held>,
    _staying: Vec<Staying>,
    /// Where the version that served stands, where that is to be recorded.
    pub(crate) held_at: Positions,
    /// Where that is, over the topics that the other one reads.
    pub(crate) target: Positions,
    /// Why the other one is not there.
    pub(crate) missed: Option<String>,
}

/// Holds `from` and waits until `to` has reached it in every topic that both read alike. Each comes with the version whose table it is.
///
/// Where either has actions (`exact`), both are brought to the very same positions first, so that no commit lies across the swap, and
/// `to` is held there as well. That is given up after half of `limit`: then a commit may.
pub(crate) async fn meet(
    from: Option<&(Member, &Version)>,
    (to, version): (&Member, &Version),
    limit: Duration,
    exact: bool,
) -> Meeting {
    let deadline = Instant::now() + limit;
    let mut meeting =
        Meeting { _held: vec![], _staying: vec![], held_at: Positions::new(), target: Positions::new(), missed: None };
    if let Some((from, serving)) = from {
        let alike = |topic: &TopicName| version.reads_alike(serving, topic);
        if exact {
            meeting._staying = align(from, to, alike, limit / 2).await;
        }
        let held = from.runner.clone().map(Held);
        let stands = match &held {
            None => from.positions(),
            Some(Held(runner)) => match runner.hold(deadline.saturating_duration_since(Instant::now())).await {
                Ok(positions) => positions,
                Err(late) => {
                    meeting.missed = Some(format!("the serving version: {late}"));
                    from.positions()
                }
            },
        };
        meeting._held.extend(held);
        meeting.target = stands.iter().filter(|(topic, ..)| alike(topic)).collect();
        if meeting.missed.is_none() {
            meeting.missed = arrive(to, version, &meeting.target, deadline).await.err();
        }
        if exact {
            meeting.held_at = stands;
        }
    }
    if exact && let Some(runner) = &to.runner {
        let held = Held(runner.clone());
        if let Err(late) = runner.hold(deadline.saturating_duration_since(Instant::now())).await {
            meeting.missed.get_or_insert_with(|| format!("the version that takes over: {late}"));
        }
        meeting._held.push(held);
    }
    meeting
}

/// Brings both to the greater position of every partition that both read, and keeps them there. Nothing is kept when they do not
/// arrive in time, or when one of them does not read.
async fn align(from: &Member, to: &Member, alike: impl Fn(&TopicName) -> bool, limit: Duration) -> Vec<Staying> {
    let (Some(old), Some(new)) = (from.runner.clone(), to.runner.clone()) else { return vec![] };
    let reads_on =
        |runner: &RunnerHandle| !matches!(runner.status().run, Run::Paused | Run::Stopped | Run::Failed { .. });
    if !reads_on(&old) || !reads_on(&new) {
        return vec![];
    }
    let deadline = Instant::now() + limit;
    let held = [Held(old.clone()), Held(new.clone())];
    let (Ok(there), Ok(here)) = (old.hold(limit).await, new.hold(limit).await) else { return vec![] };
    let of_both = |topic: &TopicName| there.iter().any(|(read, ..)| read == topic) && alike(topic);
    let target: Positions = there.max(&here).iter().filter(|(topic, ..)| of_both(topic)).collect();
    old.stay_at(target.clone());
    new.stay_at(target.clone());
    let staying = vec![Staying(old), Staying(new)];
    drop(held);
    // Where nothing was read yet a table may have no position.
    let goal: Positions = target.iter().filter(|(.., next)| next.get() > 0).collect();
    for member in [from, to] {
        let mut changed = member.table.changed();
        let arrived = changed.wait_for(|status| status.positions.reached(&goal));
        if timeout_at(deadline, arrived).await.is_err() {
            return vec![];
        }
    }
    staying
}

/// Waits until `to` has reached `target`, and tells where it has not.
async fn arrive(to: &Member, version: &Version, target: &Positions, deadline: Instant) -> Result<(), String> {
    let here = |table: &Positions| version.positions_within(table, target);
    let mut changed = to.table.changed();
    let arrived = changed.wait_for(|status| here(&status.positions).reached(target));
    match timeout_at(deadline, arrived).await {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "it did not reach the serving version in time: {}",
            first_missing(&here(&to.positions()), target)
        )),
    }
}

/// Why a promotion did not come to be.
enum Off {
    CalledOff(String),
    Refused(Rejection),
}

impl Orchestrator {
    /// Carries out a promotion, or calls it off. It ends even if the caller goes away.
    pub(crate) async fn promote_now(
        self: &Arc<Self>,
        order: Order,
        conditions: Conditions,
        by: By,
    ) -> Result<Promoted, Rejection> {
        let (this, job, version) = (self.clone(), order.job.clone(), order.to);
        let swap = tokio::spawn(async move { this.swap_forward(order, by).await });
        match swap.await.unwrap_or_else(|panicked| Err(Off::CalledOff(panicked.to_string()))) {
            Ok(promoted) => Ok(promoted),
            Err(Off::Refused(rejection)) => Err(rejection),
            Err(Off::CalledOff(reason)) => Err(Rejection::CalledOff { job, version, reason, conditions }),
        }
    }

    /// What an order moves an alias away from.
    pub(crate) fn moved_from<'a>(&self, job: &'a Job, order: &Order) -> Option<(Member, &'a Version)> {
        let version = job.versions.get(&order.from?)?;
        Some((self.fleet.get(&job.name, version.number)?, version))
    }

    async fn swap_forward(&self, order: Order, by: By) -> Result<Promoted, Off> {
        let gate = self.gates.of(&order.job);
        let _turn = gate.turn().await;
        let begun = Instant::now();
        let state = self.state();
        let job = state.job(&order.job).map_err(Off::Refused)?;
        let version = job.version(order.to).map_err(Off::Refused)?;
        let no_table = || Off::CalledOff("it has no table yet".into());
        let to = self.fleet.get(&order.job, order.to).filter(|to| to.attempt == order.attempt).ok_or_else(no_table)?;
        let from = self.moved_from(job, &order);
        let exact = has_actions(&state, &order);
        let meeting = tokio::select! {
            () = gate.interrupted() => return Err(Off::CalledOff("a rollback came first".into())),
            meeting = meet(from.as_ref(), (&to, version), PROMOTION_LIMIT, exact) => meeting,
        };
        if let Some(reason) = &meeting.missed {
            return Err(Off::CalledOff(reason.clone()));
        }
        steps::passed("swap.held", &order.job);
        let (places, job) = ((to.positions(), meeting.held_at.clone()), order.job.clone());
        let if_match = by.if_match.clone();
        let decide = move |state: &State, now| {
            decide::admit(state.job(&order.job)?, &if_match)?;
            forward(state, now, order, places, millis(begun))
        };
        let promoted = self.write(&by, &job, decide).await.map_err(Off::Refused)?;
        self.tell_actions(&job);
        drop(meeting);
        self.swaps.add(&job, "promotion", begun.elapsed());
        Ok(promoted)
    }

    /// Carries out a rollback: without stepping back when the target gets there in time, else with it. It ends even if the caller
    /// goes away.
    pub(crate) async fn roll_back_now(
        self: &Arc<Self>,
        job: String,
        to: Option<u32>,
        cause: Cause,
        by: By,
    ) -> Result<RolledBack, Rejection> {
        let this = self.clone();
        to_the_end(async move { this.swap_back(job, to, cause, by).await }).await
    }

    async fn swap_back(&self, job: String, to: Option<u32>, cause: Cause, by: By) -> Result<RolledBack, Rejection> {
        let begun = Instant::now();
        let gate = self.gates.of(&job);
        let _turn = gate.urgent_turn().await;
        if let Some(answer) = self.book.answered(&by)? {
            return Ok(answer);
        }
        let state = self.state();
        let before = state.job(&job)?;
        decide::admit(before, &by.if_match)?;
        let decide::Target { from, to } = decide::roll_back(before, to)?;
        let version = before.version(to)?;
        let no_table = || Rejection::CannotRollBack { job: job.clone(), to, why: "its table is not open yet".into() };
        let to_member = self.fleet.get(&job, to).ok_or_else(no_table)?;
        let left = ROLLBACK_LIMIT.saturating_sub(begun.elapsed());
        let attempt = to_member.attempt;
        let order = Order { job: job.clone(), from: Some(from), to, attempt, cause, forced: vec![] };
        let exact = has_actions(&state, &order);
        if let Some(runner) = to_member.runner.as_ref().filter(|_| version.paused) {
            // It will go on anyway, and may get there in time. Should nothing come of the rollback, the steward pauses it again.
            runner.resume();
        }
        let from = self.moved_from(before, &order);
        let meeting = meet(from.as_ref(), (&to_member, version), left, exact).await;
        let positions = to_member.positions();
        let stepped_back = stepped_back(&meeting.target, &version.positions_within(&positions, &meeting.target));
        let (places, if_match) = ((positions, meeting.held_at.clone()), by.if_match.clone());
        let decide = move |state: &State, now| {
            decide::admit(state.job(&order.job)?, &if_match)?;
            back(state, now, order, places, stepped_back, millis(begun))
        };
        let back = self.write(&by, &job, decide).await?;
        self.tell_actions(&job);
        drop(meeting);
        self.swaps.add(&job, "rollback", begun.elapsed());
        Ok(back)
    }

    /// How long swaps have taken since the process started, by job and kind (`promotion` or `rollback`).
    pub fn swap_seconds(&self) -> BTreeMap<(String, &'static str), Histogram> {
        self.swaps.all()
    }
}

/// Where the version that takes over stands, and where the one that served is held (nowhere, in jobs without actions).
pub(crate) type Places = (Positions, Positions);

pub(crate) fn forward(state: &State, now: Timestamp, order: Order, places: Places, held_ms: u64) -> Outcome<Promoted> {
    let job = still_as_ordered(state, &order)?;
    let swap = swap(job, now, &order, places, held_ms, SteppedBack::new());
    let (serving, generation) = (order.to, swap.generation);
    let answer = Promoted { job: order.job, serving, generation, swap_ms: held_ms };
    Ok((Some(What::Promoted(Box::new(swap))), answer))
}

pub(crate) fn back(
    state: &State,
    now: Timestamp,
    order: Order,
    places: Places,
    stepped_back: SteppedBack,
    held_ms: u64,
) -> Outcome<RolledBack> {
    let job = still_as_ordered(state, &order)?;
    let swap = swap(job, now, &order, places, held_ms, stepped_back.clone());
    let (serving, generation, warnings) = (order.to, swap.generation, warnings(&swap));
    let answer = RolledBack { job: order.job, serving, generation, swap_ms: held_ms, stepped_back, warnings };
    Ok((Some(What::RolledBack(Box::new(swap))), answer))
}

pub(crate) fn swap(
    job: &Job,
    now: Timestamp,
    order: &Order,
    (positions, held_at): Places,
    held_ms: u64,
    stepped_back: SteppedBack,
) -> Swap {
    Swap {
        from: order.from,
        to: order.to,
        generation: job.generation + 1,
        until: now.plus(job.policy.rollback_window.0),
        positions,
        held_ms,
        cause: order.cause,
        forced: order.forced.clone(),
        held_at,
        stepped_back,
        resumed: job.versions.get(&order.to).is_some_and(|version| version.paused),
    }
}

/// What whoever moved the alias should know.
pub(crate) fn warnings(swap: &Swap) -> Vec<String> {
    let resumed = || format!("version {} was paused, and reads on since the alias points at it", swap.to);
    swap.resumed.then(resumed).into_iter().collect()
}

/// The job, if what the order rests on is still so: a version may have been aborted or replayed, or
/// the job deleted, while the other was held.
pub(crate) fn still_as_ordered<'a>(state: &'a State, order: &Order) -> Result<&'a Job, Rejection> {
    let job = state.job(&order.job)?;
    let serving = job.serving().map(|serving| serving.number);
    let version = job.version(order.to)?;
    if serving != order.from || !version.role.is_live() || version.attempt != order.attempt {
        let (job, version) = (order.job.clone(), order.to);
        let reason = "another command came in between".into();
        return Err(Rejection::CalledOff { job, version, reason, conditions: Conditions::new() });
    }
    Ok(job)
}

/// True when either version of a swap sends something about its changes.
pub(crate) fn has_actions(state: &State, order: &Order) -> bool {
    let Ok(job) = state.job(&order.job) else { return false };
    let versions = order.from.into_iter().chain([order.to]);
    versions.filter_map(|number| job.version(number).ok()).any(|version| !version.actions.is_empty())
}

/// By how many offsets `here` is short of `target`, where it is.
pub(crate) fn stepped_back(target: &Positions, here: &Positions) -> SteppedBack {
    let mut back = SteppedBack::new();
    for (topic, partition, at, wanted) in here.missing(target) {
        let offsets = wanted.since(at.unwrap_or_default());
        back.entry(topic.to_string()).or_default().insert(partition.to_string(), offsets);
    }
    back
}

pub(crate) fn millis(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_tells_for_each_partition_how_far_it_stepped_back() {
        let back = stepped_back(&"t/0=120,t/1=98,t/2=5".parse().unwrap(), &"t/0=100,t/1=98".parse().unwrap());
        assert_eq!(serde_json::to_value(back).unwrap(), serde_json::json!({"t": {"0": 20, "2": 5}}));
        assert!(stepped_back(&"t/0=1".parse().unwrap(), &"t/0=7".parse().unwrap()).is_empty());
    }
}
