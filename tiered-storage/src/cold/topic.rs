//! The cold table of one life of a topic: its state in memory, and the one way to change it.
//!
//! Every commit is a compare-and-swap on the version whose coverage it was planned on, made with no retries: whoever loses loads the
//! table and plans again. After *any* failure the table is loaded and its progress compared with what was wanted, since a failed
//! answer may hide a success. A process that dies before the log entry is there has done nothing but leave files behind; one that
//! dies after it has done everything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::Fields;
use deltalake_core::kernel::transaction::CommitBuilder;
use deltalake_core::kernel::{Action, Add, MetadataExt as _, Transaction};
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::checkpoints::create_checkpoint;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use deltalake_core::{DeltaTable, DeltaTableError};
use tokio::sync::{Mutex, watch};

use super::coverage::{ColdFile, Coverage};
use super::file::NewFile;
use super::reader::Footers;
use super::schema::{self, StoredFields};
use super::snapshot::{data_fields, gaps_of, read_coverage};
use super::store::ColdStore;
use super::{FileReader, layout};
use crate::{Clock, Decoder, LogError, Offset, OffsetRange, Partition, Timestamp, Topic};

/// Data files that nothing refers to may be cleaned up at this age; a file is committed while it is at most half as old, so that a
/// writer that slept for days cannot commit what is gone.
const ORPHAN_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Log entries between two checkpoints: opening a table reads the last checkpoint and fewer entries than this.
const CHECKPOINT_EVERY: u64 = 100;

/// The cold table of one topic.
pub struct ColdTopic {
    topic: Topic,
    store: ColdStore,
    clock: Arc<dyn Clock>,
    /// Held by whoever loads or commits; readers only look at `coverage`.
    table: Mutex<DeltaTable>,
    coverage: watch::Sender<Arc<Coverage>>,
    footers: Footers,
}

/// One mirror round, ready to be committed.
pub(crate) struct Commit {
    /// The version of the table that it was planned on.
    pub(crate) planned_on: Option<u64>,
    /// When the first of its files was written.
    pub(crate) begun: Timestamp,
    /// The data files, already stored.
    pub(crate) files: Vec<Add>,
    /// The fields that `data` has with these files.
    pub(crate) data: Fields,
    /// Ranges that are lost, with which the files would not join on to what is there.
    pub(crate) gaps: BTreeMap<Partition, OffsetRange>,
    /// The next offset to mirror afterwards, of each partition that the round moves.
    pub(crate) progress: BTreeMap<Partition, Offset>,
}

/// What came of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommitOutcome {
    /// The table has the round.
    Committed,
    /// Another writer was there first, nothing of the round is in the table: plan again.
    Lost,
}

