//! What the mirror has done to a topic since this process started, for metrics.

/// Counts of one topic's mirror. They only grow, and begin at 0 with the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MirrorCounts {
    /// Rounds that moved the seam.
    pub rounds: u64,
    /// Rounds that another writer was faster than.
    pub lost_rounds: u64,
    /// Looks at the topic that failed: the store, the hot tier, a log that lost its tail.
    pub failures: u64,
    /// Data files written.
    pub files_written: u64,
    /// Their bytes.
    pub bytes_written: u64,
    /// Small files that compaction joined to larger ones.
    pub files_joined: u64,
    /// Data files and log entries that clean-up deleted.
    pub objects_deleted: u64,
}
