//! The clock that all of Rekap reads the time of day from, so that a test can set it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A moment in UTC, in microseconds since 1970. As JSON: RFC 3339 text, which knows the years 0 to 9999; no moment is outside of them, so
/// whatever is written can be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Why a text is no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTimestamp {
    /// It is written in another way.
    #[error(transparent)]
    NotRfc3339(#[from] chrono::ParseError),
    /// In UTC it is before year 0 or after 9999.
    #[error("it is not within the years 0 to 9999")]
    OutOfRange,
}

impl Timestamp {
    /// The first moment of year 0.
    pub const MIN: Timestamp = Timestamp(-62_167_219_200_000_000);

    /// The last moment of year 9999.
    pub const MAX: Timestamp = Timestamp(253_402_300_799_999_999);

    /// That many microseconds since 1970, or the first or last moment there is.
    pub const fn from_micros(micros: i64) -> Self {
        match micros {
            _ if micros < Self::MIN.0 => Self::MIN,
            _ if micros > Self::MAX.0 => Self::MAX,
            _ => Timestamp(micros),
        }
    }

    /// Whether that many microseconds since 1970 are a moment.
    pub const fn exists(micros: i64) -> bool {
        Self::MIN.0 <= micros && micros <= Self::MAX.0
    }

    /// Microseconds since 1970.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is before.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0).max(0) as u64)
    }

    /// The moment `duration` later, or the last one.
    pub fn plus(self, duration: Duration) -> Self {
        Self::from_micros(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The moment `duration` earlier, or the first one.
    pub fn minus(self, duration: Duration) -> Self {
        Self::from_micros(self.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match DateTime::<Utc>::from_timestamp_micros(self.0) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
            None => write!(f, "{} µs since 1970", self.0),
        }
    }
}

impl std::str::FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let micros = DateTime::parse_from_rfc3339(text)?.timestamp_micros();
        if Self::exists(micros) { Ok(Timestamp(micros)) } else { Err(InvalidTimestamp::OutOfRange) }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let refused =
            |why| serde::de::Error::custom(format!("`{text}` is no RFC 3339 time as 2026-01-31T12:00:00Z: {why}"));
        text.parse().map_err(refused)
    }
}

/// The time of day. Waiting is tokio's business (`tokio::time`), which has a paused mode of its own.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp(Utc::now().timestamp_micros())
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        ManualClock(AtomicI64::new(now.as_micros()))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_micros() as i64, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_that_can_be_written_can_be_read() {
        let far = Timestamp::from_micros(0).plus(Duration::MAX);
        assert_eq!("9999-12-31T23:59:59-23:00".parse::<Timestamp>(), Err(InvalidTimestamp::OutOfRange));
        let moments = [far, Timestamp::MIN, Timestamp::MAX, Timestamp::from_micros(0).minus(Duration::MAX)];
        for moment in moments.into_iter().chain([i64::MIN, -1, 0, i64::MAX].map(Timestamp::from_micros)) {
            assert_eq!(moment.to_string().parse(), Ok(moment), "{moment}");
        }
    }
}
