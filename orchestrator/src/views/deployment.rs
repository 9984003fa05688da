//! What commands answer.

use serde::{Deserialize, Serialize};

use crate::event::SteppedBack;

/// What a deploy answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployed {
    /// The job.
    pub job: String,
    /// The version that it made or found.
    pub version: u32,
    /// What decides that version's rows.
    pub digest: String,
    /// True when the version is new.
    pub created: bool,
    /// True when only the policy of promotion changed.
    pub policy_changed: bool,
    /// What the developer should know about the query, and about history that is gone.
    pub warnings: Vec<String>,
}

/// What a promotion answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Promotion {
    /// The version serves.
    Promoted(Promoted),
    /// It will, once it is ready.
    Armed(Armed),
    /// It will, once somebody else asks for it too.
    Approved(Approved),
}

/// An alias was moved forward, or pointed there already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Promoted {
    /// The job.
    pub job: String,
    /// The version that serves.
    pub serving: u32,
    /// The job's generation.
    pub generation: u64,
    /// How long the swap took, from the hold of the former version; 0 when it served already.
    pub swap_ms: u64,
}

/// A version will be promoted as soon as it is ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Armed {
    /// The job.
    pub job: String,
    /// The version.
    pub version: u32,
    /// Always true.
    pub armed: bool,
    /// The job's generation.
    pub generation: u64,
}

/// A version will be promoted as soon as somebody else asks for it too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approved {
    /// The job.
    pub job: String,
    /// The version.
    pub version: u32,
    /// Who has approved it.
    pub approved_by: String,
    /// What it waits for.
    pub waits_for: String,
    /// The job's generation.
    pub generation: u64,
}

/// What a rollback answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolledBack {
    /// The job.
    pub job: String,
    /// The version that serves.
    pub serving: u32,
    /// The job's generation.
    pub generation: u64,
    /// How long the swap took.
    pub swap_ms: u64,
    /// How many offsets each partition stepped back, where it did.
    #[serde(default, skip_serializing_if = "SteppedBack::is_empty")]
    pub stepped_back: SteppedBack,
    /// What whoever asked should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
