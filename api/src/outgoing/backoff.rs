//! How long to wait after a failed attempt, and when to give up. Pure.

use std::time::Duration;

/// A message that could not be sent for this long is dropped, and counted.
pub(crate) const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The pause after the first failure; it doubles up to [`MAX_PAUSE`].
const MIN_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause: a target that is back is noticed within it.
const MAX_PAUSE: Duration = Duration::from_secs(5 * 60);

/// The pause after so many failures in a row (from 1), with `chance` (0 to 1) spreading it over its upper half, so that those that
/// failed together do not come again together. Never shorter than what the receiver asked for.
pub(crate) fn pause(failures: u32, asked: Option<Duration>, chance: f64) -> Duration {
    let doubled = MIN_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(MAX_PAUSE);
    doubled.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0).max(asked.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_five_minutes_and_is_spread_over_its_upper_half() {
        assert_eq!(pause(1, None, 1.0), MIN_PAUSE);
        assert_eq!(pause(1, None, 0.0), MIN_PAUSE / 2);
        assert_eq!(pause(3, None, 1.0), MIN_PAUSE * 4);
        assert_eq!(pause(50, None, 1.0), MAX_PAUSE);
        assert_eq!(pause(u32::MAX, None, 0.5), MAX_PAUSE.mul_f64(0.75));
    }

    #[test]
    fn a_receiver_that_asks_for_longer_gets_it() {
        assert_eq!(pause(1, Some(Duration::from_secs(60)), 0.3), Duration::from_secs(60));
        assert_eq!(pause(50, Some(Duration::from_secs(1)), 1.0), MAX_PAUSE);
    }
}
