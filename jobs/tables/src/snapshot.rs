//! A table as it was after one commit.
//!
//! Rows and positions come from the same commit, always. A snapshot stays readable while commits go on, and after its table was
//! dropped; what it still sees is kept on disk until it is gone.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use fjall::{Readable, Slice};
use rekap_tiered_storage::Positions;

use crate::layout::{self, DEAD_LETTERS, ROWS, place, range_after};
use crate::table::Inner;
use crate::{Cursor, DeadLetter, TableError, TableId, TableSchema, TableStatus};

/// A table as it was after one commit. Cheap to take and to clone.
#[derive(Clone)]
pub struct TableSnapshot {
    table: Arc<Inner>,
    view: fjall::Snapshot,
    status: Arc<TableStatus>,
}

/// A place and what it holds.
type Stored = (Slice, Slice);

/// Which rows to read, in key order.
#[derive(Debug, Clone, Default)]
pub struct RowsQuery {
    /// Only rows whose leftmost key columns have these values: one row (see [`TableSchema::prefix`]).
    pub prefix: Option<RecordBatch>,
    /// Only rows after the last one of an earlier page of the same query.
    pub after: Option<Cursor>,
    /// At most so many rows.
    pub limit: usize,
}

/// Some rows in key order.
#[derive(Debug)]
pub struct Page {
    /// The rows, with the table's columns.
    pub rows: RecordBatch,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Cursor>,
}

/// Some dead letters by input, partition and offset.
#[derive(Debug)]
pub struct DeadLetterPage {
    /// The dead letters.
    pub dead_letters: Vec<DeadLetter>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Cursor>,
}

impl TableSnapshot {
    pub(crate) fn new(table: Arc<Inner>, view: fjall::Snapshot, status: Arc<TableStatus>) -> Self {
        TableSnapshot { table, view, status }
    }

    /// Which table this is of.
    pub fn id(&self) -> &TableId {
        &self.table.id
    }

    /// The table's columns.
    pub fn schema(&self) -> &TableSchema {
        self.table.codec.schema()
    }

    /// The table's status after that commit.
    pub fn status(&self) -> &TableStatus {
        &self.status
    }

    /// Where the table stood.
    pub fn positions(&self) -> &Positions {
        &self.status.positions
    }

    /// A page of rows in key order.
    pub fn rows(&self, query: &RowsQuery) -> Result<Page, TableError> {
        let prefix = query.prefix.as_ref().map(|prefix| self.table.codec.key_prefix(prefix)).transpose();
        let section = place(ROWS, &prefix.map_err(|source| self.unreadable(source))?.unwrap_or_default());
        let is_whole_key = query.prefix.as_ref().is_some_and(|p| p.num_columns() == self.schema().key().len());
        let (stored, next) = if is_whole_key && query.after.is_none() {
            (self.get(section)?, None)
        } else {
            self.page(&section, query.after.as_ref(), query.limit)?
        };
        Ok(Page { rows: self.decode(&stored)?, next })
    }

    /// All rows in key order, at most `batch_rows` at a time.
    pub fn scan(&self, batch_rows: usize) -> Scan {
        assert!(batch_rows > 0, "a batch holds rows");
        Scan { snapshot: self.clone(), iter: self.view.prefix(&self.table.keyspace, [ROWS]), batch_rows, ended: false }
    }

    /// A page of dead letters.
    pub fn dead_letters(&self, after: Option<&Cursor>, limit: usize) -> Result<DeadLetterPage, TableError> {
        let (stored, next) = self.page(&[DEAD_LETTERS], after, limit)?;
        let parse = |(_, value): &Stored| serde_json::from_slice(value);
        let dead_letters = stored.iter().map(parse).collect::<Result<_, _>>();
        Ok(DeadLetterPage { dead_letters: dead_letters.map_err(|source| self.table.damaged(source))?, next })
    }

    fn get(&self, place: Vec<u8>) -> Result<Vec<Stored>, TableError> {
        let value =
            self.view.get(&self.table.keyspace, &place).map_err(|source| self.table.failed("reading", source))?;
        Ok(value.into_iter().map(|value| (Slice::from(place.as_slice()), value)).collect())
    }

    fn page(
        &self,
        section: &[u8],
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<(Vec<Stored>, Option<Cursor>), TableError> {
        if let Some(cursor) = after.filter(|cursor| !cursor.0.starts_with(section)) {
            return Err(TableError::ForeignCursor(cursor.clone()));
        }
        let mut stored = Vec::new();
        for entry in self.view.range(&self.table.keyspace, range_after(section, after)).take(limit.saturating_add(1)) {
            stored.push(entry.into_inner().map_err(|source| self.table.failed("reading", source))?);
        }
        let more = stored.len() > limit;
        stored.truncate(limit);
        let next = stored.last().filter(|_| more).map(|(place, _)| Cursor(place.to_vec()));
        Ok((stored, next))
    }

    fn decode(&self, stored: &[Stored]) -> Result<RecordBatch, TableError> {
        let rows = stored.iter().map(|(place, value)| (&place[1..], &value[..]));
        self.table.codec.rows(rows).map_err(|source| self.unreadable(source))
    }

    fn unreadable(&self, source: ArrowError) -> TableError {
        self.table.damaged(source)
    }
}

/// All rows of a snapshot in key order, in batches.
pub struct Scan {
    snapshot: TableSnapshot,
    iter: fjall::Iter,
    batch_rows: usize,
    ended: bool,
}

impl Iterator for Scan {
    type Item = Result<RecordBatch, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let batch = self.batch();
        self.ended = batch.is_err();
        batch.transpose()
    }
}

impl Scan {
    fn batch(&mut self) -> Result<Option<RecordBatch>, TableError> {
        let mut stored = Vec::with_capacity(self.batch_rows);
        for entry in self.iter.by_ref().take(self.batch_rows) {
            stored.push(entry.into_inner().map_err(|source| self.snapshot.table.failed("reading", source))?);
        }
        if stored.is_empty() { Ok(None) } else { self.snapshot.decode(&stored).map(Some) }
    }
}

impl Inner {
    /// The status as it is stored, which is the truth about the last commit.
    pub(crate) fn stored_status(&self) -> Result<TableStatus, TableError> {
        let stored = self.keyspace.get(layout::STATUS).map_err(|source| self.failed("reading", source))?;
        let stored = stored.ok_or_else(|| self.damaged("its status is missing"))?;
        serde_json::from_slice(&stored).map_err(|source| self.damaged(source))
    }
}
