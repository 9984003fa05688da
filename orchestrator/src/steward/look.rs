//! Looking at the world: the ends of the log, the tables, the runners.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rekap_jobs::Failure;
use rekap_tables::TableError;
use rekap_tiered_storage::{LogError, Positions, TopicName};
use tokio::time::Instant;

use crate::event::{Measured, What};
use crate::fleet::Member;
use crate::orchestrator::blocking;
use crate::phase::Run;
use crate::react::{Facts, Judged, Key, Running};
use crate::ready::{Condition, Conditions, Judgement, Look, Readiness, Sample, unmet};
use crate::state::{Job, State, Version};
use crate::steward::Watch;
use crate::{Orchestrator, recovery};

/// Samples are kept for at least that long, whatever the policies ask for: `lag_ms` is told from them.
const MIN_HORIZON: Duration = Duration::from_secs(60);

impl Orchestrator {
    /// Opens the table of every live version, so that an alias is served from the first request on.
    pub(crate) async fn open_tables(&self) {
        let state = self.state();
        for (job, version) in state.live() {
            let key = (job.name.clone(), version.number);
            if self.fleet.get(&job.name, version.number).is_some_and(|member| member.attempt == version.attempt) {
                continue;
            }
            let (tables, id) = (self.tables.clone(), crate::react::table_id(job, version));
            match blocking(move || tables.open_table(&id)).await {
                Ok(Some(table)) => self.fleet.put(key, Member { attempt: version.attempt, table, runner: None }),
                Ok(None) => {}
                Err(error) => self.set_aside(job, version, &error).await,
            }
        }
    }

    /// A table that cannot be read is given up for a new attempt, visibly; what the disk refuses now is tried again.
    async fn set_aside(&self, job: &Job, version: &Version, error: &TableError) {
        tracing::error!(job = job.name, version = version.number, %error, "its table does not open");
        if matches!(error, TableError::Damaged { .. } | TableError::SchemaDiffers(_)) {
            let lost = What::TableLost { version: version.number, attempt: version.attempt + 1 };
            if let Err(error) = self.record(&job.name, lost).await {
                tracing::error!(%error, "and that could not be recorded");
            }
        }
    }

    /// After a restart of the machine: holds readers of every alias back until its version is where the log ends now.
    pub(crate) async fn begin_recovery(&self) {
        let state = self.state();
        if !recovery::machine_restarted(&self.folder) {
            return;
        }
        let ends = self.ends(&state).await;
        for version in state.jobs().filter_map(|job| Some((job.name.clone(), job.serving()?))) {
            let (job, version) = version;
            if version.wants_runner() && !version.paused {
                let target = ends.iter().filter(|(topic, ..)| version.reads(topic)).collect();
                self.recovery.begin((job, version.number), target);
            }
        }
    }

    /// Samples the ends of the log and what serves, and judges every live version by it.
    pub(super) async fn sample(&self) {
        let state = self.state();
        let ends = self.ends(&state).await;
        let now = self.clock.now();
        let members = self.fleet.all();
        let positions = |job: &Job, version: &Version| {
            let member = members.get(&(job.name.clone(), version.number))?;
            Some(version.positions_within(&member.positions(), &ends))
        };
        let serving =
            state.jobs().filter_map(|job| Some((job.name.clone(), positions(job, job.serving()?)?))).collect();
        let horizon = state.jobs().map(|job| job.policy.max_lag.0).max().unwrap_or_default().max(MIN_HORIZON);
        let mut watch = self.watch.lock().expect("no holder of this lock panics");
        watch.samples.push(Sample { at: now, ends, serving }, horizon);
        watch.judge(&state, &members, now);
        drop(watch);
        if self.recovery.ends() && recovery::remember_boot(&self.folder).is_err() {
            tracing::debug!("the boot of this machine cannot be told; every start recovers");
        }
    }

    /// The readable end of every partition that a live version reads. A topic that cannot be looked at has none: nobody who reads it
    /// becomes ready.
    async fn ends(&self, state: &State) -> Positions {
        let mut ends = Positions::new();
        let topics = state.live().flat_map(|(_, version)| version.topics.values().map(|topic| &topic.name));
        for topic in topics.collect::<BTreeSet<&TopicName>>() {
            match self.log.hot.ranges(topic).await {
                Ok(ranges) => ranges.iter().for_each(|(partition, range)| ends.set(topic, *partition, range.end)),
                Err(LogError::UnknownTopic(_)) => {}
                Err(error) => tracing::warn!(%topic, %error, "its ends cannot be looked at"),
            }
        }
        ends
    }

