//! The views: what there is, told from the state and what the steward has seen. Reading waits for no command.

use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use rekap_jobs::RunnerStatus;
use rekap_tables::{Cursor, DeadLetterPage, Table};
use rekap_tiered_storage::{Partition, Positions, Tier, TopicName};
use tokio::sync::watch;

use crate::catalog::{Audit, Entry};
use crate::fleet::Member;
use crate::orchestrator::blocking;
use crate::phase::{Phase, Run, Standing, phase};
use crate::ready::Conditions;
use crate::state::{Job, Role, Version};
use crate::steward::run_of;
use crate::verify::Report;
use crate::views::{
    EventView, EventsPage, JobView, PartitionView, ProgressView, RollbackView, VerificationState, VerificationView,
    VersionView,
};
use crate::{Orchestrator, Rejection, decide, sql};

/// Entries read in one go while a page is filled, so that a long history does not hold a thread for long.
const MAX_PAGE: usize = 10_000;

impl Orchestrator {
    /// Every job, by name.
    pub fn jobs(&self) -> Vec<JobView> {
        self.state().jobs().map(|job| self.job_view(job)).collect()
    }

    /// One job.
    pub fn job(&self, name: &str) -> Result<JobView, Rejection> {
        self.state().job(name).map(|job| self.job_view(job))
    }

    /// One version of a job.
    pub fn version(&self, job: &str, number: u32) -> Result<VersionView, Rejection> {
        let state = self.state();
        let job = state.job(job)?;
        Ok(self.version_view(job, job.version(number)?))
    }

    /// The last verification of a version.
    pub fn verification(&self, job: &str, number: u32) -> Result<VerificationView, Rejection> {
        let state = self.state();
        let job = state.job(job)?;
        let version = job.version(number)?;
        let missing = || Rejection::NotVerified { job: job.name.clone(), version: number };
        self.verification_view(job, version).ok_or_else(missing)
    }

    /// The table that an alias serves now, with its version.
    pub fn serving(&self, alias: &str) -> Result<(u32, Table), Rejection> {
        // A version that was retired between the two looks has a successor in the newer state.
        for _ in 0..3 {
            let state = self.state();
            let job = state.job(alias)?;
            let version = job.serving().ok_or_else(|| Rejection::NotServing(alias.to_owned()))?;
            let Some(member) = self.fleet.get(alias, version.number) else { continue };
            if self.is_held_back(alias, version, &member) {
                return Err(Rejection::Recovering { job: alias.to_owned(), version: version.number });
            }
            return Ok((version.number, member.table));
        }
        let state = self.state();
        let version = state.job(alias)?.serving().map_or(0, |version| version.number);
        Err(Rejection::Recovering { job: alias.to_owned(), version })
    }

    /// True when every alias is served: part of being ready for traffic.
    pub fn is_serving(&self) -> bool {
        let state = self.state();
        let mut aliases = state.jobs().filter(|job| job.serving().is_some());
        aliases.all(|job| self.serving(&job.name).is_ok())
    }

    fn is_held_back(&self, job: &str, version: &Version, member: &Member) -> bool {
        let key = (job.to_owned(), version.number);
        let reached = |target: &Positions| version.positions_within(&member.positions(), target).reached(target);
        version.rebuilding || self.recovery.holds_back(&key, reached)
    }

    /// The table of one version.
    pub fn version_table(&self, job: &str, number: u32) -> Result<Table, Rejection> {
        let state = self.state();
        let job = state.job(job)?;
        let version = job.version(number)?;
        let member = self.fleet.get(&job.name, number).filter(|member| member.attempt == version.attempt);
        let phase = || self.phase_of(job, version).to_string();
        let missing = || Rejection::NoTable { job: job.name.clone(), version: number, phase: phase() };
        member.filter(|_| version.role.is_live()).map(|member| member.table).ok_or_else(missing)
    }

    /// Answers one SELECT over `live.<alias>` and `version."<alias>@<n>"`.
    pub async fn sql(&self, query: &str) -> Result<SendableRecordBatchStream, Rejection> {
        let state = self.state();
        let live = state.jobs().filter_map(|job| Some((job.name.clone(), self.serving(&job.name).ok()?.1)));
        let versions = state.live().filter_map(|(job, version)| {
            let table = self.version_table(&job.name, version.number).ok()?;
            Some((format!("{}@{}", job.name, version.number), table))
        });
        let tables = sql::SqlTables { live: live.collect(), versions: versions.collect() };
        Ok(sql::query(tables, query).await?)
    }

