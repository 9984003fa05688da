//! The keeper: looks at every schedule each second, begins what is due, and keeps what became of it.
//!
//! What a run came to is an event, so that it outlives the process; a run whose outcome is that of the run before is written at most
//! once an hour, since a catalog is kept for ever. All of it is in memory as well, for as long as the process lives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use rekap_tiered_storage::{Mirror, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::due::{Due, due};
use super::known::{Known, Outcome, Ran};
use super::{Schedule, Schedules, Task};
use crate::event::What;
use crate::{By, Orchestrator, Rejection};

/// How often schedules are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What turns out as before is written to the catalog this often at most.
const WRITE_EVERY: Duration = Duration::from_secs(3600);

/// What is told of a run is cut at that: a drill of a hundred jobs may have much to say.
const MAX_DETAIL_CHARS: usize = 2_000;

/// The schedules that are kept.
#[derive(Default)]
pub(crate) struct Keeper(Mutex<BTreeMap<String, Kept>>);

struct Kept {
    schedule: Schedule,
    mirror: Arc<Mirror>,
    known: Known,
    /// The last time of which it is known what became of it.
    settled: Timestamp,
    running_since: Option<Timestamp>,
    /// What was written to the catalog last.
    written: Option<(Outcome, Timestamp)>,
    counts: BTreeMap<&'static str, u64>,
}

/// A schedule, as users see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScheduleView {
    /// Its name.
    pub schedule: String,
    /// What is done.
    pub task: Task,
    /// Of which jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// When.
    pub cron: String,
    /// In which time zone.
    pub timezone: String,
    /// How long after its time a run that was missed is made up.
    pub grace_ms: u64,
    /// When it runs next.
    pub next_run: Option<Timestamp>,
    /// Since when it runs; null while it does not.
    pub running_since: Option<Timestamp>,
    /// Its last runs, the last one first.
    pub runs: Vec<Ran>,
    /// How often each outcome came up since the server started.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Failed => "failed",
            Outcome::Missed => "missed",
            Outcome::Overlapped => "overlapped",
        }
    }
}

impl Keeper {
    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, Kept>> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

impl Orchestrator {
    /// Keeps the schedules from now on, until the orchestrator stops. What is new of them is recorded first.
    pub async fn keep_schedules(self: &Arc<Self>, schedules: Schedules, mirror: &Arc<Mirror>) -> Result<(), Rejection> {
        for schedule in schedules.0 {
            let (name, says) = (schedule.spec.name.clone(), schedule.says());
            let known = self.state().schedules.get(&name).cloned();
            if known.is_none_or(|known| known.says != says) {
                let set = What::ScheduleSet { schedule: name.clone(), says };
                self.write(&By::rekap(), "", move |_, _| Ok((Some(set), ()))).await?;
            }
            let known = self.state().schedules.get(&name).map(|known| Known::clone(known)).unwrap_or_default();
            let settled = known.settled().unwrap_or_else(|| self.clock.now());
            let written = known.runs.back().map(|ran| (ran.outcome, ran.due));
            let (mirror, counts) = (mirror.clone(), BTreeMap::new());
            let kept = Kept { schedule, mirror, known, settled, running_since: None, written, counts };
            self.keeper.kept().insert(name, kept);
        }
        if !self.keeper.kept().is_empty() {
            self.add_task(tokio::spawn(keep(Arc::downgrade(self), self.stopping.subscribe())));
        }
        Ok(())
    }

    /// Every schedule, by name.
    pub fn schedules(&self) -> Vec<ScheduleView> {
        let now = self.clock.now();
        self.keeper.kept().values().map(|kept| kept.view(now)).collect()
    }

    /// Runs a schedule now, whatever its time is, and answers that it runs.
    pub async fn run_schedule(self: &Arc<Self>, name: &str, by: By) -> Result<Value, Rejection> {
        if let Some(answer) = self.book.answered(&by)? {
            return Ok(answer);
        }
        let now = self.clock.now();
        {
            let mut kept = self.keeper.kept();
            let kept = kept.get_mut(name).ok_or_else(|| Rejection::UnknownSchedule(name.to_owned()))?;
            if kept.running_since.is_some() {
                return Err(Rejection::ScheduleRunning(name.to_owned()));
            }
            kept.running_since = Some(now);
        }
        let answer = json!({"schedule": name, "state": "running", "running_since": now});
        let answer = self.write(&by, "", move |_, _| Ok((None, answer))).await;
        self.run(name.to_owned(), Begun { due: now, made_up: false, by_hand: true }, By { request: None, ..by });
        answer
    }

