//! Jobs and versions as users see them, told from the state and what the steward has seen. Nothing here waits for a command, and
//! nothing is kept.

use arrow::datatypes::{DataType, TimeUnit};
use rekap_jobs::{Failure, JobSpec, RunnerStatus};
use rekap_tables::Table;
use rekap_tiered_storage::{Partition, Tier, Timestamp, TopicName};

use crate::fleet::Member;
use crate::phase::{Phase, Run, Standing, phase};
use crate::ready::Conditions;
use crate::state::{Job, Version};
use crate::steward::run_of;
use crate::verify::Report;
use crate::views::{
    JobView, PartitionView, ProgressView, RollbackView, VerificationState, VerificationView, VersionView,
};
use crate::{Orchestrator, Rejection, decide};

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

    /// What a version is made of, with the policy of promotion that the job has now.
    pub fn spec(&self, job: &str, number: u32) -> Result<JobSpec, Rejection> {
        let state = self.state();
        let job = state.job(job)?;
        let version = job.version(number)?;
        let (promote, actions) = (job.policy.clone(), (*version.actions).clone());
        Ok(JobSpec { promote, actions, ..JobSpec::clone(&version.spec) })
    }

    /// The last verification of a version.
    pub fn verification(&self, job: &str, number: u32) -> Result<VerificationView, Rejection> {
        let state = self.state();
        let job = state.job(job)?;
        let version = job.version(number)?;
        match self.verification_view(job, version) {
            Some(view) => Ok(view),
            None if version.is_on_its_way() => Ok(VerificationView::running(number)),
            None => Err(Rejection::NotVerified { job: job.name.clone(), version: number }),
        }
    }

    pub(crate) fn job_view(&self, job: &Job) -> JobView {
        let now = self.clock.now();
        JobView {
            job: job.name.clone(),
            alias: job.name.clone(),
            generation: job.generation,
            serving: job.serving().map(|version| version.number),
            standby: job.standby().map(|version| version.number),
            versions: job.versions.keys().copied().collect(),
            rollback: self.rollback_view(job),
            watched_until: job.watched.as_ref().zip(job.policy.watch.as_ref()).map(|(w, p)| w.since.plus(p.lasts.0)),
            drill: self.drill_view(job),
            frozen_until: job.frozen(now).map(|freeze| freeze.until),
        }
    }

    fn rollback_view(&self, job: &Job) -> RollbackView {
        let to = job.before();
        let until = to.and_then(|version| job.kept_until(version, self.clock.now()));
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
        let readiness = watch.readiness.get(&(job.name.clone(), version.number));
        let judgement =
            readiness.filter(|readiness| readiness.is_of(version)).map(|readiness| readiness.judgement.clone());
        drop(watch);
        let judgement = judgement.unwrap_or_default();
        self.conditions(job, version, member.as_ref(), &judgement)
    }

    pub(crate) fn phase_of(&self, job: &Job, version: &Version) -> Phase {
        phase(&version.role, self.standing(job, version))
    }

    fn standing(&self, job: &Job, version: &Version) -> Standing {
        let member = self.fleet.get(&job.name, version.number);
        let conditions = self.conditions_of(job, version);
        let met = |name: &str| conditions.get(name).is_some_and(|condition| condition.met);
        let ready = version.ready_since.is_some() && conditions.values().all(|condition| condition.met);
        Standing { run: run(version, member.as_ref()), caught_up: met("caught_up") && met("lag"), ready }
    }

    pub(crate) fn version_view(&self, job: &Job, version: &Version) -> VersionView {
        let member = self.fleet.get(&job.name, version.number).filter(|m| m.attempt == version.attempt);
        let table = member.as_ref().map(|member| member.table.status()).unwrap_or_default();
        let standing = self.standing(job, version);
        VersionView {
            job: job.name.clone(),
            version: version.number,
            phase: phase(&version.role, standing),
            role: version.role.name(),
            run: standing.run,
            reason: version.failure.clone().or_else(|| failing(member.as_ref()?)).map(|failure| failure.to_string()),
            problem: member.as_ref().and_then(problem),
            armed: version.armed.is_some(),
            approved_by: version.approved.as_ref().map(|approval| approval.by.clone()),
            rolled_back: version.rolled_back,
            attempt: version.attempt,
            digest: version.digest.clone(),
            deployed_at: version.deployed_at,
            left_out: (*version.left_out).clone(),
            max_records_per_s: version.max_records_per_s,
            until: job.kept_until(version, self.clock.now()),
            positions: table.positions.clone(),
            progress: self.progress(version, member.as_ref()),
            lag_ms: self.lag_ms(job, version),
            ready: self.conditions_of(job, version),
            verification: self.verification_view(job, version),
            freshness: member.as_ref().and_then(|member| freshness(&member.table)),
            ranges: member.as_ref().and_then(|member| Some(member.runner.as_ref()?.status().ranges)),
            rows: table.rows,
            bytes: member.map_or(0, |member| member.table.bytes()),
            failed_rows: table.failed_rows,
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
        let throttled = status.and_then(|status| status.throttled).map(|limit| self.throttled_view(limit));
        ProgressView { records_done, records_total: records_done + left, rate_per_s, eta_ms, throttled, partitions }
    }

    fn verification_view(&self, job: &Job, version: &Version) -> Option<VerificationView> {
        let watch = self.watch.lock().expect("no holder of this lock panics");
        let running = watch.verifying.get(&(job.name.clone(), version.number)).is_some_and(Option::is_none);
        drop(watch);
        // What does not read on does not come to it.
        let asked = version.verification_asked && version.wants_runner() && !version.paused;
        let state = match running || asked {
            true => VerificationState::Running,
            false => VerificationState::Done,
        };
        let verified = version.verified.as_ref().filter(|_| state == VerificationState::Done);
        if state == VerificationState::Done && verified.is_none() {
            return None;
        }
        Some(VerificationView {
            version: version.number,
            state,
            against: verified.and_then(|verified| verified.against),
            at: verified.map(|verified| verified.at),
            report: verified.map(|verified| Report::clone(&verified.report)),
        })
    }
}

/// The greatest value of the table's `time` column. A table that does not read says so elsewhere.
fn freshness(table: &Table) -> Option<Timestamp> {
    let time = table.schema().time()?;
    let newest = table.newest().ok()??;
    let micros = match table.schema().columns().field(time).data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => newest.checked_mul(1_000_000)?,
        DataType::Timestamp(TimeUnit::Millisecond, _) => newest.checked_mul(1_000)?,
        DataType::Timestamp(TimeUnit::Microsecond, _) => newest,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => newest.div_euclid(1_000),
        _ => return None,
    };
    Some(Timestamp::from_micros(micros))
}

/// Why the runner cannot go on, before the steward has recorded it.
fn failing(member: &Member) -> Option<Failure> {
    run_of(&member.runner.as_ref()?.status().run).1
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
    match version {
        _ if !version.role.is_live() => None,
        _ if version.failure.is_some() => Some(Run::Failed),
        _ if version.paused => Some(Run::Paused),
        _ => {
            let status = member.filter(|member| member.attempt == version.attempt)?.runner.as_ref()?.status();
            // A runner that was told to go on and has not yet done so.
            Some(run_of(&status.run).0).map(|run| if run == Run::Paused { Run::CatchingUp } else { run })
        }
    }
}
