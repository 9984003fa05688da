//! What each event makes of a version in each role: walked here, and printed into `docs/states.md`.
//!
//! `REKAP_WRITE_DOCS=1` writes the page anew; otherwise the test fails where page and code disagree.

use std::fmt::Write as _;
use std::path::Path;

use super::super::{Job, Role};
use crate::decide::{self, Promotion};
use crate::event::{Chosen, Event, Moved, What};
use crate::phase::{Phase, Run, Standing, phase};
use crate::ready::Conditions;
use crate::testing::{JOB, NOON, Story, at, deployed, deployment, drilled, failure, swap, verified};
use crate::verify::Verdict;

/// The page that the tables stand in.
const PAGE: &str = "../docs/states.md";
const BEGIN: &str = "<!-- printed from the code: begin -->\n";
const END: &str = "<!-- printed from the code: end -->\n";

/// Version 2 in each role, after what brings it there.
fn stories() -> Vec<(&'static str, Story)> {
    let candidate = || {
        let mut story = Story::of([deployed(1), deployed(2)]);
        story.promote(1);
        story
    };
    let then = |more: &[fn(&mut Story)]| {
        let mut story = candidate();
        more.iter().for_each(|more| more(&mut story));
        story
    };
    let third = |story: &mut Story| {
        story.then(deployed(3));
        story.promote(3);
    };
    vec![
        ("Candidate", candidate()),
        ("Serving", then(&[|story| story.promote(2)])),
        ("Standby", then(&[|story| story.promote(2), third])),
        ("Standby, rolled back", then(&[|story| story.promote(2), |story| story.roll_back(1)])),
        ("Retired", then(&[|story| story.then(What::Retired { version: 2, reason: "asked for".into() })])),
        ("Aborted", then(&[|story| story.then(What::Aborted { version: 2 })])),
    ]
}

/// Every kind of event, about version 2 where it is about one. A new kind does not compile until it stands here.
fn events(job: &Job) -> Vec<What> {
    let (version, attempt) = (2, 1);
    let until = NOON.plus(std::time::Duration::from_secs(3600));
    let from = job.serving().map(|serving| serving.number);
    let swap = || swap(from, version, job.generation + 1, until);
    let all = vec![
        What::Deployed(Box::new(deployment(job.next_number(), ""))),
        What::Started { version, attempt },
        What::TableLost { version, attempt: 2 },
        What::Rebuilt { version, attempt },
        What::Replayed { version, attempt: 2, start: at(""), left_out: vec![], max_records_per_s: None },
        What::Ready { version, attempt, replayed: None },
        What::NotReady { version, reason: "behind".into() },
        What::VerificationAsked { version },
        verified(version, from, Verdict::Pass),
        What::Failed { version, attempt, reason: failure("disk") },
        What::Armed { version, force: vec![] },
        What::Approved { version, attempt, force: vec![] },
        What::Aborted { version },
        What::Paused { version },
        What::Resumed { version },
        What::Retired { version, reason: "asked for".into() },
        What::Promoted(swap()),
        What::RolledBack(swap()),
        What::GroupApproved {
            group: "g".into(),
            versions: vec![Chosen { job: JOB.into(), version, attempt }],
            force: vec![],
        },
        What::GroupPromoted { group: "g".into(), swaps: vec![Moved { job: JOB.into(), swap: swap() }] },
        What::GroupRolledBack { group: "g".into(), swaps: vec![Moved { job: JOB.into(), swap: swap() }] },
        What::WatchPassed { version },
        What::WatchFailed { version, reason: "behind".into() },
        drilled(version),
        What::PolicyChanged { policy: Box::default(), version: None, actions: vec![] },
        What::ActionsDropped { version, attempt, dropped: 3, reason: "their target failed".into() },
        What::Frozen { until },
        What::RollbackWindowSet { until },
        What::Deleted {},
        What::Answered {},
    ];
    all.into_iter().filter(is_known).collect()
}

