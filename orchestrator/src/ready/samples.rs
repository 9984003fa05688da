//! What the ends of the log and the serving versions' positions were at moments of the recent past, on our own clock.
//!
//! Held in memory only: after a restart "recently" begins anew, so no version is ready before it has been watched for a while.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rekap_tiered_storage::{Positions, Timestamp};

/// How many samples are kept. Past it every second one of the older half goes, so the near past stays dense (100 ms) and an hour of
/// `max_lag` still fits.
const MAX_SAMPLES: usize = 256;

/// One look at the log and at what serves.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When it was taken.
    pub at: Timestamp,
    /// The readable end of every partition that a live version reads.
    pub ends: Positions,
    /// The positions of each job's serving version.
    pub serving: BTreeMap<String, Positions>,
}

/// Samples, oldest first.
#[derive(Debug, Default)]
pub struct Samples(VecDeque<Arc<Sample>>);

impl Samples {
    /// Adds a sample; `horizon` is how far back anybody will ask.
    pub fn push(&mut self, sample: Sample, horizon: Duration) {
        let oldest_needed = self.position_at_or_before(sample.at.minus(horizon)).unwrap_or(0);
        self.0.drain(..oldest_needed);
        self.0.push_back(Arc::new(sample));
        if self.0.len() > MAX_SAMPLES {
            let thinned = self.0.iter().enumerate().filter(|(i, _)| *i >= MAX_SAMPLES / 2 || i % 2 == 0);
            self.0 = thinned.map(|(_, sample)| sample.clone()).collect();
        }
    }

    /// The samples from the youngest that is at least as old as `time` on, but none from before `since`.
    pub fn from(&self, time: Timestamp, since: Timestamp) -> impl Iterator<Item = &Arc<Sample>> {
        let oldest = self.position_at_or_before(time).unwrap_or(0);
        self.0.range(oldest..).filter(move |sample| sample.at >= since)
    }

    /// The last sample.
    pub fn latest(&self) -> Option<&Arc<Sample>> {
        self.0.back()
    }

    /// How long the oldest end that `reached` denies has been there at `now`: zero when it reached all, `None` when it did not even
    /// reach the oldest.
    pub fn lag(&self, now: Timestamp, reached: impl Fn(&Positions) -> bool) -> Option<Duration> {
        let passed = self.0.iter().rposition(|sample| reached(&sample.ends))?;
        Some(self.0.get(passed + 1).map_or(Duration::ZERO, |missed| now.since(missed.at)))
    }

    fn position_at_or_before(&self, time: Timestamp) -> Option<usize> {
        self.0.partition_point(|sample| sample.at <= time).checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_micros(ms * 1000)
    }

    fn samples(ms: impl Iterator<Item = i64>) -> Samples {
        let mut samples = Samples::default();
        for ms in ms {
            let ends = format!("t/0={ms}").parse().unwrap();
            samples.push(Sample { at: at(ms), ends, serving: BTreeMap::new() }, Duration::from_secs(3600));
        }
        samples
    }

    #[test]
    fn an_hour_of_samples_stays_bounded_and_dense_in_the_near_past() {
        let samples = samples((0..36_000).map(|i| i * 100));
        assert!(samples.0.len() <= MAX_SAMPLES);
        let last = 35_999 * 100;
        let first_from = |time| samples.from(time, at(0)).next().unwrap().at;
        assert_eq!(first_from(at(last - 1000)), at(last - 1000));
        assert_eq!(first_from(at(0)), at(0), "the oldest is kept while the horizon needs it");
        assert_eq!(samples.from(at(0), at(last)).count(), 1, "none from before somebody began to look");
    }

    #[test]
    fn what_no_one_asks_for_any_more_is_dropped() {
        let mut samples = samples((0..10).map(|i| i * 100));
        let late = Sample { at: at(5000), ends: Positions::new(), serving: BTreeMap::new() };
        samples.push(late, Duration::from_millis(4500));
        assert_eq!(samples.0.front().unwrap().at, at(500), "the youngest that is as old as the horizon");
    }

    #[test]
    fn lag_is_the_age_of_the_oldest_end_not_yet_passed() {
        let samples = samples([0, 100, 200, 300].into_iter());
        let lag_at = |here: &str| {
            let here: Positions = here.parse().unwrap();
            samples.lag(at(350), |ends| here.reached(ends))
        };
        assert_eq!(lag_at("t/0=300"), Some(Duration::ZERO));
        assert_eq!(lag_at("t/0=150"), Some(Duration::from_millis(150)));
        assert_eq!(lag_at("t/0=0"), Some(Duration::from_millis(250)));
        assert_eq!(samples.lag(at(350), |_| false), None);
    }
}
