//! Which record of a key is the latest where the key is the topic's record key, so that the log itself says it.
//!
//! Within a partition the later offset wins, whatever the records' timestamps say: that is what a compacted topic keeps, too. All records
//! of a key stand in one partition, until partitions are added, or a producer chooses partitions by itself. Then the partition wins whose
//! records of that key have come to the greatest timestamp, and of two that have come equally far the greater one. So the answer depends
//! on the log alone, not on the ranges in which it was read: each partition of a key is followed by itself, and of those that lose it is
//! enough to know that they lost, since they win only by a timestamp greater than the winner's.

/// How far the records of a key have come in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Their greatest timestamp, in microseconds since 1970.
    pub(super) newest: i64,
    pub(super) partition: i32,
    /// The candidate that is the last of them; `None`: it is the record that the table holds.
    pub(super) candidate: Option<usize>,
}

impl Standing {
    fn rank(&self) -> (i64, i32) {
        (self.newest, self.partition)
    }
}

/// Which of two stands for a key: where it stood so far, and the last candidate of a partition of a range, which comes after what the table
/// holds of it (`stored`). Asked of each candidate in any order, the last answer is where the latest record stands.
pub(super) fn later(stored: Option<Standing>, so_far: Option<Standing>, candidate: Standing) -> Standing {
    let goes_on = stored.filter(|stored| stored.partition == candidate.partition);
    let newest = goes_on.map_or(candidate.newest, |stored| stored.newest.max(candidate.newest));
    let candidate = Standing { newest, ..candidate };
    so_far.filter(|so_far| so_far.rank() > candidate.rank()).unwrap_or(candidate)
}
