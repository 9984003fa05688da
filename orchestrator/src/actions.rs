//! Actions: which version's changes are sent, and what waits to be sent.
//!
//! ```text
//! alias      ── version 3 serves ──┤ X ├── version 4 serves ──►
//! version 3   sent up to X         │     kept while it may serve again, dropped as 4 passes it
//! version 4   not written (it is not past 3)   kept from X on ─► sent
//! ```
//!
//! A version writes the messages of a commit into its table only when the commit ends past where the serving version stands: so a
//! replay writes none, and one that is ahead has written all that may become its own. Which of them are sent is told by the catalog
//! alone: [`Stretch`](crate::state::Stretch) by stretch, from where one version was held to where the next one was. If the process
//! dies anywhere, the next start reads the same stretches and finds the same messages. See `docs/adr/0009`.

use std::collections::BTreeSet;
use std::sync::Arc;

use rekap_jobs::{ActionSpec, Actions, Bound, JobSpec, Trigger, When};
use rekap_tables::{OutboxPlace, Table, TableId, TableSchema, Waiting};
use rekap_tiered_storage::Positions;
use serde::Serialize;

use crate::event::What;
use crate::fleet::Member;
use crate::orchestrator::blocking;
use crate::state::{Job, Version, within};
use crate::{Orchestrator, Rejection};

/// Messages that are looked at at once.
const PAGE: usize = 256;

/// What waits of one action of one job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane {
    /// The job.
    pub job: String,
    /// The action's name.
    pub action: String,
}

/// Messages to be sent, in this order.
#[derive(Debug)]
pub struct Due {
    /// The version whose changes they are about.
    pub version: u32,
    /// Where they go.
    pub spec: ActionSpec,
    /// The messages.
    pub waiting: Vec<Waiting>,
}

/// One action of one version, as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ActionView {
    /// The action's name.
    pub action: String,
    /// The version.
    pub version: u32,
    /// Whether the version serves, so that its changes are sent.
    pub serving: bool,
    /// Messages in its table: of the serving version those that wait to be sent; of another one those that wait, and those that are
    /// kept in case that it takes over.
    pub pending: u64,
    /// Their bytes.
    pub pending_bytes: u64,
    /// How many messages of all actions of this version were dropped.
    pub dropped: u64,
    /// How often the action could not be asked over a commit, since its runner started.
    pub failed: u64,
    /// Why, the last time.
    pub problem: Option<String>,
    /// Where its messages go.
    #[serde(skip)]
    pub spec: ActionSpec,
}

impl Orchestrator {
    /// Refuses actions that could never be asked over this table.
    pub(crate) async fn admit_actions(&self, spec: &JobSpec, table: &TableSchema) -> Result<(), Rejection> {
        let compiled = Actions::compile(&spec.name, &spec.actions, table).await;
        compiled.map(drop).map_err(|invalid| Rejection::Refused {
            code: "INVALID_ACTION".into(),
            place: None,
            detail: format!("`actions[{}].sql`: {}", invalid.index, invalid.detail),
            remedy: invalid.remedy,
        })
    }

    /// What the runner of a version is to be told.
    pub(crate) async fn trigger_of(&self, job: &str, version: &Version, table: &Table) -> Arc<Trigger> {
        let actions = Actions::compile(job, &version.actions, table.schema()).await;
        let actions = actions.unwrap_or_else(|invalid| {
            tracing::error!(job, version = version.number, ?invalid, "its actions cannot be asked");
            None
        });
        let when = self.state().job(job).map_or(When::Never, |known| self.when(known, version.number));
        Trigger::new(actions, when)
    }

    /// Tells every runner of a job whose changes count now. Told while the version that served is held, nothing is missed.
    pub(crate) fn tell_actions(&self, job: &str) {
        let _in_turn = self.telling.lock().expect("no holder of this lock panics");
        let state = self.state();
        let Ok(job) = state.job(job) else { return };
        for version in job.versions.values().filter(|version| version.role.is_live() && !version.actions.is_empty()) {
            let runner = self.fleet.get(&job.name, version.number).and_then(|member| member.runner);
            if let Some(runner) = runner {
                runner.trigger().set_when(self.when(job, version.number));
            }
        }
    }

