use std::collections::BTreeMap;

use rekap_tiered_storage::Incarnation;

use super::*;
use crate::state::State;
use crate::testing::{JOB, NOON, Story, at, deployment};

/// A candidate that is watched beside a serving version, a sample every 100 ms.
struct Scene {
    story: Story,
    samples: Samples,
    readiness: Option<Readiness>,
    now: Timestamp,
    running: bool,
    /// The life of the topics that version 1 reads, where it is another one.
    serving_life: Option<Incarnation>,
}

impl Scene {
    fn new() -> Self {
        let policy = "max_lag = \"300ms\"\nready_for = \"500ms\"\nstall_timeout = \"2s\"";
        let mut story = Story::default();
        for version in [1, 2] {
            story.then(crate::event::What::Deployed(Box::new(deployment(version, policy))));
        }
        Scene { story, samples: Samples::default(), readiness: None, now: NOON, running: true, serving_life: None }
    }

    fn state(&self) -> &State {
        &self.story.state
    }

    /// 100 ms later: the log ends there, version 1 serves from there (if it serves), version 2 is there.
    fn tick(&mut self, ends: &str, serving: Option<&str>, candidate: &str) -> &Judgement {
        self.now = self.now.plus(Duration::from_millis(100));
        let serves = serving.is_some();
        let serving = serving.map(|text| (JOB.to_owned(), at(text)));
        let sample = Sample { at: self.now, ends: at(ends), serving: BTreeMap::from_iter(serving) };
        self.samples.push(sample, Duration::from_secs(60));
        let job = self.state().job(JOB).unwrap().clone();
        let mut former = Version::clone(&job.versions[&1]);
        if let Some(life) = self.serving_life {
            Arc::make_mut(&mut former.topics).values_mut().for_each(|topic| topic.incarnation = life);
        }
        let look = Look {
            job: JOB,
            policy: &job.policy,
            version: &job.versions[&2],
            serving: serves.then_some(&former),
            table: &at(candidate),
            running: self.running,
            samples: &self.samples,
            now: self.now,
        };
        let mut readiness = self.readiness.take().unwrap_or_else(|| Readiness::begin(&look));
        readiness.observe(&look);
        &self.readiness.insert(readiness).judgement
    }

    fn ticks(&mut self, n: usize, ends: &str, serving: Option<&str>, candidate: &str) -> &Judgement {
        for _ in 1..n {
            self.tick(ends, serving, candidate);
        }
        self.tick(ends, serving, candidate)
    }
}

#[test]
fn a_version_is_ready_after_keeping_up_for_as_long_as_the_policy_asks_and_not_before() {
    let mut scene = Scene::new();
    assert!(scene.tick("ticks/0=10", None, "ticks/0=10").keeps_up());
    assert!(!scene.ticks(4, "ticks/0=10", None, "ticks/0=10").ready_for.met);
    assert!(scene.tick("ticks/0=10", None, "ticks/0=10").ready_for.met);
}

#[test]
fn what_serves_counts_from_the_first_look_on_however_long_max_lag_is() {
    let mut scene = Scene::new();
    scene.now = scene.now.plus(Duration::from_secs(3600));
    let first = scene.tick("ticks/0=10", Some("ticks/0=10"), "ticks/0=4").clone();
    assert!(!first.caught_up.met && !first.lag.met, "{first:?}");
    let mut scene = Scene::new();
    let old = Sample { at: NOON, ends: at(""), serving: BTreeMap::new() };
    scene.samples.push(old, Duration::from_secs(60));
    scene.now = scene.now.plus(Duration::from_secs(1));
    let first = scene.tick("ticks/0=10", Some("ticks/0=10"), "ticks/0=4").clone();
    assert!(!first.caught_up.met && !first.lag.met, "a sample from before it was deployed says nothing: {first:?}");
}

#[test]
fn a_steady_flow_of_events_does_not_keep_a_version_from_being_ready() {
    let mut scene = Scene::new();
    let mut last = Judgement::default();
    for i in 1..20 {
        let (end, here) = (format!("ticks/0={}", i * 100), format!("ticks/0={}", (i - 2).max(0) * 100));
        last = scene.tick(&end, Some(&end), &here).clone();
    }
    assert!(last.keeps_up() && last.ready_for.met, "200 ms behind is within 300 ms: {last:?}");
}

