//! Leaving a registry alone that does not answer: longer each time, so that many readers do not keep it down.

use std::time::Duration;

use tokio::time::Instant;

/// Bounds of a pause; each one is twice as long as the one before. A registry that is back is noticed within the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// Whether the registry is left alone now.
#[derive(Debug, Default)]
pub(super) struct Pause {
    until: Option<Instant>,
    length: Duration,
    reason: String,
}

impl Pause {
    /// Why the registry is not asked now; `None` when it may be.
    pub(super) fn reason(&self, now: Instant) -> Option<String> {
        self.until.filter(|until| now < *until).map(|_| self.reason.clone())
    }

    pub(super) fn begin(&mut self, now: Instant, reason: String) {
        self.length = (self.length * 2).clamp(PAUSES.0, PAUSES.1);
        (self.until, self.reason) = (Some(now + self.length), reason);
    }

    pub(super) fn end(&mut self) {
        *self = Pause::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pause_is_longer_until_an_answer_comes() {
        let (began, ms) = (Instant::now(), Duration::from_millis);
        let mut pause = Pause::default();
        assert_eq!(pause.reason(began), None);
        pause.begin(began, "down".into());
        assert_eq!(pause.reason(began + ms(499)), Some("down".into()));
        assert_eq!(pause.reason(began + ms(500)), None);
        pause.begin(began, "down".into());
        assert!(pause.reason(began + ms(999)).is_some());
        pause.end();
        assert_eq!(pause.reason(began), None);
        (0..20).for_each(|_| pause.begin(began, "down".into()));
        assert_eq!(pause.reason(began + PAUSES.1), None);
    }
}
