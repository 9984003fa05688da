//! A group of two jobs that is promoted, taken back and promoted again, with a crash after every single step: at no moment has one of
//! its aliases moved without the other.

use super::*;
use crate::decide::{GroupDecision, GroupPromotion};
use crate::group::{approval, moved};
use crate::views::{GroupApproved, GroupSwapped};

const GROUP: &str = "prices";
const JOBS: [&str; 2] = ["left", "right"];

/// The spec of one of the jobs, with what else its policy says.
fn member(job: &str, policy: &str) -> rekap_jobs::JobSpec {
    let mut spec = spec(&format!("group = \"{GROUP}\"\n{policy}"));
    spec.name = job.to_owned();
    spec
}

impl Machine {
    fn deploy_member(&mut self, job: &'static str, digest: &str, policy: &str) -> Result<(), Crash> {
        let (spec, start, key) = (member(job, policy), Positions::new(), format!("{job} {digest}"));
        let answer = self.book().write(&request(&key), job, |state, _| {
            let DeployDecision::New(version, what) =
                decide::deploy(state, &spec, &[digest.to_owned()], &topics(), &start, false)
            else {
                panic!("a request that was answered is not decided again");
            };
            let (job, digest, warnings) = (job.to_owned(), digest.to_owned(), vec![]);
            let answer = Deployed { job, version, digest, created: true, policy_changed: false, warnings };
            Ok((Some(what), answer))
        });
        answer.unwrap();
        self.step(format!("deploy {key}: record"))
    }

    /// What becomes of a promotion of both second versions that is asked for by `actor`.
    fn decided(&self, actor: &str) -> GroupDecision {
        let asked = GroupPromotion { versions: JOBS.map(|job| (job.to_owned(), 2)).into(), force: vec![] };
        let met = |_: &crate::state::Job, _: &crate::state::Version| -> Conditions {
            [("caught_up".to_owned(), Condition::met(""))].into_iter().collect()
        };
        let now = rekap_tiered_storage::Clock::now(&*self.clock);
        decide::promote_group(&self.book().state(), GROUP, &asked, met, actor, now).unwrap()
    }

    fn promote_group(&mut self, key: &str, actor: &str) -> Result<(), Crash> {
        if self.book().answered::<GroupSwapped>(&request(key)).unwrap().is_some() {
            return Ok(());
        }
        let GroupDecision::Swap(orders) = self.decided(actor) else { panic!("it lacks a second person") };
        self.swap_group(orders, key, |group, swaps| What::GroupPromoted { group, swaps })
    }

    /// Ann is the first of the two.
    fn approve_group(&mut self, key: &str) -> Result<(), Crash> {
        if self.book().answered::<GroupApproved>(&request(key)).unwrap().is_some() {
            return Ok(());
        }
        let GroupDecision::Approve(orders, false) = self.decided("ann") else { panic!("it takes nobody else") };
        let (what, answer) = approval(GROUP.into(), &orders, vec![], "ann".into());
        self.book().write(&request(key), "", |_, _| Ok((Some(what), answer))).unwrap();
        self.step(format!("{key}: record"))
    }

    fn roll_back_group(&mut self, key: &str) -> Result<(), Crash> {
        if self.book().answered::<GroupSwapped>(&request(key)).unwrap().is_some() {
            return Ok(());
        }
        let orders = decide::roll_back_group(&self.book().state(), GROUP).unwrap();
        self.swap_group(orders, key, |group, swaps| What::GroupRolledBack { group, swaps })
    }

    /// Holds what serves in each job, lets the others arrive, records one event for all, lets go.
    fn swap_group(
        &mut self,
        orders: Vec<Order>,
        key: &str,
        event: fn(String, Vec<crate::event::Moved>) -> What,
    ) -> Result<(), Crash> {
        for order in &orders {
            self.held.extend(order.from.map(|from| (order.job.clone(), from)));
            self.step(format!("{key}: hold {}", order.job))?;
        }
        self.end += 3;
        self.read_on();
        let mut planned = vec![];
        for order in orders {
            let here = self.tables[&self.table_of(&(order.job.clone(), order.to))];
            self.step(format!("{key}: {} arrives", order.job))?;
            let places = (at(&format!("ticks/0={here}")), Positions::new());
            planned.push((order, places, SteppedBack::new()));
        }
        let written = self.book().write::<GroupSwapped>(&request(key), "", |state, now| {
            let (swaps, answer) = moved(state, now, GROUP, planned, 1)?;
            Ok((Some(event(GROUP.into(), swaps)), answer))
        });
        written.unwrap();
        self.step(format!("{key}: record"))?;
        self.held.clear();
        self.step(format!("{key}: release"))
    }

