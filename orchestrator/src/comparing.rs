//! Bringing a candidate and the serving version to the same positions, so that they can be compared.
//!
//! Both are held for a moment, so that where they stand is known and does not move; each is told to take a snapshot at the greater
//! position of every partition that both read; then both go on, and the comparison runs beside them. Nothing of it outlives the
//! process: a verification that a crash cut short is found missing and begins again.

use std::time::Duration;

use rekap_jobs::RunnerHandle;
use rekap_tables::TableSnapshot;
use rekap_tiered_storage::{Positions, TopicName};

use crate::Orchestrator;
use crate::event::What;
use crate::fleet::Member;
use crate::react::Key;
use crate::state::{State, Version};
use crate::verify::{Report, verify};

/// How long a verification waits for a runner to end its commit before it rests and tries again.
const HOLD_LIMIT: Duration = Duration::from_secs(2);

/// How long it waits for both versions to reach the common position.
const MEET_LIMIT: Duration = Duration::from_secs(30);

impl Orchestrator {
    /// Compares a version with the one that serves, and records what was found.
    pub(crate) async fn verify_now(&self, key: &Key) -> Result<(), String> {
        let state = self.state();
        let job = state.job(&key.0).map_err(|e| e.to_string())?;
        let version = job.version(key.1).map_err(|e| e.to_string())?;
        let new = self.fleet.get(&key.0, key.1).ok_or("it has no table")?;
        let old = job.serving().filter(|serving| serving.number != version.number);
        let old = old.and_then(|serving| Some((serving, self.fleet.get(&key.0, serving.number)?)));
        let against = old.as_ref().map(|(serving, _)| serving.number);
        let report = match &old {
            None => verify(None, new.table.snapshot(), &job.policy).await,
            Some((serving, _)) if !serving.wants_runner() || serving.paused => Ok(stands_still(serving)),
            Some((serving, member)) => {
                let (old, new) = self.meet_for_comparison(&key.0, (serving, member), (version, &new)).await?;
                verify(Some(old), new, &job.policy).await
            }
        };
        let report = report.map_err(|e| e.to_string())?;
        let (number, attempt) = (version.number, version.attempt);
        let verified = What::Verified { version: number, attempt, against, report: Box::new(report) };
        let (name, asked) = (key.0.clone(), job.policy.clone());
        let still_asked = move |state: &State| state.job(&name).is_ok_and(|job| job.policy.asks_the_same(&asked));
        self.record_if(&key.0, verified, still_asked).await.map_err(|e| e.to_string())
    }

    /// Snapshots of both at the same positions. Makes way for a rollback.
    async fn meet_for_comparison(
        &self,
        job: &str,
        old: (&Version, &Member),
        new: (&Version, &Member),
    ) -> Result<(TableSnapshot, TableSnapshot), String> {
        let gate = self.gates.of(job);
        let turn = gate.turn().await;
        let held = tokio::select! {
            () = gate.interrupted() => return Err("a rollback came first".into()),
            held = async { tokio::try_join!(hold(old.1), hold(new.1)) } => held?,
        };
        let (old_held, new_held) = held;
        let target = meeting_point((old.0, &old_held.positions), (new.0, &new_held.positions));
        let snapshots = (old_held.snapshot_at(old.1, &target), new_held.snapshot_at(new.1, &target));
        drop((old_held, new_held, turn));
        let both = async { tokio::try_join!(snapshots.0, snapshots.1) };
        let met = tokio::time::timeout(MEET_LIMIT, both).await;
        met.map_err(|_| format!("the versions did not meet within {} s", MEET_LIMIT.as_secs()))?
    }
}

/// Nothing can be compared at equal positions with a version that does not move.
fn stands_still(serving: &Version) -> Report {
    let reason = format!("version {}, which serves, does not read on; resume it, or force `verified`", serving.number);
    Report::inconclusive(reason)
}

/// The greater position of every partition that both read, in the same life of its topic.
fn meeting_point(old: (&Version, &Positions), new: (&Version, &Positions)) -> Positions {
    let of_old = old.0.positions_within(old.1, new.1);
    let of_new = new.0.positions_within(new.1, old.1);
    let alike = |topic: &TopicName| old.0.reads(topic) && new.0.reads_alike(old.0, topic);
    of_old.max(&of_new).iter().filter(|(topic, ..)| alike(topic)).collect()
}

/// A version that stands still while this lives.
struct Standing<'a> {
    runner: Option<&'a RunnerHandle>,
    positions: Positions,
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        if let Some(runner) = self.runner {
            runner.release();
        }
    }
}

impl Standing<'_> {
    /// Asks for a snapshot at `target`. What does not run is taken as it is.
    fn snapshot_at(
        &self,
        member: &Member,
        target: &Positions,
    ) -> impl Future<Output = Result<TableSnapshot, String>> + use<> {
        let asked = self.runner.map(|runner| runner.snapshot_at(target.clone()));
        let still = member.table.clone();
        async move {
            match asked {
                Some(asked) => asked.await.map_err(|e| e.to_string()),
                None => Ok(still.snapshot()),
            }
        }
    }
}

async fn hold(member: &Member) -> Result<Standing<'_>, String> {
    let Some(runner) = member.runner.as_deref() else {
        return Ok(Standing { runner: None, positions: member.positions() });
    };
    let mut standing = Standing { runner: Some(runner), positions: Positions::new() };
    standing.positions = runner.hold(HOLD_LIMIT).await.map_err(|e| e.to_string())?;
    Ok(standing)
}
