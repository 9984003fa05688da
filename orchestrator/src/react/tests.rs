use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::testing::{JOB, NOON, Story, deployed, deployment, failure, verified};
use crate::verify::Verdict;

/// A world that does what it is told: catalog and tables outlive a crash, all else does not.
struct World {
    story: Story,
    tables: BTreeSet<TableId>,
    runners: BTreeMap<Key, Running>,
    verdict: Verdict,
    steps: usize,
    crashes: BTreeSet<usize>,
    /// A version of which nothing is known, whatever it does.
    held: Option<u32>,
}

/// No chain of steps is longer than that; a longer one does not come to rest.
const MANY: usize = 200;

impl World {
    fn new(crashes: impl IntoIterator<Item = usize>) -> Self {
        let story = Story { now: Some(NOON), ..Story::default() };
        let crashes = crashes.into_iter().collect();
        World {
            story,
            tables: BTreeSet::new(),
            runners: BTreeMap::new(),
            verdict: Verdict::Pass,
            steps: 0,
            crashes,
            held: None,
        }
    }

    fn now(&self) -> Timestamp {
        self.story.now.unwrap()
    }

    fn facts(&self) -> Facts {
        let judged = |(job, version): (&std::sync::Arc<Job>, &Version)| {
            let key = key(job, version);
            let serving = job.serving().map(|serving| serving.number);
            let unmet = (!version.passed_against(serving)).then(|| ("verified".to_owned(), "not yet".to_owned()));
            let judged =
                Judged { keeps_up: true, unmet: unmet.into_iter().collect(), measured: true, ..Judged::default() };
            let seen = self.runners.contains_key(&key) && self.held != Some(version.number);
            seen.then_some((key, judged))
        };
        Facts {
            tables: self.tables.clone(),
            runners: self.runners.clone(),
            standing: self.story.state.live().filter_map(judged).collect(),
            ..Facts::default()
        }
    }

    /// Looks and does, one action at a time, until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..MANY {
            let actions = react(&self.story.state, &self.facts(), self.now());
            let Some(action) = actions.into_iter().next() else { return };
            self.act(action);
            self.steps += 1;
            if self.crashes.contains(&self.steps) {
                self.runners.clear();
            }
        }
        panic!("it does not come to rest");
    }

    /// Looks and does what is not about one version, which stands still.
    fn settle_but(&mut self, version: u32) {
        let held = self.held.replace(version);
        self.settle();
        self.held = held;
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Record(job, what) => {
                assert!(still_holds(&self.story.state, &job, &what, self.now()));
                self.story.then(what);
            }
            Action::MakeTable(key) => drop(self.tables.insert(self.table_of(&key))),
            Action::Start(key) => {
                let attempt = self.table_of(&key).attempt;
                assert!(self.tables.contains(&self.table_of(&key)), "a runner without a table");
                self.runners.insert(key, Running { attempt, run: Run::Live, failure: None });
            }
            Action::Stop(key) => drop(self.runners.remove(&key)),
            Action::Pause(key) => self.runners.get_mut(&key).unwrap().run = Run::Paused,
            Action::Resume(key) => self.runners.get_mut(&key).unwrap().run = Run::Live,
            Action::Verify((_, version)) => {
                let serving = self.story.job().serving().map(|serving| serving.number);
                let attempt = self.story.job().versions[&version].attempt;
                let What::Verified { against, report, .. } = verified(version, serving, self.verdict) else { return };
                self.story.then(What::Verified { version, attempt, against, report });
            }
            Action::Promote(order) => self.story.promote(order.to),
            Action::RollBack(_, _) => {
                let to = decide::roll_back(self.story.job(), None).unwrap().to;
                self.story.roll_back(to);
            }
            Action::Drop(id) => {
                let needed = self.story.state.live().any(|(job, version)| table_id(job, version) == id);
                assert!(!needed, "{id} is needed");
                let written = self.runners.get(&(id.job.clone(), id.version));
                assert!(written.is_none_or(|runner| runner.attempt != id.attempt), "{id} is written to");
                self.tables.remove(&id);
            }
        }
    }

    fn table_of(&self, key: &Key) -> TableId {
        let job = self.story.state.ever(&key.0).unwrap();
        table_id(job, &job.versions[&key.1])
    }

    fn after(&mut self, seconds: u64) {
        self.story.now = Some(self.now().plus(Duration::from_secs(seconds)));
    }

    fn command(&mut self, what: What) {
        self.story.then(what);
        self.settle();
    }

    fn roles(&self) -> Vec<&'static str> {
        self.story.job().versions.values().map(|version| version.role.name()).collect()
    }

    fn tables(&self) -> Vec<String> {
        self.tables.iter().map(TableId::to_string).collect()
    }
}

