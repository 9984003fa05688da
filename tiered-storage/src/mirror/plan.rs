//! What the next mirror round does. Pure: the facts of a topic's partitions go in, the ranges to mirror come out.
//!
//! A partition is due when its records have waited for the policy's age, or when about a file's worth has gathered. A small tail may
//! wait longer: a hundred quiet partitions, each written once a minute, would make 144,000 files a day. So tails share a budget of
//! [`TAILS_PER_AGE`] files per `max_age`, until they have waited [`MAX_PATIENCE`] times as long. Nothing waits for longer than a
//! share of the topic's retention.

use std::time::Duration;

use super::MirrorPolicy;
use crate::{HotRange, Offset, OffsetRange, Partition};

/// How many small tails a topic writes per `max_age` before they begin to wait for each other.
const TAILS_PER_AGE: u32 = 10;

/// How many times `max_age` a small tail waits at most.
const MAX_PATIENCE: u32 = 10;

/// A record is mirrored before this share of the topic's retention has passed.
const RETENTION_SHARE: u32 = 4;

/// A tail is small below this share of a file.
const TAIL_SHARE: u64 = 16;

/// What is known of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Which it is.
    pub(crate) partition: Partition,
    /// What the hot tier holds of it.
    pub(crate) hot: HotRange,
    /// The next offset to mirror; `None` when it was never mirrored.
    pub(crate) mirrored_to: Option<Offset>,
    /// Where its history begins, if its log knows; else it begins with what is held when it is mirrored first.
    pub(crate) begins: Option<Offset>,
    /// How long its oldest record has waited to be mirrored.
    pub(crate) waited: Duration,
    /// The mean size of its records as they lie in files; 0 when not known.
    pub(crate) bytes_per_record: u64,
}

/// What a round does to one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// Which it is.
    pub(crate) partition: Partition,
    /// Offsets that retention deleted before they were mirrored.
    pub(crate) gap: Option<OffsetRange>,
    /// The offsets to mirror, which follow the gap.
    pub(crate) range: OffsetRange,
}

/// A hot tier that ends before what was mirrored of it: it is not the log that the mirror knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Truncated {
    pub(crate) partition: Partition,
    pub(crate) end: Offset,
    pub(crate) mirrored_to: Offset,
}

/// What a round asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// What the policy says is due.
    Due,
    /// Everything up to the present end.
    Now,
}

/// The next round of a topic: the partitions to mirror, those that waited longest first. Empty when nothing is due.
///
/// `retention` is how long the hot tier keeps the topic's records, if it deletes them.
pub(crate) fn plan(
    facts: &[Facts],
    retention: Option<Duration>,
    policy: &MirrorPolicy,
    urgency: Urgency,
) -> Result<Vec<Part>, Truncated> {
    if let Some(truncated) = facts.iter().find_map(truncated) {
        return Err(truncated);
    }
    let tails = facts.iter().filter(|facts| facts.backlog() > 0 && is_small(facts, policy)).count() as u32;
    let patience = policy.max_age * tails.div_ceil(TAILS_PER_AGE).clamp(1, MAX_PATIENCE);
    let longest = retention.map_or(Duration::MAX, |retention| retention / RETENTION_SHARE);
    let is_due = |facts: &Facts| match urgency {
        Urgency::Now => true,
        Urgency::Due if is_small(facts, policy) => facts.waited >= patience.min(longest),
        Urgency::Due => facts.waited >= policy.max_age.min(longest) || facts.backlog_bytes() >= policy.max_bytes,
    };
    let mut due: Vec<&Facts> = facts.iter().filter(|facts| facts.backlog() > 0 && is_due(facts)).collect();
    due.sort_by_key(|facts| (std::cmp::Reverse(facts.waited), facts.partition));
    Ok(due.into_iter().map(part).collect())
}

impl Facts {
    /// How many offsets are not mirrored yet, lost ones included.
    fn backlog(&self) -> u64 {
        self.hot.end.since(self.next())
    }

    /// The next offset to mirror, or to find lost.
    fn next(&self) -> Offset {
        self.mirrored_to.or(self.begins).unwrap_or(self.hot.earliest)
    }

    fn backlog_bytes(&self) -> u64 {
        self.backlog().saturating_mul(self.bytes_per_record)
    }
}

/// True for a tail that may wait for others. What was never mirrored is none: how much it is is not known, and it is so only once.
fn is_small(facts: &Facts, policy: &MirrorPolicy) -> bool {
    facts.mirrored_to.is_some() && facts.backlog_bytes() < policy.max_bytes / TAIL_SHARE
}

/// The longest that a record of a topic waits when all is well.
pub(super) fn longest_wait(policy: &MirrorPolicy, retention: Duration) -> Duration {
    (policy.max_age * MAX_PATIENCE).min(retention / RETENTION_SHARE)
}

fn truncated(facts: &Facts) -> Option<Truncated> {
    let mirrored_to = facts.mirrored_to.filter(|to| *to > facts.hot.end)?;
    Some(Truncated { partition: facts.partition, end: facts.hot.end, mirrored_to })
}

