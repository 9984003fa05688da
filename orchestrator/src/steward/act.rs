//! Doing what was decided. Each action may be done twice: what it finds done already it leaves alone.

use std::sync::Arc;
use std::time::Duration;

use rekap_jobs::{CompiledJob, Failure, Pace, Runner, RunnerInit};
use rekap_tables::TableId;
use tokio::time::Instant;

use crate::decide::Order;
use crate::event::{Cause, What};
use crate::fleet::Member;
use crate::orchestrator::blocking;
use crate::react::{Action, Key, still_holds, table_id};
use crate::state::{Role, State, Version};
use crate::{By, Conditions, Orchestrator, Rejection};

/// How long what failed rests before it is tried again.
const REST: Duration = Duration::from_secs(1);

impl Orchestrator {
    /// Does it. What fails is told in the log, and found again by the next look.
    pub(super) async fn act(self: &Arc<Self>, action: Action) {
        if self.rests(&action) {
            return;
        }
        let done = match &action {
            Action::Record(job, what) => self.record(job, what.clone()).await,
            Action::MakeTable(key) => self.make_table(key).await,
            Action::Start(key) => self.start(key).await,
            Action::Stop(key) => self.stop(key).await,
            Action::Pause(key) => self.with_runner(key, |runner| runner.pause()),
            Action::Resume(key) => self.with_runner(key, |runner| runner.resume()),
            Action::Verify(key) => self.start_verification(key),
            Action::Promote(order) => self.start_promotion(order),
            Action::RollBack(job, reason) => self.start_rollback(job, reason),
            Action::Drop(id) => self.drop_table(id).await,
        };
        if let Err(error) = done {
            tracing::error!(?action, %error, "this has to be done and failed; it is tried again");
            let mut watch = self.watch.lock().expect("no holder of this lock panics");
            watch.resting.push((action, Instant::now() + REST));
        }
    }

    /// True when that failed a moment ago.
    fn rests(&self, action: &Action) -> bool {
        let mut watch = self.watch.lock().expect("no holder of this lock panics");
        watch.resting.retain(|(_, until)| Instant::now() < *until);
        watch.resting.iter().any(|(resting, _)| resting == action)
    }

    /// Records what the steward saw, unless a command made it untrue in the meantime.
    pub(crate) async fn record(&self, job: &str, what: What) -> Result<(), Rejection> {
        self.record_if(job, what, |_| true).await
    }

    /// Records what was seen, if that also holds of the state in which it is written.
    pub(crate) async fn record_if(
        &self,
        job: &str,
        what: What,
        also: impl FnOnce(&State) -> bool + Send + 'static,
    ) -> Result<(), Rejection> {
        let name = job.to_owned();
        let decide = move |state: &State, now| {
            let holds = still_holds(state, &name, &what, now) && also(state);
            Ok((holds.then_some(what), ()))
        };
        self.write(&By::rekap(), job, decide).await
    }

    async fn make_table(&self, key: &Key) -> Result<(), Rejection> {
        let Some((version, compiled)) = self.compiled(key).await? else { return Ok(()) };
        let state = self.state();
        let id = table_id(state.job(&key.0)?, &version);
        let (tables, attempt) = (self.tables.clone(), id.attempt);
        let made = blocking(move || tables.create(&id, compiled.table_schema(), &version.start)).await;
        let table = made.map_err(|error| table_failed(key, &error))?;
        self.fleet.put(key.clone(), Member { attempt, table, runner: None });
        Ok(())
    }

    async fn start(&self, key: &Key) -> Result<(), Rejection> {
        let Some(member) = self.fleet.get(&key.0, key.1) else { return Ok(()) };
        let Some((version, compiled)) = self.compiled(key).await? else { return Ok(()) };
        if member.runner.is_some() || member.attempt != version.attempt {
            return Ok(());
        }
        let replays = version.role == Role::Candidate;
        let trigger = self.trigger_of(&key.0, &version, &member.table).await;
        let runner = Runner::spawn(RunnerInit {
            job: Arc::new(compiled),
            table: member.table.clone(),
            log: self.log.clone(),
            start: (*version.start).clone(),
            accepted_gaps: (*version.left_out).clone(),
            pace: if replays { Pace::of_replay(self.replay.cores) } else { Pace::default() },
            throttle: self.first_limit(version.max_records_per_s).filter(|_| replays),
            paused: version.paused,
            memory: self.memory.clone(),
            clock: self.clock.clone(),
            trigger,
        });
        let runner = runner.map_err(|error| table_failed(key, &error))?;
        self.fleet.put(key.clone(), Member { runner: Some(Arc::new(runner)), ..member });
        self.tell_actions(&key.0);
        Ok(())
    }