/// Three versions come, serve, are rolled back, replayed and retired. Ends the same whatever crashes on the way.
fn a_long_life(crashes: impl IntoIterator<Item = usize>) -> World {
    let mut world = World::new(crashes);
    world.command(deployed(1));
    assert_eq!(world.roles(), ["Serving"], "the first ready version is promoted by itself");
    world.command(deployed(2));
    assert_eq!(world.roles(), ["Serving", "Candidate"], "the second waits to be promoted");
    world.command(What::Armed { version: 2, force: vec![] });
    assert_eq!(world.roles(), ["Standby", "Serving"]);
    world.story.roll_back(1);
    world.settle();
    assert_eq!(world.roles(), ["Serving", "Standby"], "what was rolled back stays warm and is not promoted again");
    world.command(crate::testing::replayed(2, 2, "ticks/0=0"));
    world.command(What::Deployed(Box::new(deployment(3, "auto = true"))));
    assert_eq!(world.roles(), ["Standby", "Candidate", "Serving"]);
    world.command(What::Aborted { version: 2 });
    world.after(3601);
    world.settle();
    world
}

#[test]
fn a_version_lives_from_deploy_to_retirement_and_leaves_no_table_behind() {
    let world = a_long_life([]);
    assert_eq!(world.roles(), ["Retired", "Aborted", "Serving"]);
    assert_eq!(world.tables(), ["bpi@3.1"]);
    assert_eq!(world.runners.keys().collect::<Vec<_>>(), [&(JOB.to_owned(), 3)]);
}

#[test]
fn a_crash_after_any_step_ends_in_the_same_place() {
    let whole = a_long_life([]);
    assert!(whole.steps > 20);
    for step in 1..=whole.steps {
        let crashed = a_long_life([step]);
        assert_eq!((crashed.roles(), crashed.tables()), (whole.roles(), whole.tables()), "crash after step {step}");
        assert_eq!(crashed.runners, whole.runners);
    }
}

proptest! {
    #[test]
    fn any_number_of_crashes_ends_in_the_same_place(crashes in proptest::collection::btree_set(1usize..60, 0..20)) {
        let world = a_long_life(crashes);
        prop_assert_eq!(world.roles(), ["Retired", "Aborted", "Serving"]);
        prop_assert_eq!(world.tables(), ["bpi@3.1"]);
    }
}

#[test]
fn a_failed_verification_keeps_a_version_from_being_promoted_by_itself() {
    let mut world = World::new([]);
    world.command(deployed(1));
    world.verdict = Verdict::Fail;
    world.command(What::Deployed(Box::new(deployment(2, "auto = true"))));
    world.command(What::Armed { version: 2, force: vec![] });
    assert_eq!(world.roles(), ["Serving", "Candidate"]);
    world.verdict = Verdict::Pass;
    world.command(What::VerificationAsked { version: 2 });
    assert_eq!(world.roles(), ["Standby", "Serving"]);
}

#[test]
fn a_table_that_is_lost_is_built_again_into_a_new_attempt_before_anybody_reads_it() {
    let mut world = World::new([]);
    world.command(deployed(1));
    world.tables.clear();
    world.runners.clear();
    let lost = react(&world.story.state, &world.facts(), world.now()).remove(0);
    assert_eq!(lost, Action::Record(JOB.into(), What::TableLost { version: 1, attempt: 2 }));
    world.act(lost);
    assert!(world.story.job().versions[&1].rebuilding);
    world.settle();
    assert!(!world.story.job().versions[&1].rebuilding);
    assert_eq!((world.roles(), world.tables()), (vec!["Serving"], vec!["bpi@1.2".to_owned()]));
}

#[test]
fn a_failed_runner_is_recorded_stopped_and_started_again_only_when_it_is_resumed() {
    let mut world = World::new([]);
    world.command(deployed(1));
    let key = (JOB.to_owned(), 1);
    world.runners.get_mut(&key).unwrap().failure = Some(failure("disk"));
    world.settle();
    assert_eq!(world.story.job().versions[&1].failure, Some(failure("disk")));
    assert!(world.runners.is_empty() && world.roles() == ["Serving"], "a failed serving version goes on serving");
    assert_eq!(world.tables(), ["bpi@1.1"]);
    world.command(What::Resumed { version: 1 });
    assert!(world.runners.contains_key(&key));
}

