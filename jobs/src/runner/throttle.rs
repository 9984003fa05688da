//! How fast a runner may read: a limit in records a second, kept by shorter ranges and the rests between them.
//!
//! Who sets it, and why, is not the runner's business: whoever holds its handle does, at any time. In memory only; a runner that was
//! started anew is told again. The sums here are pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// A range under a limit covers what the limit allows in this time: a new limit is felt within it, and rests are short.
const SPAN: Duration = Duration::from_millis(250);

/// A limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// The most records a second.
    pub records_per_s: u64,
    /// What it is for.
    pub by: ThrottledBy,
}

/// What a limit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThrottledBy {
    /// Somebody said so.
    MaxRecordsPerS,
    /// What serves fell behind the log.
    LiveLag,
}

impl Throttle {
    /// The most records of one range.
    pub(super) fn range_records(self) -> u64 {
        let records = u128::from(self.records_per_s) * SPAN.as_millis() / 1000;
        u64::try_from(records).unwrap_or(u64::MAX).max(1)
    }
}

/// Remembers the last range, to tell how long to rest after it.
#[derive(Debug, Default)]
pub(super) struct Brake(Option<(Instant, u64)>);

impl Brake {
    /// A range of so many records was begun then.
    pub(super) fn ran(&mut self, begun: Instant, records: u64) {
        self.0 = Some((begun, records));
    }

    /// How long to rest from `now` on, so that the last range took the time that the limit gives it. A limit that was raised or taken
    /// away meanwhile counts at once.
    pub(super) fn rest(&self, limit: Option<Throttle>, now: Instant) -> Duration {
        let (Some(limit), Some((begun, records))) = (limit, self.0) else { return Duration::ZERO };
        let due = Duration::from_secs_f64(records as f64 / limit.records_per_s.max(1) as f64);
        due.saturating_sub(now.saturating_duration_since(begun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_most(records_per_s: u64) -> Option<Throttle> {
        Some(Throttle { records_per_s, by: ThrottledBy::MaxRecordsPerS })
    }

    #[test]
    fn ranges_and_rests_come_to_the_limit() {
        let (limit, mut brake, begun) = (at_most(1_000), Brake::default(), Instant::now());
        let (mut read, mut now) = (0, begun);
        while now < begun + Duration::from_secs(10) {
            let range = limit.unwrap().range_records();
            brake.ran(now, range);
            read += range;
            now += Duration::from_millis(3);
            now += brake.rest(limit, now);
        }
        assert_eq!((read, now - begun), (10_000, Duration::from_secs(10)));
    }

    #[test]
    fn a_limit_that_is_raised_or_taken_away_shortens_the_rest_under_way() {
        let (mut brake, now) = (Brake::default(), Instant::now());
        assert_eq!(brake.rest(at_most(10), now), Duration::ZERO, "nothing was read yet");
        brake.ran(now, 100);
        assert_eq!(brake.rest(at_most(10), now), Duration::from_secs(10));
        assert_eq!(brake.rest(at_most(100), now), Duration::from_secs(1));
        assert_eq!(brake.rest(None, now), Duration::ZERO);
        let slow = now + Duration::from_secs(11);
        assert_eq!(brake.rest(at_most(10), slow), Duration::ZERO, "it took longer than the limit asks");
    }

    #[test]
    fn the_smallest_limit_still_makes_progress() {
        assert_eq!(at_most(1).unwrap().range_records(), 1);
        assert_eq!(at_most(400).unwrap().range_records(), 100);
        assert_eq!(at_most(u64::MAX).unwrap().range_records(), u64::MAX / 4);
    }
}
