//! A drill: what history gave, compared with what is served.

use rekap_tiered_storage::Timestamp;
use serde::Serialize;

use super::{ThrottledView, VerificationState};
use crate::Report;

/// The last drill of a job, and whether one goes on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DrillView {
    /// Whether one goes on; what was found is that of the last one until it is done.
    pub state: VerificationState,
    /// The version that is or was drilled.
    pub version: u32,
    /// Since when one goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Records that its replay has read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_done: Option<u64>,
    /// Records that there are to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_total: Option<u64>,
    /// Why its replay reads more slowly than it could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled: Option<ThrottledView>,
    /// When the last one was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// How many records the last one read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// How long the last one took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// What the last one found: `old` is what is served, `new` what history gives.
    #[serde(flatten)]
    pub report: Option<Report>,
}
