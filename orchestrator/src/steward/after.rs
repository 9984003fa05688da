//! After a swap: whether what serves now does what its policy's `[promote.watch]` asks.
//!
//! The policy's questions are asked in the background, one round at a time. Only what was found last is kept, in memory: after a restart
//! the questions are asked again, and dead letters are counted from then on. What follows from an answer is for
//! [`react`](crate::react::react) to say.

use std::sync::Arc;
use std::time::Duration;

use rekap_jobs::WatchPolicy;
use rekap_tables::TableStatus;
use tokio::time::Instant;

use crate::Orchestrator;
use crate::fleet::Member;
use crate::state::Job;
use crate::verify::{Verdict, run_live_checks};

/// What is known of a job that is watched.
#[derive(Debug, Clone)]
pub(crate) struct AfterSwap {
    version: u32,
    /// The table when it was first looked at: dead letters are counted from there.
    first: Arc<TableStatus>,
    asked: Option<Instant>,
    /// What does not hold.
    pub(crate) failed: Option<String>,
}

impl Orchestrator {
    /// Looks at every job that is watched, and asks the questions of those whose turn it is.
    pub(super) fn look_after_swaps(self: &Arc<Self>) {
        let state = self.state();
        let mut watch = self.watch.lock().expect("no holder of this lock panics");
        watch.after.retain(|job, after| {
            let watched = state.job(job).ok().and_then(|job| job.watched.clone());
            watched.is_some_and(|watched| watched.version == after.version)
        });
        for job in state.jobs() {
            let (Some(watched), Some(policy)) = (&job.watched, &job.policy.watch) else { continue };
            let Some(member) = self.fleet.get(&job.name, watched.version) else { continue };
            let behind = watch.readiness.get(&(job.name.clone(), watched.version)).and_then(|r| r.judgement.behind);
            let fresh =
                || AfterSwap { version: watched.version, first: member.table.status(), asked: None, failed: None };
            let after = watch.after.entry(job.name.clone()).or_insert_with(fresh);
            if after.failed.is_none() {
                after.failed = breach(job, policy, &after.first, &member.table.status(), behind);
            }
            let rebuilding = job.serving().is_some_and(|serving| serving.rebuilding);
            let due = !rebuilding && after.asked.is_none_or(|asked| asked.elapsed() >= policy.every.0);
            if due && after.failed.is_none() && !policy.checks.is_empty() {
                after.asked = Some(Instant::now());
                self.ask_after_swap(job.name.clone(), member, policy.clone());
            }
        }
    }

    /// Asks the SQL checks of one job over what it serves.
    fn ask_after_swap(self: &Arc<Self>, job: String, member: Member, policy: WatchPolicy) {
        let this = self.clone();
        tokio::spawn(async move {
            let results = match run_live_checks(&member.table.snapshot(), &policy.checks).await {
                Ok(results) => results,
                Err(error) => return tracing::warn!(job, %error, "the checks after a swap could not be asked"),
            };
            let failed = results.iter().find(|result| result.verdict == Verdict::Fail);
            let Some(failed) = failed.map(|check| format!("the check `{}` is false", check.name)) else { return };
            let mut watch = this.watch.lock().expect("no holder of this lock panics");
            if let Some(after) = watch.after.get_mut(&job).filter(|after| after.version == member.table.id().version) {
                after.failed = Some(failed);
            }
        });
    }
}

/// What of the policy does not hold, as far as it can be told without a query.
fn breach(
    job: &Job,
    policy: &WatchPolicy,
    first: &TableStatus,
    now: &TableStatus,
    behind: Option<Duration>,
) -> Option<String> {
    if let Some(reason) = job.serving().and_then(|serving| serving.failure.as_ref()) {
        return Some(format!("it failed: {reason}"));
    }
    if job.serving().is_some_and(|serving| serving.rebuilding) {
        // Its table was lost, for which the promotion is not to blame; readers wait until it is back.
        return None;
    }
    if let (Some(max), Some(behind)) = (&policy.max_lag, behind)
        && behind > max.0
    {
        return Some(format!(
            "it is {} ms behind the log, `max_lag` allows {} ms",
            behind.as_millis(),
            max.0.as_millis()
        ));
    }
    let limit = policy.max_dead_letters?;
    let letters = now.dead_letters.saturating_sub(first.dead_letters);
    let records = first.positions.distance_to(&now.positions);
    let share = if records == 0 { 0.0 } else { letters as f64 / records as f64 };
    (share > limit.share())
        .then(|| format!("{letters} of {records} records became dead letters, `max_dead_letters` allows {limit}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Story, at, deployed, failure};

    fn status(positions: &str, dead_letters: u64) -> TableStatus {
        TableStatus { positions: at(positions), dead_letters, ..TableStatus::default() }
    }

    #[test]
    fn lag_dead_letters_and_a_failure_are_told_with_what_was_allowed() {
        let mut story = Story::of([deployed(1)]);
        story.promote(1);
        let spec = "[promote.watch]\nfor = \"30m\"\nmax_lag = \"10s\"\nmax_dead_letters = \"1%\"";
        let policy = crate::testing::spec(spec).promote.watch.unwrap();
        let of =
            |story: &Story, to: TableStatus, behind| breach(story.job(), &policy, &status("t/0=100", 5), &to, behind);
        assert_eq!(of(&story, status("t/0=200", 6), Some(Duration::from_secs(9))), None);
        let lag = of(&story, status("t/0=200", 6), Some(Duration::from_secs(11))).unwrap();
        assert!(lag.contains("11000 ms behind"), "{lag}");
        let letters = of(&story, status("t/0=200", 7), None).unwrap();
        assert!(letters.starts_with("2 of 100 records"), "{letters}");
        story.then(crate::event::What::Failed { version: 1, attempt: 1, reason: failure("disk") });
        assert!(of(&story, status("t/0=100", 5), None).unwrap().contains("disk"));
    }
}
