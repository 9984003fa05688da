//! Ranges that are lost for good, and that a version was told to do without.
//!
//! Accepted ranges are named one by one, so that what a version leaves out is known before it is left out: a range that is lost later,
//! or that nobody named, fails the version as ever.

use rekap_tiered_storage::{Offset, OffsetRange, Partition, TopicName};
use serde::{Deserialize, Serialize};

/// A range of one partition that neither tier holds any more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LostRange {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: Partition,
    /// What is missing.
    #[serde(flatten)]
    pub range: OffsetRange,
}

impl std::fmt::Display for LostRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "offsets {} of `{}` partition {}", self.range, self.topic, self.partition)
    }
}

/// True when `accepted`, taken together, name every offset of `missing`.
pub(super) fn accepts(accepted: &[LostRange], topic: &TopicName, partition: Partition, missing: OffsetRange) -> bool {
    let mut ranges: Vec<OffsetRange> =
        accepted.iter().filter(|lost| lost.topic == *topic && lost.partition == partition).map(|l| l.range).collect();
    ranges.sort();
    let reach = |at: Offset, range: &OffsetRange| if range.from <= at { at.max(range.to) } else { at };
    ranges.iter().fold(missing.from, reach) >= missing.to
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: u64, to: u64) -> OffsetRange {
        OffsetRange { from: Offset::new(from), to: Offset::new(to) }
    }

    fn lost(partition: u32, from: u64, to: u64) -> LostRange {
        LostRange { topic: "ticks".parse().unwrap(), partition: Partition(partition), range: range(from, to) }
    }

    #[test]
    fn only_what_was_named_is_accepted() {
        let accepted = [lost(0, 20, 30), lost(0, 0, 20), lost(1, 0, 100)];
        let topic = "ticks".parse().unwrap();
        let accepts = |partition, missing| accepts(&accepted, &topic, Partition(partition), missing);
        assert!(accepts(0, range(0, 30)) && accepts(0, range(5, 25)) && accepts(1, range(7, 8)));
        assert!(!accepts(0, range(25, 31)) && !accepts(2, range(0, 1)));
    }
}
