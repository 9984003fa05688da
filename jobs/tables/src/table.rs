//! One table: its writer's side and the way to its snapshots.
//!
//! Commits are told one from the other by their positions: a commit whose `from` is not where the table is changes nothing, so a
//! range that is replayed, or written by a zombie, is harmless. If the process dies in a commit, the table is as before it or as
//! after it. What a power cut loses is a tail of commits, with their positions.
//!
//! fjall opens a snapshot at the newest sequence number published, and its background flushes publish numbers without regard to a
//! batch that is being applied: a snapshot opened in that moment could see half of it. So snapshots are opened only between commits;
//! while one is being written, readers get the one from before it and never wait.

use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockWriteGuard};

use arrow::array::RecordBatch;
use fjall::{AbstractTree as _, Database, Keyspace};
use tokio::sync::watch;

use crate::codec::Codec;
use crate::gather::Seen;
use crate::layout::{TIMES, time_of_time_place};
use crate::outbox::Sizes;
use crate::{
    Commit, CommitOutcome, Gathered, TableError, TableId, TableSchema, TableSnapshot, TableStatus, WriterEpoch,
};

/// A table. Clones are handles of the same table; all methods block on the disk and none waits for another task.
#[derive(Clone)]
pub struct Table(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) id: TableId,
    pub(crate) codec: Codec,
    pub(crate) keyspace: Keyspace,
    pub(crate) db: Database,
    pub(crate) bulk_places: usize,
    shown: RwLock<Shown>,
    pub(crate) changed: watch::Sender<Arc<TableStatus>>,
    writer: Mutex<Option<Seen>>,
    outbox: Mutex<Sizes>,
}

/// What readers are shown.
pub(crate) struct Shown {
    pub(crate) status: Arc<TableStatus>,
    /// The snapshot from before the commit that is being written.
    pub(crate) before: Option<fjall::Snapshot>,
}

impl Table {
    pub(crate) fn new(
        id: TableId,
        codec: Codec,
        keyspace: Keyspace,
        db: Database,
        bulk_places: usize,
        status: TableStatus,
    ) -> Self {
        let status = Arc::new(status);
        Table(Arc::new(Inner {
            id,
            codec,
            keyspace,
            db,
            bulk_places,
            changed: watch::Sender::new(status.clone()),
            shown: RwLock::new(Shown { status, before: None }),
            writer: Mutex::default(),
            outbox: Mutex::default(),
        }))
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Which table this is.
    pub fn id(&self) -> &TableId {
        &self.0.id
    }

    /// The table's columns.
    pub fn schema(&self) -> &TableSchema {
        self.0.codec.schema()
    }

    /// The status after the last commit. Reads nothing from disk.
    pub fn status(&self) -> Arc<TableStatus> {
        self.0.status()
    }

    /// The bytes that the table takes: its files, and what is written but not yet in one of them.
    pub fn bytes(&self) -> u64 {
        self.0.keyspace.disk_space() + self.0.keyspace.tree.active_memtable().size()
    }

    /// The greatest `time` among the keys, in the unit of the time column; `None` without such a column or without keys. Looks up one
    /// place.
    pub fn newest(&self) -> Result<Option<i64>, TableError> {
        if self.schema().time().is_none() {
            return Ok(None);
        }
        let Some(last) = self.0.keyspace.prefix([TIMES]).next_back() else { return Ok(None) };
        let (place, _) = last.into_inner().map_err(|source| self.0.failed("reading", source))?;
        Ok(time_of_time_place(&place))
    }

    /// Changes with every commit: who waits for a position looks again.
    pub fn changed(&self) -> watch::Receiver<Arc<TableStatus>> {
        self.0.changed.subscribe()
    }

    /// The table as it is after the last commit.
    pub fn snapshot(&self) -> TableSnapshot {
        let shown = self.0.shown.read().expect("no thread panics while it holds this lock");
        let view = shown.before.clone().unwrap_or_else(|| self.0.db.snapshot());
        TableSnapshot::new(self.0.clone(), view, shown.status.clone())
    }

    /// Takes the right to write: commits of earlier claims are fenced from now on.
    pub fn claim(&self) -> Result<WriterEpoch, TableError> {
        let _writer = self.0.writer();
        let mut status = TableStatus::clone(&self.status());
        status.writer_epoch = status.writer_epoch.next();
        let epoch = status.writer_epoch;
        self.0.write_status(status)?;
        Ok(epoch)
    }

    /// The state of `keys` (the key columns, each key once).
    pub fn gather(&self, keys: &RecordBatch) -> Result<Gathered, TableError> {
        let mut writer = self.0.writer();
        let (gathered, seen) = self.0.gather(keys)?;
        *writer = seen;
        Ok(gathered)
    }

    /// Makes `commit` part of the table, all of it or nothing.
    pub fn commit(&self, commit: Commit) -> Result<CommitOutcome, TableError> {
        let mut writer = self.0.writer();
        self.0.commit(commit, writer.take())
    }
}

impl Inner {
    pub(crate) fn shown(&self) -> RwLockWriteGuard<'_, Shown> {
        self.shown.write().expect("no thread panics while it holds this lock")
    }

    pub(crate) fn status(&self) -> Arc<TableStatus> {
        self.shown.read().expect("no thread panics while it holds this lock").status.clone()
    }

    /// How much waits of each action.
    pub(crate) fn outbox_sizes(&self) -> Sizes {
        self.outbox.lock().expect("no thread panics while it holds this lock").clone()
    }

    pub(crate) fn set_outbox_sizes(&self, mut sizes: Sizes) {
        sizes.retain(|_, size| size.messages > 0);
        *self.outbox.lock().expect("no thread panics while it holds this lock") = sizes;
    }

    pub(crate) fn writer(&self) -> MutexGuard<'_, Option<Seen>> {
        self.writer.lock().expect("no thread panics while it holds this lock")
    }
}

impl Inner {
    pub(crate) fn failed(&self, doing: &str, source: fjall::Error) -> TableError {
        TableError::store(format!("{doing} table `{}`", self.id), source)
    }

    pub(crate) fn damaged(&self, detail: impl ToString) -> TableError {
        TableError::Damaged { table: self.id.clone(), detail: detail.to_string() }
    }

    pub(crate) fn contradiction(&self, detail: impl ToString) -> TableError {
        TableError::Contradiction { table: self.id.clone(), detail: detail.to_string() }
    }
}

#[cfg(test)]
mod tests;
