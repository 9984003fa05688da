//! Crashes after every single step of deploy, promote, roll back (of a job or a group), retire and abort: the catalog and the tables outlive each, all else
//! is gone, and the history is the one that would have been without them.
//!
//! Deciding, folding and reacting are the product's own; doing is a model of it whose every step is named, so that a test can tell
//! that the step it meant is the one after which the process died.

mod group;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rekap_tables::TableId;
use rekap_tiered_storage::{ManualClock, Positions};

use crate::book::Book;
use crate::decide::{self, DeployDecision, Order, PromoteDecision, Promotion};
use crate::event::{Cause, SteppedBack, What};
use crate::phase::Run;
use crate::react::{Action, Facts, Judged, Key, Running, react, still_holds, table_id};
use crate::ready::{Condition, Conditions};
use crate::swap::{back, forward};
use crate::testing::{JOB, at, clock, spec, topics, verified};
use crate::verify::Verdict;
use crate::views::{Deployed, Promoted, RolledBack};
use crate::{By, Hash, RequestKey};

/// No chain of steps is longer than that; a longer one does not come to rest.
const MANY: usize = 300;

/// The process died.
#[derive(Debug)]
struct Crash;

/// After which steps the process dies.
enum Plan {
    Never,
    /// After the n-th step, from 1.
    After(usize),
    /// After each step, the first times that it is taken.
    FirstTimes(usize),
    /// After all of these.
    Each(BTreeSet<usize>),
}

struct Machine {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    book: Option<Book>,
    /// Where each table stands: one partition is enough here.
    tables: BTreeMap<TableId, u64>,
    end: u64,
    /// Gone with the process.
    runners: BTreeMap<Key, Running>,
    held: BTreeSet<Key>,
    /// Where a reader of each alias saw it last.
    seen: BTreeMap<String, u64>,
    steps: Vec<String>,
    crashed: Vec<String>,
    plan: Plan,
}

impl Machine {
    fn new(plan: Plan) -> Self {
        let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
        let book = Some(Book::open(folder.path(), clock.clone()).unwrap());
        let (tables, runners, steps) = (BTreeMap::new(), BTreeMap::new(), vec![]);
        let (held, seen, crashed) = (BTreeSet::new(), BTreeMap::new(), vec![]);
        Machine { folder, clock, book, tables, end: 5, runners, held, seen, steps, crashed, plan }
    }

    fn book(&self) -> &Book {
        self.book.as_ref().unwrap()
    }

    /// A step was taken. A reader looks; then the process may die.
    fn step(&mut self, name: impl Into<String>) -> Result<(), Crash> {
        let name = name.into();
        self.look(&name);
        self.steps.push(name.clone());
        let dies = match &self.plan {
            Plan::Never => false,
            Plan::After(step) => *step == self.steps.len(),
            Plan::FirstTimes(times) => self.crashed.iter().filter(|crashed| **crashed == name).count() < *times,
            Plan::Each(steps) => steps.contains(&self.steps.len()),
        };
        if !dies {
            return Ok(());
        }
        self.crashed.push(name.clone());
        let before = self.book().state();
        self.book = None;
        self.held.clear();
        self.runners.clear();
        self.book = Some(self.open_again());
        assert_eq!(self.book().state(), before, "what was published is what is on the disk, after `{name}`");
        self.look(&name);
        Err(Crash)
    }

