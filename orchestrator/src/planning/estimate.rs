//! What a replay will take, learned from those that were measured: null until there is one.

use crate::event::Measured;
use crate::state::{Job, State};

/// Of shorter replays the start weighs more than the reading; nothing is learned from them.
const MIN_RECORDS: u64 = 1000;

/// The last measured replay of the job, else the last one of any job: another query, but the same machine.
pub(super) fn time_ms(state: &State, job: Option<&Job>, records: u64) -> Option<u64> {
    let learned = job.and_then(last).or_else(|| state.jobs().filter_map(|job| last(job)).max_by_key(|m| m.records))?;
    Some((u128::from(records) * u128::from(learned.took_ms.max(1)) / u128::from(learned.records)) as u64)
}

/// What the table will take on disk: what the last replay of this job took, in proportion. Other jobs say nothing of it.
pub(super) fn disk_bytes(job: Option<&Job>, records: u64) -> Option<u64> {
    let learned = job.and_then(last)?;
    Some((u128::from(records) * u128::from(learned.bytes) / u128::from(learned.records)) as u64)
}

fn last(job: &Job) -> Option<Measured> {
    job.versions.values().rev().find_map(|version| version.replayed).filter(|measured| measured.records >= MIN_RECORDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::What;
    use crate::testing::{JOB, Story, deployed};

    #[test]
    fn nothing_is_estimated_until_a_replay_was_measured() {
        let mut story = Story::of([deployed(1)]);
        let estimate = |story: &Story| {
            let job = story.state.job(JOB).unwrap();
            (time_ms(&story.state, Some(job), 50_000), disk_bytes(Some(job), 50_000))
        };
        assert_eq!(estimate(&story), (None, None));
        let ready = |records| {
            let measured = Some(Measured { records, took_ms: 400, bytes: 2_000_000 });
            What::Ready { version: 1, attempt: 1, replayed: measured }
        };
        story.then(ready(999));
        assert_eq!(estimate(&story), (None, None), "too short to learn from");
        story.then(ready(100_000));
        assert_eq!(estimate(&story), (Some(200), Some(1_000_000)));
        assert_eq!(time_ms(&story.state, None, 50_000), Some(200), "another job's rate is better than none");
    }
}