    /// Tells all runners, as long as they are there.
    pub(crate) fn tell_all_actions(&self) {
        for job in self.state().jobs() {
            self.tell_actions(&job.name);
        }
    }

    /// Has the runner of a version ask other actions from now on.
    pub(crate) async fn change_actions(&self, job: &str, number: u32) {
        let state = self.state();
        let Ok(version) = state.job(job).and_then(|job| job.version(number)) else { return };
        let Some(Member { table, runner: Some(runner), .. }) = self.fleet.get(job, number) else { return };
        match Actions::compile(job, &version.actions, table.schema()).await {
            Ok(actions) => {
                runner.trigger().set_actions(actions);
                self.tell_actions(job);
            }
            Err(invalid) => tracing::error!(job, number, ?invalid, "its actions cannot be asked"),
        }
    }

    /// Which commits of a version give messages.
    fn when(&self, job: &Job, number: u32) -> When {
        let Some(serving) = job.serving().filter(|serving| !serving.rebuilding) else { return When::Never };
        if serving.number == number {
            let from = serving.stretches.last().map(|stretch| stretch.from.clone());
            return When::Past(Bound::Fixed(from.unwrap_or_default()));
        }
        let Some(member) = self.fleet.get(&job.name, serving.number) else { return When::Never };
        let topics: BTreeSet<_> = serving.topics.values().map(|topic| topic.name.clone()).collect();
        When::Past(Bound::Table { table: member.table, topics })
    }

    /// The actions of a job, version by version, and what waits of each.
    pub fn actions(&self, job: &str) -> Result<Vec<ActionView>, Rejection> {
        let state = self.state();
        let job = state.job(job)?;
        let mut views = vec![];
        for version in job.versions.values().filter(|version| version.role.is_live()) {
            let Some(member) = self.fleet.get(&job.name, version.number) else { continue };
            let sizes = member.table.outbox_sizes();
            let failures = member.runner.as_ref().map(|runner| runner.trigger().failures()).unwrap_or_default();
            for spec in version.actions.iter() {
                let size = sizes.get(&spec.name).copied().unwrap_or_default();
                let failure = failures.get(&spec.name);
                views.push(ActionView {
                    action: spec.name.clone(),
                    version: version.number,
                    serving: job.serving().is_some_and(|serving| serving.number == version.number),
                    pending: size.messages,
                    pending_bytes: size.bytes,
                    dropped: member.table.status().outbox_dropped,
                    failed: failure.map_or(0, |(count, _)| *count),
                    problem: failure.map(|(_, reason)| reason.clone()),
                    spec: spec.clone(),
                });
            }
        }
        Ok(views)
    }

    /// What may have something to send. Reads nothing from disk.
    pub fn action_lanes(&self) -> BTreeSet<Lane> {
        let state = self.state();
        let mut lanes = BTreeSet::new();
        for (job, version) in state.live().filter(|(_, version)| !version.stretches.is_empty()) {
            let Some(member) = self.fleet.get(&job.name, version.number) else { continue };
            let known = |action: &String| version.actions.iter().any(|spec| spec.name == *action);
            let waiting = member.table.outbox_sizes().into_keys().filter(known);
            lanes.extend(waiting.map(|action| Lane { job: job.name.clone(), action }));
        }
        lanes
    }

