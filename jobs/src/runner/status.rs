//! What a runner tells of itself.

use rekap_tiered_storage::{Offset, Partition, Positions, Tier, Timestamp, TopicName};
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::histogram::RangeStats;
use super::throttle::Throttle;

/// What a runner is doing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Run {
    /// It reads what there was when it started.
    Replaying,
    /// It reads what has come since.
    CatchingUp,
    /// It has read all there is to read, and goes on with what comes.
    Live,
    /// It was told to wait.
    Paused,
    /// It cannot go on. Its table stays at the last commit.
    Failed {
        /// Why, and what to do.
        reason: Failure,
    },
    /// It was told to end.
    Stopped,
}

/// Where a runner stands in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionStatus {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: Partition,
    /// The next offset to be read.
    pub position: Offset,
    /// The readable end, as last seen.
    pub target: Offset,
    /// Where the last range was read from.
    pub tier: Tier,
}

/// A runner after its last commit, or after what it met since.
#[derive(Debug, Clone, PartialEq)]
pub struct RunnerStatus {
    /// What it is doing.
    pub run: Run,
    /// The table's positions.
    pub positions: Positions,
    /// The readable ends, as last seen.
    pub targets: Positions,
    /// Both, partition by partition.
    pub partitions: Vec<PartitionStatus>,
    /// How many offsets lie behind it, from where the version started.
    pub records_done: u64,
    /// How many offsets there are in all, from where the version started to the readable ends.
    pub records_total: u64,
    /// Offsets a second, of late; 0 when there is nothing to read.
    pub rate_per_s: f64,
    /// When it last committed, or found nothing to read.
    pub last_progress_at: Timestamp,
    /// How many records became dead letters.
    pub dead_letters: u64,
    /// What is being tried again, and why.
    pub problem: Option<String>,
    /// The limit that it rests for, while it has more to read than it may.
    pub throttled: Option<Throttle>,
    /// How many keys have no row because it cannot be computed.
    pub failed_rows: u64,
    /// One of these keys, and why. Known from when the runner met it.
    pub output_error: Option<String>,
    /// The ranges committed since it started.
    pub ranges: RangeStats,
}
