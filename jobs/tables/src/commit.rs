//! One atomic step of a table: what became of the keys of one range.

use arrow::array::{BooleanArray, RecordBatch};
use rekap_tiered_storage::Positions;

use crate::{DeadLetter, Outgoing, WriterEpoch};

/// What a range did to a table.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The writer's claim.
    pub epoch: WriterEpoch,
    /// Where the range began, for each partition in `to`. A partition that the table has not seen yet is absent.
    pub from: Positions,
    /// Where the range ended. Partitions that are absent stay where they are.
    pub to: Positions,
    /// The new state of each key touched: the columns of [`crate::TableSchema::state_schema`], each key once.
    pub state: RecordBatch,
    /// For each row of `state`: whether the key has an output row now. NULL: it has none, because it could not be computed.
    pub has_row: BooleanArray,
    /// The output rows of the keys that have one, in any order.
    pub rows: RecordBatch,
    /// Records that could not be used.
    pub dead_letters: Vec<DeadLetter>,
    /// How many tombstones were skipped.
    pub tombstones_skipped: u64,
    /// How many records were below the horizon.
    pub late: u64,
    /// The `time` below which keys are no longer part of the table; it never falls, and `None` leaves it as it is. Keys below it, the
    /// commit's own included, are gone with this very commit.
    pub horizon: Option<i64>,
    /// Messages about the rows that this commit changes; see [`Outgoing`].
    pub outbox: Vec<Outgoing>,
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It is part of the table.
    Committed,
    /// The table had reached `to` before: nothing was written.
    AlreadyApplied,
    /// Another writer has claimed the table since: nothing was written, and this writer is to stop.
    Fenced,
}
