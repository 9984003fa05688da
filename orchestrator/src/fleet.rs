//! The tables and runners of the live versions.
//!
//! In memory only. After a restart every table is opened again and every runner started again, from what the state asks for.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use rekap_jobs::RunnerHandle;
use rekap_tables::Table;
use rekap_tiered_storage::Positions;

use crate::react::Key;

/// A version's table and, while it reads, its runner.
#[derive(Clone)]
pub(crate) struct Member {
    /// The attempt whose table it is.
    pub(crate) attempt: u32,
    /// The table.
    pub(crate) table: Table,
    /// The runner that fills it.
    pub(crate) runner: Option<Arc<RunnerHandle>>,
}

impl Member {
    /// Where the table stands.
    pub(crate) fn positions(&self) -> Positions {
        self.table.status().positions.clone()
    }
}

/// Every member by its version. Readers copy a pointer and wait for nothing.
#[derive(Default)]
pub(crate) struct Fleet(RwLock<Arc<BTreeMap<Key, Member>>>);

impl Fleet {
    /// All members as they are now.
    pub(crate) fn all(&self) -> Arc<BTreeMap<Key, Member>> {
        self.0.read().expect("no holder of this lock panics").clone()
    }

    /// One member.
    pub(crate) fn get(&self, job: &str, version: u32) -> Option<Member> {
        self.all().get(&(job.to_owned(), version)).cloned()
    }

    /// Adds a member, or replaces it.
    pub(crate) fn put(&self, key: Key, member: Member) {
        self.change(|members| {
            members.insert(key, member);
        });
    }

    /// Takes a member out.
    pub(crate) fn take(&self, key: &Key) {
        self.change(|members| {
            members.remove(key);
        });
    }

    /// Takes out the runner of a member.
    pub(crate) fn take_runner(&self, key: &Key) -> Option<Arc<RunnerHandle>> {
        let mut runner = None;
        self.change(|members| runner = members.get_mut(key).and_then(|member| member.runner.take()));
        runner
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<Key, Member>)) {
        let mut members = self.0.write().expect("no holder of this lock panics");
        change(Arc::make_mut(&mut members));
    }
}