    /// The next messages of a lane, at most so many: durable, so that no power cut makes others of them. `None` when there are none.
    pub async fn due(&self, lane: &Lane, limit: usize) -> Result<Option<Due>, Rejection> {
        let state = self.state();
        let Ok(job) = state.job(&lane.job) else { return Ok(None) };
        let serving = job.serving().map(|version| version.number);
        // What served before comes first.
        let mut versions: Vec<&Version> = job.versions.values().filter(|version| version.role.is_live()).collect();
        versions.sort_by_key(|version| (Some(version.number) == serving, version.number));
        for version in versions.into_iter().filter(|version| !version.stretches.is_empty()) {
            let Some(spec) = version.actions.iter().find(|spec| spec.name == lane.action) else { continue };
            let Some(member) = self.fleet.get(&lane.job, version.number) else { continue };
            if !member.table.outbox_sizes().contains_key(&lane.action) {
                continue;
            }
            let (tables, table, action, version_now) =
                (self.tables.clone(), member.table, lane.action.clone(), version.clone());
            let failed = |e: rekap_tables::TableError| table_failed(&lane.job, version.number, &e);
            let found = blocking(move || {
                let waiting = sendable(&table, &version_now, &action, limit)?;
                if !waiting.is_empty() {
                    tables.persist()?;
                }
                Ok(waiting)
            });
            let waiting = found.await.map_err(failed)?;
            if !waiting.is_empty() {
                return Ok(Some(Due { version: version.number, spec: spec.clone(), waiting }));
            }
        }
        Ok(None)
    }

    /// Takes messages out that were sent.
    pub async fn sent(&self, job: &str, version: u32, places: Vec<OutboxPlace>) -> Result<(), Rejection> {
        let Some(member) = self.fleet.get(job, version) else { return Ok(()) };
        let removed = blocking(move || member.table.outbox_sent(&places)).await;
        removed.map_err(|e| table_failed(job, version, &e))
    }

    /// Takes messages out that are given up, and counts them.
    pub async fn give_up(&self, job: &str, version: u32, places: Vec<OutboxPlace>) -> Result<(), Rejection> {
        let Some(member) = self.fleet.get(job, version) else { return Ok(()) };
        let removed = blocking(move || member.table.outbox_drop(&places)).await;
        removed.map(drop).map_err(|e| table_failed(job, version, &e))
    }

    /// Takes out what can never be sent: messages of versions that did not serve when others had, and of actions that are gone. Then
    /// records what was dropped since it was last recorded. `durable` says where each serving version is known to be on disk.
    pub(crate) async fn tidy_outboxes(&self, durable: &[(String, Positions)]) {
        let state = self.state();
        for (job, version) in state.live() {
            let Some(member) = self.fleet.get(&job.name, version.number) else { continue };
            if member.attempt != version.attempt {
                continue;
            }
            let serves = job.serving().is_some_and(|serving| serving.number == version.number);
            let passed = durable.iter().find(|(name, _)| *name == job.name).map(|(_, at)| at.clone());
            for action in member.table.outbox_sizes().into_keys() {
                let known = version.actions.iter().any(|spec| spec.name == action);
                let (table, version, passed) = (member.table.clone(), version.clone(), passed.clone());
                let done = blocking(move || tidy(&table, &version, &action, known, serves, passed.as_ref())).await;
                if let Err(error) = done {
                    tracing::warn!(job = job.name, %error, "the outbox could not be tidied; it is tried again");
                }
            }
            let dropped = member.table.status().outbox_dropped;
            if dropped > version.actions_dropped {
                let why = "their target failed for a day, more waited than are kept, or their action is gone";
                self.record_dropped(&job.name, version, dropped, why).await;
            }
        }
    }

    /// Records the messages that go with a table that is dropped.
    pub(crate) async fn record_lost_messages(&self, id: &TableId) {
        let state = self.state();
        let Some(version) = state.ever(&id.job).and_then(|job| job.versions.get(&id.version)) else { return };
        if version.stretches.is_empty() || version.attempt != id.attempt {
            return;
        }
        let (tables, id, version, job) = (self.tables.clone(), id.clone(), version.clone(), id.job.clone());
        let counted = blocking({
            let version = version.clone();
            move || -> Result<u64, rekap_tables::TableError> {
                let Some(table) = tables.open_table(&id)? else { return Ok(0) };
                let mut lost = 0;
                for action in table.outbox_sizes().into_keys() {
                    lost += sendable(&table, &version, &action, usize::MAX)?.len() as u64;
                }
                Ok(if lost == 0 { 0 } else { lost + table.status().outbox_dropped })
            }
        });
        match counted.await {
            Ok(dropped) if dropped > version.actions_dropped => {
                self.record_dropped(&job, &version, dropped, "their version is gone").await;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "what waited in a table that goes could not be counted"),
        }
    }

