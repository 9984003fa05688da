//! The governor: replays read more slowly while what is served falls behind the log, so that readers do not notice them.
//!
//! ```text
//! lag of each serving version ÷ what its policy tolerates ─► strain ─► halve │ keep │ raise by half ─► limit of each replay
//! ```
//! A replay is what has not read up to the end of the log yet: a candidate, or the scratch run of a drill. Whatever keeps up is never
//! limited. In memory only: after a restart a replay begins without a limit of ours and finds it again within seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use rekap_jobs::{RunnerHandle, Throttle, ThrottledBy};
use rekap_tiered_storage::Timestamp;

use crate::Orchestrator;
use crate::fleet::Member;
use crate::react::Key;
use crate::ready::Readiness;
use crate::state::{Role, State};
use crate::views::ThrottledView;

/// A limit changes at most this often: its effect on the lag has to show first.
const STEP: Duration = Duration::from_secs(1);

/// No replay is slowed below that: it would never end, and what falls behind by itself may need it.
const FLOOR: u64 = 5_000;

/// No lag below that slows a replay, however strict a policy is: the lag itself is known to some tenths of a second.
const MIN_TOLERATED: Duration = Duration::from_secs(1);

/// What replays may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayLimits {
    /// The most records a second of one replay that says nothing else; `None` is as many as it can.
    pub max_records_per_s: Option<u64>,
    /// The most cores of one replay; `None` is all.
    pub cores: Option<usize>,
}

/// What the governor remembers of the replays.
#[derive(Debug, Default)]
pub(crate) struct Governor {
    limits: BTreeMap<(Key, bool), Governed>,
    /// The last version that was too far behind, and by how much, in words.
    strained: String,
    /// How far behind that is now, as a share of what is tolerated.
    strain: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Governed {
    limit: Option<u64>,
    changed: Timestamp,
}

/// The next limit of a replay that reads so many records a second under the present one. `strain` is the lag of what is served as a
/// share of what is tolerated. Halved while that is too much, raised by half while it is little, given up when it no longer binds.
fn govern(limit: Option<u64>, pace: u64, strain: f64) -> Option<u64> {
    match limit {
        _ if strain > 1.0 => Some((limit.unwrap_or(u64::MAX).min(pace) / 2).max(FLOOR)),
        Some(limit) if strain <= 0.5 => {
            let raised = limit.saturating_add(limit / 2);
            (raised / 4 <= pace).then_some(raised)
        }
        limit => limit,
    }
}

/// The limit that holds: the lower one of what somebody said and what the governor found.
fn throttle(said: Option<u64>, governed: Option<u64>) -> Option<Throttle> {
    let said = said.map(|records_per_s| Throttle { records_per_s, by: ThrottledBy::MaxRecordsPerS });
    let governed = governed.map(|records_per_s| Throttle { records_per_s, by: ThrottledBy::LiveLag });
    said.into_iter().chain(governed).min_by_key(|limit| limit.records_per_s)
}

impl Governor {
    /// The limit of one replay now.
    fn limit(
        &mut self,
        of: (Key, bool),
        said: Option<u64>,
        pace: u64,
        strain: f64,
        now: Timestamp,
    ) -> Option<Throttle> {
        let known = self.limits.entry(of).or_insert(Governed { limit: None, changed: now.minus(STEP) });
        if now.since(known.changed) >= STEP {
            let next = govern(known.limit, pace, strain);
            if next != known.limit {
                *known = Governed { limit: next, changed: now };
            }
        }
        throttle(said, known.limit)
    }
}

/// How far what is served is behind, as a share of what is tolerated, and which version that is, in words.
fn strain(state: &State, members: &BTreeMap<Key, Member>, readiness: &BTreeMap<Key, Readiness>) -> (f64, String) {
    let mut worst = (0.0, String::new());
    for job in state.jobs() {
        let Some(serving) = job.serving().filter(|serving| serving.wants_runner() && !serving.paused) else { continue };
        let key = (job.name.clone(), serving.number);
        let runs = members.get(&key).is_some_and(|member| member.runner.is_some());
        let Some(seen) = readiness.get(&key).filter(|seen| runs && seen.is_of(serving)) else { continue };
        let tolerated = job.policy.max_lag.0.max(MIN_TOLERATED);
        // A lag that is not known is longer than anybody looks back, or that of a version that just began to be watched.
        let (share, by) = match seen.judgement.behind {
            Some(behind) => (behind.as_secs_f64() / tolerated.as_secs_f64(), format!("{} ms", behind.as_millis())),
            None if seen.measured() => (f64::INFINITY, "far".to_owned()),
            None => continue,
        };
        if share > worst.0 {
            worst = (share, format!("{}@{}, which serves, is {by} behind the log", key.0, key.1));
        }
    }
    worst
}

impl Orchestrator {
    /// Sets the limit of every replay by what is seen now.
    pub(crate) fn govern(&self) {
        let (state, members, now) = (self.state(), self.fleet.all(), self.clock.now());
        let drills = self.drills.runners();
        let mut watch = self.watch.lock().expect("no holder of this lock panics");
        let (strain, strained) = strain(&state, &members, &watch.readiness);
        let governor = &mut watch.governor;
        governor.strain = strain;
        if strain > 1.0 {
            governor.strained = strained;
        }
        let mut replays = vec![];
        for (job, version) in state.live() {
            let key = (job.name.clone(), version.number);
            let Some(runner) = members.get(&key).and_then(|member| member.runner.clone()) else { continue };
            match version.role == Role::Candidate && !keeps_up(&runner) {
                true => replays.push((key, false, version.max_records_per_s, runner)),
                false => runner.throttle(None),
            }
        }
        replays.extend(drills.into_iter().map(|(key, runner)| (key, true, None, runner)));
        governor.limits.retain(|(key, drill), _| replays.iter().any(|(known, is, ..)| known == key && is == drill));
        for (key, drill, said, runner) in replays {
            let said = said.or(self.replay.max_records_per_s);
            let pace = runner.watch().borrow().rate_per_s as u64;
            runner.throttle(governor.limit((key, drill), said, pace, strain, now));
        }
    }