    /// All facts that the next step depends on.
    pub(super) async fn look(&self) -> Facts {
        self.open_tables().await;
        let state = self.state();
        let members = self.fleet.all();
        // A scratch table is on the drills' list before it is made, so none that is seen here is missed there.
        let tables = self.tables.list().into_iter().collect();
        let drilled = self.drills.tables().into_iter().collect();
        let mut watch = self.watch.lock().expect("no holder of this lock panics");
        let now = Instant::now();
        watch.verifying.retain(|_, until| until.is_none_or(|until| now < until));
        watch.moving.retain(|_, until| until.is_none_or(|until| now < until));
        let standing = state.live().filter_map(|(job, version)| {
            let key = (job.name.clone(), version.number);
            let judged = self.judged(job, version, members.get(&key)?, watch.readiness.get(&key)?);
            Some((key, judged))
        });
        Facts {
            standing: standing.collect(),
            tables,
            runners: members.iter().filter_map(|(key, member)| Some((key.clone(), running(member)?))).collect(),
            verifying: watch.verifying.keys().cloned().collect(),
            breaches: watch
                .after
                .iter()
                .filter_map(|(job, after)| Some((job.clone(), after.failed.clone()?)))
                .collect(),
            busy: watch.moving.keys().cloned().collect(),
            drilled,
        }
    }

    fn judged(&self, job: &Job, version: &Version, member: &Member, readiness: &Readiness) -> Judged {
        let judgement = &readiness.judgement;
        let conditions = self.conditions(job, version, Some(member), judgement);
        Judged {
            keeps_up: judgement.keeps_up(),
            unmet: unmet(conditions),
            measured: readiness.measured(),
            // What moved since the last sample does not stall.
            stalled: judgement
                .stalled
                .as_ref()
                .filter(|_| !readiness.moved(&member.positions()))
                .map(|stalled| with_problem(stalled, member)),
            replayed: readiness.replayed().map(|(records, took_ms)| Measured {
                records,
                took_ms,
                bytes: member.table.bytes(),
            }),
        }
    }

    /// Every condition of a version's promotion as it is now.
    pub(crate) fn conditions(
        &self,
        job: &Job,
        version: &Version,
        member: Option<&Member>,
        judgement: &Judgement,
    ) -> Conditions {
        let serving = job.serving();
        let old = serving.and_then(|serving| self.fleet.get(&job.name, serving.number));
        let schema =
            old.zip(member).and_then(|(old, new)| crate::schema::breaks(old.table.schema(), new.table.schema()));
        let gap = version.failure.as_ref().filter(|reason| reason.code == "GAP").map(Failure::to_string);
        let left_out = || version.left_out.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let accepted = || (!version.left_out.is_empty()).then(|| format!("it does without {}", left_out()));
        let gap = gap.or_else(accepted);
        let mut conditions = judgement.conditions(version, serving.map(|serving| serving.number), schema, gap);
        conditions
            .insert("computed".to_owned(), member.map_or_else(|| Condition::met("there is no table yet"), computed));
        conditions
    }
}

impl Watch {
    fn judge(&mut self, state: &State, members: &BTreeMap<Key, Member>, now: rekap_tiered_storage::Timestamp) {
        let live: BTreeSet<Key> = state.live().map(|(job, version)| (job.name.clone(), version.number)).collect();
        self.readiness.retain(|key, _| live.contains(key));
        for (job, version) in state.live() {
            let key = (job.name.clone(), version.number);
            let Some(member) = members.get(&key) else { continue };
            let table = member.positions();
            let look = Look {
                job: &job.name,
                policy: &job.policy,
                version,
                serving: job.serving(),
                table: &table,
                running: member.runner.is_some() && !version.paused,
                samples: &self.samples,
                now,
            };
            self.readiness.entry(key).or_insert_with(|| Readiness::begin(&look)).observe(&look);
        }
    }
}

fn running(member: &Member) -> Option<Running> {
    let watch = member.runner.as_ref()?.watch();
    let gone = watch.has_changed().is_err();
    let (run, failure) = run_of(&watch.borrow().run);
    let failure = failure.or_else(|| gone.then(died));
    Some(Running { attempt: member.attempt, run, failure })
}

/// Whether every key has its row: one that an expression fails on has none until the expression can be computed.
fn computed(member: &Member) -> Condition {
    match member.table.status().failed_rows {
        0 => Condition::met("every row could be computed"),
        rows => {
            let first = member.runner.as_ref().and_then(|runner| runner.status().output_error);
            Condition::unmet(format!("{rows} rows cannot be computed: {}", first.unwrap_or_default()))
        }
    }
}

/// A runner that ended without saying why.
fn died() -> Failure {
    let (detail, remedy) = ("its runner ended without a reason", "see the server's log, then resume it");
    Failure { code: "RUNNER_DIED".into(), detail: detail.into(), remedy: remedy.into() }
}

/// What a version that makes no progress is trying, if its runner says.
fn with_problem(stalled: &str, member: &Member) -> String {
    let problem = member.runner.as_ref().and_then(|runner| runner.status().problem);
    problem.map_or_else(|| stalled.to_owned(), |problem| format!("{stalled}; {problem}"))
}

/// The runner's own word for what it does, and why it cannot go on.
pub(crate) fn run_of(run: &rekap_jobs::Run) -> (Run, Option<Failure>) {
    match run {
        rekap_jobs::Run::Replaying => (Run::Replaying, None),
        rekap_jobs::Run::CatchingUp => (Run::CatchingUp, None),
        rekap_jobs::Run::Live => (Run::Live, None),
        rekap_jobs::Run::Paused | rekap_jobs::Run::Stopped => (Run::Paused, None),
        rekap_jobs::Run::Failed { reason } => (Run::Failed, Some(reason.clone())),
    }
}