#[test]
fn a_candidate_without_progress_fails_with_the_place() {
    let mut world = World::new([]);
    world.command(deployed(1));
    world.command(deployed(2));
    let mut facts = world.facts();
    facts.standing.get_mut(&(JOB.to_owned(), 2)).unwrap().stalled = Some("no progress: partition 3".into());
    let actions = react(&world.story.state, &facts, world.now());
    let [Action::Record(_, What::Failed { version: 2, attempt: 1, reason })] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!((reason.code.as_str(), reason.detail.as_str()), ("STALLED", "no progress: partition 3"));
}

#[test]
fn a_paused_version_waits_with_its_table_and_goes_on() {
    let mut world = World::new([]);
    world.command(deployed(1));
    world.command(What::Paused { version: 1 });
    assert_eq!(world.runners[&(JOB.to_owned(), 1)].run, Run::Paused);
    world.command(What::Resumed { version: 1 });
    assert_eq!(world.runners[&(JOB.to_owned(), 1)].run, Run::Live);
}

#[test]
fn a_freeze_holds_back_promotion_and_clean_up_until_it_ends() {
    let mut world = World::new([]);
    world.command(deployed(1));
    world.command(deployed(2));
    world.command(What::Armed { version: 2, force: vec![] });
    world.command(What::Deployed(Box::new(deployment(3, ""))));
    world.command(What::Frozen { until: NOON.plus(Duration::from_secs(7200)) });
    world.command(What::Armed { version: 3, force: vec![] });
    world.command(What::Retired { version: 1, reason: "asked for".into() });
    world.after(3601);
    world.settle();
    assert_eq!(world.roles(), ["Retired", "Serving", "Candidate"]);
    assert_eq!(world.tables(), ["bpi@1.1", "bpi@2.1", "bpi@3.1"]);
    world.after(7200);
    world.settle();
    assert_eq!(world.roles(), ["Retired", "Standby", "Serving"]);
    assert_eq!(world.tables(), ["bpi@2.1", "bpi@3.1"]);
}

#[test]
fn automatic_promotion_never_goes_to_an_older_version_nor_to_one_that_was_rolled_back() {
    let mut world = World::new([]);
    world.command(auto(1));
    world.command(auto(2));
    world.story.roll_back(1);
    world.command(crate::testing::replayed(2, 2, ""));
    assert_eq!(world.roles(), ["Serving", "Candidate"], "it was rolled back");
    world.command(auto(3));
    assert_eq!(world.roles(), ["Standby", "Candidate", "Serving"]);
}

fn auto(version: u32) -> What {
    What::Deployed(Box::new(deployment(version, "auto = true")))
}

/// Version 1 serves, 2 is left alone, and 3 comes with the policy.
fn two_and_a_third_with_auto() -> World {
    let mut world = World::new([]);
    world.command(deployed(1));
    world.command(deployed(2));
    world.story.then(auto(3));
    world
}

#[test]
fn the_policy_auto_promotes_the_newest_version_and_no_older_one_that_is_ready() {
    let mut world = two_and_a_third_with_auto();
    world.settle_but(3);
    assert!(world.story.job().versions[&2].ready_since.is_some());
    assert_eq!(world.roles(), ["Serving", "Candidate", "Candidate"], "nobody asked for version 2");
    world.settle();
    assert_eq!(world.roles(), ["Standby", "Candidate", "Serving"]);
    world.command(What::Armed { version: 2, force: vec![] });
    assert_eq!(world.roles(), ["Standby", "Serving", "Standby"], "a person may promote an older one");
}

#[test]
fn the_policy_auto_promotes_no_older_version_when_the_newest_is_given_up() {
    let mut world = two_and_a_third_with_auto();
    world.command(What::Aborted { version: 3 });
    assert_eq!(world.roles(), ["Serving", "Candidate", "Aborted"]);
}

#[test]
fn a_rollback_holds_until_a_person_promotes_or_a_newer_version_is_deployed() {
    let mut world = World::new([]);
    for version in 1..=2 {
        world.command(auto(version));
    }
    world.verdict = Verdict::Fail;
    world.command(auto(3));
    assert_eq!(world.roles(), ["Standby", "Serving", "Candidate"]);
    world.verdict = Verdict::Pass;
    world.story.roll_back(1);
    world.settle();
    assert!(world.story.job().versions[&3].ready_since.is_some(), "it is ready against version 1");
    assert_eq!(world.roles(), ["Serving", "Standby", "Candidate"], "and was there before the rollback");
    let mut promoted = World { story: world.story.clone(), tables: world.tables.clone(), ..World::new([]) };
    promoted.command(What::Armed { version: 3, force: vec![] });
    assert_eq!(promoted.roles(), ["Standby", "Standby", "Serving"], "a person promotes it");
    world.command(auto(4));
    assert_eq!(world.roles(), ["Standby", "Standby", "Candidate", "Serving"], "a newer version is deployed");
}