    /// The limit under which a replay begins, before anything is known of its pace: it begins slowly while what serves lags.
    pub(crate) fn first_limit(&self, said: Option<u64>) -> Option<Throttle> {
        let strain = self.watch.lock().expect("no holder of this lock panics").governor.strain;
        throttle(said.or(self.replay.max_records_per_s), (strain > 1.0).then_some(FLOOR))
    }

    /// A limit as users see it, with its reason.
    pub(crate) fn throttled_view(&self, limit: Throttle) -> ThrottledView {
        let Throttle { records_per_s, by } = limit;
        let reason = match by {
            ThrottledBy::MaxRecordsPerS => format!("it may read {records_per_s} records a second"),
            ThrottledBy::LiveLag => self.watch.lock().expect("no holder of this lock panics").governor.strained.clone(),
        };
        ThrottledView { by, records_per_s, reason }
    }
}

/// True once it has read all there was, and goes on with what comes.
fn keeps_up(runner: &RunnerHandle) -> bool {
    runner.watch().borrow().run == rekap_jobs::Run::Live
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::NOON;

    fn replay() -> (Key, bool) {
        (("bpi".to_owned(), 2), false)
    }

    /// A machine that does so much a second; a replay leaves less for what serves, whose backlog then grows.
    struct Machine {
        governor: Governor,
        now: Timestamp,
        capacity: u64,
        flow: u64,
        backlog: u64,
        pace: u64,
    }

    impl Machine {
        fn new(capacity: u64, flow: u64) -> Self {
            Machine { governor: Governor::default(), now: NOON, capacity, flow, backlog: 0, pace: 0 }
        }

        /// Ten seconds a tenth at a time. Answers the worst lag in ms, how much was replayed, and the last limit.
        fn run(&mut self, said: Option<u64>) -> (u64, u64, Option<Throttle>) {
            let (mut worst, mut read, mut limit) = (0, 0, None);
            for _ in 0..100 {
                let lag_ms = self.backlog * 1000 / self.flow.max(1);
                worst = worst.max(lag_ms);
                limit = self.governor.limit(replay(), said, self.pace, lag_ms as f64 / 1000.0, self.now);
                let wanted = limit.map_or(u64::MAX, |limit| limit.records_per_s).min(self.capacity);
                // The replay takes what it wants up to nine tenths, as a greedy neighbour does.
                self.pace = wanted.min(self.capacity * 9 / 10);
                let left = self.capacity - self.pace;
                self.backlog = (self.backlog + self.flow / 10).saturating_sub(left / 10);
                read += self.pace / 10;
                self.now = self.now.plus(Duration::from_millis(100));
            }
            (worst, read, limit)
        }
    }

    #[test]
    fn a_replay_beside_a_flow_is_slowed_until_the_lag_is_bounded_and_goes_on_at_what_is_left() {
        let mut machine = Machine::new(1_000_000, 300_000);
        machine.run(None);
        let (mut worst, mut read) = (0, 0);
        for _ in 0..12 {
            let (lag, records, _) = machine.run(None);
            (worst, read) = (worst.max(lag), read + records);
        }
        assert!(worst < 4_000, "the lag went up to {worst} ms");
        assert!(read > 12 * 10 * 300_000, "the replay read {read} in two minutes");
    }

    #[test]
    fn a_replay_without_a_flow_is_never_slowed_and_one_that_was_is_freed_again() {
        let mut machine = Machine::new(1_000_000, 0);
        assert_eq!(machine.run(None).2, None);
        let limits = &mut machine.governor;
        let slow = limits.limit(replay(), None, 800_000, 2.0, machine.now).unwrap();
        assert_eq!(slow, Throttle { records_per_s: 400_000, by: ThrottledBy::LiveLag });
        machine.now = machine.now.plus(STEP);
        assert_eq!(machine.run(None).2, None, "nothing lags any more");
    }

    #[test]
    fn a_limit_changes_once_a_second_is_halved_to_the_floor_and_kept_in_between() {
        let (mut governor, mut now, mut seen) = (Governor::default(), NOON, vec![]);
        for _ in 0..60 {
            let limit = governor.limit(replay(), None, 40_000, 3.0, now).unwrap().records_per_s;
            if seen.last() != Some(&limit) {
                seen.push(limit);
            }
            now = now.plus(Duration::from_millis(100));
        }
        assert_eq!(seen, [20_000, 10_000, FLOOR]);
        assert_eq!(govern(Some(10_000), 10_000, 0.8), Some(10_000), "neither too much nor little");
        assert_eq!(govern(Some(10_000), 10_000, 0.2), Some(15_000));
        assert_eq!(govern(Some(100_000), 10_000, 0.2), None, "it binds no more");
    }

    #[test]
    fn what_somebody_said_holds_unless_the_lag_asks_for_less() {
        let by = |said, governed| throttle(said, governed).map(|limit| (limit.records_per_s, limit.by));
        assert_eq!(by(Some(100), None), Some((100, ThrottledBy::MaxRecordsPerS)));
        assert_eq!(by(Some(100_000), Some(5_000)), Some((5_000, ThrottledBy::LiveLag)));
        assert_eq!(by(Some(100), Some(5_000)), Some((100, ThrottledBy::MaxRecordsPerS)));
        assert_eq!(by(None, None), None);
    }
}
