//! Joining neighbours to one file, record for record, and swapping them in the table.
//!
//! ```text
//! files A, B, C (adjacent) ──copied──► file ABC ──one commit: remove A, B, C; add ABC──► coverage
//! ```
//! Nothing is decoded again: columns are copied as they are, so it does not matter whose decoder made them. The commit goes through only
//! on a version of the table that still refers to every input; so of two who join the same files one wins, and no record is there
//! twice. A process that dies before the commit leaves a file that nothing refers to. The inputs stay readable for
//! [`KEPT_REMOVED`](super::clean::KEPT_REMOVED) after they left the table.
//!
//! Memory: the joined file (at most the mirror's `max_bytes`) and one batch.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use deltalake_core::kernel::{Action, Add, Remove};
use deltalake_core::protocol::DeltaOperation;
use deltalake_core::{DeltaTable, DeltaTableError};
use futures::TryStreamExt as _;
use tokio::sync::MutexGuard;

use super::commit::{is_lost_race, is_too_old};
use super::coverage::{ColdFile, Coverage};
use super::file::{FileJoiner, off_the_runtime};
use super::merge::Merge;
use super::{ColdTopic, CommitOutcome, FileReader, layout, schema};
use crate::{LogError, Partition, Timestamp};

/// How often a swap is tried on a newer version of the table. Each loss is a commit of another writer.
const SWAP_ATTEMPTS: u32 = 20;

/// A file that is to take the place of its inputs.
pub(crate) struct Joined {
    merge: Merge,
    add: Add,
    begun: Timestamp,
}

impl ColdTopic {
    /// Writes the file that a merge comes to. Nothing refers to it before [`ColdTopic::swap`].
    pub(crate) async fn join(&self, merge: Merge) -> Result<Joined, LogError> {
        let begun = self.clock.now();
        let first = self.open_file(merge.files[0].clone()).await?;
        let mut joiner = FileJoiner::new(merge.partition, &merge.files[0], first.schema().clone())?;
        for file in &merge.files {
            let reader = self.open_file(file.clone()).await?;
            joiner = self.copy(&reader, joiner).await?;
        }
        let file = off_the_runtime(move || joiner.finish()).await?;
        let mut add = self.store_file(file).await?;
        add.data_change = false;
        Ok(Joined { merge, add, begun })
    }

    async fn copy(&self, reader: &FileReader, mut joiner: FileJoiner) -> Result<FileJoiner, LogError> {
        joiner.begin(reader.file(), reader.schema())?;
        let mut batches = reader.whole()?;
        while let Some(batch) = batches.try_next().await? {
            joiner = off_the_runtime(move || joiner.write(&batch).map(|()| joiner)).await?;
        }
        Ok(joiner)
    }

    /// Puts each joined file in the place of its inputs, all in one commit. Those whose inputs another writer has taken meanwhile are
    /// dropped; [`CommitOutcome::Lost`] when these are all.
    pub(crate) async fn swap(&self, joined: Vec<Joined>) -> Result<CommitOutcome, LogError> {
        let mut table = self.table.lock().await;
        let mut wanted = joined;
        for _ in 0..SWAP_ATTEMPTS {
            let (left, lost): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|joined| self.is_still_wanted(joined));
            self.discard_joined(&lost).await;
            wanted = left;
            if wanted.is_empty() {
                return Ok(CommitOutcome::Lost);
            }
            if self.try_swap(&mut table, &wanted).await? == CommitOutcome::Committed {
                return Ok(CommitOutcome::Committed);
            }
        }
        self.discard_joined(&wanted).await;
        Ok(CommitOutcome::Lost)
    }

    async fn try_swap(
        &self,
        table: &mut MutexGuard<'_, DeltaTable>,
        wanted: &[Joined],
    ) -> Result<CommitOutcome, LogError> {
        let written = self.write_swap(table, wanted).await;
        self.load(table).await?;
        match written {
            Ok(()) => Ok(CommitOutcome::Committed),
            Err(_) if wanted.iter().any(|joined| self.refers_to(&joined.add)) => Ok(CommitOutcome::Committed),
            Err(e) if is_lost_race(&e) => Ok(CommitOutcome::Lost),
            Err(e) => Err(self.failed("compacting", e)),
        }
    }

    async fn write_swap(&self, table: &DeltaTable, wanted: &[Joined]) -> Result<(), DeltaTableError> {
        let now_ms = self.clock.now().as_micros() / 1000;
        let mut actions = Vec::new();
        for Joined { merge, add, .. } in wanted {
            actions.extend(merge.files.iter().map(|file| Action::Remove(remove(merge.partition, file, now_ms))));
            actions.push(Action::Add(add.clone()));
        }
        let target_size = wanted.iter().map(|joined| joined.add.size).max().unwrap_or(0);
        self.write_entry(table, actions, DeltaOperation::Optimize { predicate: None, target_size }).await
    }

    /// True when the table still refers to every input, and the file is not so old that clean-up may take it.
    fn is_still_wanted(&self, joined: &Joined) -> bool {
        !is_too_old(self.clock.now(), joined.begun) && holds_all(&self.coverage(), &joined.merge)
    }

    async fn discard_joined(&self, joined: &[Joined]) {
        for joined in joined.iter().filter(|joined| !self.refers_to(&joined.add)) {
            self.store.discard(&joined.add.path).await;
        }
    }
}

fn holds_all(coverage: &Coverage, merge: &Merge) -> bool {
    let Some(covered) = coverage.partition(merge.partition) else { return false };
    merge.files.iter().all(|file| covered.file_at(file.range.from).is_some_and(|held| held.path == file.path))
}

fn remove(partition: Partition, file: &Arc<ColdFile>, now_ms: i64) -> Remove {
    Remove {
        path: file.path.clone(),
        data_change: false,
        deletion_timestamp: Some(now_ms),
        extended_file_metadata: Some(true),
        partition_values: Some(HashMap::from([(schema::PARTITION.into(), Some(partition.to_string()))])),
        size: Some(file.bytes as i64),
        tags: Some(HashMap::from([(layout::RANGE_TAG.into(), Some(format!("{}-{}", file.range.from, file.range.to)))])),
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
    }
}