    /// The version and what it compiles to. A version that no longer compiles fails, in the catalog.
    async fn compiled(&self, key: &Key) -> Result<Option<(Version, CompiledJob)>, Rejection> {
        let state = self.state();
        let version = state.job(&key.0)?.version(key.1)?.clone();
        match CompiledJob::compile(&version.spec, &version.topics).await {
            Ok(compiled) => Ok(Some((version, compiled))),
            Err(refusal) => {
                let (number, attempt) = (version.number, version.attempt);
                let detail = format!("it no longer compiles: {}", refusal.detail);
                let reason = Failure { code: refusal.code, detail, remedy: refusal.remedy };
                self.record(&key.0, What::Failed { version: number, attempt, reason }).await?;
                Ok(None)
            }
        }
    }

    async fn stop(&self, key: &Key) -> Result<(), Rejection> {
        if let Some(runner) = self.fleet.take_runner(key) {
            runner.stop().await;
        }
        let state = self.state();
        let version = state.ever(&key.0).and_then(|job| job.versions.get(&key.1));
        let attempt = self.fleet.get(&key.0, key.1).map(|member| member.attempt);
        if version.is_none_or(|version| !version.role.is_live() || Some(version.attempt) != attempt) {
            self.fleet.take(key);
        }
        Ok(())
    }

    fn with_runner(&self, key: &Key, tell: impl FnOnce(&rekap_jobs::RunnerHandle)) -> Result<(), Rejection> {
        if let Some(runner) = self.fleet.get(&key.0, key.1).and_then(|member| member.runner) {
            tell(&runner);
        }
        Ok(())
    }

    /// Drops a table that nothing refers to. Readers that are in it keep their snapshot until they are done.
    async fn drop_table(&self, id: &TableId) -> Result<(), Rejection> {
        let key = (id.job.clone(), id.version);
        self.record_lost_messages(id).await;
        if self.fleet.get(&key.0, key.1).is_some_and(|member| member.attempt == id.attempt) {
            self.fleet.take(&key);
        }
        let (tables, dropped) = (self.tables.clone(), id.clone());
        blocking(move || tables.drop_table(&dropped)).await.map_err(|error| table_failed(&key, &error))
    }

    /// Compares in the background, and records what was found.
    fn start_verification(self: &Arc<Self>, key: &Key) -> Result<(), Rejection> {
        self.watch.lock().expect("no holder of this lock panics").verifying.insert(key.clone(), None);
        let (this, key) = (self.clone(), key.clone());
        tokio::spawn(async move {
            let done = this.verify_now(&key).await;
            if let Err(reason) = &done {
                tracing::warn!(job = key.0, version = key.1, reason, "not verified; it is tried again");
            }
            let mut watch = this.watch.lock().expect("no holder of this lock panics");
            match done {
                Ok(()) => drop(watch.verifying.remove(&key)),
                Err(_) => drop(watch.verifying.insert(key, Some(Instant::now() + REST))),
            }
        });
        Ok(())
    }

    /// Moves the alias in the background.
    fn start_promotion(self: &Arc<Self>, order: &Order) -> Result<(), Rejection> {
        self.watch.lock().expect("no holder of this lock panics").moving.insert(order.job.clone(), None);
        let (this, order) = (self.clone(), order.clone());
        tokio::spawn(async move {
            let (job, by) = (order.job.clone(), this.promoter(&order));
            let done = this.promote_now(order, Conditions::new(), by).await;
            if let Err(rejection) = &done {
                tracing::warn!(job, %rejection, "not promoted; it is tried again");
            }
            let mut watch = this.watch.lock().expect("no holder of this lock panics");
            match done {
                Ok(_) => drop(watch.moving.remove(&job)),
                Err(_) => drop(watch.moving.insert(job, Some(Instant::now() + REST))),
            }
        });
        Ok(())
    }

    /// Takes a promotion back in the background, with what did not hold as its note.
    fn start_rollback(self: &Arc<Self>, job: &str, reason: &str) -> Result<(), Rejection> {
        self.watch.lock().expect("no holder of this lock panics").moving.insert(job.to_owned(), None);
        tracing::error!(job, reason, "what was promoted does not do what is watched; it is rolled back");
        let (this, job, by) = (self.clone(), job.to_owned(), By { note: Some(reason.to_owned()), ..By::rekap() });
        tokio::spawn(async move {
            let done = this.roll_back_now(job.clone(), None, Cause::Watch, by).await;
            if let Err(rejection) = &done {
                tracing::error!(job, %rejection, "not rolled back; it is tried again");
            }
            let mut watch = this.watch.lock().expect("no holder of this lock panics");
            match done {
                Ok(_) => drop(watch.moving.remove(&job)),
                Err(_) => drop(watch.moving.insert(job, Some(Instant::now() + REST))),
            }
        });
        Ok(())
    }

    /// In whose name a promotion by itself is done: of who armed it, else Rekap's.
    fn promoter(&self, order: &Order) -> By {
        let state = self.state();
        let version = state.job(&order.job).and_then(|job| job.version(order.to));
        version.ok().and_then(|version| version.armed.clone()).map_or_else(By::rekap, |armed| By::actor(armed.by))
    }
}

fn table_failed(key: &Key, error: &rekap_tables::TableError) -> Rejection {
    Rejection::Table { job: key.0.clone(), version: key.1, detail: error.to_string() }
}