    /// A page of the records of a version that could not be decoded or evaluated.
    pub async fn dead_letters(
        &self,
        job: &str,
        number: u32,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<DeadLetterPage, Rejection> {
        let table = self.version_table(job, number)?;
        let page = blocking(move || table.snapshot().dead_letters(after.as_ref(), limit)).await;
        let failed = |e: rekap_tables::TableError| e.to_string();
        page.map_err(failed).map_err(|detail| Rejection::Table { job: job.to_owned(), version: number, detail })
    }

    /// A page of what happened to a job, after the event with that seq.
    pub async fn history(&self, job: &str, after: u64, limit: usize) -> Result<EventsPage, Rejection> {
        self.state().job(job)?;
        let job = job.to_owned();
        self.events_page(after, limit, move |entry| entry.event.job == job).await
    }

    /// A page of all that happened, after the event with that seq.
    pub async fn audit(&self, after: u64, limit: usize) -> Result<EventsPage, Rejection> {
        self.events_page(after, limit, |_| true).await
    }

    /// Checks the whole catalog.
    pub async fn audit_verify(&self) -> Result<Audit, Rejection> {
        let book = self.book.clone();
        Ok(blocking(move || book.verify()).await?)
    }

    /// Changes with every event: the seq of the last one.
    pub fn head(&self) -> watch::Receiver<u64> {
        self.book.head()
    }

    /// Per partition the lowest position, known to be on disk, that any live version may go on from. The log keeps what is above.
    pub fn slowest_positions(&self) -> watch::Receiver<Positions> {
        self.slowest.subscribe()
    }

    /// The live versions that read a topic, as `bpi@3`.
    pub fn topic_readers(&self, topic: &TopicName) -> Vec<String> {
        let state = self.state();
        let readers = state.live().filter(|(_, version)| version.reads(topic));
        readers.map(|(job, version)| format!("{}@{}", job.name, version.number)).collect()
    }

    async fn events_page(
        &self,
        after: u64,
        limit: usize,
        wanted: impl Fn(&Entry) -> bool + Send + 'static,
    ) -> Result<EventsPage, Rejection> {
        let (book, limit) = (self.book.clone(), limit.clamp(1, MAX_PAGE));
        blocking(move || {
            let mut events = vec![];
            for entry in book.entries(after) {
                let entry = entry?;
                if wanted(&entry) {
                    events.push(EventView::of(&entry)?);
                }
                if events.len() == limit {
                    return Ok(EventsPage { next_cursor: Some(entry.seq), events });
                }
            }
            Ok(EventsPage { events, next_cursor: None })
        })
        .await
    }

    fn job_view(&self, job: &Arc<Job>) -> JobView {
        let now = self.clock.now();
        JobView {
            job: job.name.clone(),
            alias: job.name.clone(),
            generation: job.generation,
            serving: job.serving().map(|version| version.number),
            standby: job.standby().map(|version| version.number),
            versions: job.versions.keys().copied().collect(),
            rollback: self.rollback_view(job),
            frozen_until: job.frozen(now).map(|freeze| freeze.until),
        }
    }

    fn rollback_view(&self, job: &Job) -> RollbackView {
        let to = job.before();
        let until = to.and_then(|version| match version.role {
            Role::Standby { until } => Some(until),
            _ => None,
        });
        let target = decide::roll_back(job, None);
        RollbackView {
            possible: target.is_ok(),
            to: to.map(|version| version.number),
            until,
            lag_ms: to.and_then(|version| self.lag_ms(job, version)),
            why_not: target.err().map(|rejection| rejection.to_string()),
        }
    }

    fn lag_ms(&self, job: &Job, version: &Version) -> Option<u64> {
        let watch = self.watch.lock().expect("no holder of this lock panics");
        let readiness = watch.readiness.get(&(job.name.clone(), version.number))?;
        readiness.judgement.behind.map(|behind| u64::try_from(behind.as_millis()).unwrap_or(u64::MAX))
    }

    /// Every condition of a version's promotion as it is now.
    pub(crate) fn conditions_of(&self, job: &Job, version: &Version) -> Conditions {
        let member = self.fleet.get(&job.name, version.number);
        let watch = self.watch.lock().expect("no holder of this lock panics");
        let readiness = watch.readiness.get(&(job.name.clone(), version.number)).cloned();
        drop(watch);
        let judgement = readiness.map(|readiness| readiness.judgement).unwrap_or_default();
        self.conditions(job, version, member.as_ref(), &judgement)
    }

    fn phase_of(&self, job: &Job, version: &Version) -> Phase {
        phase(&version.role, self.standing(job, version))
    }

    fn standing(&self, job: &Job, version: &Version) -> Standing {
        let member = self.fleet.get(&job.name, version.number);
        let watch = self.watch.lock().expect("no holder of this lock panics");
        let readiness = watch.readiness.get(&(job.name.clone(), version.number));
        let caught_up = readiness.is_some_and(|readiness| readiness.judgement.keeps_up());
        Standing { run: run(version, member.as_ref()), caught_up, ready: version.ready_since.is_some() }
    }

    fn version_view(&self, job: &Job, version: &Version) -> VersionView {
        let member = self.fleet.get(&job.name, version.number).filter(|m| m.attempt == version.attempt);
        let table = member.as_ref().map(|member| member.table.status()).unwrap_or_default();
        let standing = self.standing(job, version);
        VersionView {
            job: job.name.clone(),
            version: version.number,
            phase: phase(&version.role, standing),
            role: version.role.name(),
            run: standing.run,
            reason: version.failure.as_ref().map(|failure| failure.to_string()),
            problem: member.as_ref().and_then(problem),
            armed: version.armed.is_some(),
            rolled_back: version.rolled_back,
            attempt: version.attempt,
            digest: version.digest.clone(),
            deployed_at: version.deployed_at,
            until: match version.role {
                Role::Standby { until } => Some(until),
                _ => None,
            },
            positions: table.positions.clone(),
            progress: self.progress(version, member.as_ref()),
            lag_ms: self.lag_ms(job, version),
            ready: self.conditions_of(job, version),
            verification: self.verification_view(job, version),
            rows: table.rows,
            bytes: member.map_or(0, |member| member.table.bytes()),
            dead_letters: table.dead_letters,
            tombstones_skipped: table.tombstones_skipped,
            late: table.late,
        }
    }

    fn progress(&self, version: &Version, member: Option<&Member>) -> ProgressView {
        let watch = self.watch.lock().expect("no holder of this lock panics");
        let ends = watch.samples.latest().map(|sample| sample.ends.clone()).unwrap_or_default();
        drop(watch);
        let table = member.map(Member::positions).unwrap_or_default();
        let here = version.positions_within(&table, &ends);
        let status = member.and_then(|member| member.runner.as_ref()).map(|runner| runner.status());
        let partitions = ends.iter().filter(|(topic, ..)| version.reads(topic)).map(|(topic, partition, target)| {
            let position = here.get(topic, partition).unwrap_or_default();
            let tier = status.as_ref().and_then(|status| tier(status, topic, partition));
            PartitionView { topic: topic.clone(), partition, position, target, tier }
        });
        let partitions: Vec<PartitionView> = partitions.collect();
        let left: u64 = partitions.iter().map(|p| p.target.since(p.position)).sum();
        let records_done = version.start.distance_to(&here);
        let rate_per_s = status.as_ref().map_or(0.0, |status| status.rate_per_s);
        let eta_ms = match left {
            0 => Some(0),
            left => (rate_per_s > 0.0).then(|| (left as f64 / rate_per_s * 1000.0) as u64),
        };
        ProgressView { records_done, records_total: records_done + left, rate_per_s, eta_ms, partitions }
    }

    fn verification_view(&self, job: &Job, version: &Version) -> Option<VerificationView> {
        let watch = self.watch.lock().expect("no holder of this lock panics");
        let running = watch.verifying.get(&(job.name.clone(), version.number)).is_some_and(Option::is_none);
        drop(watch);
        let state = match running || version.verification_asked {
            true => VerificationState::Running,
            false => VerificationState::Done,
        };
        let verified = version.verified.as_ref();
        if state == VerificationState::Done && verified.is_none() {
            return None;
        }
        Some(VerificationView {
            state,
            against: verified.and_then(|verified| verified.against),
            at: verified.map(|verified| verified.at),
            report: verified.map(|verified| Report::clone(&verified.report)),
        })
    }
}

fn problem(member: &Member) -> Option<String> {
    let status = member.runner.as_ref()?.status();
    status.problem.or(status.output_error)
}

fn tier(status: &RunnerStatus, topic: &TopicName, partition: Partition) -> Option<Tier> {
    let mut partitions = status.partitions.iter();
    partitions.find(|p| p.topic == *topic && p.partition == partition).map(|p| p.tier)
}

/// What the version's runner does; what the catalog says of it comes first.
fn run(version: &Version, member: Option<&Member>) -> Option<Run> {
    if version.failure.is_some() {
        return Some(Run::Failed);
    }
    let status = member?.runner.as_ref()?.status();
    Some(if version.paused { Run::Paused } else { run_of(&status.run).0 })
}
