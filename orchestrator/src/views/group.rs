//! A group of jobs that are promoted and rolled back as one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Conditions;
use crate::event::SteppedBack;

/// A group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupView {
    /// Its name: `group` in `[promote]` of its jobs.
    pub group: String,
    /// Another one whenever one of its jobs has changed; its `ETag`.
    pub generation: u64,
    /// Its jobs.
    pub jobs: Vec<GroupJob>,
    /// Why its last promotion cannot be taken back; null when it can.
    pub why_no_rollback: Option<String>,
}

/// One job of a group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupJob {
    /// The job.
    pub job: String,
    /// The version that serves.
    pub serving: Option<u32>,
    /// The version that a promotion of the group would let serve; null when there is none.
    pub candidate: Option<u32>,
    /// The conditions of that one's promotion.
    pub ready: Option<Conditions>,
    /// Who has approved that one's promotion, where it takes two people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
}

/// What a promotion of a group answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum GroupPromoted {
    /// All of them serve.
    Swapped(GroupSwapped),
    /// They will, once somebody else asks for it too.
    Approved(GroupApproved),
}

/// A group will be promoted as soon as somebody else asks for it too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupApproved {
    /// The group.
    pub group: String,
    /// The version of each job that is to serve.
    pub versions: BTreeMap<String, u32>,
    /// Who has approved it.
    pub approved_by: String,
    /// What it waits for.
    pub waits_for: String,
}

/// What a promotion or a rollback of a group answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupSwapped {
    /// The group.
    pub group: String,
    /// The jobs that moved.
    pub jobs: Vec<GroupMoved>,
    /// How long the swap took, from the first hold.
    pub swap_ms: u64,
}

/// One job that moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupMoved {
    /// The job.
    pub job: String,
    /// The version that serves.
    pub serving: u32,
    /// The job's generation.
    pub generation: u64,
    /// How many offsets each partition stepped back, where it did.
    #[serde(default, skip_serializing_if = "SteppedBack::is_empty")]
    pub stepped_back: SteppedBack,
    /// What whoever asked should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