impl ColdTopic {
    pub(super) async fn open(topic: &Topic, store: ColdStore, clock: Arc<dyn Clock>) -> Result<Self, LogError> {
        let cold = ColdTopic {
            topic: topic.clone(),
            table: Mutex::new(store.table()?),
            store,
            clock,
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

    /// Which of the decoder's columns a file written now holds.
    pub(crate) async fn stored_fields(&self, decoder: &Decoder) -> Result<StoredFields, LogError> {
        let table = self.table.lock().await;
        let held = match table.snapshot() {
            Ok(state) => data_fields(state)?,
            Err(_) => Fields::empty(),
        };
        Ok(StoredFields::choose(decoder.fields(), &held))
    }

    /// Stores a data file. Nothing refers to it before [`ColdTopic::commit`].
    pub(crate) async fn store_file(&self, file: NewFile) -> Result<Add, LogError> {
        let add = file.add(self.clock.now());
        self.store.put_new(&add.path, file.bytes).await?;
        Ok(add)
    }

    /// Removes stored files of a round that was not committed.
    pub(crate) async fn discard(&self, files: &[Add]) {
        for file in files {
            self.store.discard(&file.path).await;
        }
    }

    /// Makes the round part of the table, or finds that another writer was first.
    pub(crate) async fn commit(&self, commit: &Commit) -> Result<CommitOutcome, LogError> {
        let mut table = self.table.lock().await;
        let planned_on = match commit.planned_on {
            Some(version) => version,
            None => self.create(&mut table, &commit.data).await?,
        };
        if table.version() != Some(planned_on) {
            return Ok(CommitOutcome::Lost);
        }
        if self.clock.now().since(commit.begun) > ORPHAN_AGE / 2 {
            return Ok(CommitOutcome::Lost);
        }
        let written = self.write_entry(&table, commit).await;
        self.load(&mut table).await?;
        let outcome = match written {
            Ok(()) => CommitOutcome::Committed,
            Err(_) if self.has_progress(&table, commit).await? => CommitOutcome::Committed,
            Err(e) if is_lost_race(&e) => CommitOutcome::Lost,
            Err(e) => return Err(self.failed("committing to", e)),
        };
        self.checkpoint_if_due(&table).await;
        Ok(outcome)
    }

    /// Makes the table, if nobody has, and says which version of it is empty.
    async fn create(&self, table: &mut DeltaTable, data: &Fields) -> Result<u64, LogError> {
        let columns = schema::table_schema(data)?;
        let properties = [
            (layout::FORMAT_PROPERTY, layout::FORMAT.to_string()),
            // Bounds of every typed column of every file would cost more memory than they save reads.
            ("delta.dataSkippingStatsColumns", format!("{},{}", schema::OFFSET, schema::TIMESTAMP)),
        ];
        let created = CreateBuilder::new()
            .with_log_store(table.log_store())
            .with_table_name(self.topic.name.as_str())
            .with_columns(columns.fields().cloned())
            .with_partition_columns([schema::PARTITION])
            .with_configuration(properties.map(|(key, value)| (key, Some(value))))
            .with_raise_if_key_not_exists(false)
            .with_save_mode(SaveMode::Ignore)
            .await;
        self.load(table).await?;
        match (table.version(), created) {
            (None, Err(e)) => Err(self.failed("making", e)),
            // Whoever made it, it was made empty.
            _ => Ok(0),
        }
    }

    /// Writes one entry of the Delta log: everything that the round changes.
    async fn write_entry(&self, table: &DeltaTable, commit: &Commit) -> Result<(), DeltaTableError> {
        let state = table.snapshot()?;
        let mut actions: Vec<Action> = self.metadata_change(state, commit)?.into_iter().collect();
        actions.extend(commit.files.iter().cloned().map(Action::Add));
        actions.extend(commit.progress.iter().map(|(partition, next)| {
            let id = layout::progress_id(self.topic.incarnation, *partition);
            Action::Txn(Transaction::new_with_last_update(id, next.as_i64(), Some(self.clock.now().as_micros() / 1000)))
        }));
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(vec![schema::PARTITION.into()]),
            predicate: None,
        };
        let prepared = CommitBuilder::default()
            .with_actions(actions)
            .with_max_retries(0)
            .build(Some(state), table.log_store(), operation)
            .into_prepared_commit_future()
            .await?;
        // Not awaited further: the post-commit hook would only load the table, and clean up old log entries on its own.
        let version = prepared.await?.version;
        let entry = format!("_delta_log/{version:020}.json");
        self.store.sync(&entry).await.map_err(|e| DeltaTableError::generic(e.to_string()))
    }

    /// The table's metadata with new gaps and new fields, if the round brings any.
    fn metadata_change(&self, state: &DeltaTableState, commit: &Commit) -> Result<Option<Action>, DeltaTableError> {
        let mut metadata = state.metadata().clone();
        let generic = |e: LogError| DeltaTableError::generic(e.to_string());
        if !commit.gaps.is_empty() {
            let mut gaps = gaps_of(state, &self.store).map_err(generic)?;
            commit.gaps.iter().for_each(|(partition, gap)| gaps.entry(*partition).or_default().push(*gap));
            metadata = metadata.add_config_key(layout::GAPS_PROPERTY.into(), layout::format_gaps(&gaps))?;
        }
        if commit.data != data_fields(state).map_err(generic)? {
            metadata = metadata.with_schema(&schema::table_schema(&commit.data).map_err(generic)?)?;
        }
        Ok((&metadata != state.metadata()).then_some(Action::Metadata(metadata)))
    }

    /// True when the table's progress is at least what the round wanted, in each of its partitions.
    async fn has_progress(&self, table: &DeltaTable, commit: &Commit) -> Result<bool, LogError> {
        let Ok(state) = table.snapshot() else { return Ok(false) };
        let log = table.log_store();
        for (partition, wanted) in &commit.progress {
            let id = layout::progress_id(self.topic.incarnation, *partition);
            let next = state.transaction_version(log.as_ref(), id).await.map_err(|e| self.failed("reading", e))?;
            if next != Some(wanted.as_i64()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Loads the newest version and publishes its coverage. A table that is not there yet is an empty coverage.
    async fn load(&self, table: &mut DeltaTable) -> Result<(), LogError> {
        if table.version().is_none()
            && !table.verify_deltatable_existence().await.map_err(|e| self.failed("finding", e))?
        {
            return Ok(());
        }
        table.update_state().await.map_err(|e| self.failed("loading", e))?;
        let state = table.snapshot().map_err(|e| self.failed("loading", e))?;
        if self.coverage.borrow().version != Some(state.version()) {
            self.coverage.send_replace(Arc::new(read_coverage(state, &self.store)?));
        }
        Ok(())
    }

    /// Writes a checkpoint now and then, so that opening the table stays quick. A failure is no harm: the next one covers it.
    async fn checkpoint_if_due(&self, table: &DeltaTable) {
        if table.version().is_some_and(|version| version % CHECKPOINT_EVERY == 0)
            && let Err(error) = create_checkpoint(table, None).await
        {
            tracing::warn!(table = %self.store.url(), %error, "no checkpoint was written; opening the table takes longer");
        }
    }

    fn failed(&self, doing: &str, e: DeltaTableError) -> LogError {
        LogError::store(format!("{doing} the cold table {}", self.store.url()), e)
    }
}

fn is_lost_race(e: &DeltaTableError) -> bool {
    use deltalake_core::kernel::transaction::TransactionError::{MaxCommitAttempts, VersionAlreadyExists};
    matches!(
        e,
        DeltaTableError::VersionAlreadyExists(_)
            | DeltaTableError::Transaction { source: MaxCommitAttempts(_) | VersionAlreadyExists(_) }
    )
}