fn part(facts: &Facts) -> Part {
    let next = facts.next();
    let from = next.max(facts.hot.earliest);
    let gap = (next < from).then_some(OffsetRange { from: next, to: from });
    Part { partition: facts.partition, gap, range: OffsetRange { from, to: facts.hot.end } }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_secs(60);

    fn policy() -> MirrorPolicy {
        MirrorPolicy { max_age: AGE, max_bytes: 16_000, ..MirrorPolicy::default() }
    }

    #[test]
    fn what_was_lost_before_the_first_round_is_a_gap_where_the_log_knows_its_beginning() {
        let unknown = facts(0, 10, 15, None, AGE);
        let known = Facts { begins: Some(Offset::ZERO), ..unknown };
        let gap = |facts| plan(&[facts], None, &policy(), Urgency::Now).unwrap()[0].gap;
        assert_eq!(gap(unknown), None);
        assert_eq!(gap(known), Some(OffsetRange { from: Offset::ZERO, to: Offset::new(10) }));
    }

    /// A partition with hot records in `[earliest, end)` of 10 bytes each.
    fn facts(partition: u32, earliest: u64, end: u64, mirrored_to: Option<u64>, waited: Duration) -> Facts {
        Facts {
            partition: Partition(partition),
            hot: HotRange { earliest: Offset::new(earliest), end: Offset::new(end) },
            mirrored_to: mirrored_to.map(Offset::new),
            begins: None,
            waited,
            bytes_per_record: 10,
        }
    }

    fn due(facts: &[Facts], retention: Option<Duration>) -> Vec<u32> {
        let parts = plan(facts, retention, &policy(), Urgency::Due).unwrap();
        parts.iter().map(|part| part.partition.0).collect()
    }

    fn range(from: u64, to: u64) -> OffsetRange {
        OffsetRange::new(Offset::new(from), Offset::new(to))
    }

    #[test]
    fn a_partition_is_due_by_age_or_by_size() {
        let half = AGE / 2;
        let young_and_small = facts(0, 0, 1500, Some(1000), half);
        let young_and_large = facts(1, 0, 2600, Some(1000), half);
        let old = facts(2, 0, 1500, Some(1000), AGE);
        assert_eq!(due(&[young_and_small, young_and_large, old], None), [2, 1]);
    }

    #[test]
    fn nothing_is_due_where_all_is_mirrored() {
        let done = facts(0, 0, 100, Some(100), AGE * 100);
        assert!(plan(&[done], None, &policy(), Urgency::Now).unwrap().is_empty());
    }

    #[test]
    fn a_flush_takes_even_the_youngest_record() {
        let parts = plan(&[facts(0, 0, 7, Some(6), Duration::ZERO)], None, &policy(), Urgency::Now).unwrap();
        assert_eq!(parts, [Part { partition: Partition(0), gap: None, range: range(6, 7) }]);
    }

    #[test]
    fn a_topic_mirrored_for_the_first_time_begins_at_what_is_still_there() {
        let parts = plan(&[facts(0, 40, 70, None, Duration::ZERO)], None, &policy(), Urgency::Now).unwrap();
        assert_eq!(parts, [Part { partition: Partition(0), gap: None, range: range(40, 70) }]);
    }

    #[test]
    fn what_retention_took_first_becomes_a_gap() {
        let parts = plan(&[facts(0, 40, 70, Some(30), AGE)], None, &policy(), Urgency::Due).unwrap();
        assert_eq!(parts, [Part { partition: Partition(0), gap: Some(range(30, 40)), range: range(40, 70) }]);
        let all_gone = plan(&[facts(0, 70, 70, Some(30), AGE)], None, &policy(), Urgency::Due).unwrap();
        assert_eq!(all_gone, [Part { partition: Partition(0), gap: Some(range(30, 70)), range: range(70, 70) }]);
    }

    #[test]
    fn a_log_that_ends_before_its_mirror_is_another_log() {
        let truncated = plan(&[facts(3, 0, 20, Some(30), AGE)], None, &policy(), Urgency::Now);
        let expected = Truncated { partition: Partition(3), end: Offset::new(20), mirrored_to: Offset::new(30) };
        assert_eq!(truncated, Err(expected));
    }

    #[test]
    fn many_quiet_partitions_wait_for_each_other_and_few_do_not() {
        let quiet = |count: u32, waited| (0..count).map(|p| facts(p, 0, 11, Some(10), waited)).collect::<Vec<_>>();
        assert_eq!(due(&quiet(10, AGE), None).len(), 10);
        assert_eq!(due(&quiet(100, AGE), None).len(), 0);
        assert_eq!(due(&quiet(100, AGE * 10), None).len(), 100);
        assert_eq!(due(&quiet(5000, AGE * 10), None).len(), 5000);
    }

    #[test]
    fn what_was_never_mirrored_waits_for_no_others() {
        let new = |waited| (0..100).map(|p| facts(p, 7, 8, None, waited)).collect::<Vec<_>>();
        assert_eq!(due(&new(AGE / 2), None).len(), 0);
        assert_eq!(due(&new(AGE), None).len(), 100);
    }

    #[test]
    fn nothing_waits_until_retention_comes_near() {
        let tail = facts(0, 0, 11, Some(10), Duration::from_secs(1));
        assert_eq!(due(&[tail], Some(Duration::from_secs(5))), Vec::<u32>::new());
        assert_eq!(due(&[tail], Some(Duration::from_secs(4))), [0]);
    }
}
