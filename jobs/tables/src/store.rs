//! All tables of a server: one fjall database of their own, one keyspace each.
//!
//! fjall syncs nothing by itself. Its buffers survive the process, and [`Tables::persist`] makes all commits so far survive a power
//! cut; whoever opened the tables calls it at least every second. What a power cut takes is read again from the log.

use std::collections::HashMap;
use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use rekap_tiered_storage::{Positions, steps};

use crate::codec::Codec;
use crate::layout::{FORMAT_VERSION, SCHEMA, STATUS};
use crate::write::BULK_PLACES;
use crate::{Table, TableError, TableId, TableSchema, TableStatus};

/// Blocks read from disk that are kept in memory, for all tables together.
const CACHE_BYTES: u64 = 64 << 20;

/// The threads that flush and compact. With more than one, fjall's first hands compactions on to the others, and while these are busy
/// it does so in a loop that takes a whole core.
const WORKERS: usize = 1;

/// The unwritten commits that one table keeps in memory before they become a file. fjall has no bound over all tables; a handful of
/// versions write at a time, and fjall keeps at most four such buffers of a table.
const MEMTABLE_BYTES: u64 = 16 << 20;

/// The keyspace that holds the format version. No table's name starts like this.
const FORMAT: &str = "_format";
const FORMAT_KEY: &[u8] = b"version";

/// All tables of a server. Clones are handles of the same.
#[derive(Clone)]
pub struct Tables {
    db: Database,
    path: Arc<Path>,
    bulk_places: usize,
    open: Arc<Mutex<HashMap<TableId, Table>>>,
}

