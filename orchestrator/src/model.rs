//! Every state that a live version, its shadow and its predecessor can come to, walked exhaustively.
//!
//! The model holds the product's own [`State`] and moves it by its own decisions; only where tables stand, who is held and what a
//! reader saw is added. Swaps take two steps (begin and finish), so whatever can come in between does: writes, rollbacks, crashes,
//! clean-up, another operator.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use rekap_tables::TableId;
use stateright::{Checker, Model, Property};

use crate::decide::{self, Order};
use crate::event::{Cause, SteppedBack, What};
use crate::react::{Action, Facts, react};
use crate::state::{Job, Role};
use crate::swap::{back, forward};
use crate::testing::{JOB, NOON, Story, at, deployed, replayed};

/// Three versions at most: one that serves, one that shadows it, one that served before.
const VERSIONS: usize = 3;
/// A log of one record is enough to be ahead, equal or behind.
const MAX_END: u8 = 1;
/// How often aliases move forward in one story, at most.
const MAX_LINE: usize = 3;

/// A promotion that was decided and is not recorded yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Pending {
    from: Option<u32>,
    to: u32,
    attempt: u32,
    /// Where the version that serves is held.
    target: u8,
}

#[derive(Debug, Clone)]
struct Moment {
    story: Story,
    end: u8,
    /// Where the table of each version stands.
    at: [u8; VERSIONS],
    /// The tables that there are, by version and attempt.
    tables: BTreeSet<(u32, u32)>,
    pending: Option<Pending>,
    /// What a reader of the alias saw last.
    seen: u8,
    /// The alias was seen to step back without a word.
    went_back: bool,
    /// A rollback stepped back, and said so.
    stepped_back: bool,
    rollbacks: u8,
}

#[derive(Debug, Clone, PartialEq)]
enum Act {
    Deploy,
    Append,
    Apply(u32),
    Begin(u32),
    Finish,
    CallOff,
    RollBack,
    Retire(u32),
    Abort(u32),
    Replay(u32),
    WindowOver(u32),
    Drop(u32, u32),
    Crash,
}

/// How many versions are deployed, and how often each is replayed.
struct Alias {
    versions: u32,
    attempts: u32,
}

impl Moment {
    fn job(&self) -> Option<&Job> {
        self.story.state.ever(JOB).map(|job| &**job)
    }

    fn serving(&self) -> Option<u32> {
        self.job()?.serving().map(|version| version.number)
    }

    fn at(&self, version: u32) -> u8 {
        self.at[version as usize - 1]
    }

    /// All that makes two moments different. The generation and the time only grow, and decide nothing here.
    fn essence(&self) -> impl Hash + Eq + use<> {
        let job = self.job();
        let version = |v: &crate::state::Version| (v.role.name(), v.rolled_back, v.served, v.attempt);
        let versions: Vec<_> = job.iter().flat_map(|job| job.versions.values().map(version)).collect();
        let lineage = job.map(|job| job.lineage.clone());
        let world = (self.end, self.at, self.pending.clone(), self.seen);
        (versions, lineage, self.tables.clone(), world, self.went_back, self.stepped_back, self.rollbacks)
    }

    fn read(&mut self) {
        if let Some(serving) = self.serving() {
            self.went_back |= self.at(serving) < self.seen;
            self.seen = self.at(serving);
        }
    }

    fn make_table(&mut self, version: u32) {
        let attempt = self.story.job().versions[&version].attempt;
        self.tables.insert((version, attempt));
    }
}

impl PartialEq for Moment {
    fn eq(&self, other: &Self) -> bool {
        self.essence() == other.essence()
    }
}

impl Hash for Moment {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.essence().hash(state);
    }
}

fn order(from: Option<u32>, to: u32, attempt: u32) -> Order {
    Order { job: JOB.into(), from, to, attempt, cause: Cause::Asked, forced: vec![] }
}

impl Model for Alias {
    type State = Moment;
    type Action = Act;

    fn init_states(&self) -> Vec<Moment> {
        let story = Story { now: Some(NOON), ..Story::default() };
        let (tables, pending) = (BTreeSet::new(), None);
        let (went_back, stepped_back, rollbacks) = (false, false, 0);
        vec![Moment { story, end: 0, at: [0; VERSIONS], tables, pending, seen: 0, went_back, stepped_back, rollbacks }]
    }

    fn actions(&self, moment: &Moment, acts: &mut Vec<Act>) {
        acts.extend([Act::Append, Act::Crash, Act::Deploy]);
        acts.extend(moment.pending.iter().flat_map(|_| [Act::Finish, Act::CallOff]));
        let Some(job) = moment.job() else { return };
        acts.push(Act::RollBack);
        for number in job.versions.keys().copied() {
            acts.extend([Act::Apply(number), Act::Begin(number), Act::Retire(number), Act::Abort(number)]);
            acts.extend([Act::Replay(number), Act::WindowOver(number)]);
        }
        acts.extend(moment.tables.iter().map(|(version, attempt)| Act::Drop(*version, *attempt)));
    }

