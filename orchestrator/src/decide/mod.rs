//! Decides what becomes of a command: pure, from the job as it is and facts handed in.
//!
//! A decision is an event to record, a swap to carry out, or nothing since all is as asked already. Nothing here touches the world,
//! so whoever asks "may I?" (a plan, a dry run) gets the very answer that the command would.

mod deploy;
mod group;
mod swap;
#[cfg(test)]
mod tests;
mod token;

pub use deploy::{DeployDecision, deploy, known_digest, still_as_planned};
pub use group::{
    GroupDecision, GroupPromotion, admit_to_group, group_generation, members, newest_candidate, promote_group,
    roll_back_group,
};
pub use swap::{Order, PromoteDecision, Promotion, Target, lacks_second, promote, roll_back};
pub use token::{create_token, revoke_token};

use rekap_jobs::LostRange;
use rekap_tiered_storage::{Positions, Timestamp};

use crate::Rejection;
use crate::event::What;
use crate::state::{Job, Role, Version};

/// Refuses a caller whose picture of the job is out of date.
pub fn admit(job: &Job, if_match: &[u64]) -> Result<(), Rejection> {
    match if_match.last() {
        Some(expected) if !if_match.contains(&job.generation) => {
            Err(Rejection::Moved { job: job.name.clone(), expected: *expected, found: job.generation })
        }
        _ => Ok(()),
    }
}

/// Gives up a candidate, and whatever it was armed for.
pub fn abort(job: &Job, number: u32) -> Result<Option<What>, Rejection> {
    let version = job.version(number)?;
    match version.role {
        Role::Candidate => Ok(Some(What::Aborted { version: number })),
        Role::Aborted => Ok(None),
        Role::Serving => Err(in_use(job, number)),
        Role::Standby { .. } | Role::Retired => Err(wrong_phase(job, version, "aborted")),
    }
}

/// Lets a version go that no rollback needs. What served stays in the history and can be deployed again.
pub fn retire(job: &Job, number: u32) -> Result<Option<What>, Rejection> {
    if job.is_rollback_target(number) {
        return Err(in_use(job, number));
    }
    match job.version(number)?.role {
        Role::Candidate | Role::Standby { .. } => {
            Ok(Some(What::Retired { version: number, reason: "asked for".into() }))
        }
        Role::Retired | Role::Aborted => Ok(None),
        Role::Serving => Err(in_use(job, number)),
    }
}

/// Lets a version wait. Its table stays readable.
pub fn pause(job: &Job, number: u32) -> Result<Option<What>, Rejection> {
    let version = job.version(number)?;
    if !version.role.is_live() || version.failure.is_some() {
        return Err(wrong_phase(job, version, "paused"));
    }
    Ok((!version.paused).then_some(What::Paused { version: number }))
}

/// Lets a version that was paused or failed go on.
pub fn resume(job: &Job, number: u32) -> Result<Option<What>, Rejection> {
    let version = job.version(number)?;
    if !version.role.is_live() {
        return Err(wrong_phase(job, version, "resumed"));
    }
    Ok((version.paused || version.failure.is_some()).then_some(What::Resumed { version: number }))
}

/// Asks for another verification.
pub fn verify(job: &Job, number: u32) -> Result<Option<What>, Rejection> {
    let version = job.version(number)?;
    let keeps_up = version.failure.is_none() && !version.paused;
    if !matches!(version.role, Role::Candidate | Role::Standby { .. }) || !keeps_up {
        return Err(wrong_phase(job, version, "verified"));
    }
    Ok((!version.verification_asked).then_some(What::VerificationAsked { version: number }))
}

/// Replays a version into a fresh table, from `start`, without what is lost, and no faster than that.
pub fn replay(
    job: &Job,
    number: u32,
    start: Positions,
    left_out: Vec<LostRange>,
    max_records_per_s: Option<u64>,
) -> Result<What, Rejection> {
    let version = job.version(number)?;
    if version.role == Role::Serving || job.is_rollback_target(number) {
        return Err(in_use(job, number));
    }
    Ok(What::Replayed { version: number, attempt: version.attempt + 1, start, left_out, max_records_per_s })
}

/// Freezes a job, or thaws it with a moment that is now.
pub fn freeze(job: &Job, by: &str, until: Timestamp, now: Timestamp) -> Result<What, Rejection> {
    refuse_others(job, by, now)?;
    Ok(What::Frozen { until })
}

/// Sets until when the former versions are kept warm.
pub fn rollback_window(until: Timestamp, now: Timestamp) -> Result<What, Rejection> {
    if until <= now {
        return Err(Rejection::NotInTheFuture(until));
    }
    Ok(What::RollbackWindowSet { until })
}

/// Refuses whoever did not freeze the job themselves.
pub fn refuse_others(job: &Job, by: &str, now: Timestamp) -> Result<(), Rejection> {
    match job.frozen(now) {
        Some(freeze) if freeze.by != by => {
            Err(Rejection::Frozen { job: job.name.clone(), by: freeze.by.clone(), until: freeze.until })
        }
        _ => Ok(()),
    }
}

fn in_use(job: &Job, version: u32) -> Rejection {
    let serves = job.serving().is_some_and(|serving| serving.number == version);
    let how = if serves { "serves" } else { "is what a rollback would go to" };
    Rejection::InUse { job: job.name.clone(), version, how }
}

fn wrong_phase(job: &Job, version: &Version, verb: &'static str) -> Rejection {
    let phase = match version {
        _ if version.failure.is_some() => "Failed",
        _ if version.paused && version.role.is_live() => "Paused",
        _ => version.role.name(),
    };
    Rejection::WrongPhase { job: job.name.clone(), version: version.number, phase: phase.into(), verb }
}