    /// The store lets go of its folder a moment after it was closed: its own threads end first.
    fn open_again(&self) -> Book {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            match Book::open(self.folder.path(), self.clock.clone()) {
                Ok(book) => return book,
                Err(crate::CatalogError::InUse(_)) if tokio::time::Instant::now() < deadline => {
                    std::thread::yield_now()
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// What must hold at any moment: the alias has a table and does not step back, and a rollback has where to go.
    fn look(&mut self, step: &str) {
        let state = self.book().state();
        for job in state.jobs() {
            let Some(serving) = job.serving() else { continue };
            let position =
                self.tables.get(&table_id(job, serving)).unwrap_or_else(|| panic!("no table after `{step}`"));
            let seen = self.seen.entry(job.name.clone()).or_default();
            assert!(*position >= *seen, "the alias stepped back after `{step}`");
            *seen = *position;
            for version in job.versions.values().filter(|version| job.is_rollback_target(version.number)) {
                assert!(self.tables.contains_key(&table_id(job, version)), "no way back after `{step}`");
            }
        }
        let [left, right] = self.serving();
        assert!(left.is_none() || right.is_none() || left == right, "one of a group moved alone after `{step}`");
    }

    /// Sends a command again and again until it is answered, as a client with an idempotency key does.
    fn insist(&mut self, mut command: impl FnMut(&mut Machine) -> Result<(), Crash>) {
        for _ in 0..MANY {
            if command(self).is_ok() && self.settle().is_ok() {
                return;
            }
        }
        panic!("it never gets through");
    }

    /// Looks and does, one action at a time, until nothing is left to do.
    fn settle(&mut self) -> Result<(), Crash> {
        for _ in 0..MANY {
            self.read_on();
            let now = rekap_tiered_storage::Clock::now(&*self.clock);
            let Some(action) = react(&self.book().state(), &self.facts(), now).into_iter().next() else {
                return Ok(());
            };
            self.act(action)?;
        }
        panic!("it does not come to rest");
    }

    /// Every runner that is not held reads to the end of the log.
    fn read_on(&mut self) {
        let state = self.book().state();
        for (key, runner) in &self.runners {
            let Some(job) = state.ever(&key.0).filter(|_| !self.held.contains(key)) else { continue };
            let id = TableId { attempt: runner.attempt, ..table_id(job, &job.versions[&key.1]) };
            if let Some(position) = self.tables.get_mut(&id) {
                *position = self.end;
            }
        }
    }

    fn facts(&self) -> Facts {
        let state = self.book().state();
        let judged = |(job, version): (&Arc<crate::state::Job>, &crate::state::Version)| {
            let key = (job.name.clone(), version.number);
            let serving = job.serving().map(|serving| serving.number);
            let unmet = (!version.passed_against(serving)).then(|| ("verified".to_owned(), "not yet".to_owned()));
            let judged =
                Judged { keeps_up: true, unmet: unmet.into_iter().collect(), measured: true, ..Judged::default() };
            self.runners.contains_key(&key).then_some((key, judged))
        };
        let standing = state.live().filter_map(judged).collect();
        let tables = self.tables.keys().cloned().collect();
        Facts { tables, runners: self.runners.clone(), standing, ..Facts::default() }
    }

    fn act(&mut self, action: Action) -> Result<(), Crash> {
        match action {
            Action::Record(job, what) => self.record(&job, what),
            Action::MakeTable(key) => {
                let id = self.table_of(&key);
                self.tables.insert(id, 0);
                self.step(format!("make the table of {}@{}", key.0, key.1))
            }
            Action::Start(key) => {
                let attempt = self.table_of(&key).attempt;
                self.runners.insert(key.clone(), Running { attempt, run: Run::Live, failure: None });
                self.step(format!("start {}@{}", key.0, key.1))
            }
            Action::Stop(key) => {
                self.runners.remove(&key);
                self.step(format!("stop {}@{}", key.0, key.1))
            }
            Action::Verify((name, number)) => {
                let state = self.book().state();
                let job = state.job(&name).unwrap();
                let serving = job.serving().map(|serving| serving.number);
                let What::Verified { against, report, .. } = verified(number, serving, Verdict::Pass) else {
                    return Ok(());
                };
                let attempt = job.versions[&number].attempt;
                self.record(&name, What::Verified { version: number, attempt, against, report })
            }
            Action::Promote(order) => self.swap(order, &By::rekap(), "promote"),
            Action::Drop(id) => {
                self.tables.remove(&id);
                self.step(format!("drop {id}"))
            }
            other => panic!("not in this story: {other:?}"),
        }
    }

    fn record(&mut self, job: &str, what: What) -> Result<(), Crash> {
        let (kind, fields) = crate::event::Event::new(job, what.clone()).to_json().unwrap();
        let write = self.book().write(&By::rekap(), job, |state, now| {
            Ok((still_holds(state, job, &what, now).then_some(what.clone()), ()))
        });
        write.unwrap();
        self.step(format!("record {kind} of {job}@{}", fields["version"]))
    }

    fn table_of(&self, key: &Key) -> TableId {
        let state = self.book().state();
        let job = state.ever(&key.0).unwrap();
        table_id(job, &job.versions[&key.1])
    }

    /// Holds what serves, lets the other one arrive, records the swap, lets go.
    fn swap(&mut self, order: Order, by: &By, verb: &str) -> Result<(), Crash> {
        let job = order.job.clone();
        let from = order.from.map(|from| (job.clone(), from));
        self.held.extend(from.clone());
        self.step(format!("{verb} {}: hold", order.to))?;
        let target = from.map_or(0, |from| self.tables[&self.table_of(&from)]);
        self.end += 3;
        self.read_on();
        let id = self.table_of(&(job.clone(), order.to));
        assert!(self.tables[&id] >= target, "it arrived");
        self.step(format!("{verb} {}: arrive", order.to))?;
        let positions = (at(&format!("ticks/0={}", self.tables[&id])), Positions::new());
        let book = self.book();
        let done = match verb {
            "promote" => {
                book.write::<Promoted>(by, &job, |s, now| forward(s, now, order.clone(), positions, 1)).map(drop)
            }
            _ => {
                let none = SteppedBack::new();
                book.write::<RolledBack>(by, &job, |s, now| back(s, now, order.clone(), positions, none, 1)).map(drop)
            }
        };
        done.unwrap();
        self.step(format!("{verb} {}: record", order.to))?;
        self.held.clear();
        self.step(format!("{verb} {}: release", order.to))
    }

    fn deploy(&mut self, digest: &'static str) -> Result<(), Crash> {
        let (spec, start) = (spec(""), Positions::new());
        let answer = self.book().write(&request(digest), JOB, |state, _| {
            let DeployDecision::New(version, what) =
                decide::deploy(state, &spec, &[digest.to_owned()], &topics(), &start, false)
            else {
                panic!("a request that was answered is not decided again");
            };
            let (job, digest) = (JOB.into(), digest.into());
            let none = (false, vec![]);
            let answer = Deployed { job, version, digest, created: true, policy_changed: none.0, warnings: none.1 };
            Ok((Some(what), answer))
        });
        answer.unwrap();
        self.step(format!("deploy {digest}: record"))
    }

    fn promote(&mut self, number: u32, key: &str) -> Result<(), Crash> {
        let by = request(key);
        if self.book().answered::<Promoted>(&by).unwrap().is_some() {
            return Ok(());
        }
        let met = |name: &str| (name.to_owned(), Condition::met(""));
        let conditions: Conditions = ["caught_up", "verified"].map(met).into_iter().collect();
        let state = self.book().state();
        let now = rekap_tiered_storage::Clock::now(&*self.clock);
        let asked = Promotion::default();
        match decide::promote(state.job(JOB).unwrap(), number, &asked, conditions, ("ann", &[]), now).unwrap() {
            PromoteDecision::Swap(order) => self.swap(order, &by, "promote"),
            other => panic!("{other:?}"),
        }
    }

    fn roll_back(&mut self, key: &str) -> Result<(), Crash> {
        let by = request(key);
        if self.book().answered::<RolledBack>(&by).unwrap().is_some() {
            return Ok(());
        }
        let state = self.book().state();
        let decide::Target { from, to } = decide::roll_back(state.job(JOB).unwrap(), None).unwrap();
        let order = Order { job: JOB.into(), from: Some(from), to, attempt: 1, cause: Cause::Asked, forced: vec![] };
        self.swap(order, &by, "roll back to")
    }

    fn change(
        &mut self,
        key: &str,
        decide: impl Fn(&crate::state::Job) -> Result<Option<What>, crate::Rejection>,
    ) -> Result<(), Crash> {
        self.book().write(&request(key), JOB, |state, _| Ok((decide(state.job(JOB)?)?, ()))).unwrap();
        self.step(format!("{key}: record"))
    }

    /// What happened, in order, each with its version.
    fn history(&self) -> Vec<String> {
        let told = |entry: Result<crate::Entry, _>| {
            let (kind, fields) = entry.unwrap().event.to_json().unwrap();
            format!("{kind} {}", fields.get("version").or(fields.get("to")).unwrap_or(&serde_json::Value::Null))
        };
        self.book().entries(0).map(told).collect()
    }

    fn roles(&self) -> Vec<&'static str> {
        self.book().state().job(JOB).unwrap().versions.values().map(|version| version.role.name()).collect()
    }
}

fn request(key: &str) -> By {
    By { request: Some(RequestKey { key: key.into(), digest: Hash::of(key.as_bytes()) }), ..By::actor("ann") }
}

/// Four versions come, serve, are rolled back, given up and retired.
fn a_life(plan: Plan) -> Machine {
    let mut machine = Machine::new(plan);
    machine.insist(|m| m.deploy("one"));
    machine.insist(|m| m.deploy("two"));
    machine.insist(|m| m.promote(2, "promote 2"));
    machine.insist(|m| m.roll_back("roll back to 1"));
    machine.insist(|m| m.promote(2, "promote 2 again"));
    machine.insist(|m| m.deploy("three"));
    machine.insist(|m| m.promote(3, "promote 3"));
    machine.insist(|m| m.roll_back("roll back to 2"));
    machine.insist(|m| m.roll_back("roll back to 1 at last"));
    machine.insist(|m| m.change("retire 3", |job| decide::retire(job, 3)));
    machine.insist(|m| m.deploy("four"));
    machine.insist(|m| m.change("abort 4", |job| decide::abort(job, 4)));
    machine.clock.advance(Duration::from_secs(25 * 3600));
    machine.insist(|m| m.settle());
    machine
}

#[test]
fn a_life_without_a_crash_ends_with_one_version_and_its_table() {
    let whole = a_life(Plan::Never);
    assert_eq!(whole.roles(), ["Serving", "Retired", "Retired", "Aborted"]);
    assert_eq!(whole.tables.keys().map(TableId::to_string).collect::<Vec<_>>(), ["bpi@1.1"]);
    let swaps: Vec<_> = whole.history().into_iter().filter(|event| event.starts_with("job.")).collect();
    assert_eq!(
        swaps,
        [
            "job.promoted 1",
            "job.promoted 2",
            "job.rolled_back 1",
            "job.promoted 2",
            "job.promoted 3",
            "job.rolled_back 2",
            "job.rolled_back 1"
        ]
    );
}

#[test]
fn a_crash_after_any_single_step_changes_nothing_in_the_history() {
    let whole = a_life(Plan::Never);
    assert!(whole.steps.len() > 60, "{:?}", whole.steps);
    for step in 1..=whole.steps.len() {
        let crashed = a_life(Plan::After(step));
        assert_eq!(crashed.crashed, [whole.steps[step - 1].clone()], "the step that was meant is the one that failed");
        assert_eq!(crashed.history(), whole.history(), "a crash after `{}`", whole.steps[step - 1]);
        assert_eq!(
            (crashed.roles(), crashed.tables.keys().collect::<Vec<_>>()),
            (whole.roles(), whole.tables.keys().collect())
        );
    }
}

#[test]
fn a_process_that_dies_twice_after_every_step_gets_there_all_the_same() {
    let (whole, crashed) = (a_life(Plan::Never), a_life(Plan::FirstTimes(2)));
    // Who died holds nothing that could be released, and reads for nobody who could be told to stop.
    let moot = |step: &&String| step.ends_with(": release") || step.starts_with("stop ");
    let all: BTreeSet<&String> = whole.steps.iter().filter(|step| !moot(step)).collect();
    assert_eq!(crashed.crashed.iter().collect::<BTreeSet<_>>(), all, "each step was the last one of some process");
    assert_eq!((crashed.history(), crashed.roles()), (whole.history(), whole.roles()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn any_series_of_crashes_ends_in_the_same_history(steps in proptest::collection::btree_set(1usize..150, 0..30)) {
        let (whole, crashed) = (a_life(Plan::Never), a_life(Plan::Each(steps)));
        prop_assert_eq!(crashed.history(), whole.history());
    }
}
