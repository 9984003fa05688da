//! What the tests of this room share: a job, its events, and a clock that stands still.

use std::collections::BTreeMap;
use std::sync::Arc;

use rekap_jobs::{Failure, JobSpec};
use rekap_tiered_storage::{Incarnation, ManualClock, Positions, Timestamp, Topic, TopicConfig};

use crate::catalog::Entry;
use crate::event::{Cause, Deployment, Event, SteppedBack, Swap, What};
use crate::state::State;
use crate::verify::{Counts, Report, Verdict};

/// The job of all tests: it reads `ticks`.
pub(crate) const JOB: &str = "bpi";

/// Noon of some day.
pub(crate) const NOON: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

pub(crate) fn failure(detail: &str) -> Failure {
    Failure { code: "TEST".into(), detail: detail.into(), remedy: "mend it".into() }
}

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(NOON))
}

pub(crate) fn at(text: &str) -> Positions {
    text.parse().unwrap()
}

pub(crate) fn spec(policy: &str) -> JobSpec {
    let toml =
        format!("name = \"{JOB}\"\nkey = [\"currency\"]\n[inputs.ticks]\ntopic = \"ticks\"\n[promote]\n{policy}");
    JobSpec::from_toml(&toml, "SELECT currency, count(*) AS n FROM ticks GROUP BY currency").unwrap()
}

pub(crate) fn topics() -> BTreeMap<String, Topic> {
    let config = TopicConfig { partitions: 2, ..TopicConfig::default() };
    let incarnation: Incarnation = "7f1e2b34-0000-4000-8000-000000000001".parse().unwrap();
    let topic = Topic { name: "ticks".parse().unwrap(), incarnation, config };
    BTreeMap::from([("ticks".to_owned(), topic)])
}

pub(crate) fn deployment(version: u32, policy: &str) -> Deployment {
    let (digest, start) = (format!("digest-{version}"), at("ticks/0=0,ticks/1=0"));
    Deployment { version, digest, spec: spec(policy), topics: topics(), start }
}

pub(crate) fn deployed(version: u32) -> What {
    What::Deployed(Box::new(deployment(version, "")))
}

pub(crate) fn replayed(version: u32, attempt: u32, start: &str) -> What {
    What::Replayed { version, attempt, start: at(start), left_out: vec![], max_records_per_s: None }
}

pub(crate) fn verified(version: u32, against: Option<u32>, verdict: Verdict) -> What {
    let report = Report {
        verdict,
        reason: None,
        positions: at("ticks/0=5"),
        counts: Counts { same: 3, ..Counts::default() },
        columns: vec![],
        checks: vec![],
        samples: vec![],
    };
    What::Verified { version, attempt: 1, against, report: Box::new(report) }
}

pub(crate) fn drilled(version: u32) -> What {
    let What::Verified { report, .. } = verified(version, None, Verdict::Pass) else { unreachable!() };
    What::Drilled { version, attempt: 1, records: 5, took_ms: 9, report }
}

pub(crate) fn swap(from: Option<u32>, to: u32, generation: u64, until: Timestamp) -> Box<Swap> {
    Box::new(Swap {
        from,
        to,
        generation,
        until,
        positions: at("ticks/0=5,ticks/1=7"),
        held_ms: 3,
        cause: Cause::Asked,
        forced: vec![],
        held_at: Positions::new(),
        stepped_back: SteppedBack::new(),
        resumed: false,
    })
}

/// A state to which things happen, one event after the other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Story {
    pub(crate) state: State,
    pub(crate) now: Option<Timestamp>,
}

impl Story {
    pub(crate) fn of(events: impl IntoIterator<Item = What>) -> Self {
        let mut story = Story::default();
        events.into_iter().for_each(|what| story.then(what));
        story
    }

    pub(crate) fn then(&mut self, what: What) {
        let (seq, at) = (self.state.seq + 1, self.now.unwrap_or(NOON));
        let event = Event::new(JOB, what);
        self.state.apply(&Entry { seq, at, actor: "ann".into(), address: None, note: None, request: None, event });
    }

    pub(crate) fn job(&self) -> &crate::state::Job {
        self.state.job(JOB).unwrap()
    }

    /// `to` takes over from what serves, with an hour of rollback window.
    pub(crate) fn promote(&mut self, to: u32) {
        let (from, generation) = (self.job().serving().map(|v| v.number), self.job().generation + 1);
        let until = self.now.unwrap_or(NOON).plus(std::time::Duration::from_secs(3600));
        self.then(What::Promoted(swap(from, to, generation, until)));
    }

    /// `to` takes back over.
    pub(crate) fn roll_back(&mut self, to: u32) {
        let (from, generation) = (self.job().serving().map(|v| v.number), self.job().generation + 1);
        let until = self.now.unwrap_or(NOON).plus(std::time::Duration::from_secs(3600));
        self.then(What::RolledBack(swap(from, to, generation, until)));
    }
}
