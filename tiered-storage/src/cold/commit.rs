//! The one way to change a cold table: a compare-and-swap on the version whose coverage the change was planned on.
//!
//! Commits are made with no retries: whoever loses loads the table and plans again. After *any* failure the table is loaded and its
//! progress compared with what was wanted, since a failed answer may hide a success. A process that dies before the log entry is there
//! has done nothing but leave files behind; one that dies after it has done everything.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow::datatypes::Fields;
use deltalake_core::kernel::transaction::{CommitBuilder, TransactionError};
use deltalake_core::kernel::{Action, Add, MetadataExt as _, Transaction};
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::checkpoints::create_checkpoint;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use deltalake_core::{DeltaTable, DeltaTableError};

use super::file::NewFile;
use super::snapshot::{data_fields, gaps_of};
use super::{ColdTopic, layout, schema};
use crate::{LogError, Offset, OffsetRange, Partition, Timestamp, steps};

/// Data files that nothing refers to may be cleaned up at this age; a file is committed while it is at most half as old, so that a
/// writer that slept for days cannot commit what is gone.
const ORPHAN_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Log entries between two checkpoints: opening a table reads the last checkpoint and fewer entries than this.
pub(super) const CHECKPOINT_EVERY: u64 = 100;

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
    /// Ranges that are lost, with which the files join on to what is there.
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
    /// Stores a data file. Nothing refers to it before [`ColdTopic::commit`].
    pub(crate) async fn store_file(&self, file: NewFile) -> Result<Add, LogError> {
        let add = file.add(self.clock.now());
        self.store.put_new(&add.path, file.bytes).await?;
        Ok(add)
    }

    /// Removes those of a round's stored files that the table does not refer to.
    pub(crate) async fn discard(&self, files: &[Add]) {
        for file in files.iter().filter(|file| !self.refers_to(file)) {
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
        let is_old = self.clock.now().since(commit.begun) > ORPHAN_AGE / 2;
        if is_old || table.version() != Some(planned_on) {
            return Ok(CommitOutcome::Lost);
        }
        steps::passed("mirror.planned", &self.topic.name);
        let written = self.write_entry(&table, commit).await;
        steps::passed("mirror.written", &self.topic.name);
        self.load(&mut table).await?;
        let outcome = match written {
            Ok(()) => CommitOutcome::Committed,
            Err(_) if self.has_taken(&table, commit).await? => CommitOutcome::Committed,
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
        let now_ms = self.clock.now().as_micros() / 1000;
        let mut actions: Vec<Action> = self.metadata_change(state, commit)?.into_iter().collect();
        actions.extend(commit.files.iter().cloned().map(Action::Add));
        actions.extend(commit.progress.iter().map(|(partition, next)| {
            let id = layout::progress_id(self.topic.incarnation, *partition);
            Action::Txn(Transaction::new_with_last_update(id, next.as_i64(), Some(now_ms)))
        }));
        let partition_by = Some(vec![schema::PARTITION.into()]);
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by, predicate: None };
        let entry = CommitBuilder::default()
            .with_actions(actions)
            .with_max_retries(0)
            .build(Some(state), table.log_store(), operation)
            .into_prepared_commit_future()
            .await?;
        // Not awaited further: the post-commit hook would only load the table, and clean up old log entries on its own.
        entry.await.map(drop)
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

    /// True when the round is in the table: it refers to its files, or its progress is what the round wanted.
    async fn has_taken(&self, table: &DeltaTable, commit: &Commit) -> Result<bool, LogError> {
        if commit.files.iter().any(|file| self.refers_to(file)) {
            return Ok(true);
        }
        let (state, log) = (table.snapshot().map_err(|e| self.failed("reading", e))?, table.log_store());
        for (partition, wanted) in &commit.progress {
            let id = layout::progress_id(self.topic.incarnation, *partition);
            let next = state.transaction_version(log.as_ref(), id).await.map_err(|e| self.failed("reading", e))?;
            if next != Some(wanted.as_i64()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn refers_to(&self, file: &Add) -> bool {
        let Some((partition, range)) = layout::parse_data_file(&file.path) else { return false };
        let coverage = self.coverage();
        let held = coverage.partition(partition).and_then(|covered| covered.file_at(range.from));
        held.is_some_and(|held| held.path == file.path)
    }

    /// Writes a checkpoint now and then, so that opening the table stays quick. A failure is no harm: the next one covers it.
    async fn checkpoint_if_due(&self, table: &DeltaTable) {
        let Some(version) = table.version().filter(|version| version.is_multiple_of(CHECKPOINT_EVERY)) else { return };
        let written = match create_checkpoint(table, None).await {
            Ok(()) => self.store.sync_all(layout::checkpoint(version)).await,
            Err(e) => Err(self.failed("writing a checkpoint of", e)),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "without a checkpoint it takes longer to open the table");
        }
    }
}

fn is_lost_race(e: &DeltaTableError) -> bool {
    use TransactionError::{MaxCommitAttempts, VersionAlreadyExists};
    matches!(
        e,
        DeltaTableError::VersionAlreadyExists(_)
            | DeltaTableError::Transaction { source: MaxCommitAttempts(_) | VersionAlreadyExists(_) }
    )
}