    /// Looks at all of them, and begins what is due.
    async fn look_at_schedules(self: &Arc<Self>) {
        let now = self.clock.now();
        let (mut begun, mut not_run) = (vec![], vec![]);
        for (name, kept) in self.keeper.kept().iter_mut() {
            let Some(due) = due(&kept.schedule, kept.settled, kept.running_since.is_some(), now) else { continue };
            kept.settled = due.at();
            match due {
                Due::Run { at, made_up } => {
                    kept.running_since = Some(now);
                    begun.push((name.clone(), Begun { due: at, made_up, by_hand: false }));
                }
                Due::Overlapped(at) => {
                    not_run.push((name.clone(), at, Outcome::Overlapped, "the run before still goes on"))
                }
                Due::Missed(at) => {
                    not_run.push((name.clone(), at, Outcome::Missed, "the server was down, and its grace is over"))
                }
            }
        }
        for (name, begun) in begun {
            let by = By { note: Some(format!("schedule {name}")), ..By::rekap() };
            self.run(name, begun, by);
        }
        for (schedule, due, outcome, why) in not_run {
            tracing::warn!(schedule, %due, why, "a scheduled run was left out");
            let detail = why.to_owned();
            self.keep_run(Ran { schedule, due, outcome, made_up: false, by_hand: false, took_ms: 0, detail }).await;
        }
    }

    /// Runs it in the background. It is marked as running already.
    fn run(self: &Arc<Self>, name: String, begun: Begun, by: By) {
        let this = self.clone();
        tokio::spawn(async move {
            let found = this.keeper.kept().get(&name).map(|kept| (kept.schedule.clone(), kept.mirror.clone()));
            let Some((schedule, mirror)) = found else { return };
            let started = Instant::now();
            let done = this.do_task(&schedule, &mirror, by).await;
            let Some(done) = done else { return };
            let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let (outcome, detail) = match done {
                Ok(detail) => (Outcome::Done, detail),
                Err(detail) => (Outcome::Failed, detail),
            };
            if outcome == Outcome::Failed {
                tracing::error!(schedule = name, detail, "a scheduled run failed");
            }
            let detail = detail.chars().take(MAX_DETAIL_CHARS).collect();
            let Begun { due, made_up, by_hand } = begun;
            this.keep_run(Ran { schedule: name, due, outcome, made_up, by_hand, took_ms, detail }).await;
        });
    }

    /// Keeps what became of a run, in memory always and in the catalog where it is news.
    async fn keep_run(&self, ran: Ran) {
        let news = {
            let mut kept = self.keeper.kept();
            let Some(kept) = kept.get_mut(&ran.schedule) else { return };
            if matches!(ran.outcome, Outcome::Done | Outcome::Failed) {
                kept.running_since = None;
            }
            kept.known.ran(ran.clone());
            *kept.counts.entry(ran.outcome.name()).or_default() += 1;
            let as_before =
                |(outcome, at): (Outcome, Timestamp)| outcome == ran.outcome && ran.due.since(at) < WRITE_EVERY;
            let news = ran.by_hand || !kept.written.is_some_and(as_before);
            if news {
                kept.written = Some((ran.outcome, ran.due));
            }
            news
        };
        if news {
            let what = What::ScheduleRan(Box::new(ran));
            if let Err(error) = self.write(&By::rekap(), "", move |_, _| Ok((Some(what), ()))).await {
                tracing::error!(%error, "what became of a scheduled run could not be recorded");
            }
        }
    }
}

/// A run that is begun.
struct Begun {
    due: Timestamp,
    made_up: bool,
    by_hand: bool,
}

impl Kept {
    fn view(&self, now: Timestamp) -> ScheduleView {
        let spec = self.schedule.spec.clone();
        ScheduleView {
            schedule: spec.name,
            task: self.schedule.task,
            job: spec.job,
            cron: spec.cron,
            timezone: spec.timezone,
            grace_ms: u64::try_from(self.schedule.grace.as_millis()).unwrap_or(u64::MAX),
            next_run: self.schedule.when.next(now.max(self.settled)),
            running_since: self.running_since,
            runs: self.known.runs.iter().rev().cloned().collect(),
            counts: self.counts.clone(),
        }
    }
}

async fn keep(orchestrator: Weak<Orchestrator>, mut stopping: tokio::sync::watch::Receiver<bool>) {
    loop {
        let Some(orchestrator) = orchestrator.upgrade() else { return };
        orchestrator.look_at_schedules().await;
        drop(orchestrator);
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}
