//! After an unclean stop of the machine an alias answers `RECOVERING` until its version is back where the log ended at start.
//!
//! Tables survive `kill -9`, but a power cut may take the last second of their commits, and readers must not see a position go back.
//! A stop of the machine is told by the kernel's boot id, which the catalog's folder remembers once every alias is back. If the
//! process dies before that, the next start recovers again: too careful, never too little.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rekap_tiered_storage::Positions;

use crate::react::Key;

/// Where Linux tells which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The serving versions that are not back yet.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    /// Each with where it has to be.
    targets: RwLock<BTreeMap<Key, Positions>>,
    told: AtomicBool,
}

impl Recovery {
    /// Holds readers back from a version until it is at `target`.
    pub(crate) fn begin(&self, key: Key, target: Positions) {
        self.targets.write().expect("no holder of this lock panics").insert(key, target);
    }

    /// True once: when no version is held back any more.
    pub(crate) fn ends(&self) -> bool {
        let over = self.targets.read().expect("no holder of this lock panics").is_empty();
        over && !self.told.swap(true, Ordering::SeqCst)
    }

    /// True while the version, now at `positions`, is not back.
    pub(crate) fn holds_back(&self, key: &Key, reached: impl FnOnce(&Positions) -> bool) -> bool {
        let target = self.targets.read().expect("no holder of this lock panics").get(key).cloned();
        let Some(target) = target else { return false };
        if !reached(&target) {
            return true;
        }
        self.targets.write().expect("no holder of this lock panics").remove(key);
        false
    }
}

/// True when the machine was started anew since [`remember_boot`], or when that cannot be told.
pub(crate) fn machine_restarted(folder: &Path) -> bool {
    let before = std::fs::read_to_string(boot_file(folder)).ok();
    before.is_none() || before != std::fs::read_to_string(BOOT_ID).ok()
}

/// Remembers that all is back on this boot of the machine.
pub(crate) fn remember_boot(folder: &Path) -> std::io::Result<()> {
    std::fs::write(boot_file(folder), std::fs::read_to_string(BOOT_ID)?)
}

fn boot_file(folder: &Path) -> PathBuf {
    folder.join("boot")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_held_back_until_it_reaches_where_the_log_ended() {
        let recovery = Recovery::default();
        let key = ("bpi".to_owned(), 1);
        let at = |text: &str| text.parse::<Positions>().unwrap();
        recovery.begin(key.clone(), at("t/0=10"));
        assert!(recovery.holds_back(&key, |target| at("t/0=9").reached(target)) && !recovery.ends());
        assert!(!recovery.holds_back(&key, |target| at("t/0=10").reached(target)));
        assert!(!recovery.holds_back(&key, |_| false), "once back it stays back");
        assert!(recovery.ends() && !recovery.ends());
    }

    #[test]
    fn a_start_on_the_boot_that_was_remembered_is_no_restart_of_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        assert!(machine_restarted(folder.path()), "nothing is remembered yet");
        let remembered = remember_boot(folder.path()).is_ok();
        assert_eq!(machine_restarted(folder.path()), !remembered);
    }
}