#[test]
fn a_condition_that_fails_once_starts_the_time_anew() {
    let mut scene = Scene::new();
    assert!(scene.ticks(9, "ticks/0=10", None, "ticks/0=10").ready_for.met);
    scene.ticks(4, "ticks/0=20", None, "ticks/0=10");
    let lost = scene.tick("ticks/0=20", None, "ticks/0=10").clone();
    assert!(!lost.lag.met && !lost.ready_for.met);
    assert!(lost.lag.detail.contains("`ticks` partition 0 is at 10, not 20"), "{}", lost.lag.detail);
    let again = scene.tick("ticks/0=20", None, "ticks/0=20").clone();
    assert!(again.lag.met && !again.ready_for.met);
}

#[test]
fn a_version_is_not_caught_up_while_the_serving_one_is_ahead_of_it() {
    let mut scene = Scene::new();
    scene.tick("ticks/0=10", Some("ticks/0=10"), "ticks/0=10");
    let behind = scene.ticks(4, "ticks/0=20", Some("ticks/0=20"), "ticks/0=10").clone();
    assert!(!behind.caught_up.met, "{behind:?}");
    let only_lagging = scene.ticks(4, "ticks/0=30", Some("ticks/0=20"), "ticks/0=20").clone();
    assert!(only_lagging.caught_up.met && !only_lagging.lag.met, "{only_lagging:?}");
}

#[test]
fn a_version_that_reads_a_topic_made_anew_is_not_behind_one_that_read_the_former() {
    let mut scene = Scene::new();
    scene.serving_life = Some("7f1e2b34-0000-4000-8000-0000000000ff".parse().unwrap());
    let caught_up = scene.ticks(5, "ticks/0=3", Some("ticks/0=10"), "ticks/0=3").caught_up.clone();
    assert!(caught_up.met, "{caught_up:?}");
    assert!(!scene.ticks(5, "ticks/0=4", Some("ticks/0=10"), "ticks/0=3").lag.met, "the ends are the new one's");
}

#[test]
fn a_replay_is_told_as_such_until_it_has_passed_what_was_there_at_its_start() {
    let mut scene = Scene::new();
    let replaying = scene.ticks(6, "ticks/0=1000,ticks/1=5", None, "ticks/0=400,ticks/1=5").clone();
    assert!(replaying.caught_up.detail.contains("replaying: `ticks` partition 0 is at 400, not 1000"), "{replaying:?}");
    assert_eq!(replaying.behind, None, "how old what it has not passed is, nobody knows yet");
}

#[test]
fn a_partition_that_was_added_counts_from_its_first_record() {
    let mut scene = Scene::new();
    scene.ticks(5, "ticks/0=10", None, "ticks/0=10");
    assert!(scene.ticks(5, "ticks/0=10,ticks/7=0", None, "ticks/0=10").keeps_up(), "it is empty");
    assert!(!scene.ticks(5, "ticks/0=10,ticks/7=1", None, "ticks/0=10").keeps_up());
}

#[test]
fn no_progress_for_the_stall_timeout_is_told_with_its_place() {
    let mut scene = Scene::new();
    assert_eq!(scene.ticks(20, "ticks/0=10", None, "ticks/0=4").stalled, None);
    let stalled = scene.ticks(2, "ticks/0=10", None, "ticks/0=4").stalled.clone().unwrap();
    assert!(stalled.contains("no progress for 2 s: `ticks` partition 0 is at 4, not 10"), "{stalled}");
    assert_eq!(scene.tick("ticks/0=10", None, "ticks/0=5").stalled, None, "progress ends it");
}

#[test]
fn a_version_that_waits_or_has_nothing_to_read_does_not_stall() {
    let mut scene = Scene::new();
    assert_eq!(scene.ticks(60, "ticks/0=10", None, "ticks/0=10").stalled, None);
    scene.running = false;
    assert_eq!(scene.ticks(60, "ticks/0=20", None, "ticks/0=10").stalled, None);
}

#[test]
fn a_fresh_attempt_is_watched_from_scratch() {
    let mut scene = Scene::new();
    assert!(scene.ticks(9, "ticks/0=10", None, "ticks/0=10").ready_for.met);
    scene.story.then(crate::testing::replayed(2, 2, "ticks/0=0"));
    assert!(!scene.tick("ticks/0=10", None, "ticks/0=0").keeps_up());
    assert!(!scene.tick("ticks/0=10", None, "ticks/0=10").ready_for.met);
}
