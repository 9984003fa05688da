use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::event::Cause;
use crate::ready::{Condition, Conditions};
use crate::testing::{JOB, NOON, Story, at, deployed, deployment, failure, spec, topics};

const NAMES: [&str; 6] = ["caught_up", "lag", "ready_for", "verified", "no_gap", "schema"];

fn conditions(unmet: &[&str]) -> Conditions {
    let one = |name: &&str| {
        let met = !unmet.contains(name);
        ((*name).to_owned(), Condition { met, detail: "d".into() })
    };
    NAMES.iter().map(one).collect()
}

fn serving_and_candidate() -> Story {
    let mut story = Story::of([deployed(1), deployed(2)]);
    story.promote(1);
    story
}

fn ask(story: &Story, version: u32, asked: Promotion, unmet: &[&str]) -> Result<PromoteDecision, Rejection> {
    promote(story.job(), version, &asked, conditions(unmet), ("ann", &[]), NOON)
}

fn force(names: &[&str]) -> Promotion {
    Promotion { force: names.iter().map(|name| (*name).to_owned()).collect(), when_ready: false }
}

fn code<T: std::fmt::Debug>(result: Result<T, Rejection>) -> String {
    result.unwrap_err().code().to_owned()
}

#[test]
fn a_ready_version_is_promoted_and_the_serving_one_serves_already() {
    let story = serving_and_candidate();
    let order = Order { job: JOB.into(), from: Some(1), to: 2, attempt: 1, cause: Cause::Asked, forced: vec![] };
    assert_eq!(ask(&story, 2, Promotion::default(), &[]).unwrap(), PromoteDecision::Swap(order));
    assert_eq!(ask(&story, 1, Promotion::default(), &NAMES).unwrap(), PromoteDecision::Serves);
}

