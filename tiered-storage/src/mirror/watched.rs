//! What the mirror has seen of each partition since this process started: what waits, since when, and how fast more comes.
//!
//! All of it is for decisions and forecasts; what a process forgets when it dies it sees again.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{HotRange, LogBatch, Offset, Partition, Timestamp};

/// What is known of the partitions of one topic.
pub(super) type Watched = BTreeMap<Partition, Seen>;

/// What is known of one partition.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// The records that are not mirrored yet, if there are any.
    pub(super) waiting: Option<Waiting>,
    /// What the mirror has to reach to be no later than it was, if anything waits.
    pub(super) behind: Option<Behind>,
    /// The next offset to be written, and how fast it grows.
    pub(super) end: Growth,
    /// The mean bytes of a record as the hot tier holds it, keys and values; of the batch that was read last.
    pub(super) record_bytes: Option<f64>,
}

/// Records that wait to be mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    /// The first of them.
    pub(super) next: Offset,
    /// Since when it has been seen waiting.
    pub(super) since: Timestamp,
    /// When retention began to count for it, once that was looked up.
    pub(super) appended: Option<Timestamp>,
}

/// An end that was seen, and is not mirrored yet. Rounds move what waits first, so only this tells how late the mirror is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Behind {
    /// The next offset to be written at that moment.
    pub(super) end: Offset,
    /// When it was seen.
    pub(super) since: Timestamp,
    /// It was there at the first look: how old its records are is not known.
    pub(super) at_first: bool,
}

/// A count that grows, and how fast it did lately.
#[derive(Debug, Clone, Default)]
pub(super) struct Growth {
    last: Option<(u64, Timestamp)>,
    per_second: Option<f64>,
}

/// Rates are means over about this long: bursts of a few seconds do not make a forecast jump.
const RATE_OVER: Duration = Duration::from_secs(60);

/// Records that the mirror has let wait for this share of their topic's retention have their age looked up.
const AGE_SHARE: u32 = 8;

/// Two looks closer together than this say nothing about a rate.
const LOOKS_APART: Duration = Duration::from_millis(500);

impl Growth {
    /// Notes the count at a moment.
    pub(super) fn note(&mut self, count: u64, now: Timestamp) {
        let Some((before, at)) = self.last else {
            self.last = Some((count, now));
            return;
        };
        let passed = now.since(at);
        if passed < LOOKS_APART {
            return;
        }
        let lately = count.saturating_sub(before) as f64 / passed.as_secs_f64();
        let weight = 1.0 - (-passed.as_secs_f64() / RATE_OVER.as_secs_f64()).exp();
        self.per_second = Some(self.per_second.map_or(lately, |mean| mean + (lately - mean) * weight));
        self.last = Some((count, now));
    }

    /// The rate; 0 before two looks.
    pub(super) fn per_second(&self) -> f64 {
        self.per_second.unwrap_or(0.0)
    }

    /// The count as it was noted last.
    pub(super) fn count(&self) -> u64 {
        self.last.map_or(0, |(count, _)| count)
    }
}

impl Seen {
    /// Notes what the hot tier holds, and answers how long its oldest record that is not mirrored has been seen waiting. Of a partition
    /// that was never mirrored retention may take that record, and the next one has not waited for less.
    pub(super) fn look(&mut self, hot: HotRange, mirrored_to: Option<Offset>, now: Timestamp) -> Duration {
        let at_first = self.end.last.is_none();
        self.end.note(hot.end.get(), now);
        let next = mirrored_to.unwrap_or(hot.earliest);
        if hot.end <= next {
            (self.waiting, self.behind) = (None, None);
            return Duration::ZERO;
        }
        let waiting = match self.waiting {
            Some(same) if same.next == next => same,
            Some(before) if mirrored_to.is_none() => Waiting { next, since: before.since, appended: None },
            _ => Waiting { next, since: now, appended: None },
        };
        self.waiting = Some(waiting);
        let behind = self.behind.filter(|behind| next < behind.end);
        self.behind = Some(behind.unwrap_or(Behind { end: hot.end, since: now, at_first }));
        now.since(waiting.since)
    }

