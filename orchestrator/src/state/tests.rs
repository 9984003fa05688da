mod table;

use super::*;
use crate::testing::{JOB, NOON, Story, at, deployed, failure};
use crate::verify::Verdict;
use std::time::Duration;

fn roles(story: &Story) -> Vec<&'static str> {
    story.job().versions.values().map(|version| version.role.name()).collect()
}

fn three_in_line() -> Story {
    let mut story = Story::of([deployed(1), deployed(2), deployed(3)]);
    (1..=3).for_each(|version| story.promote(version));
    story
}

#[test]
fn a_promotion_makes_the_former_version_a_standby_for_its_window() {
    let mut story = Story::of([deployed(1), deployed(2)]);
    story.promote(1);
    assert_eq!(roles(&story), ["Serving", "Candidate"]);
    story.promote(2);
    assert_eq!(roles(&story), ["Standby", "Serving"]);
    let until = NOON.plus(Duration::from_secs(3600));
    assert_eq!(story.job().versions[&1].role, Role::Standby { until });
    assert_eq!(story.job().standby().unwrap().number, 1);
}

#[test]
fn rollbacks_go_back_along_the_line_and_end_at_the_first_version() {
    let mut story = three_in_line();
    story.roll_back(2);
    assert_eq!(roles(&story), ["Standby", "Serving", "Standby"]);
    assert!(story.job().versions[&3].rolled_back);
    assert_eq!(story.job().before().unwrap().number, 1);
    story.roll_back(1);
    assert_eq!(roles(&story), ["Serving", "Standby", "Standby"]);
    assert_eq!(story.job().before(), None);
}

#[test]
fn a_paused_version_reads_on_when_a_swap_says_so_and_not_otherwise() {
    for resumed in [true, false] {
        let mut story = Story::of([deployed(1), deployed(2)]);
        story.promote(1);
        story.promote(2);
        story.then(What::Paused { version: 1 });
        let swap = crate::testing::swap(Some(2), 1, 9, NOON);
        story.then(What::RolledBack(Box::new(Swap { resumed, ..*swap })));
        assert_eq!((roles(&story)[0], story.job().versions[&1].paused), ("Serving", !resumed));
    }
}

#[test]
fn a_warm_version_is_kept_until_its_window_ends_or_a_freeze_that_outlives_it() {
    let mut story = Story::of([deployed(1), deployed(2)]);
    story.promote(1);
    story.promote(2);
    let (window, after) =
        (NOON.plus(Duration::from_secs(3600)), |hours: u64| NOON.plus(Duration::from_secs(hours * 3600)));
    let kept = |story: &Story, now| story.job().kept_until(&story.job().versions[&1], now);
    assert_eq!(kept(&story, NOON), Some(window));
    story.then(What::Frozen { until: after(3) });
    assert_eq!(kept(&story, NOON), Some(after(3)));
    assert_eq!(kept(&story, after(2)), Some(after(3)), "the window is over, and it is kept still");
    assert_eq!(kept(&story, after(3)), Some(window));
    story.then(What::Frozen { until: NOON.plus(Duration::from_secs(60)) });
    assert_eq!(kept(&story, NOON), Some(window));
    assert_eq!(story.job().kept_until(&story.job().versions[&2], NOON), None);
}

#[test]
fn a_candidate_comes_to_its_verification_by_itself_unless_it_stands_still() {
    let mut story = Story::of([deployed(1), deployed(2)]);
    story.promote(1);
    let on_its_way = |story: &Story| story.job().versions.values().map(|v| v.is_on_its_way()).collect::<Vec<_>>();
    assert_eq!(on_its_way(&story), [false, true]);
    for what in [
        What::Paused { version: 2 },
        What::Failed { version: 2, attempt: 1, reason: failure("disk") },
        What::Aborted { version: 2 },
        What::Retired { version: 2, reason: "asked for".into() },
    ] {
        let mut story = story.clone();
        story.then(what);
        assert_eq!(on_its_way(&story), [false, false]);
    }
}

#[test]
fn a_rollback_may_skip_versions_which_then_are_rolled_back_too() {
    let mut story = three_in_line();
    story.roll_back(1);
    assert_eq!(roles(&story), ["Serving", "Standby", "Standby"]);
    assert!(story.job().versions[&2].rolled_back && story.job().versions[&3].rolled_back);
}

#[test]
fn what_was_rolled_back_and_promoted_again_can_be_rolled_back_again() {
    let mut story = Story::of([deployed(1), deployed(2)]);
    story.promote(1);
    story.promote(2);
    story.roll_back(1);
    story.promote(2);
    assert_eq!(roles(&story), ["Standby", "Serving"]);
    assert!(!story.job().versions[&2].rolled_back);
    assert_eq!(story.job().before().unwrap().number, 1);
}

#[test]
fn a_fresh_attempt_forgets_what_was_true_of_the_one_before() {
    let mut story = Story::of([deployed(1), What::Started { version: 1, attempt: 1 }]);
    story.then(crate::testing::verified(1, None, Verdict::Pass));
    story.then(What::Ready { version: 1, attempt: 1, replayed: None });
    story.then(What::Failed { version: 1, attempt: 1, reason: failure("disk") });
    story.then(crate::testing::replayed(1, 2, "ticks/0=9"));
    let version = &story.job().versions[&1];
    assert_eq!((version.attempt, version.started, version.ready_since), (2, false, None));
    assert_eq!((version.failure.as_ref(), version.verified.as_ref()), (None, None));
    story.then(What::Ready { version: 1, attempt: 1, replayed: None });
    story.then(What::Failed { version: 1, attempt: 1, reason: failure("late") });
    let version = &story.job().versions[&1];
    assert_eq!((version.ready_since, version.failure.as_ref()), (None, None), "news of an old attempt are no news");
}