    /// What each of the jobs serves. They were moved together or not at all.
    pub(super) fn serving(&self) -> [Option<u32>; 2] {
        let state = self.book().state();
        JOBS.map(|job| state.job(job).ok().and_then(|job| Some(job.serving()?.number)))
    }
}

/// Two versions of both jobs: promoted together, taken back, promoted again.
fn a_life_together(plan: Plan) -> Machine {
    let mut machine = Machine::new(plan);
    for digest in ["one", "two"] {
        for job in JOBS {
            machine.insist(|m| m.deploy_member(job, digest, ""));
        }
    }
    let both = |m: &Machine, version| assert_eq!(m.serving(), [Some(version), Some(version)]);
    both(&machine, 1);
    machine.insist(|m| m.promote_group("promote both", "ann"));
    both(&machine, 2);
    machine.insist(|m| m.roll_back_group("take both back"));
    both(&machine, 1);
    machine.insist(|m| m.promote_group("promote both again", "ann"));
    both(&machine, 2);
    machine.clock.advance(Duration::from_secs(25 * 3600));
    machine.insist(|m| m.settle());
    machine
}

#[test]
fn a_crash_after_any_single_step_of_a_groups_life_moves_all_of_its_aliases_or_none() {
    let whole = a_life_together(Plan::Never);
    let of_groups = |machine: &Machine| machine.history().iter().filter(|event| event.starts_with("group.")).count();
    assert_eq!(of_groups(&whole), 3);
    assert_eq!(whole.tables.keys().map(TableId::to_string).collect::<Vec<_>>(), ["left@2.1", "right@2.1"]);
    for step in 1..=whole.steps.len() {
        let crashed = a_life_together(Plan::After(step));
        assert_eq!(crashed.crashed, [whole.steps[step - 1].clone()], "the step that was meant is the one that failed");
        assert_eq!(crashed.history(), whole.history(), "a crash after `{}`", whole.steps[step - 1]);
        assert_eq!((crashed.serving(), of_groups(&crashed)), (whole.serving(), 3));
        assert!(crashed.tables.keys().eq(whole.tables.keys()));
    }
}

#[test]
fn a_group_whose_process_dies_twice_after_every_step_gets_there_all_the_same() {
    let (whole, crashed) = (a_life_together(Plan::Never), a_life_together(Plan::FirstTimes(2)));
    assert_eq!((crashed.history(), crashed.serving()), (whole.history(), whole.serving()));
}

/// A group of which one job takes two people: ann approves, bob promotes.
fn a_life_of_two_people(plan: Plan) -> Machine {
    let mut machine = Machine::new(plan);
    for digest in ["one", "two"] {
        machine.insist(|m| m.deploy_member("left", digest, "two_people = true"));
        machine.insist(|m| m.deploy_member("right", digest, ""));
    }
    machine.insist(|m| m.approve_group("approve both"));
    assert_eq!(machine.serving(), [Some(1), Some(1)]);
    assert!(matches!(machine.decided("ann"), GroupDecision::Approve(_, true)), "one person is one person");
    machine.insist(|m| m.promote_group("promote both", "bob"));
    assert_eq!(machine.serving(), [Some(2), Some(2)]);
    machine
}

#[test]
fn a_crash_after_any_step_leaves_an_approval_of_all_of_a_group_or_of_nothing() {
    let whole = a_life_of_two_people(Plan::Never);
    assert_eq!(whole.history().iter().filter(|event| event.starts_with("group.approved")).count(), 1);
    for step in 1..=whole.steps.len() {
        let crashed = a_life_of_two_people(Plan::After(step));
        assert_eq!((crashed.history(), crashed.serving()), (whole.history(), whole.serving()));
    }
}