#[test]
fn every_condition_but_caught_up_can_be_waived_by_name() {
    let story = serving_and_candidate();
    for name in NAMES {
        let refused = ask(&story, 2, Promotion::default(), &[name]).unwrap_err();
        assert_eq!(refused.code(), "NOT_READY");
        assert!(!refused.conditions().unwrap()[name].met);
        let forced = ask(&story, 2, force(&[name]), &[name]);
        match (name, forced) {
            ("caught_up", Err(refused)) => assert_eq!(refused.code(), "NOT_FORCIBLE"),
            (_, Ok(PromoteDecision::Swap(order))) => assert_eq!(order.forced, [name]),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(code(ask(&story, 2, force(&["everything"]), &[])), "NOT_FORCIBLE");
}

#[test]
fn a_version_is_armed_when_asked_whether_it_is_ready_or_not() {
    let story = serving_and_candidate();
    let armed = Promotion { when_ready: true, force: vec![] };
    assert_eq!(ask(&story, 2, armed.clone(), &["lag"]).unwrap(), PromoteDecision::Arm(false));
    assert_eq!(ask(&story, 2, armed.clone(), &[]).unwrap(), PromoteDecision::Arm(false));
    let forced = Promotion { force: vec!["verified".into()], ..armed.clone() };
    assert!(matches!(ask(&story, 2, forced.clone(), &["verified"]).unwrap(), PromoteDecision::Swap(_)));
    assert_eq!(ask(&story, 2, forced, &["verified", "lag"]).unwrap(), PromoteDecision::Arm(false));
    let mut story = serving_and_candidate();
    story.promote(2);
    assert_eq!(code(ask(&story, 1, armed, &["lag"])), "NOT_READY", "a standby is promoted by hand only");
}

#[test]
fn a_frozen_job_is_promoted_only_by_who_froze_it_until_the_freeze_ends() {
    let mut story = serving_and_candidate();
    story.then(What::Frozen { until: NOON.plus(Duration::from_secs(60)) });
    let by = |actor, now| promote(story.job(), 2, &Promotion::default(), conditions(&[]), (actor, &[]), now);
    assert_eq!(code(by("bob", NOON)), "FROZEN");
    assert!(by("ann", NOON).is_ok());
    assert!(by("bob", NOON.plus(Duration::from_secs(60))).is_ok());
}

#[test]
fn a_caller_with_an_old_picture_of_the_job_is_refused() {
    let story = serving_and_candidate();
    let generation = story.job().generation;
    assert!(admit(story.job(), &[]).is_ok() && admit(story.job(), &[generation]).is_ok());
    assert!(admit(story.job(), &[generation, generation + 7]).is_ok(), "one of a list is enough");
    assert_eq!(code(admit(story.job(), &[generation - 1])), "GENERATION_MOVED");
}

#[test]
fn a_rollback_goes_to_the_version_before_and_then_further_back_until_there_is_none() {
    let mut story = Story::of([deployed(1), deployed(2), deployed(3)]);
    assert_eq!(code(roll_back(story.job(), None)), "NOTHING_TO_ROLL_BACK");
    (1..=3).for_each(|version| story.promote(version));
    assert_eq!(roll_back(story.job(), None).unwrap(), Target { from: 3, to: 2 });
    story.roll_back(2);
    assert_eq!(roll_back(story.job(), None).unwrap(), Target { from: 2, to: 1 });
    story.roll_back(1);
    assert_eq!(code(roll_back(story.job(), None)), "NOTHING_TO_ROLL_BACK");
}

#[test]
fn a_rollback_can_name_an_earlier_version_that_is_still_warm_and_no_other() {
    let mut story = Story::of([deployed(1), deployed(2), deployed(3), deployed(4)]);
    (1..=3).for_each(|version| story.promote(version));
    assert_eq!(roll_back(story.job(), Some(1)).unwrap(), Target { from: 3, to: 1 });
    assert_eq!(code(roll_back(story.job(), Some(3))), "CANNOT_ROLL_BACK");
    assert_eq!(code(roll_back(story.job(), Some(4))), "CANNOT_ROLL_BACK");
    assert_eq!(code(roll_back(story.job(), Some(9))), "UNKNOWN_VERSION");
    assert_eq!(code(retire(story.job(), 2)), "IN_USE", "its window is not over");
    story.then(What::Retired { version: 2, reason: "over".into() });
    assert_eq!(code(roll_back(story.job(), Some(2))), "CANNOT_ROLL_BACK");
    assert_eq!(roll_back(story.job(), None).unwrap(), Target { from: 3, to: 1 }, "the last one that is still warm");
    story.then(What::Failed { version: 1, attempt: 1, reason: failure("its disk is full") });
    let refused = roll_back(story.job(), Some(1)).unwrap_err().to_string();
    assert!(refused.contains("its disk is full"), "{refused}");
    story.then(What::Retired { version: 1, reason: "over".into() });
    assert_eq!(code(roll_back(story.job(), None)), "NOTHING_TO_ROLL_BACK");
}

#[test]
fn what_serves_is_neither_aborted_nor_retired_nor_replayed() {
    let mut story = Story::of([deployed(1), deployed(2)]);
    story.promote(1);
    assert_eq!(code(abort(story.job(), 1)), "IN_USE");
    assert_eq!(code(retire(story.job(), 1)), "IN_USE");
    assert_eq!(code(replay(story.job(), 1, at(""), vec![], None)), "IN_USE");
    story.promote(2);
    assert_eq!(code(replay(story.job(), 1, at(""), vec![], None)), "IN_USE");
    story.roll_back(1);
    assert!(replay(story.job(), 2, at(""), vec![], None).is_ok(), "what was rolled back is no rollback target");
}

#[test]
fn a_verb_said_twice_changes_nothing_the_second_time() {
    let mut story = serving_and_candidate();
    for verb in [verify, pause, resume, abort] {
        if let Some(what) = verb(story.job(), 2).unwrap() {
            story.then(what);
        }
        assert_eq!(verb(story.job(), 2).unwrap(), None);
    }
    assert_eq!(retire(story.job(), 2).unwrap(), None);
    assert_eq!(code(pause(story.job(), 2)), "WRONG_PHASE");
    assert_eq!(code(resume(story.job(), 2)), "WRONG_PHASE");
}

#[test]
fn a_failed_version_goes_on_when_it_is_resumed() {
    let mut story = serving_and_candidate();
    story.then(What::Failed { version: 2, attempt: 1, reason: failure("disk") });
    assert_eq!(code(pause(story.job(), 2)), "WRONG_PHASE");
    let resumed = resume(story.job(), 2).unwrap().unwrap();
    story.then(resumed);
    assert!(story.job().versions[&2].wants_runner());
}

fn deploy_as(story: &Story, digest: &str, policy: &str, rebuild: bool) -> DeployDecision {
    deploy(&story.state, &spec(policy), &[digest.to_owned()], &topics(), &at("ticks/0=0"), rebuild)
}

#[test]
fn a_deploy_of_what_is_live_makes_nothing_unless_it_is_to_be_rebuilt() {
    let mut story = serving_and_candidate();
    assert_eq!(deploy_as(&story, "digest-2", "", false), DeployDecision::Same(2));
    assert!(matches!(deploy_as(&story, "digest-2", "", true), DeployDecision::New(3, _)));
    assert!(matches!(deploy_as(&story, "digest-3", "", false), DeployDecision::New(3, _)));
    assert!(matches!(deploy_as(&story, "digest-2", "auto = true", false), DeployDecision::Policy(2, _)));
    story.then(What::Aborted { version: 2 });
    assert!(
        matches!(deploy_as(&story, "digest-2", "", false), DeployDecision::New(3, _)),
        "an aborted one is not live"
    );
    let mut story = serving_and_candidate();
    story.then(What::Failed { version: 2, attempt: 1, reason: failure("disk") });
    assert!(matches!(deploy_as(&story, "digest-2", "", false), DeployDecision::New(3, _)), "nor is a failed one");
}

#[test]
fn a_version_that_has_the_former_digest_of_a_spec_is_it_still() {
    let story = serving_and_candidate();
    let digests = |present: &str, former: &str| [present.to_owned(), former.to_owned()];
    let known = |present: &str, former: &str| known_digest(&story.state, JOB, &digests(present, former)).to_owned();
    assert_eq!(known("digest-9", "digest-1"), "digest-1");
    assert_eq!(known("digest-2", "digest-1"), "digest-2");
    assert_eq!(known("digest-9", "digest-8"), "digest-9");
    assert_eq!(known_digest(&story.state, "other", &digests("a", "digest-1")), "a");
}

#[test]
fn a_version_that_is_built_anew_has_the_present_digest_of_its_spec() {
    let story = serving_and_candidate();
    let digests = ["digest-9".to_owned(), "digest-1".to_owned()];
    let deploy = |rebuild| deploy(&story.state, &spec(""), &digests, &topics(), &at("ticks/0=0"), rebuild);
    assert_eq!(deploy(false), DeployDecision::Same(1));
    let DeployDecision::New(3, What::Deployed(deployment)) = deploy(true) else { panic!("it was to be built anew") };
    assert_eq!(deployment.digest, "digest-9");
}

#[test]
fn what_does_not_read_on_is_not_verified() {
    let mut story = serving_and_candidate();
    assert!(verify(story.job(), 2).unwrap().is_some());
    story.then(What::Paused { version: 2 });
    let refused = verify(story.job(), 2).unwrap_err();
    assert!(refused.to_string().contains("Paused"), "{refused}");
    assert_eq!(refused.code(), "WRONG_PHASE");
}

#[test]
fn a_rollback_goes_to_no_version_whose_table_is_being_rebuilt() {
    let mut story = serving_and_candidate();
    story.promote(2);
    story.then(What::TableLost { version: 1, attempt: 2 });
    let refused = roll_back(story.job(), None).unwrap_err();
    assert_eq!(refused.code(), "CANNOT_ROLL_BACK");
    assert!(refused.to_string().contains("being rebuilt"), "{refused}");
    story.then(What::Rebuilt { version: 1, attempt: 2 });
    assert!(roll_back(story.job(), None).is_ok());
}

#[test]
fn who_arms_a_version_may_waive_conditions_and_may_change_their_mind() {
    let mut story = serving_and_candidate();
    let asked = |force: &[&str]| Promotion { when_ready: true, ..self::force(force) };
    assert_eq!(ask(&story, 2, asked(&["schema"]), &["lag", "schema"]).unwrap(), PromoteDecision::Arm(false));
    story.then(What::Armed { version: 2, force: vec!["schema".into()] });
    assert_eq!(ask(&story, 2, asked(&["schema"]), &["lag", "schema"]).unwrap(), PromoteDecision::Arm(true));
    assert_eq!(ask(&story, 2, asked(&[]), &["lag", "schema"]).unwrap(), PromoteDecision::Arm(false));
}

#[test]
fn a_new_version_carries_all_that_it_needs_to_be_compiled_again() {
    let DeployDecision::New(1, What::Deployed(made)) = deploy_as(&Story::default(), "digest-1", "", false) else {
        panic!("the first deploy makes version 1");
    };
    let expected = crate::event::Deployment { start: at("ticks/0=0"), ..deployment(1, "") };
    assert_eq!(*made, expected);
    assert_eq!(made.topics, BTreeMap::from_iter(topics()));
}

/// Version 1 serves, version 2 is a candidate, and promotions take two people.
fn of_two_people() -> Story {
    let mut story = serving_and_candidate();
    story.then(crate::event::What::PolicyChanged {
        policy: Box::new(spec("two_people = true").promote),
        version: None,
        actions: vec![],
    });
    story
}

fn asked_by(story: &Story, actor: &str, asked: &Promotion, unmet: &[&str]) -> PromoteDecision {
    promote(story.job(), 2, asked, conditions(unmet), (actor, &[]), NOON).unwrap()
}

fn approved(force: &[&str]) -> crate::event::What {
    let force = force.iter().map(|name| (*name).to_owned()).collect();
    crate::event::What::Approved { version: 2, attempt: 1, force }
}

#[test]
fn where_it_takes_two_people_the_first_approves_and_only_another_one_swaps() {
    let mut story = of_two_people();
    let plain = Promotion::default();
    assert_eq!(asked_by(&story, "ann", &plain, &[]), PromoteDecision::Approve(false));
    // A story's events are ann's.
    story.then(approved(&[]));
    assert_eq!(asked_by(&story, "ann", &plain, &[]), PromoteDecision::Approve(true));
    assert!(matches!(asked_by(&story, "bob", &plain, &[]), PromoteDecision::Swap(_)));
    assert!(
        roll_back(story.job(), None).is_err_and(|e| e.code() == "NOTHING_TO_ROLL_BACK"),
        "it asks nobody a second time"
    );
    story.then(crate::testing::replayed(2, 2, ""));
    assert_eq!(asked_by(&story, "bob", &plain, &[]), PromoteDecision::Approve(false), "it was of another attempt");
}

#[test]
fn nobody_waives_what_the_other_one_did_not_waive() {
    let mut story = of_two_people();
    story.then(approved(&[]));
    assert_eq!(asked_by(&story, "bob", &force(&["verified"]), &["verified"]), PromoteDecision::Approve(false));
    assert!(
        matches!(asked_by(&story, "bob", &force(&["verified"]), &[]), PromoteDecision::Swap(_)),
        "nothing was waived"
    );
    story.then(approved(&["verified"]));
    assert!(matches!(asked_by(&story, "bob", &force(&["verified"]), &["verified"]), PromoteDecision::Swap(_)));
}

#[test]
fn a_promotion_for_later_takes_two_people_as_well() {
    let mut story = of_two_people();
    let later = Promotion { when_ready: true, ..Promotion::default() };
    assert_eq!(asked_by(&story, "ann", &later, &["lag"]), PromoteDecision::Approve(false));
    story.then(approved(&[]));
    assert_eq!(asked_by(&story, "bob", &later, &["lag"]), PromoteDecision::Arm(false));
}

#[test]
fn the_first_version_takes_nobody_to_approve_it() {
    let mut story = Story::of([crate::event::What::Deployed(Box::new(deployment(1, "two_people = true")))]);
    story.then(deployed(2));
    story.then(crate::event::What::PolicyChanged {
        policy: Box::new(spec("two_people = true").promote),
        version: None,
        actions: vec![],
    });
    assert!(matches!(asked_by(&story, "ann", &Promotion::default(), &[]), PromoteDecision::Swap(_)));
}
