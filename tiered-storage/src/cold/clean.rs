//! What may go from a cold table's folder: files that nothing refers to, and log entries that a checkpoint stands for.
//!
//! A data file goes when it is older than [`ORPHAN_AGE`], the table does not refer to it, and it did not leave the table within
//! [`KEPT_REMOVED`]. A writer never commits a file older than half that age, so what is deleted here nobody can commit any more: not even a
//! process that wakes up after days. What is not named as ours is left alone. Dying in the middle leaves work for the next time.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::time::Duration;

use deltalake_core::DeltaTable;
use deltalake_core::protocol::checkpoints::{cleanup_expired_logs_for, create_checkpoint};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt as _};

use super::{ColdTopic, layout};
use crate::{LogError, Timestamp};

/// Data files that nothing refers to are deleted at this age.
pub(crate) const ORPHAN_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long files stay after a compaction took them out of the table, for readers that still know an older version of it.
pub(crate) const KEPT_REMOVED: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long log entries stay after a checkpoint stands for them: as long as the files that only they name.
const KEPT_ENTRIES: Duration = KEPT_REMOVED;

/// Log entries between two checkpoints: opening a table reads the last checkpoint and about as many entries.
pub(super) const CHECKPOINT_EVERY: u64 = 100;

/// What a clean-up did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cleaned {
    /// Data files deleted.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Log entries deleted.
    pub(crate) entries: u64,
}

impl ColdTopic {
    /// Deletes what may go.
    pub(crate) async fn clean(&self) -> Result<Cleaned, LogError> {
        let now = self.clock.now();
        let old = self.old_files(now).await?;
        let Some(table) = self.loaded().await? else { return Ok(Cleaned::default()) };
        let mut cleaned = Cleaned::default();
        if !old.is_empty() {
            let kept = self.kept_files(&table, now).await?;
            for (path, bytes) in old.into_iter().filter(|(path, _)| !kept.contains(path.as_ref())) {
                match self.store.objects().delete(&path).await {
                    Ok(()) => (cleaned.files, cleaned.bytes) = (cleaned.files + 1, cleaned.bytes + bytes),
                    Err(Error::NotFound { .. }) => {}
                    Err(e) => return Err(LogError::store(format!("deleting {path} below {}", self.store.url()), e)),
                }
            }
        }
        let before_ms = now.minus(KEPT_ENTRIES).as_micros() / 1000;
        let version = table.version().expect("it is loaded");
        let entries = cleanup_expired_logs_for(version, table.log_store().as_ref(), before_ms, None).await;
        cleaned.entries = entries.map_err(|e| self.failed("deleting old log entries of", e))? as u64;
        Ok(cleaned)
    }

    /// The data files in the folder that are old enough to go, with their sizes.
    async fn old_files(&self, now: Timestamp) -> Result<Vec<(Path, u64)>, LogError> {
        let objects = self.store.objects();
        let failed = |e| LogError::store(format!("listing {}", self.store.url()), e);
        let mut all = objects.list(None);
        let mut old = Vec::new();
        while let Some(object) = all.try_next().await.map_err(failed)? {
            let written = Timestamp::from_micros(object.last_modified.timestamp_micros());
            if now.since(written) > ORPHAN_AGE && layout::parse_data_file(object.location.as_ref()).is_some() {
                old.push((object.location, object.size));
            }
        }
        Ok(old)
    }

    /// The paths of the files that are part of the table, or were until lately.
    async fn kept_files(&self, table: &DeltaTable, now: Timestamp) -> Result<HashSet<String>, LogError> {
        let coverage = self.coverage();
        let live = coverage.partitions.values().flat_map(|covered| covered.files()).map(|file| file.path.clone());
        let mut kept: HashSet<String> = live.collect();
        let since_ms = now.minus(KEPT_REMOVED).as_micros() / 1000;
        let (state, log) = (table.snapshot().map_err(|e| self.failed("reading", e))?, table.log_store());
        let mut removed = state.all_tombstones(log.as_ref());
        while let Some(tombstone) = removed.next().await {
            let tombstone = tombstone.map_err(|e| self.failed("reading the removed files of", e))?;
            if tombstone.deletion_timestamp().is_none_or(|at| at >= since_ms) {
                kept.insert(tombstone.path().into_owned());
            }
        }
        Ok(kept)
    }

    /// Writes a checkpoint when the last one is [`CHECKPOINT_EVERY`] entries behind; true when it did.
    pub(crate) async fn checkpoint_if_due(&self) -> Result<bool, LogError> {
        let Some(version) = self.coverage().version else { return Ok(false) };
        let mut last = self.checkpointed.lock().await;
        if last.is_none() {
            *last = Some(self.last_checkpoint().await?);
        }
        if version < last.unwrap_or(0) + CHECKPOINT_EVERY {
            return Ok(false);
        }
        *last = Some(self.checkpoint().await?);
        Ok(true)
    }

    /// Writes a checkpoint of the version that is loaded, and says which that is.
    pub(super) async fn checkpoint(&self) -> Result<u64, LogError> {
        let Some(table) = self.loaded().await? else { return Ok(0) };
        let version = table.version().expect("it is loaded");
        create_checkpoint(&table, None).await.map_err(|e| self.failed("writing a checkpoint of", e))?;
        self.store.sync_all(layout::checkpoint(version)).await?;
        Ok(version)
    }

    /// The version of the checkpoint that the table's log names; 0 when there is none.
    async fn last_checkpoint(&self) -> Result<u64, LogError> {
        let path = Path::from(layout::LAST_CHECKPOINT);
        let failed = |e| LogError::store(format!("reading {path} below {}", self.store.url()), e);
        let bytes = match self.store.objects().get(&path).await {
            Ok(found) => found.bytes().await.map_err(failed)?,
            Err(Error::NotFound { .. }) => return Ok(0),
            Err(e) => return Err(failed(e)),
        };
        let hint: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(hint["version"].as_u64().unwrap_or(0))
    }

    /// The table as it is now, to look at while others go on; `None` when nobody has made it.
    async fn loaded(&self) -> Result<Option<DeltaTable>, LogError> {
        let mut table = self.table.lock().await;
        self.load(&mut table).await?;
        Ok(table.version().is_some().then(|| table.clone()))
    }
}