    async fn record_dropped(&self, job: &str, version: &Version, dropped: u64, reason: &str) {
        tracing::error!(job, version = version.number, dropped, reason, "messages of actions were dropped");
        let (version, attempt, reason) = (version.number, version.attempt, reason.to_owned());
        if let Err(error) = self.record(job, What::ActionsDropped { version, attempt, dropped, reason }).await {
            tracing::warn!(job, %error, "and that could not be recorded; it is tried again");
        }
    }

    /// Where each serving version of a job with actions stands.
    pub(crate) fn serving_positions(&self) -> Vec<(String, Positions)> {
        let state = self.state();
        let of = |job: &Arc<Job>| {
            let member = self.fleet.get(&job.name, job.serving()?.number)?;
            Some((job.name.clone(), member.positions()))
        };
        state.jobs().filter_map(of).collect()
    }
}

/// The messages of a version that are to be sent, oldest first.
fn sendable(
    table: &Table,
    version: &Version,
    action: &str,
    limit: usize,
) -> Result<Vec<Waiting>, rekap_tables::TableError> {
    // Past the end of its last stretch nothing is to be sent, and commits only ever go on.
    let end = version.stretches.last().and_then(|stretch| stretch.until.clone());
    let (mut found, mut after) = (vec![], None);
    loop {
        let page = table.outbox(action, after.as_ref(), PAGE)?;
        let Some(last) = page.last() else { return Ok(found) };
        after = Some(last.place.clone());
        let whole = page.len() == PAGE;
        for waiting in page {
            if found.len() == limit || end.as_ref().is_some_and(|end| !within(&waiting.message.to, end)) {
                return Ok(found);
            }
            if version.served_at(&waiting.message.to) {
                found.push(waiting);
            }
        }
        if !whole {
            return Ok(found);
        }
    }
}

/// Removes the oldest messages of an action as long as they can never be sent.
fn tidy(
    table: &Table,
    version: &Version,
    action: &str,
    known: bool,
    serves: bool,
    passed: Option<&Positions>,
) -> Result<(), rekap_tables::TableError> {
    loop {
        let page = table.outbox(action, None, PAGE)?;
        let whole = page.len() == PAGE;
        let (wanted, unwanted): (Vec<Waiting>, Vec<Waiting>) = page
            .into_iter()
            .take_while(|waiting| {
                let to = &waiting.message.to;
                let may_still = !serves && !passed.is_some_and(|passed| is_passed(to, passed));
                !known || !(version.served_at(to) || may_still)
            })
            .partition(|waiting| version.served_at(&waiting.message.to));
        let places = |waiting: &[Waiting]| waiting.iter().map(|waiting| waiting.place.clone()).collect::<Vec<_>>();
        table.outbox_drop(&places(&wanted))?;
        table.outbox_sent(&places(&unwanted))?;
        if !whole || wanted.len() + unwanted.len() < PAGE {
            return Ok(());
        }
    }
}

/// True when what serves is past `to`, in all that it reads itself.
fn is_passed(to: &Positions, serving: &Positions) -> bool {
    to.iter().all(|(topic, partition, next)| match serving.get(topic, partition) {
        Some(at) => next <= at,
        None => serving.iter().all(|(read, ..)| read != topic),
    })
}

fn table_failed(job: &str, version: u32, error: &rekap_tables::TableError) -> Rejection {
    Rejection::Table { job: job.to_owned(), version, detail: error.to_string() }
}
