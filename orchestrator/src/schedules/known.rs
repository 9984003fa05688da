//! What is known of a schedule from the catalog: since when it is there, and its last runs.

use std::collections::VecDeque;

use rekap_tiered_storage::Timestamp;
use serde::{Deserialize, Serialize};

/// So many runs of a schedule are shown.
const MAX_RUNS: usize = 20;

/// What became of one time of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// The schedule.
    pub schedule: String,
    /// The time that it was due at; when it was asked for by hand, when that was.
    pub due: Timestamp,
    /// What became of it.
    pub outcome: Outcome,
    /// It was done late, because the server was down at its time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub made_up: bool,
    /// Somebody asked for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_hand: bool,
    /// How long it took.
    pub took_ms: u64,
    /// What it did, or why it did not.
    pub detail: String,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was begun and failed, or a drill found a difference.
    Failed,
    /// The server was down at its time, and its grace is over.
    Missed,
    /// The run before it was still going on.
    Overlapped,
}

/// What is known of one schedule.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// What it said when that was recorded last.
    pub says: String,
    /// Since when it says so.
    pub since: Option<Timestamp>,
    /// Its last runs, oldest first.
    pub runs: VecDeque<Ran>,
}

impl Known {
    /// A further run.
    pub(crate) fn ran(&mut self, ran: Ran) {
        if self.runs.len() == MAX_RUNS {
            self.runs.pop_front();
        }
        self.runs.push_back(ran);
    }

    /// The last time of which it is known what became of it: all that was due since has to be settled.
    pub(super) fn settled(&self) -> Option<Timestamp> {
        let last = self.runs.iter().filter(|ran| !ran.by_hand).map(|ran| ran.due).max();
        last.max(self.since)
    }
}
