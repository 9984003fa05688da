//! The drill: history is replayed through the version that serves, into a scratch table, and compared with what is served.
//!
//! ```text
//! serving  ──────────────────────────────● snapshot at X ──── goes on
//! scratch  start ═══ replay ═══ held at ≤ X ═══► X ● snapshot ── dropped
//! ```
//! The scratch table is nobody's version: no event names it, its job's name is none that a job can have, and it is in no fleet, so it
//! is never served, promoted or kept. [`react`](crate::react::react) drops every table that no version fills and no drill is at: if the
//! process dies in a drill, the next start drops its table, and nothing says that there was a drill. Whoever wants one asks again.

mod list;
mod report;

use std::sync::Arc;
use std::time::Duration;

use rekap_jobs::{CompiledJob, Pace, Runner, RunnerHandle, RunnerInit};
use rekap_tables::{Table, TableSnapshot};
use rekap_tiered_storage::Positions;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::commands::digests;
use crate::event::What;
use crate::fleet::Member;
use crate::orchestrator::blocking;
use crate::react::Key;
use crate::ready::first_missing;
use crate::state::Version;
use crate::verify::{Report, Verdict, verify};
use crate::views::{DrillView, VerificationState};
use crate::{By, Orchestrator, Rejection};

pub(crate) use list::Drills;
use list::{Active, Listed};
use report::{judged, strict};

/// A replay that does not move for that long is given up, with what it tries.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long the replay may take to end a commit, and the serving version to come up to it.
const MEET_LIMIT: Duration = Duration::from_secs(30);

impl Orchestrator {
    /// Begins a drill of what a job serves, and answers that it goes on. What it finds is [`Orchestrator::drilled`].
    pub async fn drill(self: &Arc<Self>, job: &str, by: By) -> Result<Value, Rejection> {
        if let Some(answer) = self.book.answered(&by)? {
            return Ok(answer);
        }
        let (this, name) = (self.clone(), job.to_owned());
        let (version, listed) = self.enlist(job)?;
        let answer = serde_json::json!({"job": job, "version": version, "state": "running"});
        let answer = self.write(&by, "", move |_, _| Ok((None, answer))).await?;
        tokio::spawn(async move {
            if let Err(rejection) = this.drill_listed(&name, version, listed, by).await {
                tracing::warn!(job = name, %rejection, "not drilled");
            }
        });
        Ok(answer)
    }

    /// The version that a drill of the job would replay.
    fn drillable(&self, job: &str) -> Result<u32, Rejection> {
        let state = self.state();
        let serving = state.job(job)?.serving().map(|serving| serving.number);
        serving.ok_or_else(|| Rejection::NotServing(job.to_owned()))
    }

    /// Drills what a job serves, records what was found, and answers it; `None` when the server stops.
    pub(crate) async fn drill_now(&self, job: &str, by: By) -> Result<Option<Report>, Rejection> {
        let (version, listed) = self.enlist(job)?;
        self.drill_listed(job, version, listed, by).await
    }

    /// Puts a drill of what the job serves on the list.
    fn enlist(&self, job: &str) -> Result<(u32, Listed), Rejection> {
        let version = self.drillable(job)?;
        let listed = self.drills.enlist(job, version, self.clock.now());
        Ok((version, listed.ok_or_else(|| Rejection::DrillRunning(job.to_owned()))?))
    }

    async fn drill_listed(&self, job: &str, number: u32, listed: Listed, by: By) -> Result<Option<Report>, Rejection> {
        let mut stopping = self.stopping.subscribe();
        let _turn = tokio::select! {
            turn = self.drills.turn.lock() => turn,
            _ = stopping.wait_for(|stopping| *stopping) => return Ok(None),
        };
        let state = self.state();
        let version = state.job(job)?.version(number)?.clone();
        let (key, begun) = ((job.to_owned(), number), Instant::now());
        let found = tokio::select! {
            found = self.replay_and_compare(&key, &version) => Some(found),
            _ = stopping.wait_for(|stopping| *stopping) => None,
        };
        let runner = self.drills.list().get(job).and_then(|active| active.runner.clone());
        let records = runner.as_ref().map_or(0, |runner| runner.status().records_done);
        if let Some(runner) = runner {
            runner.stop().await;
        }
        let Some(found) = found else { return Ok(None) };
        let report = found.unwrap_or_else(Report::inconclusive);
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let boxed = Box::new(report.clone());
        let drilled = What::Drilled { version: number, attempt: version.attempt, records, took_ms, report: boxed };
        let name = job.to_owned();
        self.write(&By { request: None, ..by }, job, move |state, _| {
            state.job(&name)?;
            Ok((Some(drilled), ()))
        })
        .await?;
        // Only now: whoever sees that none goes on finds what it found.
        drop(listed);
        if report.verdict == Verdict::Fail {
            tracing::error!(job, version = number, counts = ?report.counts, "history does not give what is served");
        }
        Ok(Some(report))
    }

    /// The whole drill but its record. An error says in words why nothing could be compared.
    async fn replay_and_compare(&self, key: &Key, version: &Version) -> Result<Report, String> {
        let serving = self.fleet.get(&key.0, key.1).filter(|member| member.attempt == version.attempt);
        let serving = serving.ok_or("the table of the version that serves is not open")?;
        let compiled = CompiledJob::compile(&version.spec, &version.topics).await;
        let compiled = compiled.map_err(|refusal| format!("it no longer compiles: {}", refusal.detail))?;
        if !digests(&compiled).contains(&version.digest) {
            return Err(format!(
                "its spec means something else to this server ({} instead of {}); deploy it anew with `rebuild`",
                compiled.digest(),
                version.digest
            ));
        }
        let approximate = compiled.is_approximate();
        let runner = self.start_scratch(key, version, compiled).await?;
        let (served, replayed) = self.meet_replay(version, &serving, &runner).await?;
        let report = verify(Some(served), replayed, &strict()).await.map_err(|e| e.to_string())?;
        Ok(judged(report, approximate))
    }

