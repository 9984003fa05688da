//! What a deploy would do, before it does it.

use rekap_jobs::Place;
use rekap_tiered_storage::{Offset, OffsetRange, Partition, Positions, Tier, TopicName};
use serde::{Deserialize, Serialize};

use crate::{ColumnChange, SeenReader};

/// What a deploy would do.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PlanReport {
    /// The job.
    pub job: String,
    /// What the plan rests on: `deploy` with it is refused once that has moved.
    pub base: Option<PlanBase>,
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
    /// The query, line by line, against the serving version's; empty when it is the same, or nothing serves.
    pub query_diff: Vec<String>,
    /// What differs of each input.
    pub input_changes: Vec<InputChange>,
    /// What differs of the output columns and the key.
    pub output_changes: Vec<ColumnChange>,
    /// What of that readers of the alias would miss, in words.
    pub compatibility: Vec<String>,
    /// Where each input starts, and what the replay reads.
    pub inputs: Vec<PlanInput>,
    /// Records that the replay reads.
    pub records: u64,
    /// About how many bytes the replay reads: the cold tier's files, and the hot tier's records as large as the first of them.
    pub bytes: u64,
    /// How long the replay takes; null until one was measured.
    pub time_ms: Option<u64>,
    /// What the new table takes on disk; null until a replay of this job was measured.
    pub disk_bytes: Option<u64>,
    /// Whether the promotion could be taken back.
    pub rollback: PlanRollback,
    /// Who was seen to read the alias since the server started.
    pub readers: Vec<SeenReader>,
    /// What the developer should know.
    pub warnings: Vec<String>,
    /// Why the deploy would be refused.
    pub refusal: Option<PlanRefusal>,
}

/// What a plan rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanBase {
    /// The job's generation; 0 before its first deploy.
    pub generation: u64,
    /// The version that served.
    pub serving: Option<u32>,
    /// What decides the rows of what was planned.
    pub digest: String,
}

/// Whether a promotion of what is planned could be taken back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PlanRollback {
    /// It could.
    pub possible: bool,
    /// To which version.
    pub to: Option<u32>,
    /// For how long after the promotion.
    pub window_ms: u64,
    /// Why not.
    pub why_not: Option<String>,
}

/// What differs of one input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InputChange {
    /// The input's name.
    pub input: String,
    /// The field of it; null when the whole input was added or removed.
    pub field: Option<String>,
    /// As the serving version has it; null when it has none.
    pub from: serde_json::Value,
    /// As the new one has it; null when it has none.
    pub to: serde_json::Value,
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
