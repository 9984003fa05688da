//! The two ways in which a commit reaches the disk, both atomic.
//!
//! A small commit is one batch in fjall's journal (buffered by the operating system: it survives the process, a power cut may take
//! it). A large one is sorted bulk ingestion: its places, the status among them, become new files of the tree in one registration,
//! synced before that. The registration first flushes what the memtable holds, so an ingestion also makes the commits before it
//! durable, and recovery skips the journal's older entries of this keyspace by sequence number.

use std::sync::Arc;

use fjall::Slice;
use rekap_tiered_storage::steps;

use crate::changes::{Changes, Entry};
use crate::gather::Seen;
use crate::layout::STATUS;
use crate::table::Inner;
use crate::{Commit, CommitOutcome, TableError, TableStatus};

/// From so many changed places on, ingestion is faster than a batch (measured by `tests/bench.rs`).
pub(crate) const BULK_PLACES: usize = 50_000;

impl Inner {
    pub(crate) fn commit(&self, commit: Commit, seen: Option<Seen>) -> Result<CommitOutcome, TableError> {
        let status = self.status();
        if commit.epoch != status.writer_epoch {
            return Ok(CommitOutcome::Fenced);
        }
        let is_there =
            |(topic, partition, _)| status.positions.get(topic, partition) == commit.from.get(topic, partition);
        if !commit.to.iter().all(is_there) {
            let not_at = |from| TableError::NotAt { table: self.id.clone(), at: status.positions.clone(), from };
            let applied = status.positions.reached(&commit.to);
            return if applied { Ok(CommitOutcome::AlreadyApplied) } else { Err(not_at(commit.from)) };
        }
        let changes = Changes::plan(self, &status, commit, seen)?;
        self.write(changes)?;
        Ok(CommitOutcome::Committed)
    }

    /// Writes `changes`, and shows the new status to readers.
    fn write(&self, changes: Changes) -> Result<(), TableError> {
        self.hide();
        let (before, after) = changes.entries();
        let entries = before.chain(std::iter::once(status_entry(&changes.status))).chain(after);
        steps::passed("range.computed", &self.id);
        let written = if changes.len() < self.bulk_places { self.write_batch(entries) } else { self.ingest(entries) };
        steps::passed("range.written", &self.id);
        if let Some(sizes) = changes.outbox_sizes() {
            // After a failure nobody knows what is there; the table is opened anew then, and counts again.
            self.set_outbox_sizes(sizes);
        }
        self.show(written, &changes.status)
    }

    /// Takes messages out of the outbox, and with a status writes that in the same batch.
    pub(crate) fn write_outbox(&self, entries: Vec<Entry>, status: Option<TableStatus>) -> Result<(), TableError> {
        let Some(status) = status else {
            let removed = self.write_batch(entries.into_iter());
            return removed.map_err(|source| self.failed("writing", source));
        };
        self.hide();
        let written = self.write_batch(std::iter::once(status_entry(&status)).chain(entries));
        self.show(written, &status)
    }

    /// Writes `status` alone.
    pub(crate) fn write_status(&self, status: TableStatus) -> Result<(), TableError> {
        self.hide();
        let written = self.write_batch(std::iter::once(status_entry(&status)));
        self.show(written, &status)
    }

    fn write_batch(&self, entries: impl Iterator<Item = Entry>) -> Result<(), fjall::Error> {
        let mut batch = self.db.batch();
        for (place, value) in entries {
            match value {
                Some(value) => batch.insert(&self.keyspace, place, value),
                None => batch.remove(&self.keyspace, place),
            }
        }
        batch.commit()
    }

    fn ingest(&self, entries: impl Iterator<Item = Entry>) -> Result<(), fjall::Error> {
        let mut ingestion = self.keyspace.start_ingestion()?;
        steps::passed("bulk.begun", &self.id);
        for (place, value) in entries {
            match value {
                Some(value) => ingestion.write(place, value)?,
                None => ingestion.write_tombstone(place)?,
            }
        }
        steps::passed("bulk.filled", &self.id);
        ingestion.finish()?;
        steps::passed("bulk.finished", &self.id);
        Ok(())
    }

    /// From now on readers get the snapshot from before the commit.
    fn hide(&self) {
        self.shown().before = Some(self.db.snapshot());
    }

    /// From now on readers get the table after the commit. After a failure it may be there or not: then the disk tells.
    fn show(&self, written: Result<(), fjall::Error>, status: &TableStatus) -> Result<(), TableError> {
        let status = match &written {
            Ok(()) => Ok(status.clone()),
            Err(_) => self.stored_status(),
        };
        if let Ok(status) = status {
            let status = Arc::new(status);
            let mut shown = self.shown();
            shown.status = status.clone();
            shown.before = None;
            drop(shown);
            self.changed.send_replace(status);
        }
        written.map_err(|source| self.failed("writing", source))
    }
}

fn status_entry(status: &TableStatus) -> Entry {
    let json = serde_json::to_vec(status).expect("a status is plain data");
    (Slice::from(STATUS), Some(json.into()))
}
