//! What a deploy comes to: a new version, a live one with the same digest, or only another policy.

use std::collections::BTreeMap;

use rekap_jobs::JobSpec;
use rekap_tiered_storage::{Positions, Topic};

use crate::Rejection;
use crate::event::{Deployment, What};
use crate::state::State;
use crate::views::PlanBase;

/// What becomes of a deploy.
#[derive(Debug, Clone, PartialEq)]
pub enum DeployDecision {
    /// That version is it already.
    Same(u32),
    /// That version is it already, under another policy.
    Policy(u32, What),
    /// A new version.
    New(u32, What),
}

/// Refuses a deploy whose plan rests on what has moved since, and says what has.
pub fn still_as_planned(state: &State, job: &str, digest: &str, plan: Option<&PlanBase>) -> Result<(), Rejection> {
    let Some(plan) = plan else { return Ok(()) };
    let known = state.ever(job);
    let generation = known.map_or(0, |job| job.generation);
    let serving = known.and_then(|job| job.serving()).map(|serving| serving.number);
    let mut moved = vec![];
    if plan.digest != digest {
        moved.push("the job's folder, or the topics that it reads, are not those of the plan".to_owned());
    }
    if plan.serving != serving {
        let named = |version: Option<u32>| version.map_or("nothing".to_owned(), |n| format!("version {n}"));
        moved.push(format!("{} served, {} serves now", named(plan.serving), named(serving)));
    }
    if plan.generation != generation {
        moved.push(format!("the job was at generation {} and is at {generation}", plan.generation));
    }
    if moved.is_empty() { Ok(()) } else { Err(Rejection::PlanMoved { job: job.to_owned(), moved }) }
}

/// Of the digests that one spec has (the present one first), that of a live version, so that a change in how digests are taken replays
/// nothing; the present one where there is none.
pub fn known_digest<'a>(state: &State, job: &str, digests: &'a [String]) -> &'a str {
    let live = |digest: &&String| state.job(job).is_ok_and(|job| job.live_with(digest).is_some());
    digests.iter().find(live).or(digests.first()).map_or("", String::as_str)
}

/// Decides about a spec with its digests (the present one first), the topics that it was compiled with, and its resolved start.
pub fn deploy(
    state: &State,
    spec: &JobSpec,
    digests: &[String],
    topics: &BTreeMap<String, Topic>,
    start: &Positions,
    rebuild: bool,
) -> DeployDecision {
    let digest = known_digest(state, &spec.name, digests);
    let job = state.ever(&spec.name).filter(|_| !rebuild);
    let same = job.filter(|job| !job.deleted).and_then(|job| Some((job, job.live_with(digest)?)));
    if let Some((job, version)) = same {
        let changed = (*version.actions != spec.actions).then_some(version.number);
        let actions = if changed.is_some() { spec.actions.clone() } else { vec![] };
        let policy = || What::PolicyChanged { policy: Box::new(spec.promote.clone()), version: changed, actions };
        return match job.policy == spec.promote && changed.is_none() {
            true => DeployDecision::Same(version.number),
            false => DeployDecision::Policy(version.number, policy()),
        };
    }
    let version = state.ever(&spec.name).map_or(1, |job| job.next_number());
    let deployment = Deployment {
        version,
        digest: digests.first().cloned().unwrap_or_default(),
        spec: spec.clone(),
        topics: topics.clone(),
        start: start.clone(),
    };
    DeployDecision::New(version, What::Deployed(Box::new(deployment)))
}
