//! What a deploy comes to: a new version, a live one with the same digest, or only another policy.

use std::collections::BTreeMap;

use rekap_jobs::JobSpec;
use rekap_tiered_storage::{Positions, Topic};

use crate::event::{Deployment, What};
use crate::state::State;

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

/// Decides about a spec with its digest, the topics that it was compiled with, and its resolved start.
pub fn deploy(
    state: &State,
    spec: &JobSpec,
    digest: &str,
    topics: &BTreeMap<String, Topic>,
    start: &Positions,
    rebuild: bool,
) -> DeployDecision {
    let job = state.ever(&spec.name).filter(|_| !rebuild);
    let same = job.filter(|job| !job.deleted).and_then(|job| Some((job, job.live_with(digest)?)));
    if let Some((job, version)) = same {
        let policy = || What::PolicyChanged { policy: Box::new(spec.promote.clone()) };
        return match job.policy == spec.promote {
            true => DeployDecision::Same(version.number),
            false => DeployDecision::Policy(version.number, policy()),
        };
    }
    let version = state.ever(&spec.name).map_or(1, |job| job.next_number());
    let deployment = Deployment {
        version,
        digest: digest.to_owned(),
        spec: spec.clone(),
        topics: topics.clone(),
        start: start.clone(),
    };
    DeployDecision::New(version, What::Deployed(Box::new(deployment)))
}
