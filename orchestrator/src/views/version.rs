//! One version of a job.

use rekap_jobs::{LostRange, RangeStats, ThrottledBy};
use rekap_tiered_storage::{Offset, Partition, Positions, Tier, Timestamp, TopicName};
use serde::Serialize;

use crate::phase::{Phase, Run};
use crate::ready::Conditions;
use crate::verify::Report;

/// A version.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VersionView {
    /// The job.
    pub job: String,
    /// Its number.
    pub version: u32,
    /// What users go by.
    pub phase: Phase,
    /// What it is for.
    pub role: &'static str,
    /// What its runner does; null before it has one.
    pub run: Option<Run>,
    /// Why it failed, or cannot go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What its runner is trying again, or which rows it cannot compute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// It is promoted as soon as it is ready.
    pub armed: bool,
    /// Who has approved its promotion, where that takes two people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// It served and was rolled back.
    pub rolled_back: bool,
    /// Which replay of it this is, from 1.
    pub attempt: u32,
    /// What decides its rows.
    pub digest: String,
    /// The most records a second that its replay may read, where somebody said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_records_per_s: Option<u64>,
    /// When it was deployed.
    pub deployed_at: Timestamp,
    /// The ranges that are lost and that it was told to do without.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LostRange>,
    /// When its rollback window ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Where its table stands.
    pub positions: Positions,
    /// How far it has read of what there is.
    pub progress: ProgressView,
    /// How long the oldest record that it has not passed has been there; null while that is not known.
    pub lag_ms: Option<u64>,
    /// The conditions of promotion.
    pub ready: Conditions,
    /// The last verification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationView>,
    /// The greatest value of its `time` column; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freshness: Option<Timestamp>,
    /// The ranges committed since its runner started.
    #[serde(skip)]
    pub ranges: Option<RangeStats>,
    /// How many rows its table has.
    pub rows: u64,
    /// The bytes that its table takes on disk.
    pub bytes: u64,
    /// How many keys have no row because it cannot be computed.
    pub failed_rows: u64,
    /// How many records could not be decoded or evaluated.
    pub dead_letters: u64,
    /// How many tombstones were skipped.
    pub tombstones_skipped: u64,
    /// How many records were below the horizon when they came.
    pub late: u64,
}

/// How far a version has read of what there is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ProgressView {
    /// Records read since it started.
    pub records_done: u64,
    /// Records that there are to read.
    pub records_total: u64,
    /// Records a second, lately.
    pub rate_per_s: f64,
    /// How long it will take at that rate; null while that is not known.
    pub eta_ms: Option<u64>,
    /// Why it reads more slowly than it could; absent while it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled: Option<ThrottledView>,
    /// Each partition.
    pub partitions: Vec<PartitionView>,
}

/// Why a replay reads more slowly than it could.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ThrottledView {
    /// What limits it.
    pub by: ThrottledBy,
    /// The limit, in records a second.
    pub records_per_s: u64,
    /// In words.
    pub reason: String,
}

/// How far a version has read of one partition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartitionView {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: Partition,
    /// The next offset to be read.
    pub position: Offset,
    /// The readable end.
    pub target: Offset,
    /// Where it reads now; null while it does not.
    pub tier: Option<Tier>,
}

/// Whether a verification is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VerificationState {
    /// It is; nothing else is shown until it is done.
    Running,
    /// It is done.
    Done,
}

/// The last verification of a version, and whether another one is under way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerificationView {
    /// The version.
    pub version: u32,
    /// Whether one is under way.
    pub state: VerificationState,
    /// The version that it was compared with.
    pub against: Option<u32>,
    /// When it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What was found.
    #[serde(flatten)]
    pub report: Option<Report>,
}

impl VerificationView {
    /// One that is under way, or will be by itself.
    pub(crate) fn running(version: u32) -> Self {
        VerificationView { version, state: VerificationState::Running, against: None, at: None, report: None }
    }
}
