//! One job, as far as the catalog tells.

use std::collections::BTreeMap;
use std::sync::Arc;

use rekap_jobs::PromotePolicy;
use rekap_tiered_storage::Timestamp;

use super::{Role, Version};
use crate::{Rejection, Report};

/// A freeze: no automatic promotion, no clean-up, and no promotion by others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// Who froze the job.
    pub by: String,
    /// When it ends.
    pub until: Timestamp,
}

/// A promotion that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// The version that was promoted.
    pub version: u32,
    /// When.
    pub since: Timestamp,
}

/// The last drill of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Drilled {
    /// The version that served.
    pub version: u32,
    /// When it was done.
    pub at: Timestamp,
    /// How many offsets were read.
    pub records: u64,
    /// How long it took.
    pub took_ms: u64,
    /// What was found.
    pub report: Arc<Report>,
}

/// One job.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its name and alias.
    pub name: String,
    /// Counts the changes to what its versions are for.
    pub generation: u64,
    /// When its versions may take over.
    pub policy: PromotePolicy,
    /// Its versions, deleted ones included.
    pub versions: BTreeMap<u32, Version>,
    /// What served, oldest first. The last one serves; the one before it is where a rollback goes.
    pub lineage: Vec<u32>,
    /// The newest version there was when the last rollback happened: up to it nothing is promoted because the policy says `auto`.
    pub held_back: Option<u32>,
    /// The promotion that is watched, until it has passed, failed, or was taken back.
    pub watched: Option<Watched>,
    /// What the last drill found.
    pub drilled: Option<Drilled>,
    /// The last freeze.
    pub freeze: Option<Freeze>,
    /// It was deleted, and not deployed again since.
    pub deleted: bool,
}

impl Job {
    pub(super) fn new(name: &str, policy: PromotePolicy) -> Self {
        Job {
            name: name.to_owned(),
            generation: 0,
            policy,
            versions: BTreeMap::new(),
            lineage: vec![],
            held_back: None,
            watched: None,
            drilled: None,
            freeze: None,
            deleted: false,
        }
    }

    /// A version by its number.
    pub fn version(&self, number: u32) -> Result<&Version, Rejection> {
        let unknown = || Rejection::UnknownVersion { job: self.name.clone(), version: number };
        self.versions.get(&number).ok_or_else(unknown)
    }

    /// The version that serves.
    pub fn serving(&self) -> Option<&Version> {
        self.lineage.last().and_then(|number| self.versions.get(number))
    }

    /// The version that a rollback goes to: the last one that served before the serving one was promoted, and is still warm.
    pub fn before(&self) -> Option<&Version> {
        let mut backwards = self.lineage.iter().rev().skip(1);
        backwards.find_map(|number| self.versions.get(number).filter(|version| version.is_standby()))
    }

    /// The warm version: where a rollback goes, else the newest that was rolled back.
    pub fn standby(&self) -> Option<&Version> {
        self.before().or_else(|| self.versions.values().rev().find(|version| version.is_standby()))
    }

    /// True when a rollback may go to that version.
    pub fn is_rollback_target(&self, number: u32) -> bool {
        let earlier = self.lineage.split_last().map_or(&[][..], |(_, earlier)| earlier);
        earlier.contains(&number) && self.versions.get(&number).is_some_and(Version::is_standby)
    }

    /// The freeze that holds at `now`.
    pub fn frozen(&self, now: Timestamp) -> Option<&Freeze> {
        self.freeze.as_ref().filter(|freeze| now < freeze.until)
    }

    /// Until when a warm version is kept at least: to the end of its rollback window, or of a freeze that outlives it.
    pub fn kept_until(&self, version: &Version, now: Timestamp) -> Option<Timestamp> {
        let Role::Standby { until } = version.role else { return None };
        Some(self.frozen(now).map_or(until, |freeze| until.max(freeze.until)))
    }

    /// The live version with that digest that can still be promoted or serves.
    pub fn live_with(&self, digest: &str) -> Option<&Version> {
        let mut newest_first = self.versions.values().rev();
        newest_first.find(|version| version.digest == digest && version.role.is_live() && version.failure.is_none())
    }

    /// The highest number that was ever given to a version.
    pub fn newest_number(&self) -> Option<u32> {
        self.versions.last_key_value().map(|(last, _)| *last)
    }

    /// The number of the next version.
    pub fn next_number(&self) -> u32 {
        self.newest_number().map_or(1, |last| last + 1)
    }
}