impl Tables {
    /// Opens the tables in the folder `path`, or makes it. A folder that another process has open is refused.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        Self::open_with(path, BULK_PLACES)
    }

    /// [`Self::open`], with the number of changed places from which on a commit is ingested in bulk.
    pub(crate) fn open_with(path: &Path, bulk_places: usize) -> Result<Self, TableError> {
        let opening = || format!("opening the tables in `{}`", path.display());
        let open = || Database::builder(path).cache_size(CACHE_BYTES).worker_threads(WORKERS).open();
        // The database panics at some kinds of damage.
        let opened = std::panic::catch_unwind(AssertUnwindSafe(open));
        let opened = opened.map_err(|_| TableError::store(opening(), "its files are damaged (it panicked)"))?;
        let db = opened.map_err(|source| TableError::store(opening(), source))?;
        stamp(&db)?;
        let tables = Tables { db, path: path.into(), bulk_places, open: Arc::default() };
        tables.sweep_half_made()?;
        tables.sync_names()?;
        Ok(tables)
    }

    /// Makes a table that stands at `start`. Doing it again answers the table as it is.
    pub fn create(&self, id: &TableId, schema: &TableSchema, start: &Positions) -> Result<Table, TableError> {
        let mut open = self.opened();
        if let Some(table) = self.load(&mut open, id)? {
            return if table.schema() == schema { Ok(table) } else { Err(TableError::SchemaDiffers(id.clone())) };
        }
        let failed = |source: fjall::Error| TableError::store(format!("making table `{id}`"), source);
        let keyspace = self.db.keyspace(&id.to_string(), options).map_err(failed)?;
        self.sync_names()?;
        steps::passed("table.half_made", id);
        let status = TableStatus { positions: start.clone(), ..TableStatus::default() };
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(&keyspace, SCHEMA, json(schema));
        batch.insert(&keyspace, STATUS, json(&status));
        batch.commit().map_err(failed)?;
        steps::passed("table.made", id);
        let loaded = self.load(&mut open, id)?;
        Ok(loaded.expect("the table was made above, under the same lock"))
    }

    /// The table, if there is one.
    pub fn open_table(&self, id: &TableId) -> Result<Option<Table>, TableError> {
        self.load(&mut self.opened(), id)
    }

    /// Deletes a table. Snapshots of it stay readable, its space is freed once they are gone. Its writer has to have stopped.
    pub fn drop_table(&self, id: &TableId) -> Result<(), TableError> {
        let mut open = self.opened();
        open.remove(id);
        let name = id.to_string();
        if !self.db.keyspace_exists(&name) {
            return Ok(());
        }
        steps::passed("table.dropping", id);
        let dropped = self.db.keyspace(&name, options).and_then(|keyspace| self.db.delete_keyspace(keyspace));
        dropped.map_err(|source| TableError::store(format!("deleting table `{id}`"), source))?;
        steps::passed("table.dropped", id);
        Ok(())
    }

    /// All tables, in order. One that a crash left half made is none: making it again completes it.
    pub fn list(&self) -> Vec<TableId> {
        let mut ids: Vec<TableId> = self.named().into_iter().filter(|id| self.is_whole(id)).collect();
        ids.sort();
        ids
    }

    fn named(&self) -> Vec<TableId> {
        self.db.list_keyspace_names().iter().filter_map(|name| name.parse().ok()).collect()
    }

    /// True when the table has its status, which is written last. One that cannot be read counts as whole: opening it says why.
    fn is_whole(&self, id: &TableId) -> bool {
        let status = self.db.keyspace(&id.to_string(), options).and_then(|keyspace| keyspace.get(STATUS));
        !matches!(status, Ok(None))
    }

    /// Removes what a crash left half made; nobody makes tables yet.
    fn sweep_half_made(&self) -> Result<(), TableError> {
        self.named().iter().filter(|id| !self.is_whole(id)).try_for_each(|id| self.drop_table(id))
    }

    /// Makes the names of the tables' folders survive a power cut, which the database leaves to the file system.
    fn sync_names(&self) -> Result<(), TableError> {
        let synced = File::open(self.path.join("keyspaces")).and_then(|folder| folder.sync_all());
        synced.map_err(|source| TableError::store("syncing the names of the tables", source))
    }

    /// Makes all commits so far survive a power cut.
    pub fn persist(&self) -> Result<(), TableError> {
        steps::passed("tables.persisting", &self.path.display());
        self.db.persist(PersistMode::SyncAll).map_err(|source| TableError::store("syncing the tables", source))
    }

    /// Why no table can be written any more, until the tables are opened again: the database stops at the first write that the disk
    /// refuses. `None` while all is well.
    pub fn failure(&self) -> Option<String> {
        match self.db.persist(PersistMode::Buffer) {
            Ok(()) => None,
            Err(_) => Some(format!("the disk refused a write to the tables in `{}`", self.path.display())),
        }
    }

    fn opened(&self) -> MutexGuard<'_, HashMap<TableId, Table>> {
        self.open.lock().expect("no thread panics while it holds this lock")
    }

    fn load(&self, open: &mut HashMap<TableId, Table>, id: &TableId) -> Result<Option<Table>, TableError> {
        let name = id.to_string();
        if open.contains_key(id) || !self.db.keyspace_exists(&name) {
            return Ok(open.get(id).cloned());
        }
        let failed = |source: fjall::Error| TableError::store(format!("opening table `{id}`"), source);
        let keyspace = self.db.keyspace(&name, options).map_err(failed)?;
        let stored = (keyspace.get(SCHEMA).map_err(failed)?, keyspace.get(STATUS).map_err(failed)?);
        let (Some(schema), Some(status)) = stored else { return Ok(None) };
        let damaged = |detail: String| TableError::Damaged { table: id.clone(), detail };
        let schema = serde_json::from_slice(&schema).map_err(|source| damaged(source.to_string()))?;
        let status = serde_json::from_slice(&status).map_err(|source| damaged(source.to_string()))?;
        let codec = Codec::new(schema).map_err(|source| damaged(source.to_string()))?;
        let table = Table::new(id.clone(), codec, keyspace, self.db.clone(), self.bulk_places, status);
        table.inner().set_outbox_sizes(table.inner().count_outbox()?);
        open.insert(id.clone(), table.clone());
        Ok(Some(table))
    }
}

fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES)
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("schemas and statuses are plain data")
}

/// Checks the format of the tables, and writes it where there is none yet.
fn stamp(db: &Database) -> Result<(), TableError> {
    let failed = |source: fjall::Error| TableError::store("reading the format of the tables", source);
    let keyspace = db.keyspace(FORMAT, options).map_err(failed)?;
    let found = keyspace.get(FORMAT_KEY).map_err(failed)?.map(|bytes| <[u8; 4]>::try_from(&bytes[..]));
    match found {
        None => {
            let mut batch = db.batch().durability(Some(PersistMode::SyncAll));
            batch.insert(&keyspace, FORMAT_KEY, FORMAT_VERSION.to_be_bytes());
            batch.commit().map_err(failed)
        }
        Some(Ok(bytes)) if u32::from_be_bytes(bytes) <= FORMAT_VERSION => Ok(()),
        Some(found) => {
            let found = found.map_or(u32::MAX, u32::from_be_bytes);
            Err(TableError::NewerFormat { found, supported: FORMAT_VERSION })
        }
    }
}
