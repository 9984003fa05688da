//! The cold table of one life of a topic, as it is held in memory.

use std::sync::Arc;

use arrow::datatypes::Fields;
use deltalake_core::{DeltaTable, DeltaTableError};
use tokio::sync::{Mutex, watch};

use super::clean::CHECKPOINT_EVERY;
use super::coverage::{ColdFile, Coverage};
use super::reader::Footers;
use super::snapshot::{data_fields, read_coverage};
use super::store::ColdStore;
use super::{FileReader, layout};
use crate::{Clock, LogError, Topic};

/// The cold table of one topic.
pub struct ColdTopic {
    pub(super) topic: Topic,
    pub(super) store: ColdStore,
    pub(super) clock: Arc<dyn Clock>,
    /// Held by whoever loads or commits; readers only look at `coverage`.
    pub(super) table: Mutex<DeltaTable>,
    /// The version of the last checkpoint, once that was looked up.
    pub(super) checkpointed: Mutex<Option<u64>>,
    coverage: watch::Sender<Arc<Coverage>>,
    footers: Footers,
}

impl ColdTopic {
    pub(super) async fn open(topic: &Topic, store: ColdStore, clock: Arc<dyn Clock>) -> Result<Self, LogError> {
        let cold = ColdTopic {
            topic: topic.clone(),
            table: Mutex::new(store.table()),
            store,
            clock,
            checkpointed: Mutex::default(),
            coverage: watch::Sender::new(Arc::default()),
            footers: Footers::default(),
        };
        cold.refresh().await?;
        Ok(cold)
    }

    /// What is held, as last seen. Costs nothing.
    pub fn coverage(&self) -> Arc<Coverage> {
        self.coverage.borrow().clone()
    }

    /// Looks at the table again, for what other writers have done.
    pub async fn refresh(&self) -> Result<(), LogError> {
        let mut table = self.table.lock().await;
        self.load(&mut table).await
    }

    /// A file of this table, opened for reading.
    pub(crate) async fn open_file(&self, file: Arc<ColdFile>) -> Result<FileReader, LogError> {
        FileReader::open(self.store.objects(), file, &self.footers).await
    }

    /// The fields that the table's `data` has, as last seen.
    pub(crate) async fn held_fields(&self) -> Result<Fields, LogError> {
        match self.table.lock().await.snapshot() {
            Ok(state) => data_fields(state),
            Err(_) => Ok(Fields::empty()),
        }
    }

    /// Loads the newest version and publishes its coverage. A table that is not there yet is an empty coverage. Both move together or not
    /// at all: a table that was newer than its coverage would take commits that were planned on what it held before.
    pub(super) async fn load(&self, table: &mut DeltaTable) -> Result<(), LogError> {
        if table.version().is_none()
            && !table.verify_deltatable_existence().await.map_err(|e| self.failed("finding", e))?
        {
            return Ok(());
        }
        // A copy (it shares what it holds): whoever fails, or is dropped, below leaves the table as it was.
        let mut newest = table.clone();
        newest.update_state().await.map_err(|e| self.failed("loading", e))?;
        let state = newest.snapshot().map_err(|e| self.failed("loading", e))?;
        let (seen, version) = (self.coverage.borrow().version, state.version());
        if seen == Some(version) {
            *table = newest;
            return Ok(());
        }
        let coverage = read_coverage(state, &self.store)?;
        // Retention deletes what is mirrored. So no entry counts before it is known to survive a power cut, whoever wrote it.
        let unsure = seen.map_or(version.saturating_sub(2 * CHECKPOINT_EVERY), |seen| seen + 1);
        let entries = (unsure..=version).map(layout::log_entry).collect();
        self.store.sync_all(entries).await?;
        self.coverage.send_replace(Arc::new(coverage));
        *table = newest;
        Ok(())
    }

    pub(super) fn failed(&self, doing: &str, e: DeltaTableError) -> LogError {
        LogError::store(format!("{doing} the cold table {}", self.store.url()), e)
    }
}
