//! Whether an alias may move, and where to.

use rekap_tiered_storage::Timestamp;

use super::{admit, refuse_others, wrong_phase};
use crate::Rejection;
use crate::event::Cause;
use crate::ready::{Conditions, FORCIBLE};
use crate::state::{Approval, Job, Role, Version};

/// A swap that may be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The job.
    pub job: String,
    /// The version that serves; none when nothing does.
    pub from: Option<u32>,
    /// The version that takes over.
    pub to: u32,
    /// The attempt of it whose table takes over.
    pub attempt: u32,
    /// Who or what asked.
    pub cause: Cause,
    /// The conditions that were waived.
    pub forced: Vec<String>,
}

/// What is asked for in a promotion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Promotion {
    /// Conditions to waive.
    pub force: Vec<String>,
    /// Promote as soon as it is ready but for what is waived, which it may be.
    pub when_ready: bool,
}

/// What becomes of a promotion.
#[derive(Debug, Clone, PartialEq)]
pub enum PromoteDecision {
    /// It serves already.
    Serves,
    /// It is promoted as soon as it is ready but for what is waived; `true` when that was said before.
    Arm(bool),
    /// It waits for a second person; `true` when this very approval was given before.
    Approve(bool),
    /// It takes over now.
    Swap(Order),
}

/// Decides about a promotion asked for by `by`.
pub fn promote(
    job: &Job,
    number: u32,
    asked: &Promotion,
    conditions: Conditions,
    by: (&str, &[u64]),
    now: Timestamp,
) -> Result<PromoteDecision, Rejection> {
    let (actor, if_match) = by;
    admit(job, if_match)?;
    let Some((order, at_once)) = order(job, number, asked, conditions, actor, now)? else {
        return Ok(PromoteDecision::Serves);
    };
    let version = job.version(number)?;
    let waived = if at_once { &order.forced } else { &asked.force };
    if lacks_second(job, version, actor, waived) {
        let approval = Approval { by: actor.to_owned(), force: asked.force.clone() };
        return Ok(PromoteDecision::Approve(version.approved == Some(approval)));
    }
    match at_once {
        true => Ok(PromoteDecision::Swap(order)),
        false => Ok(PromoteDecision::Arm(version.armed.as_ref().is_some_and(|armed| armed.force == asked.force))),
    }
}

/// The swap that a promotion asks for, whoever else it takes, and whether it is done now: it is not where it was asked for as soon as the
/// version is ready. None when the version serves already.
pub(super) fn order(
    job: &Job,
    number: u32,
    asked: &Promotion,
    conditions: Conditions,
    actor: &str,
    now: Timestamp,
) -> Result<Option<(Order, bool)>, Rejection> {
    let version = job.version(number)?;
    if let Some(unknown) = asked.force.iter().find(|name| !FORCIBLE.contains(&name.as_str())) {
        return Err(Rejection::NotForcible(unknown.clone()));
    }
    match version.role {
        Role::Serving => return Ok(None),
        Role::Retired | Role::Aborted => return Err(wrong_phase(job, version, "promoted")),
        Role::Candidate | Role::Standby { .. } => refuse_others(job, actor, now)?,
    }
    let unmet = |(name, condition): (&String, &crate::Condition)| !condition.met && !asked.force.contains(name);
    let ready = !conditions.iter().any(unmet);
    let may_wait = asked.when_ready && version.role == Role::Candidate;
    if !ready && !may_wait {
        return Err(Rejection::NotReady { job: job.name.clone(), version: number, conditions });
    }
    let forced: Vec<String> =
        asked.force.iter().filter(|name| conditions.get(*name).is_some_and(|c| !c.met)).cloned().collect();
    // A version that is ready is promoted at once after that; one that something is waived for is promoted here.
    let at_once = ready && !(may_wait && forced.is_empty());
    let (name, attempt) = (job.name.clone(), version.attempt);
    let from = job.serving().map(|serving| serving.number);
    Ok(Some((Order { job: name, from, to: number, attempt, cause: Cause::Asked, forced }, at_once)))
}

/// True while a promotion by `actor` takes a second person who has not asked for it yet. While nothing serves, nobody is misled.
pub fn lacks_second(job: &Job, version: &Version, actor: &str, forced: &[String]) -> bool {
    job.policy.two_people && job.serving().is_some() && !version.is_approved_by_another(actor, forced)
}

/// Where a rollback would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The version that serves.
    pub from: u32,
    /// The version that takes over.
    pub to: u32,
}

/// Decides where a rollback goes: to the last warm version before the serving one, or to `to` where that is another of those.
pub fn roll_back(job: &Job, to: Option<u32>) -> Result<Target, Rejection> {
    let nothing = || Rejection::NothingToRollBack(job.name.clone());
    let from = job.serving().ok_or_else(nothing)?.number;
    let to = match to {
        Some(to) => job.version(to)?.number,
        None => job.before().ok_or_else(nothing)?.number,
    };
    match why_not(job, to) {
        None => Ok(Target { from, to }),
        Some(why) => Err(Rejection::CannotRollBack { job: job.name.clone(), to, why }),
    }
}

/// Why a rollback cannot go to that version.
fn why_not(job: &Job, to: u32) -> Option<String> {
    let version = job.versions.get(&to)?;
    if version.role == Role::Serving {
        return Some("it serves already".into());
    }
    if !job.is_rollback_target(to) {
        return Some(match version.role {
            Role::Retired => "it is retired, and its table is gone".into(),
            Role::Standby { .. } => "it did not serve before the serving version; promote it by hand".into(),
            _ => "its table has not served; promote it instead".into(),
        });
    }
    let rebuilding = || version.rebuilding.then(|| "its table is being rebuilt, and does not have its rows yet".into());
    version.failure.as_ref().map(|reason| format!("it failed: {reason}")).or_else(rebuilding)
}
