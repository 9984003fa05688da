//! The forecast of data loss: how long until retention deletes a record that is not mirrored, if the mirror did nothing from now on.
//!
//! That is the time that a person has to repair it. It falls while the mirror stands still, and stays near the topic's retention while all
//! is well. By age: the retention less the age of the oldest record that waits. By bytes: what may still be appended before the waiting
//! records are the oldest that fit, at the rate at which records come. The nearer of both counts.

use std::time::Duration;

use super::watched::Seen;
use crate::{Timestamp, TopicConfig};

/// Below this share of the topic's retention the headroom is low: the mirror writes within a quarter of it when all is well.
const LOW_SHARE: u32 = 2;

/// Below this the headroom is low where bytes alone limit the hot tier.
const LOW_BY_BYTES: Duration = Duration::from_secs(1800);

/// How long until retention takes a record that is not mirrored; `None` when nothing waits, or nothing is ever deleted.
pub(super) fn headroom(seen: &Seen, config: &TopicConfig, now: Timestamp) -> Option<Duration> {
    by_age(seen, config, now).into_iter().chain(by_bytes(seen, config)).min()
}

/// As far as the topic's `retention_ms` goes.
pub(super) fn by_age(seen: &Seen, config: &TopicConfig, now: Timestamp) -> Option<Duration> {
    let waiting = seen.waiting?;
    let seen_since = seen.behind.map_or(waiting.since, |behind| behind.since.min(waiting.since));
    let age = now.since(waiting.appended.unwrap_or(seen_since));
    config.retention_ms.map(|retention| Duration::from_millis(retention).saturating_sub(age))
}

fn by_bytes(seen: &Seen, config: &TopicConfig) -> Option<Duration> {
    let (waiting, kept, record_bytes) = (seen.waiting?, config.retention_bytes?, seen.record_bytes?);
    let waiting = seen.end.count().saturating_sub(waiting.next.get()) as f64 * record_bytes;
    let seconds = (kept as f64 - waiting).max(0.0) / (seen.end.per_second() * record_bytes);
    Duration::try_from_secs_f64(seconds).ok()
}

/// True when a person should look why the mirror is late.
pub(super) fn is_low(headroom: Duration, config: &TopicConfig) -> bool {
    headroom < config.retention_ms.map_or(LOW_BY_BYTES, |retention| Duration::from_millis(retention) / LOW_SHARE)
}

#[cfg(test)]
mod tests {
    use super::super::watched::{Growth, Waiting};
    use super::*;
    use crate::Offset;

    const HOUR: u64 = 3_600_000;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(0).plus(Duration::from_secs(seconds))
    }

    fn config(retention_ms: Option<u64>, retention_bytes: Option<u64>) -> TopicConfig {
        TopicConfig { partitions: 1, retention_ms, retention_bytes, ..TopicConfig::default() }
    }

    /// 100 records of 10 bytes wait since second 50, and ten more come each second.
    fn seen() -> Seen {
        let mut end = Growth::default();
        end.note(90, at(0));
        end.note(100, at(1));
        let waiting = Some(Waiting { next: Offset::ZERO, since: at(50), appended: None });
        Seen { waiting, behind: None, end, record_bytes: Some(10.0) }
    }

    #[test]
    fn by_age_it_is_what_is_left_of_the_retention() {
        let config = config(Some(HOUR), None);
        assert_eq!(headroom(&seen(), &config, at(110)), Some(Duration::from_secs(3540)));
        assert_eq!(headroom(&seen(), &config, at(99_999)), Some(Duration::ZERO));
    }

    #[test]
    fn a_restart_does_not_make_records_younger() {
        let mut seen = seen();
        let waiting = seen.waiting.unwrap();
        seen.waiting = Some(Waiting { appended: Some(at(10)), ..waiting });
        assert_eq!(headroom(&seen, &config(Some(HOUR), None), at(110)), Some(Duration::from_secs(3500)));
    }

    #[test]
    fn by_bytes_it_depends_on_how_fast_records_come() {
        assert_eq!(headroom(&seen(), &config(None, Some(6_000)), at(60)), Some(Duration::from_secs(50)));
        assert_eq!(headroom(&seen(), &config(None, Some(500)), at(60)), Some(Duration::ZERO));
        let quiet = Seen { end: Growth::default(), ..seen() };
        assert_eq!(headroom(&quiet, &config(None, Some(6_000)), at(60)), None);
    }

    #[test]
    fn the_nearer_limit_counts() {
        assert_eq!(headroom(&seen(), &config(Some(HOUR), Some(6_000)), at(60)), Some(Duration::from_secs(50)));
        assert_eq!(headroom(&seen(), &config(Some(60_000), Some(6_000)), at(60)), Some(Duration::from_secs(50)));
        assert_eq!(headroom(&seen(), &config(Some(30_000), Some(6_000)), at(60)), Some(Duration::from_secs(20)));
    }

    #[test]
    fn nothing_waits_or_nothing_is_deleted() {
        assert_eq!(headroom(&seen(), &config(None, None), at(60)), None);
        let idle = Seen { waiting: None, ..seen() };
        assert_eq!(headroom(&idle, &config(Some(HOUR), None), at(60)), None);
    }

    #[test]
    fn half_of_the_retention_is_low() {
        let config = config(Some(HOUR), None);
        assert!(is_low(Duration::from_secs(1700), &config));
        assert!(!is_low(Duration::from_secs(1900), &config));
    }
}