    fn next_state(&self, last: &Moment, act: Act) -> Option<Moment> {
        let mut next = last.clone();
        match act {
            Act::Append if last.end < MAX_END => next.end += 1,
            Act::Deploy => {
                let number = last.job().map_or(1, Job::next_number);
                (number <= self.versions).then(|| next.story.then(deployed(number)))?;
                next.make_table(number);
            }
            Act::Apply(number) => {
                let live = last.story.job().versions[&number].wants_runner();
                let held = last.pending.as_ref().is_some_and(|pending| pending.from == Some(number));
                (live && !held && last.at(number) < last.end).then(|| next.at[number as usize - 1] += 1)?;
            }
            Act::Begin(to) => {
                let (job, from) = (last.story.job(), last.serving());
                let target = from.map_or(0, |from| last.at(from));
                let promotable = matches!(job.versions[&to].role, Role::Candidate | Role::Standby { .. });
                (promotable && last.pending.is_none() && last.at(to) >= target).then_some(())?;
                let attempt = job.versions[&to].attempt;
                next.pending = Some(Pending { from, to, attempt, target });
            }
            Act::Finish => {
                let Pending { from, to, attempt, target } = next.pending.take()?;
                // Whoever promotes waits on the table that it began with.
                let replayed = last.story.job().versions[&to].attempt != attempt;
                (replayed || last.at(to) >= target).then_some(())?;
                let decided = forward(&last.story.state, NOON, order(from, to, attempt), (at(""), at("")), 0).ok()?;
                next.story.then(decided.0?);
            }
            Act::CallOff => next.pending = None,
            Act::RollBack => {
                // It does not wait for a promotion: that one is called off, and what it held goes on.
                let target = decide::roll_back(last.story.job(), None).ok()?;
                let behind = last.at(target.from).saturating_sub(last.at(target.to));
                let attempt = last.story.job().versions[&target.to].attempt;
                let order = order(Some(target.from), target.to, attempt);
                let decided = back(&last.story.state, NOON, order, (at(""), at("")), SteppedBack::new(), 0).ok()?;
                next.pending = None;
                next.story.then(decided.0?);
                (next.stepped_back, next.rollbacks) = (next.stepped_back || behind > 0, (next.rollbacks + 1).min(2));
                next.seen = next.seen.saturating_sub(behind);
            }
            Act::Retire(number) => next.story.then(decide::retire(last.story.job(), number).ok()??),
            Act::Abort(number) => next.story.then(decide::abort(last.story.job(), number).ok()??),
            Act::Replay(number) => {
                let attempt = last.story.job().versions[&number].attempt;
                let decided = decide::replay(last.story.job(), number, at(""), vec![], None).ok()?;
                (attempt < self.attempts).then_some(())?;
                assert_eq!(decided, replayed(number, attempt + 1, ""));
                next.story.then(decided);
                next.at[number as usize - 1] = 0;
                next.make_table(number);
            }
            Act::WindowOver(number) => {
                let facts = Facts { busy: last.pending.iter().map(|_| JOB.to_owned()).collect(), ..Facts::default() };
                let later = NOON.plus(Duration::from_secs(48 * 3600));
                let over = |action: &Action| matches!(action, Action::Record(_, What::Retired { version, .. }) if *version == number);
                react(&last.story.state, &facts, later).iter().find(|action| over(action))?;
                next.story.then(What::Retired { version: number, reason: "over".into() });
            }
            Act::Drop(version, attempt) => {
                let id = |(version, attempt): (u32, u32)| TableId { job: JOB.into(), version, attempt };
                let tables = last.tables.iter().copied().map(id).collect();
                let drops = react(&last.story.state, &Facts { tables, ..Facts::default() }, NOON);
                drops
                    .contains(&Action::Drop(id((version, attempt))))
                    .then(|| next.tables.remove(&(version, attempt)))?;
            }
            Act::Crash if last.pending.is_some() => next.pending = None,
            _ => return None,
        }
        next.read();
        Some(next)
    }

    fn within_boundary(&self, moment: &Moment) -> bool {
        moment.job().is_none_or(|job| job.lineage.len() <= MAX_LINE)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("exactly what the lineage ends with serves", |_, moment: &Moment| {
                moment.job().is_none_or(|job| {
                    let serving: Vec<u32> =
                        job.versions.values().filter(|v| v.role == Role::Serving).map(|v| v.number).collect();
                    serving == job.lineage.last().copied().into_iter().collect::<Vec<_>>()
                })
            }),
            Property::always("what serves and what a rollback goes to has its table", |_, moment: &Moment| {
                moment.job().is_none_or(|job| {
                    let needed =
                        |v: &&crate::state::Version| v.role == Role::Serving || job.is_rollback_target(v.number);
                    job.versions.values().filter(needed).all(|v| moment.tables.contains(&(v.number, v.attempt)))
                })
            }),
            Property::always("a rollback is possible as long as what served before is warm", |_, moment: &Moment| {
                moment.job().is_none_or(|job| decide::roll_back(job, None).is_ok() == job.before().is_some())
            }),
            Property::always("nobody reads back in time but after a rollback that says so", |_, moment: &Moment| {
                !moment.went_back
            }),
            Property::sometimes("a rollback steps back", |_, moment: &Moment| moment.stepped_back),
            Property::sometimes("a rollback and another one", |_, moment: &Moment| moment.rollbacks == 2),
            Property::sometimes("every version served", |alias: &Alias, moment: &Moment| {
                let served = |job: &Job| job.versions.values().filter(|v| v.served).count();
                moment.job().is_some_and(|job| served(job) == alias.versions as usize)
            }),
        ]
    }
}

fn walk(alias: Alias) {
    let checker = alias.checker().threads(2).spawn_bfs().join();
    println!("{} states, {} unique", checker.state_count(), checker.unique_state_count());
    checker.assert_properties();
    assert!(checker.unique_state_count() > 100, "the model moves");
}

#[test]
fn no_state_that_three_versions_can_come_to_is_a_bad_one() {
    walk(Alias { versions: 3, attempts: 1 });
}

#[test]
fn no_state_that_two_versions_and_their_replays_can_come_to_is_a_bad_one() {
    walk(Alias { versions: 2, attempts: 2 });
}
