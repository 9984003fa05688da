//! Several jobs promoted or rolled back as one: which versions, and whether all of them may.

use std::collections::BTreeMap;
use std::sync::Arc;

use rekap_tiered_storage::Timestamp;

use super::swap::order;
use super::{Order, Promotion, roll_back};
use crate::Rejection;
use crate::catalog::Hash;
use crate::event::Cause;
use crate::ready::Conditions;
use crate::state::{Approval, Job, Role, State, Version};

/// What is asked for in a group's promotion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupPromotion {
    /// The version of each job; the newest candidate of those that are not named.
    pub versions: BTreeMap<String, u32>,
    /// Conditions to waive, of all of them.
    pub force: Vec<String>,
}

/// What becomes of a group's promotion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupDecision {
    /// All of these take over now.
    Swap(Vec<Order>),
    /// They wait for a second person; `true` when this very approval was given before.
    Approve(Vec<Order>, bool),
}

/// The jobs of a group, by name.
pub fn members<'a>(state: &'a State, group: &str) -> Result<Vec<&'a Arc<Job>>, Rejection> {
    let members: Vec<_> = state.jobs().filter(|job| job.policy.group.as_deref() == Some(group)).collect();
    if members.is_empty() { Err(Rejection::UnknownGroup(group.to_owned())) } else { Ok(members) }
}

/// Counts the changes to the jobs of a group, and is another one when other jobs are in it.
pub fn group_generation(members: &[&Arc<Job>]) -> u64 {
    let named: Vec<_> = members.iter().map(|job| format!("{}={}", job.name, job.generation)).collect();
    Hash::of(named.join(",").as_bytes()).short()
}

/// Refuses a caller whose picture of the group is out of date.
pub fn admit_to_group(state: &State, group: &str, if_match: &[u64]) -> Result<(), Rejection> {
    let Some(expected) = if_match.last().copied() else { return Ok(()) };
    let found = group_generation(&members(state, group)?);
    match if_match.contains(&found) {
        true => Ok(()),
        false => Err(Rejection::GroupMoved { group: group.to_owned(), expected, found }),
    }
}

/// The newest version that was not served yet and is newer than what serves.
pub fn newest_candidate(job: &Job) -> Option<&Version> {
    let serving = job.serving().map(|serving| serving.number);
    let mut newest_first = job.versions.values().rev();
    newest_first
        .find(|version| version.role == Role::Candidate && Some(version.number) > serving && !version.rolled_back)
}

/// One order for each job that moves. All or none: one that may not keeps all from moving, and each says why. If one of them takes two
/// people, the promotion of all of them does.
pub fn promote_group(
    state: &State,
    group: &str,
    asked: &GroupPromotion,
    conditions: impl Fn(&Job, &Version) -> Conditions,
    actor: &str,
    now: Timestamp,
) -> Result<GroupDecision, Rejection> {
    let members = members(state, group)?;
    if let Some(stranger) = asked.versions.keys().find(|name| !members.iter().any(|job| job.name == **name)) {
        return Err(Rejection::NotInGroup { group: group.to_owned(), job: stranger.clone() });
    }
    let (mut moving, mut unready) = (vec![], BTreeMap::new());
    for job in members {
        let number = asked.versions.get(&job.name).copied().or_else(|| newest_candidate(job).map(|v| v.number));
        let Some(number) = number else { continue };
        let version = job.version(number)?;
        let promotion = Promotion { force: asked.force.clone(), when_ready: false };
        match order(job, number, &promotion, conditions(job, version), actor, now) {
            Ok(Some((order, _))) => moving.push((job, version, order)),
            // It serves already.
            Ok(None) => {}
            Err(Rejection::NotReady { job, conditions, .. }) => drop(unready.insert(job, conditions)),
            Err(other) => return Err(other),
        }
    }
    match (unready.is_empty(), moving.is_empty()) {
        (false, _) => Err(Rejection::GroupNotReady { group: group.to_owned(), jobs: unready }),
        (true, true) => Err(Rejection::NothingToPromote(group.to_owned())),
        (true, false) => Ok(decided(&moving, &asked.force, actor)),
    }
}

/// Now, or once somebody else has asked for the same versions too.
fn decided(moving: &[(&Arc<Job>, &Version, Order)], force: &[String], actor: &str) -> GroupDecision {
    let takes_two = moving.iter().any(|(job, ..)| job.policy.two_people && job.serving().is_some());
    let approved = moving.iter().all(|(_, version, order)| version.is_approved_by_another(actor, &order.forced));
    let orders = moving.iter().map(|(.., order)| order.clone()).collect();
    if !takes_two || approved {
        return GroupDecision::Swap(orders);
    }
    let mine = Approval { by: actor.to_owned(), force: force.to_vec() };
    GroupDecision::Approve(orders, moving.iter().all(|(_, version, _)| version.approved.as_ref() == Some(&mine)))
}

/// Takes the group's last promotion back: each job to what it served before it. Refused when one of them has moved since, or cannot.
pub fn roll_back_group(state: &State, group: &str) -> Result<Vec<Order>, Rejection> {
    let last = state.groups.get(group).and_then(|swaps| swaps.last());
    let last = last.ok_or_else(|| Rejection::GroupNotPromoted(group.to_owned()))?;
    let mut orders = vec![];
    for moved in last.iter() {
        let job = state.job(&moved.job)?;
        let refused = |to: u32, why: String| Rejection::CannotRollBack { job: moved.job.clone(), to, why };
        let Some(to) = moved.from else { return Err(refused(moved.to, "nothing served before it".into())) };
        if job.serving().map(|serving| serving.number) != Some(moved.to) {
            return Err(refused(to, format!("it was moved on its own since `{group}` was promoted")));
        }
        let target = roll_back(job, Some(to))?;
        let attempt = job.version(target.to)?.attempt;
        let (from, to, job) = (Some(target.from), target.to, moved.job.clone());
        orders.push(Order { job, from, to, attempt, cause: Cause::Asked, forced: vec![] });
    }
    Ok(orders)
}