    /// How long the mirror has not reached an end that it saw.
    pub(super) fn late(&self, now: Timestamp) -> Duration {
        self.behind.map_or(Duration::ZERO, |behind| now.since(behind.since))
    }

    /// The record whose age is worth a look, where it is not known: one that was there before this process, or one of a mirror that is
    /// late. All others are as old as they were seen to be.
    pub(super) fn of_unknown_age(&self, retention: Duration, now: Timestamp) -> Option<Offset> {
        let waiting = self.waiting.filter(|waiting| waiting.appended.is_none())?;
        let older = self.behind.is_some_and(|behind| behind.at_first);
        (older || self.late(now) > retention / AGE_SHARE).then_some(waiting.next)
    }

    /// Notes how large records are.
    pub(super) fn measure(&mut self, batch: &LogBatch) {
        if !batch.is_empty() {
            let bytes = batch.keys().value_data().len() + batch.values().value_data().len();
            self.record_bytes = Some(bytes as f64 / batch.len() as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_follows_what_happens_and_forgets_a_burst() {
        let start = Timestamp::from_micros(0);
        let at = |seconds: u64| start.plus(Duration::from_secs(seconds));
        let mut growth = Growth::default();
        growth.note(100, at(0));
        assert_eq!(growth.per_second(), 0.0);
        growth.note(200, at(1));
        assert_eq!(growth.per_second(), 100.0);
        for second in 2..400 {
            growth.note(200 + second, at(second));
        }
        assert!((0.9..1.5).contains(&growth.per_second()), "{}", growth.per_second());
    }

    #[test]
    fn waiting_begins_anew_at_each_offset() {
        let hot = |end| HotRange { earliest: Offset::ZERO, end: Offset::new(end) };
        let at = |seconds: u64| Timestamp::from_micros(0).plus(Duration::from_secs(seconds));
        let mut seen = Seen::default();
        assert_eq!(seen.look(hot(10), None, at(0)), Duration::ZERO);
        assert_eq!(seen.look(hot(12), None, at(5)), Duration::from_secs(5));
        assert_eq!(seen.look(hot(12), Some(Offset::new(10)), at(9)), Duration::ZERO);
        assert_eq!(seen.look(hot(12), Some(Offset::new(12)), at(9)), Duration::ZERO);
        assert_eq!(seen.waiting, None);
    }

    #[test]
    fn a_partition_that_was_never_mirrored_waits_on_while_retention_takes_its_oldest_records() {
        let at = |seconds: u64| Timestamp::from_micros(0).plus(Duration::from_secs(seconds));
        let mut seen = Seen::default();
        for second in 0..100 {
            let hot = HotRange { earliest: Offset::new(second), end: Offset::new(second + 3) };
            assert_eq!(seen.look(hot, None, at(second)), Duration::from_secs(second));
        }
    }

    #[test]
    fn a_mirror_is_late_until_it_has_what_it_saw_however_often_it_moves() {
        let at = |seconds: u64| Timestamp::from_micros(0).plus(Duration::from_secs(seconds));
        let look = |seen: &mut Seen, end, mirrored_to, second| {
            let hot = HotRange { earliest: Offset::ZERO, end: Offset::new(end) };
            seen.look(hot, Some(Offset::new(mirrored_to)), at(second));
            (seen.late(at(second)).as_secs(), seen.of_unknown_age(Duration::from_secs(80), at(second)).map(Offset::get))
        };
        let mut seen = Seen::default();
        // What was there before the process may be of any age.
        assert_eq!(look(&mut seen, 100, 0, 0), (0, Some(0)));
        assert_eq!(look(&mut seen, 150, 60, 5), (5, Some(60)));
        // Then the age is looked up only where the mirror is late.
        assert_eq!(look(&mut seen, 200, 100, 10), (0, None));
        assert_eq!(look(&mut seen, 300, 150, 20), (10, None));
        assert_eq!(look(&mut seen, 400, 199, 21), (11, Some(199)));
        assert_eq!(look(&mut seen, 400, 200, 22), (0, None));
        assert_eq!(look(&mut seen, 400, 400, 23), (0, None));
    }
}
