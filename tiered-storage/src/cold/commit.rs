//! The one way to change a cold table: a compare-and-swap on the version whose coverage the change was planned on.
//!
//! Commits are made with no retries of the library's: whoever loses loads the table and plans again. A commit of another writer that left alone
//! what the round was planned on (the progress of its partitions and the table's fields: a compaction, as a rule) does not change the plan, so
//! the same files are committed on top of it. After *any* failure the table is loaded and its
//! progress compared with what was wanted, since a failed answer may hide a success. A process that dies before the log entry is there
//! has done nothing but leave files behind; one that dies after it has done everything.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow::datatypes::Fields;
use deltalake_core::kernel::transaction::{CommitBuilder, TransactionError};
use deltalake_core::kernel::{Action, Add, MetadataExt as _, Transaction};
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use deltalake_core::{DeltaTable, DeltaTableError};
use futures::future::join_all;

use super::clean::ORPHAN_AGE;
use super::file::NewFile;
use super::snapshot::{data_fields, gaps_of};
use super::{ColdTopic, layout, schema};
use crate::{LogError, Offset, OffsetRange, Partition, Timestamp, steps};

/// How often a round is committed on a newer version of the table, where that left its plan alone. More in a row than these are no
/// chance, and the round is planned again.
const COMMIT_ATTEMPTS: u32 = 20;

/// How long files that were stored in vain are tried to be removed.
const DISCARD_FOR: Duration = Duration::from_secs(5);

/// One mirror round, ready to be committed.
pub(crate) struct Commit {
    /// What the plan stands on.
    pub(crate) planned_on: PlannedOn,
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

/// What a round's plan stands on: it holds for every version of the table that says the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedOn {
    /// The table was there.
    pub(crate) exists: bool,
    /// The next offset to mirror, of each partition that the round moves.
    pub(crate) mirrored_to: BTreeMap<Partition, Option<Offset>>,
    /// The fields that `data` had.
    pub(crate) data: Fields,
}

/// What came of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommitOutcome {
    /// The table has it.
    Committed,
    /// Another writer has committed the same: nothing of this one is in the table, and nothing is missing.
    Doubled,
    /// Another writer was there first, nothing of this one is in the table: plan again.
    Lost,
}

impl ColdTopic {
    /// Stores data files, all or none. Nothing refers to them before [`ColdTopic::commit`].
    pub(crate) async fn store_files(&self, files: Vec<NewFile>) -> Result<Vec<Add>, LogError> {
        let now = self.clock.now();
        let adds: Vec<Add> = files.iter().map(|file| file.add(now)).collect();
        let bytes = files.into_iter().map(|file| file.bytes);
        let stored = self.store.put_new(adds.iter().map(|add| add.path.clone()).zip(bytes).collect()).await;
        if stored.is_err() {
            let discards = join_all(adds.iter().map(|add| self.store.discard(&add.path)));
            // A store that does not answer is not waited for: clean-up finds them too.
            _ = tokio::time::timeout(DISCARD_FOR, discards).await;
        }
        stored.map(|()| adds)
    }

    /// Stores one.
    pub(crate) async fn store_file(&self, file: NewFile) -> Result<Add, LogError> {
        let mut adds = self.store_files(vec![file]).await?;
        Ok(adds.remove(0))
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
        if !commit.planned_on.exists {
            self.create(&mut table, &commit.data).await?;
        }
        for _ in 0..COMMIT_ATTEMPTS {
            if is_too_old(self.clock.now(), commit.begun) || !self.still_holds(&table, commit)? {
                return Ok(CommitOutcome::Lost);
            }
            steps::passed("mirror.planned", &self.topic.name);
            let written = self.write_round(&table, commit).await;
            steps::passed("mirror.written", &self.topic.name);
            self.load(&mut table).await?;
            match written {
                Ok(()) => return Ok(CommitOutcome::Committed),
                Err(_) if commit.files.iter().any(|file| self.refers_to(file)) => return Ok(CommitOutcome::Committed),
                Err(_) if self.is_at(&table, &commit.progress).await? => return Ok(CommitOutcome::Doubled),
                Err(e) if is_lost_race(&e) => {}
                Err(e) => return Err(self.failed("committing to", e)),
            }
        }
        Ok(CommitOutcome::Lost)
    }

    /// True when the table, as it is loaded, says what the round was planned on.
    fn still_holds(&self, table: &DeltaTable, commit: &Commit) -> Result<bool, LogError> {
        let state = table.snapshot().map_err(|e| self.failed("reading", e))?;
        let held = data_fields(state)?;
        let coverage = self.coverage();
        let same = |(partition, to): (&Partition, &Option<Offset>)| coverage.mirrored_to(*partition) == *to;
        let PlannedOn { exists, mirrored_to, data } = &commit.planned_on;
        // A table that was made meanwhile is as good as one's own when it has the fields.
        let same_fields = held == *data || (!exists && held == commit.data);
        Ok(same_fields && mirrored_to.iter().all(same))
    }

    /// Makes the table, if nobody has.
    async fn create(&self, table: &mut DeltaTable, data: &Fields) -> Result<(), LogError> {
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
            _ => Ok(()),
        }
    }

    /// Writes everything that the round changes.
    async fn write_round(&self, table: &DeltaTable, commit: &Commit) -> Result<(), DeltaTableError> {
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
        self.write_entry(table, actions, operation).await
    }

    /// Writes one entry of the Delta log, if the table is still at the version that is loaded.
    pub(super) async fn write_entry(
        &self,
        table: &DeltaTable,
        actions: Vec<Action>,
        operation: DeltaOperation,
    ) -> Result<(), DeltaTableError> {
        let entry = CommitBuilder::default()
            .with_actions(actions)
            .with_max_retries(0)
            .build(Some(table.snapshot()?), table.log_store(), operation)
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

    /// True when the table's progress is just this.
    async fn is_at(&self, table: &DeltaTable, progress: &BTreeMap<Partition, Offset>) -> Result<bool, LogError> {
        let (state, log) = (table.snapshot().map_err(|e| self.failed("reading", e))?, table.log_store());
        for (partition, wanted) in progress {
            let id = layout::progress_id(self.topic.incarnation, *partition);
            let next = state.transaction_version(log.as_ref(), id).await.map_err(|e| self.failed("reading", e))?;
            if next != Some(wanted.as_i64()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// True when the file is part of the table, as last seen.
    pub(super) fn refers_to(&self, file: &Add) -> bool {
        let Some((partition, range)) = layout::parse_data_file(&file.path) else { return false };
        let coverage = self.coverage();
        let held = coverage.partition(partition).and_then(|covered| covered.file_at(range.from));
        held.is_some_and(|held| held.path == file.path)
    }
}

/// True when clean-up may soon take files that were written at `begun`, for files that nothing refers to.
pub(super) fn is_too_old(now: Timestamp, begun: Timestamp) -> bool {
    now.since(begun) > ORPHAN_AGE / 2
}

pub(super) fn is_lost_race(e: &DeltaTableError) -> bool {
    use TransactionError::{MaxCommitAttempts, VersionAlreadyExists};
    matches!(
        e,
        DeltaTableError::VersionAlreadyExists(_)
            | DeltaTableError::Transaction { source: MaxCommitAttempts(_) | VersionAlreadyExists(_) }
    )
}
