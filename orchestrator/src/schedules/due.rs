//! What is to be done about a schedule now: pure, from when it was last settled and the time.

use std::time::Duration;

use rekap_tiered_storage::Timestamp;

use super::Schedule;

/// A run that begins within that after its time was not missed: schedules are looked at every second, on busy machines less often.
const PUNCTUAL: Duration = Duration::from_secs(10);

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Run it, for that time.
    Run {
        /// The time.
        at: Timestamp,
        /// It comes late: nobody was there at its time.
        made_up: bool,
    },
    /// It cannot be begun: the last run goes on.
    Overlapped(Timestamp),
    /// It comes too late.
    Missed(Timestamp),
}

impl Due {
    /// The time that is settled by it.
    pub(super) fn at(self) -> Timestamp {
        match self {
            Due::Run { at, .. } | Due::Overlapped(at) | Due::Missed(at) => at,
        }
    }
}

/// What of a schedule is due, if anything: of several times that passed since it was `settled` only the last one.
pub(super) fn due(schedule: &Schedule, settled: Timestamp, running: bool, now: Timestamp) -> Option<Due> {
    let at = schedule.when.last(settled, now)?;
    let late = now.since(at);
    Some(match running {
        true => Due::Overlapped(at),
        false if late <= PUNCTUAL || late <= schedule.grace => Due::Run { at, made_up: late > PUNCTUAL },
        false => Due::Missed(at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedules::{ScheduleSpec, Schedules};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn schedule(cron: &str, grace: &str) -> Schedule {
        let spec = ScheduleSpec {
            name: "nightly".into(),
            cron: cron.into(),
            timezone: "Europe/Vienna".into(),
            task: "compaction".into(),
            job: None,
            grace: Some(grace.parse().unwrap()),
        };
        Schedules::read(&[spec], false, at("2026-01-01T00:00:00Z")).unwrap().0.remove(0)
    }

    /// What is due of a run every night at three, settled on the 10th.
    fn nightly(now: &str, running: bool) -> Option<Due> {
        due(&schedule("0 3 * * *", "6h"), at("2026-01-10T02:00:00Z"), running, at(now))
    }

    #[test]
    fn nothing_is_due_before_its_time_and_once_at_it() {
        assert_eq!(nightly("2026-01-11T01:59:59Z", false), None);
        let run = Due::Run { at: at("2026-01-11T02:00:00Z"), made_up: false };
        assert_eq!(nightly("2026-01-11T02:00:00Z", false), Some(run));
        assert_eq!(nightly("2026-01-11T02:00:09Z", false), Some(run));
        let settled = due(&schedule("0 3 * * *", "6h"), run.at(), false, at("2026-01-11T02:00:09Z"));
        assert_eq!(settled, None, "it was run for that time");
    }

    #[test]
    fn what_was_missed_is_made_up_once_within_its_grace_and_not_after_it() {
        let made_up = Due::Run { at: at("2026-01-13T02:00:00Z"), made_up: true };
        assert_eq!(nightly("2026-01-13T07:00:00Z", false), Some(made_up), "three nights are one run");
        assert_eq!(nightly("2026-01-13T08:00:01Z", false), Some(Due::Missed(at("2026-01-13T02:00:00Z"))));
        let never = due(&schedule("0 3 * * *", "0s"), at("2026-01-10T02:00:00Z"), false, at("2026-01-11T02:01:00Z"));
        assert_eq!(never, Some(Due::Missed(at("2026-01-11T02:00:00Z"))));
    }

    #[test]
    fn what_still_goes_on_is_not_begun_again() {
        assert_eq!(nightly("2026-01-11T02:00:00Z", true), Some(Due::Overlapped(at("2026-01-11T02:00:00Z"))));
    }

    #[test]
    fn a_night_in_which_the_clock_is_set_has_one_run() {
        let count = |from: &str, to: &str| {
            let (schedule, mut settled, mut now, mut runs) = (schedule("30 2 * * *", "6h"), at(from), at(from), 0);
            while now < at(to) {
                now = now.plus(Duration::from_secs(60));
                if let Some(due) = due(&schedule, settled, false, now) {
                    assert!(matches!(due, Due::Run { made_up: false, .. }));
                    (settled, runs) = (due.at(), runs + 1);
                }
            }
            runs
        };
        assert_eq!(count("2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z"), 1, "2:30 is jumped over");
        assert_eq!(count("2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z"), 1, "2:30 comes twice");
    }
}