/// Names every kind once, so that the compiler asks for a new one.
fn is_known(what: &What) -> bool {
    match what {
        What::Deployed(_) | What::Started { .. } | What::TableLost { .. } | What::Rebuilt { .. } => true,
        What::Replayed { .. } | What::Ready { .. } | What::NotReady { .. } | What::VerificationAsked { .. } => true,
        What::Verified { .. } | What::Failed { .. } | What::Armed { .. } | What::Aborted { .. } => true,
        What::Approved { .. } => true,
        What::Paused { .. } | What::Resumed { .. } | What::Retired { .. } | What::Promoted(_) => true,
        What::RolledBack(_) | What::PolicyChanged { .. } | What::Frozen { .. } => true,
        What::ActionsDropped { .. } => true,
        What::GroupApproved { .. } | What::GroupPromoted { .. } | What::GroupRolledBack { .. } => true,
        What::WatchPassed { .. } | What::WatchFailed { .. } | What::Drilled { .. } => true,
        What::RollbackWindowSet { .. } | What::Deleted {} | What::Answered {} => true,
        // Of a topic, not of a version.
        What::TopicCreated { .. } | What::TopicChanged { .. } | What::TopicDeleted { .. } => false,
        What::TopicLost { .. } | What::TopicMirrored { .. } | What::TopicAppended { .. } => false,
        // Of no job.
        What::ScheduleSet { .. } | What::ScheduleRan(_) => false,
        What::TokenCreated { .. } | What::TokenRevoked { .. } => false,
    }
}

/// False when no command, and nothing that the steward sees, ever leads to that event for a version in that role.
fn can_happen(job: &Job, story: &Story, what: &What) -> bool {
    let is_some = |decided: Result<Option<What>, crate::Rejection>| decided.is_ok_and(|what| what.is_some());
    let version = &job.versions[&2];
    match what {
        What::Aborted { .. } => is_some(decide::abort(job, 2)),
        What::Paused { .. } => is_some(decide::pause(job, 2)),
        What::Resumed { .. } => decide::resume(job, 2).is_ok(),
        What::VerificationAsked { .. } => is_some(decide::verify(job, 2)),
        What::Replayed { .. } => decide::replay(job, 2, at(""), vec![], None).is_ok(),
        What::Retired { .. } => is_some(decide::retire(job, 2)) || matches!(version.role, Role::Standby { .. }),
        What::WatchPassed { .. } | What::WatchFailed { .. } => version.role == Role::Serving,
        What::Armed { .. } => version.role == Role::Candidate,
        What::Approved { .. } | What::GroupApproved { .. } => {
            matches!(version.role, Role::Candidate | Role::Standby { .. })
        }
        What::Promoted(_) | What::GroupPromoted { .. } => {
            let asked = Promotion::default();
            let decided = decide::promote(job, 2, &asked, Conditions::new(), ("ann", &[]), NOON);
            matches!(decided, Ok(decide::PromoteDecision::Swap(_)))
        }
        What::RolledBack(_) | What::GroupRolledBack { .. } => decide::roll_back(job, Some(2)).is_ok(),
        What::Ready { .. } | What::NotReady { .. } => version.role == Role::Candidate,
        What::Started { .. } | What::TableLost { .. } | What::Rebuilt { .. } | What::Failed { .. } => {
            version.role.is_live()
        }
        What::Verified { .. } => {
            crate::react::still_holds(&story.state, JOB, what, NOON) && version.role != Role::Serving
        }
        What::Deployed(_) | What::PolicyChanged { .. } | What::Frozen { .. } | What::RollbackWindowSet { .. } => true,
        // What it found may come after the version was followed by another one, or let go.
        What::Drilled { .. } => version.served,
        What::ActionsDropped { .. } => true,
        What::Deleted {} | What::Answered {} => true,
        What::TopicCreated { .. } | What::TopicChanged { .. } | What::TopicDeleted { .. } => false,
        What::TopicLost { .. } | What::TopicMirrored { .. } | What::TopicAppended { .. } => false,
        What::ScheduleSet { .. } | What::ScheduleRan(_) => false,
        What::TokenCreated { .. } | What::TokenRevoked { .. } => false,
    }
}

