//! What is known of a table without reading it: where it stands and how much it holds.

use rekap_tiered_storage::Positions;
use serde::{Deserialize, Serialize};

/// The right to write to a table. A newer claim fences all older ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WriterEpoch(u64);

impl WriterEpoch {
    /// The epoch of the claim after this one.
    pub(crate) fn next(self) -> Self {
        WriterEpoch(self.0 + 1)
    }
}

/// A table after one commit. It is written in that commit, under one key, so it is always that of the rows beside it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TableStatus {
    /// For each topic-partition the next offset to be read: all before it is in the table.
    pub positions: Positions,
    /// The `time` below which keys are no longer part of the table, in the unit of the time column.
    pub horizon: Option<i64>,
    /// How many commits there were.
    pub commit_seq: u64,
    /// The newest claim; older writers are fenced.
    pub writer_epoch: WriterEpoch,
    /// The number of output rows, exactly.
    pub rows: u64,
    /// The number of keys that have state, exactly (a key may have state and no row).
    pub keys: u64,
    /// The number of keys, exactly, whose output row could not be computed from their state as it is now.
    #[serde(default)]
    pub failed_rows: u64,
    /// The number of records that became dead letters.
    pub dead_letters: u64,
    /// The number of tombstones that were skipped.
    pub tombstones_skipped: u64,
    /// The number of records below the horizon when they came.
    pub late: u64,
    /// The number of messages that were dropped from the outbox without having been sent.
    #[serde(default)]
    pub outbox_dropped: u64,
}
