//! Which offsets the next range covers. Pure.

use std::collections::BTreeMap;

use rekap_tiered_storage::{Offset, OffsetRange, Partition, Positions, TopicName};

/// The offsets of the next range: for each partition that has something to read, what is read of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Cut {
    pub(super) ranges: BTreeMap<(TopicName, Partition), OffsetRange>,
    /// True when this is all there is to read.
    pub(super) whole: bool,
}

impl Cut {
    /// How many offsets it covers.
    pub(super) fn len(&self) -> u64 {
        self.ranges.values().map(OffsetRange::len).sum()
    }

    /// Where the range ends, in the partitions that it covers.
    pub(super) fn to(&self) -> Positions {
        self.ranges.iter().map(|((topic, partition), range)| (topic, *partition, range.to)).collect()
    }

    /// Ends it at this offset in one partition: from there on nothing was read.
    pub(super) fn end_at(&mut self, topic: &TopicName, partition: Partition, end: Offset) {
        let place = (topic.clone(), partition);
        if let Some(range) = self.ranges.get_mut(&place).filter(|range| end < range.to) {
            range.to = end;
            self.whole = false;
        }
        self.ranges.retain(|_, range| !range.is_empty());
    }

    /// True when it runs past a target that it starts at or before.
    pub(super) fn passes(&self, target: &Positions) -> bool {
        self.ranges.iter().any(|((topic, partition), range)| {
            target.get(topic, *partition).is_some_and(|target| range.from <= target && target < range.to)
        })
    }
}

/// The next range from `positions` towards `ends`, at most about `bound` offsets, never past one of `targets`. Every partition gets its
/// share by what it has left, so that all arrive together.
pub(super) fn cut(positions: &Positions, ends: &Positions, targets: &[Positions], bound: u64) -> Cut {
    let mut left = BTreeMap::new();
    for (topic, partition, end) in ends.iter() {
        let from = positions.get(topic, partition).unwrap_or(Offset::ZERO);
        let target = targets.iter().filter_map(|target| target.get(topic, partition)).min();
        let to = target.map_or(end, |target| target.min(end));
        if from < to {
            left.insert((topic.clone(), partition), OffsetRange { from, to });
        }
    }
    let total: u64 = left.values().map(OffsetRange::len).sum();
    if total > bound {
        for range in left.values_mut() {
            let share = (u128::from(range.len()) * u128::from(bound)).div_ceil(u128::from(total)) as u64;
            range.to = range.from.plus(share.min(range.len()));
        }
    }
    Cut { ranges: left, whole: total <= bound }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Positions {
        text.parse().unwrap()
    }

    #[test]
    fn a_small_backlog_is_one_range() {
        let cut = cut(&at("t/0=5,t/1=9"), &at("t/0=8,t/1=9,t/2=3"), &[], 100);
        assert!(cut.whole);
        assert_eq!(cut.to(), at("t/0=8,t/2=3"));
    }

    #[test]
    fn a_range_never_passes_a_target_and_waits_there() {
        let (ends, target) = (at("t/0=100,t/1=100"), at("t/0=7,t/1=50"));
        assert_eq!(cut(&at("t/0=5,t/1=9"), &ends, std::slice::from_ref(&target), 1_000).to(), target);
        assert_eq!(cut(&at("t/0=7,t/1=9"), &ends, &[target], 1_000).to(), at("t/1=50"));
    }

    #[test]
    fn a_range_computed_before_a_target_was_known_is_seen_to_pass_it() {
        let range = cut(&at("t/0=5"), &at("t/0=8"), &[], 100);
        assert!(range.passes(&at("t/0=7")));
        assert!(range.passes(&at("t/0=5")));
        assert!(!range.passes(&at("t/0=8")));
        assert!(!range.passes(&at("t/0=4,u/0=6")));
    }

    proptest! {
        #[test]
        fn ranges_tile_the_log_within_the_bound(ends in prop::collection::vec(0_u64..500, 1..6), bound in 1_u64..200) {
            let topic: TopicName = "t".parse().unwrap();
            let place = |(i, end): (usize, &u64)| (Partition(i as u32), Offset::new(*end));
            let ends: Vec<_> = ends.iter().enumerate().map(place).collect();
            let ends: Positions = ends.iter().map(|(partition, end)| (&topic, *partition, *end)).collect();
            let mut positions = Positions::new();
            loop {
                let next = cut(&positions, &ends, &[], bound);
                if next.ranges.is_empty() {
                    break;
                }
                prop_assert!(next.len() <= bound + next.ranges.len() as u64);
                prop_assert!(next.ranges.values().all(|range| !range.is_empty()));
                for ((topic, partition), range) in &next.ranges {
                    prop_assert_eq!(positions.get(topic, *partition).unwrap_or(Offset::ZERO), range.from);
                    positions.set(topic, *partition, range.to);
                }
            }
            prop_assert!(positions.reached(&ends.iter().filter(|(_, _, end)| end.get() > 0).collect()));
        }
    }
}
