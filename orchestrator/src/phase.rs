//! The phase that users see: derived from role, run and facts by one total function, and kept nowhere.

use serde::{Deserialize, Serialize};

use crate::state::Role;

/// What users see of a version. As JSON: the name itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each name says it; the guide has a page on them")]
pub enum Phase {
    Registered,
    Replaying,
    CatchingUp,
    Verifying,
    Ready,
    Serving,
    Standby,
    Retired,
    Failed,
    Aborted,
    Paused,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// What the runner of a version is doing. As JSON: the name itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Run {
    /// It reads what was there when it started.
    Replaying,
    /// It has read that, and reads what came since.
    CatchingUp,
    /// It keeps up.
    Live,
    /// It was told to wait.
    Paused,
    /// It cannot go on.
    Failed,
}

/// What is true of a version now, beside its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What its runner does; `None` before it has one.
    pub run: Option<Run>,
    /// It is within its policy's lag, of the log and of the serving version.
    pub caught_up: bool,
    /// Every condition of promotion holds.
    pub ready: bool,
}

/// The phase of a version with that role and standing.
pub fn phase(role: &Role, standing: Standing) -> Phase {
    match (role, standing.run) {
        (Role::Serving, _) => Phase::Serving,
        (Role::Standby { .. }, _) => Phase::Standby,
        (Role::Retired, _) => Phase::Retired,
        (Role::Aborted, _) => Phase::Aborted,
        (Role::Candidate, None) => Phase::Registered,
        (Role::Candidate, Some(Run::Failed)) => Phase::Failed,
        (Role::Candidate, Some(Run::Paused)) => Phase::Paused,
        (Role::Candidate, Some(Run::Replaying)) => Phase::Replaying,
        (Role::Candidate, Some(Run::CatchingUp | Run::Live)) => match standing {
            Standing { ready: true, .. } => Phase::Ready,
            Standing { caught_up: true, .. } => Phase::Verifying,
            _ => Phase::CatchingUp,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rekap_tiered_storage::Timestamp;

    const RUNS: [Option<Run>; 6] =
        [None, Some(Run::Replaying), Some(Run::CatchingUp), Some(Run::Live), Some(Run::Paused), Some(Run::Failed)];

    fn standings() -> impl Iterator<Item = Standing> {
        let facts = [(false, false), (true, false), (true, true)];
        RUNS.into_iter().flat_map(move |run| facts.map(|(caught_up, ready)| Standing { run, caught_up, ready }))
    }

    #[test]
    fn a_role_other_than_candidate_decides_the_phase_alone() {
        let standby = Role::Standby { until: Timestamp::from_micros(0) };
        for standing in standings() {
            assert_eq!(phase(&Role::Serving, standing), Phase::Serving);
            assert_eq!(phase(&standby, standing), Phase::Standby);
            assert_eq!(phase(&Role::Retired, standing), Phase::Retired);
            assert_eq!(phase(&Role::Aborted, standing), Phase::Aborted);
        }
    }

    #[test]
    fn a_candidate_shows_what_it_does_until_it_keeps_up_and_then_what_it_lacks() {
        for standing in standings() {
            let expected = match (standing.run, standing.caught_up, standing.ready) {
                (None, ..) => Phase::Registered,
                (Some(Run::Replaying), ..) => Phase::Replaying,
                (Some(Run::Paused), ..) => Phase::Paused,
                (Some(Run::Failed), ..) => Phase::Failed,
                (_, _, true) => Phase::Ready,
                (_, true, false) => Phase::Verifying,
                (_, false, false) => Phase::CatchingUp,
            };
            assert_eq!(phase(&Role::Candidate, standing), expected, "{standing:?}");
        }
    }
}