#[test]
fn a_deleted_job_is_gone_and_its_numbers_are_not_used_again() {
    let mut story = Story::of([deployed(1), deployed(2)]);
    story.promote(1);
    story.then(What::Deleted {});
    assert!(story.state.job(JOB).is_err());
    assert_eq!(story.state.live().count(), 0);
    assert_eq!(story.state.ever(JOB).unwrap().next_number(), 3);
    story.then(deployed(3));
    assert_eq!(story.job().serving(), None);
    assert_eq!(roles(&story), ["Retired", "Retired", "Candidate"]);
}

#[test]
fn the_generation_moves_with_what_versions_are_for_and_with_nothing_else() {
    let mut story = Story::of([deployed(1), deployed(2)]);
    assert_eq!(story.job().generation, 2);
    story.promote(1);
    assert_eq!(story.job().generation, 3);
    story.then(What::Ready { version: 2, attempt: 1, replayed: None });
    story.then(What::Paused { version: 2 });
    assert_eq!(story.job().generation, 3);
    story.then(What::Aborted { version: 2 });
    assert_eq!(story.job().generation, 4);
}

#[test]
fn a_candidate_must_pass_against_what_serves_now_and_what_served_before_need_not() {
    let mut story = Story::of([deployed(1), deployed(2), deployed(3)]);
    story.promote(1);
    story.then(crate::testing::verified(3, Some(1), Verdict::Pass));
    assert!(story.job().versions[&3].passed_against(Some(1)));
    story.promote(2);
    assert!(!story.job().versions[&3].passed_against(Some(2)));
    assert!(story.job().versions[&1].passed_against(Some(2)), "it served");
    story.then(crate::testing::verified(1, Some(2), Verdict::Fail));
    assert!(!story.job().versions[&1].passed_against(Some(2)), "but a failed verification counts");
}

#[test]
fn what_served_is_compared_again_once_it_was_replayed_into_another_table() {
    let mut story = Story::of([deployed(1), deployed(2)]);
    story.promote(1);
    story.promote(2);
    story.then(What::Retired { version: 1, reason: "asked for".into() });
    story.then(crate::testing::replayed(1, 2, "ticks/0=3"));
    assert!(!story.job().versions[&1].passed_against(Some(2)), "nobody has looked at that table");
    let What::Verified { report, .. } = crate::testing::verified(1, Some(3), Verdict::Pass) else { unreachable!() };
    story.then(What::Verified { version: 1, attempt: 2, against: Some(3), report });
    assert!(!story.job().versions[&1].passed_against(Some(2)), "nor compared it with what serves now");
}

#[test]
fn a_deleted_job_leaves_no_version_armed_and_a_failed_one_waits_for_no_verification() {
    let mut story = Story::of([deployed(1), deployed(2)]);
    story.then(What::VerificationAsked { version: 1 });
    story.then(What::Failed { version: 1, attempt: 1, reason: failure("disk") });
    assert!(!story.job().versions[&1].verification_asked);
    story.then(What::Armed { version: 2, force: vec![] });
    story.then(What::Deleted {});
    assert_eq!(story.state.ever(JOB).unwrap().versions[&2].armed, None);
}

#[test]
fn a_version_reads_a_new_partition_from_its_start() {
    let story = Story::of([deployed(1)]);
    let version = &story.job().versions[&1];
    let here = version.positions_within(&at("ticks/0=7"), &at("ticks/0=9,ticks/1=4,ticks/2=3,other/0=1"));
    assert_eq!(here, at("ticks/0=7,ticks/1=0,ticks/2=0"));
}

#[test]
fn what_is_sent_is_the_one_versions_up_to_the_swap_and_the_others_past_it() {
    let mut story = Story::of([deployed(1), deployed(2)]);
    story.promote(1);
    let mut swap = crate::testing::swap(Some(1), 2, 9, NOON);
    (swap.held_at, swap.positions) = (at("ticks/0=10,ticks/1=20"), at("ticks/0=12,ticks/1=20,trades/0=4"));
    story.then(What::Promoted(swap.clone()));
    let sent_by = |story: &Story, to: &str| -> Vec<u32> {
        let of = story.job().versions.values().filter(|version| version.served_at(&at(to)));
        of.map(|version| version.number).collect()
    };
    assert_eq!(sent_by(&story, "ticks/0=5"), [] as [u32; 0], "a first version sends nothing of what it replayed");
    assert_eq!(sent_by(&story, "ticks/0=10,ticks/1=20"), [1]);
    assert_eq!(sent_by(&story, "ticks/0=11"), [2]);
    assert_eq!(sent_by(&story, "ticks/0=10,ticks/1=21"), [2]);
    assert_eq!(
        sent_by(&story, "trades/0=4"),
        [] as [u32; 0],
        "what only the other one reads is its own from the swap on"
    );
    assert_eq!(sent_by(&story, "trades/0=5"), [2]);
    (swap.from, swap.to) = (Some(2), 1);
    (swap.held_at, swap.positions) = (at("ticks/0=30,ticks/1=20,trades/0=9"), at("ticks/0=40,ticks/1=40"));
    story.then(What::RolledBack(swap));
    assert_eq!(sent_by(&story, "ticks/0=30,ticks/1=20"), [2]);
    assert_eq!(sent_by(&story, "ticks/0=35"), [1], "what the standby was ahead by is its own");
}
