//! How much the log has acknowledged, told a second time beside the database.
//!
//! The database takes damage in its newest file for a write that a crash cut off, and forgets all that comes after it. So each group of
//! appends carries its number into the database, and once it is acknowledged the number goes into a small file as well. A log that
//! knows of fewer groups than the file has lost some, and is not opened. The file is not synced: what a power cut leaves of it is an
//! older number or none, and then it proves less.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::LogError;

/// The file's name.
const FILE: &str = "acknowledged";

/// The count of acknowledged groups.
pub(super) struct Acknowledged {
    file: File,
    groups: AtomicU64,
}

impl Acknowledged {
    /// Opens the file of the log in `folder`, whose database has so many groups.
    pub(super) fn open(folder: &Path, groups: u64) -> Result<Self, LogError> {
        let path = folder.join(FILE);
        let told = std::fs::read(&path).ok().and_then(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?)));
        if let Some(told) = told.filter(|told| *told > groups) {
            return Err(lost(folder, &path, groups, told));
        }
        let opened = File::options().create(true).truncate(false).write(true).open(&path);
        let file = opened.map_err(|error| LogError::store(format!("opening `{}`", path.display()), error))?;
        Ok(Acknowledged { file, groups: AtomicU64::new(groups) })
    }

    /// The number of the next group.
    pub(super) fn next(&self) -> u64 {
        self.groups.load(Ordering::Relaxed) + 1
    }

    /// That group is durable. Told in the file as well as it goes: a disk that is full shows at the next append.
    pub(super) fn tell(&self, group: u64) {
        self.groups.store(group, Ordering::Relaxed);
        if let Err(error) = self.file.write_all_at(&group.to_be_bytes(), 0) {
            tracing::debug!(%error, "the count of acknowledged groups was not written");
        }
    }
}

fn lost(folder: &Path, file: &Path, groups: u64, told: u64) -> LogError {
    let reason = format!(
        "{told} groups of appends were acknowledged, and {groups} are there: its files are damaged, and the end of the log is lost; \
         restore that folder, or delete `{}` to go on without what is lost",
        file.display()
    );
    LogError::store(format!("opening the log in `{}`", folder.display()), reason)
}