#[test]
fn a_readiness_that_is_lost_is_recorded_but_not_right_after_a_restart() {
    let mut world = World::new([]);
    world.command(deployed(1));
    world.command(deployed(2));
    let mut facts = world.facts();
    let judged = facts.standing.get_mut(&(JOB.to_owned(), 2)).unwrap();
    *judged = Judged { unmet: BTreeMap::from([("lag".into(), "behind".into())]), measured: false, ..judged.clone() };
    assert_eq!(react(&world.story.state, &facts, world.now()), []);
    facts.standing.get_mut(&(JOB.to_owned(), 2)).unwrap().measured = true;
    let lost = What::NotReady { version: 2, reason: "lag: behind".into() };
    assert_eq!(react(&world.story.state, &facts, world.now()), [Action::Record(JOB.into(), lost)]);
}

#[test]
fn a_promotion_that_does_not_hold_what_is_watched_is_taken_back_and_one_that_does_is_left_alone() {
    let policy = "[promote.watch]\nfor = \"30m\"\nmax_lag = \"10s\"";
    let mut world = World::new([]);
    for version in [1, 2] {
        world.command(What::Deployed(Box::new(deployment(version, policy))));
    }
    assert_eq!(world.story.job().watched, None, "a first version has nothing to go back to");
    world.story.promote(2);
    let breached = || BTreeMap::from([(JOB.to_owned(), "it is late".to_owned())]);
    let facts = Facts { breaches: breached(), ..world.facts() };
    let back = Action::RollBack(JOB.into(), "it is late".into());
    assert_eq!(react(&world.story.state, &facts, world.now()), [back]);
    let busy = Facts { busy: BTreeSet::from([JOB.to_owned()]), ..facts.clone() };
    assert_eq!(react(&world.story.state, &busy, world.now()), []);
    let mut alone = world.story.clone();
    alone.then(What::Retired { version: 1, reason: "over".into() });
    let actions = react(&alone.state, &facts, world.now());
    let failed = |action: &Action| matches!(action, Action::Record(_, What::WatchFailed { version: 2, reason }) if reason.starts_with("it is late; "));
    assert!(actions.iter().any(failed), "{actions:?}");
    world.after(1799);
    world.settle();
    assert!(world.story.job().watched.is_some());
    world.after(1);
    world.settle();
    assert_eq!((world.story.job().watched.as_ref(), world.roles()), (None, vec!["Standby", "Serving"]));
}

#[test]
fn what_a_command_made_untrue_is_not_recorded() {
    let mut story = Story::of([deployed(1), deployed(2)]);
    story.promote(1);
    story.promote(2);
    let over = NOON.plus(Duration::from_secs(3600));
    let retired = What::Retired { version: 1, reason: "its rollback window is over".into() };
    assert!(still_holds(&story.state, JOB, &retired, over));
    assert!(!still_holds(&story.state, JOB, &retired, NOON), "the window was set anew");
    story.roll_back(1);
    assert!(!still_holds(&story.state, JOB, &retired, over), "it serves again");
    let failed = What::Failed { version: 2, attempt: 1, reason: failure("late") };
    story.then(crate::testing::replayed(2, 2, ""));
    assert!(!still_holds(&story.state, JOB, &failed, over), "that attempt is over");
}

#[test]
fn an_armed_version_is_promoted_without_what_was_waived_and_with_all_else() {
    let mut world = World::new([]);
    world.command(deployed(1));
    world.verdict = Verdict::Fail;
    world.command(deployed(2));
    world.command(What::Armed { version: 2, force: vec!["lag".into()] });
    assert_eq!(world.roles(), ["Serving", "Candidate"], "its verification failed, and that was not waived");
    world.story.then(What::Armed { version: 2, force: vec!["lag".into(), "verified".into()] });
    let orders = react(&world.story.state, &world.facts(), world.now()).into_iter();
    let orders: Vec<Order> =
        orders.filter_map(|a| if let Action::Promote(order) = a { Some(order) } else { None }).collect();
    assert_eq!(orders.len(), 1);
    assert_eq!((orders[0].to, orders[0].cause, &orders[0].forced[..]), (2, Cause::Armed, &["verified".to_owned()][..]));
    world.settle();
    assert_eq!(world.roles(), ["Standby", "Serving"]);
}
