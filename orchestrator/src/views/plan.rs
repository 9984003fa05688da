//! What a deploy would do, before it does it.

use rekap_jobs::Place;
use rekap_tiered_storage::{Offset, OffsetRange, Partition, Positions, Tier, TopicName};
use serde::Serialize;

/// What a deploy would do.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PlanReport {
    /// The job.
    pub job: String,
    /// The version that serves.
    pub serving: Option<u32>,
    /// The version that the deploy would make, or the live one that it already is; null when it is refused.
    pub version: Option<u32>,
    /// What decides the rows; null when it is refused.
    pub digest: Option<String>,
    /// True when the deploy would change anything.
    pub changes: bool,
    /// True when it would change the policy of promotion only.
    pub policy_only: bool,
    /// What differs from the serving version.
    pub differences: Vec<Change>,
    /// The output columns and how they fit the serving version's.
    pub compatibility: Vec<String>,
    /// Where each input starts, and what the replay reads.
    pub inputs: Vec<PlanInput>,
    /// Records that the replay reads.
    pub records: u64,
    /// Bytes of the files that the replay reads; null when it reads the hot tier too.
    pub bytes: Option<u64>,
    /// How long the replay takes; null until measured.
    pub time_ms: Option<u64>,
    /// What the developer should know.
    pub warnings: Vec<String>,
    /// Why the deploy would be refused.
    pub refusal: Option<PlanRefusal>,
}

/// One thing that differs from the serving version.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// What: a field of the spec.
    pub field: String,
    /// As the serving version has it; null when it has none.
    pub from: serde_json::Value,
    /// As the new one has it.
    pub to: serde_json::Value,
}

/// What the replay reads of one input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanInput {
    /// The input's name.
    pub input: String,
    /// Its topic.
    pub topic: TopicName,
    /// Where it starts.
    pub start: Positions,
    /// The ranges that it reads, by tier.
    pub ranges: Vec<ReplayRange>,
    /// Records by tier.
    pub records: Tiers,
    /// Offsets that neither tier holds any more.
    pub gaps: Vec<ReplayGap>,
}

/// A range that a replay reads from one tier.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplayRange {
    /// The partition.
    pub partition: Partition,
    /// The tier.
    pub tier: Tier,
    /// The first offset.
    pub from: Offset,
    /// The next offset after it.
    pub to: Offset,
}

/// A range that is gone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplayGap {
    /// The partition.
    pub partition: Partition,
    /// What is missing.
    #[serde(flatten)]
    pub range: OffsetRange,
}

/// Records by tier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tiers {
    /// In the cold tier.
    pub cold: u64,
    /// In the hot tier.
    pub hot: u64,
}

/// Why a deploy would be refused.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanRefusal {
    /// The stable code.
    pub code: String,
    /// What is wrong.
    pub detail: String,
    /// What to write instead.
    pub remedy: String,
    /// Where in the query.
    pub place: Option<Place>,
}
