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

/// Where the latest record of a key stands, given where the table's one stands and the last candidate of each partition of a range, which
/// comes after it in the log.
pub(super) fn latest(stored: Option<Standing>, candidates: &[Standing]) -> Option<Standing> {
    let goes_on = |candidate: &Standing| match stored {
        Some(stored) if stored.partition == candidate.partition => {
            Standing { newest: stored.newest.max(candidate.newest), ..*candidate }
        }
        _ => *candidate,
    };
    let left = stored.filter(|stored| candidates.iter().all(|candidate| candidate.partition != stored.partition));
    candidates.iter().map(goes_on).chain(left).max_by_key(Standing::rank)
}
