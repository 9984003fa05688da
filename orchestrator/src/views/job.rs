//! A job, and what its alias serves.

use rekap_tables::TableSchema;
use rekap_tiered_storage::{Positions, Timestamp};
use serde::Serialize;

use super::DrillView;

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobView {
    /// Its name.
    pub job: String,
    /// The name that readers use.
    pub alias: String,
    /// Counts the changes to what its versions are for; its `ETag`.
    pub generation: u64,
    /// The version that serves.
    pub serving: Option<u32>,
    /// The version that a rollback goes to.
    pub standby: Option<u32>,
    /// Its versions.
    pub versions: Vec<u32>,
    /// Whether a rollback is possible now.
    pub rollback: RollbackView,
    /// Until when what was promoted is watched; see `[promote.watch]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watched_until: Option<Timestamp>,
    /// The last drill, and whether one goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillView>,
    /// Until when it is frozen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen_until: Option<Timestamp>,
}

/// Whether a rollback is possible, before it is needed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RollbackView {
    /// It is.
    pub possible: bool,
    /// Where it goes.
    pub to: Option<u32>,
    /// When that version's window ends.
    pub until: Option<Timestamp>,
    /// How far that version is behind the log.
    pub lag_ms: Option<u64>,
    /// Why it is not possible.
    pub why_not: Option<String>,
}

/// What an alias, or one version, serves.
#[derive(Debug, Clone)]
pub struct TableView {
    /// The job.
    pub job: String,
    /// The version.
    pub version: u32,
    /// Its columns and key.
    pub schema: TableSchema,
    /// Where it stands.
    pub positions: Positions,
    /// How many rows it has.
    pub rows: u64,
    /// The bytes that it takes on disk.
    pub bytes: u64,
}