    /// Makes the scratch table and sets a runner to fill it.
    async fn start_scratch(
        &self,
        key: &Key,
        version: &Version,
        compiled: CompiledJob,
    ) -> Result<Arc<RunnerHandle>, String> {
        let id = self.drills.scratch(key, self.clock.now());
        let listed = |change: &dyn Fn(&mut Active)| self.drills.list().get_mut(&key.0).map(change);
        listed(&|active| active.table = Some(id.clone()));
        let (tables, made, schema) = (self.tables.clone(), id.clone(), compiled.table_schema().clone());
        let start = version.start.clone();
        let table = blocking(move || tables.create(&made, &schema, &start)).await.map_err(|e| e.to_string())?;
        let runner = Runner::spawn(RunnerInit {
            job: Arc::new(compiled),
            table,
            log: self.log.clone(),
            start: (*version.start).clone(),
            accepted_gaps: (*version.left_out).clone(),
            pace: Pace::of_replay(self.replay.cores),
            throttle: self.first_limit(None),
            paused: false,
            memory: self.memory.clone(),
            clock: self.clock.clone(),
            // What a drill finds is nobody's news.
            trigger: Arc::default(),
        });
        let runner = Arc::new(runner.map_err(|e| e.to_string())?);
        listed(&|active| active.runner = Some(runner.clone()));
        Ok(runner)
    }

    /// Snapshots of what is served and of what history gives, at the same positions. The serving version is never held.
    async fn meet_replay(
        &self,
        version: &Version,
        serving: &Member,
        runner: &RunnerHandle,
    ) -> Result<(TableSnapshot, TableSnapshot), String> {
        let near = serving.positions();
        until(runner, PATIENCE, |at| at.reached(&near)).await?;
        let here = runner.hold(MEET_LIMIT).await.map_err(|e| e.to_string())?;
        come_up(&serving.table, version, &here).await?;
        let served = serving.table.snapshot();
        let asked = runner.snapshot_at(served.positions().clone());
        runner.release();
        let there = served.positions().clone();
        // It may have to wait for its turn at the log, but not for ever: a replay that does not move is told.
        let (replayed, moved) = tokio::join!(asked, until(runner, PATIENCE, |at| at.reached(&there)));
        moved?;
        Ok((served, replayed.map_err(|e| e.to_string())?))
    }

    /// The last drill of a job, and whether one goes on.
    pub fn drilled(&self, job: &str) -> Result<DrillView, Rejection> {
        let state = self.state();
        let found = state.job(job)?;
        let view = self.drill_view(found).map(|view| DrillView {
            report: found.drilled.as_ref().map(|drilled| Report::clone(&drilled.report)),
            ..view
        });
        view.ok_or_else(|| Rejection::NotDrilled(job.to_owned()))
    }

    /// The same in short, without columns and samples.
    pub(crate) fn drill_view(&self, job: &crate::state::Job) -> Option<DrillView> {
        let list = self.drills.list();
        let active = list.get(&job.name);
        let last = job.drilled.as_ref();
        let version = active.map(|active| active.version).or(last.map(|last| last.version))?;
        let state = if active.is_some() { VerificationState::Running } else { VerificationState::Done };
        let progress = active.and_then(|active| active.runner.as_ref()).map(|runner| runner.status());
        Some(DrillView {
            state,
            version,
            since: active.map(|active| active.since),
            records_done: progress.as_ref().map(|status| status.records_done),
            records_total: progress.as_ref().map(|status| status.records_total),
            throttled: progress.and_then(|status| status.throttled).map(|limit| self.throttled_view(limit)),
            at: last.map(|last| last.at),
            records: last.map(|last| last.records),
            took_ms: last.map(|last| last.took_ms),
            report: last.map(|last| Report { columns: vec![], samples: vec![], ..Report::clone(&last.report) }),
        })
    }

    /// Waits until the drill that goes on has seen that the server stops.
    pub(crate) async fn drills_end(&self) {
        drop(self.drills.turn.lock().await);
    }
}

/// Waits until the replay is there. It fails when the replay does, and when nothing moves for `patience`.
async fn until(runner: &RunnerHandle, patience: Duration, there: impl Fn(&Positions) -> bool) -> Result<(), String> {
    let mut watch = runner.watch();
    loop {
        let status = watch.borrow_and_update().clone();
        match status.run {
            rekap_jobs::Run::Failed { reason } => return Err(format!("the replay failed: {reason}")),
            rekap_jobs::Run::Stopped => return Err("the replay was stopped".into()),
            _ if there(&status.positions) => return Ok(()),
            _ => {}
        }
        let moved = timeout(patience, watch.changed()).await;
        let why = || status.problem.clone().unwrap_or_else(|| format!("it stands at {}", status.positions));
        match moved {
            Err(_) => return Err(format!("the replay did not move for {} s: {}", patience.as_secs(), why())),
            Ok(Err(_)) => return Err("the replay ended without a reason".into()),
            Ok(Ok(())) => {}
        }
    }
}

/// Waits until the serving table, which goes on by itself, is nowhere behind `here`.
async fn come_up(table: &Table, version: &Version, here: &Positions) -> Result<(), String> {
    let mut changed = table.changed();
    let came = changed.wait_for(|status| version.positions_within(&status.positions, here).reached(here));
    let behind = || {
        let at = version.positions_within(&table.status().positions, here);
        format!("the version that serves does not read on: {}", first_missing(&at, here))
    };
    timeout(MEET_LIMIT, came).await.map(drop).map_err(|_| behind())
}