fn role_name(job: &Job) -> &'static str {
    match &job.versions[&2] {
        version if version.rolled_back && version.is_standby() => "Standby, rolled back",
        version => version.role.name(),
    }
}

/// `role × event`: the role after it, `·` where it stays, empty where that never happens.
fn printed() -> String {
    let stories = stories();
    let mut text = String::from("| event |");
    stories.iter().for_each(|(name, _)| write!(text, " {name} |").unwrap());
    text += "\n|---|";
    stories.iter().for_each(|_| text += "---|");
    text += "\n";
    let mut moves = vec![];
    for i in 0..events(stories[0].1.job()).len() {
        let kind = |story: &Story| Event::new(JOB, events(story.job())[i].clone()).to_json().unwrap().0;
        write!(text, "| `{}` |", kind(&stories[0].1)).unwrap();
        for (name, story) in &stories {
            let (job, what) = (story.job(), events(story.job())[i].clone());
            let mut after = story.clone();
            let cell = if can_happen(job, story, &what) {
                after.then(what);
                match role_name(after.state.ever(JOB).unwrap()) {
                    same if same == *name => "·",
                    other => {
                        moves.push((*name, other, kind(story)));
                        other
                    }
                }
            } else {
                ""
            };
            write!(text, " {cell} |").unwrap();
        }
        text += "\n";
    }
    format!("{}\n{text}\n{}", diagram(&moves), phases())
}

/// The moves of the table as a state diagram.
fn diagram(moves: &[(&str, &str, String)]) -> String {
    let id = |name: &str| name.replace(", rolled back", "RolledBack");
    let mut text = String::from("```mermaid\nstateDiagram-v2\n    [*] --> Candidate: version.deployed\n");
    for (from, to, kind) in moves {
        writeln!(text, "    {} --> {}: {kind}", id(from), id(to)).unwrap();
    }
    text + "```\n"
}

/// The phase of a candidate, by what its runner does and what holds of it.
fn phases() -> String {
    let runs =
        [None, Some(Run::Replaying), Some(Run::CatchingUp), Some(Run::Live), Some(Run::Paused), Some(Run::Failed)];
    let facts = [(false, false), (true, false), (true, true)];
    let mut text =
        String::from("| a candidate's run | behind | caught up | every condition holds |\n|---|---|---|---|\n");
    for run in runs {
        let named = run.map_or("none yet".to_owned(), |run| format!("{run:?}"));
        let of = |(caught_up, ready)| phase(&Role::Candidate, Standing { run, caught_up, ready });
        let cells: Vec<Phase> = facts.into_iter().map(of).collect();
        writeln!(text, "| {named} | {} | {} | {} |", cells[0], cells[1], cells[2]).unwrap();
    }
    text
}

#[test]
fn the_page_on_states_shows_what_every_event_does_in_every_role() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once(BEGIN).expect("the page has a place for the tables");
    let (shown, tail) = rest.split_once(END).expect("the place has an end");
    if std::env::var_os("REKAP_WRITE_DOCS").is_some() {
        std::fs::write(&path, format!("{head}{BEGIN}{}{END}{tail}", printed())).unwrap();
        return;
    }
    assert_eq!(
        shown,
        printed(),
        "print it anew: REKAP_WRITE_DOCS=1 cargo test -p rekap-orchestrator the_page_on_states"
    );
}

#[test]
fn whatever_happens_one_version_serves_at_most_and_the_alias_never_loses_its_table() {
    for (name, story) in stories() {
        for what in events(story.job()) {
            if !can_happen(story.job(), &story, &what) {
                continue;
            }
            let mut after = story.clone();
            after.then(what.clone());
            let job = after.state.ever(JOB).unwrap();
            let serving: Vec<u32> =
                job.versions.values().filter(|v| v.role == Role::Serving).map(|v| v.number).collect();
            assert_eq!(serving, job.lineage.last().copied().into_iter().collect::<Vec<_>>(), "{name}: {what:?}");
            assert!(job.deleted || job.serving().is_some(), "{name}: {what:?}");
        }
    }
}
