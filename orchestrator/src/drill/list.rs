//! The drills that go on: who is at it, with which table and runner. In memory only.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use rekap_jobs::RunnerHandle;
use rekap_tables::TableId;
use rekap_tiered_storage::Timestamp;
use tokio::sync::Mutex as Turn;

use crate::react::Key;

/// What the name of a scratch table's job begins with. No job's name has a `-`.
const SCRATCH: &str = "drill-";

/// The drills that go on, or wait for their turn.
#[derive(Default)]
pub(crate) struct Drills {
    active: Mutex<BTreeMap<String, Active>>,
    /// One replay at a time: each takes the memory and the cores of one.
    pub(super) turn: Turn<()>,
    last: AtomicU32,
}

/// A drill that goes on.
pub(super) struct Active {
    pub(super) version: u32,
    pub(super) since: Timestamp,
    pub(super) table: Option<TableId>,
    pub(super) runner: Option<Arc<RunnerHandle>>,
}

/// Takes a drill off the list when it ends, however it does.
pub(super) struct Listed(Arc<Drills>, String);

impl Drop for Listed {
    fn drop(&mut self) {
        self.0.list().remove(&self.1);
    }
}

impl Drills {
    pub(super) fn list(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Active>> {
        self.active.lock().expect("no holder of this lock panics")
    }

    /// Puts a drill of a job on the list; `None` when there is one.
    pub(super) fn enlist(self: &Arc<Self>, job: &str, version: u32, since: Timestamp) -> Option<Listed> {
        let mut list = self.list();
        if list.contains_key(job) {
            return None;
        }
        list.insert(job.to_owned(), Active { version, since, table: None, runner: None });
        Some(Listed(self.clone(), job.to_owned()))
    }

    /// The table of a new drill: one that no drill before had, also in a process before this one.
    pub(super) fn scratch(&self, key: &Key, now: Timestamp) -> TableId {
        let seconds = u32::try_from(now.as_micros() / 1_000_000).unwrap_or(u32::MAX);
        let next = |last: u32| Some(seconds.max(last.saturating_add(1)));
        let before = self.last.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).unwrap_or_default();
        TableId { job: format!("{SCRATCH}{}", key.0), version: key.1, attempt: seconds.max(before.saturating_add(1)) }
    }

    /// The tables that drills are at: nobody else's to drop.
    pub(crate) fn tables(&self) -> Vec<TableId> {
        self.list().values().filter_map(|active| active.table.clone()).collect()
    }

    /// The replays of drills, each with its version.
    pub(crate) fn runners(&self) -> Vec<(Key, Arc<RunnerHandle>)> {
        let list = self.list();
        let runners =
            list.iter().filter_map(|(job, active)| Some(((job.clone(), active.version), active.runner.clone()?)));
        runners.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::NOON;

    #[test]
    fn a_scratch_table_is_of_no_job_and_was_never_there_before() {
        let (drills, key) = (Drills::default(), ("bpi".to_owned(), 3));
        let ids = [drills.scratch(&key, NOON), drills.scratch(&key, NOON), drills.scratch(&key, NOON)];
        assert!(ids.windows(2).all(|two| two[0].attempt < two[1].attempt), "{ids:?}");
        assert_eq!((ids[0].job.as_str(), ids[0].version), ("drill-bpi", 3));
        assert_eq!(ids[0].to_string().parse(), Ok(ids[0].clone()), "it reads back after a restart");
    }

    #[test]
    fn a_job_has_one_drill_at_a_time() {
        let drills = Arc::new(Drills::default());
        let first = drills.enlist("bpi", 1, NOON);
        assert!(
            first.is_some() && drills.enlist("bpi", 1, NOON).is_none() && drills.enlist("other", 1, NOON).is_some()
        );
        drop(first);
        assert!(drills.enlist("bpi", 1, NOON).is_some());
    }
}
