//! Writing the data files of a round.
//!
//! Memory: a batch of [`READ_BYTES`] of each of [`TAILS_AT_ONCE`] partitions, and one data file (the policy's `max_bytes`, one row group
//! more at most) or a small one of each. A round ends early at [`ROUND_FILES`] or [`ROUND_BYTES`], so that
//! progress is committed often even while a large backlog is worked off. What was stored when the process dies is left to clean-up.

use std::sync::Arc;

use deltalake_core::kernel::Add;
use futures::future::try_join_all;

use super::Work;
use super::plan::Part;
use super::watched::Watched;
use crate::cold::{ColdTopic, Commit, Coverage, FileWriter, NewFile, StoredFields};
use crate::{Decoder, LogBatch, LogError, Offset, OffsetRange, Partition, Topic, steps};

/// Bytes of records read from the hot tier at a time.
const READ_BYTES: usize = 8 << 20;

/// Data files in one round: the size of a log entry stays below a few MB.
const ROUND_FILES: usize = 1000;

/// Partitions whose files are written at the same time, as long as one batch is all that waits of each: the time of a small file is
/// that of its syncs, or of a request to a bucket.
const TAILS_AT_ONCE: usize = 8;

/// Bytes of data files in one round: a few seconds of work are at stake in a crash.
const ROUND_BYTES: u64 = 1 << 30;

/// What writing the files of a round needs.
pub(super) struct Writing<'a> {
    pub(super) work: &'a Work,
    pub(super) topic: &'a Topic,
    pub(super) cold: &'a ColdTopic,
    pub(super) decoder: Decoder,
    pub(super) stored: StoredFields,
    /// What the round was planned on.
    pub(super) coverage: Arc<Coverage>,
    pub(super) watched: &'a mut Watched,
}

impl Writing<'_> {
    /// Writes the files of the parts, as far as the round's bounds allow.
    pub(super) async fn write_parts(&mut self, parts: Vec<Part>, commit: &mut Commit) -> Result<(), LogError> {
        for some in parts.chunks(TAILS_AT_ONCE) {
            if is_full(commit) {
                break;
            }
            let batches = try_join_all(some.iter().map(|part| self.first_batch(part))).await?;
            for (part, batch) in some.iter().zip(&batches) {
                batch.iter().for_each(|batch| self.watched.entry(part.partition).or_default().measure(batch));
            }
            let (mut whole, mut longer) = (vec![], vec![]);
            for (part, batch) in some.iter().zip(batches) {
                let is_all = batch.as_ref().is_none_or(|batch| batch.range.to >= part.range.to);
                if is_all { whole.push((part, batch)) } else { longer.push((part, batch)) }
            }
            self.write_whole(whole, commit).await?;
            for (part, batch) in longer {
                if is_full(commit) {
                    break;
                }
                self.write_longer(part, batch, commit).await?;
            }
        }
        Ok(())
    }

    /// The first records of a part; none where all of them are lost.
    async fn first_batch(&self, part: &Part) -> Result<Option<LogBatch>, LogError> {
        if part.range.is_empty() {
            return Ok(None);
        }
        self.work.log.hot.read(self.topic, part.partition, part.range, READ_BYTES).await.map(Some)
    }

    /// Writes a file for each of the parts, all at the same time.
    async fn write_whole(&self, parts: Vec<(&Part, Option<LogBatch>)>, commit: &mut Commit) -> Result<(), LogError> {
        let files = try_join_all(parts.iter().map(|(part, batch)| self.whole_file(part, batch.clone()))).await?;
        let stored = self.cold.store_files(files.into_iter().flatten().collect()).await?;
        for (part, _) in parts {
            self.begin(part, commit);
            commit.progress.insert(part.partition, part.range.to);
        }
        if !stored.is_empty() {
            steps::passed("mirror.stored", &self.topic.name);
        }
        commit.files.extend(stored);
        Ok(())
    }

    async fn whole_file(&self, part: &Part, batch: Option<LogBatch>) -> Result<Option<NewFile>, LogError> {
        let Some(batch) = batch else { return Ok(None) };
        let writer = self.add(self.writer(part.partition, part.range.from)?, batch).await?;
        off_the_runtime(move || writer.finish()).await.map(Some)
    }

    /// Writes the files of a part that begins with this batch.
    async fn write_longer(
        &mut self,
        part: &Part,
        mut batch: Option<LogBatch>,
        commit: &mut Commit,
    ) -> Result<(), LogError> {
        self.begin(part, commit);
        let mut at = part.range.from;
        while at < part.range.to && !is_full(commit) {
            let rest = OffsetRange { from: at, to: part.range.to };
            let (file, to) = self.write_file(part.partition, rest, batch.take()).await?;
            at = to;
            commit.files.push(file);
            commit.progress.insert(part.partition, at);
        }
        Ok(())
    }

    /// Notes what a part stands on, and that nothing of it is written yet.
    fn begin(&self, part: &Part, commit: &mut Commit) {
        let mirrored_to = self.coverage.mirrored_to(part.partition);
        commit.planned_on.mirrored_to.insert(part.partition, mirrored_to);
        commit.gaps.extend(part.gap.map(|gap| (part.partition, gap)));
        commit.progress.insert(part.partition, part.range.from);
    }

    /// Writes one file of the first records in `range`, and says where the next one begins.
    async fn write_file(
        &mut self,
        partition: Partition,
        range: OffsetRange,
        mut first: Option<LogBatch>,
    ) -> Result<(Add, Offset), LogError> {
        let mut writer = self.writer(partition, range.from)?;
        while writer.to() < range.to && (writer.bytes() as u64) < self.work.policy.max_bytes {
            let left = OffsetRange { from: writer.to(), to: range.to };
            let batch = match first.take() {
                Some(batch) => batch,
                None => {
                    let batch = self.work.log.hot.read(self.topic, partition, left, READ_BYTES).await?;
                    self.watched.entry(partition).or_default().measure(&batch);
                    batch
                }
            };
            writer = self.add(writer, batch).await?;
        }
        let to = writer.to();
        Ok((self.store(writer).await?, to))
    }

    fn writer(&self, partition: Partition, from: Offset) -> Result<FileWriter, LogError> {
        FileWriter::new(self.decoder.clone(), self.stored.clone(), partition, from)
    }

    async fn add(&self, mut writer: FileWriter, batch: LogBatch) -> Result<FileWriter, LogError> {
        let writers = self.work.log.writers(&self.decoder, batch.values()).await?;
        off_the_runtime(move || writer.write(&batch, &writers).map(|()| writer)).await
    }

    async fn store(&self, writer: FileWriter) -> Result<Add, LogError> {
        let file = off_the_runtime(move || writer.finish()).await?;
        let stored = self.cold.store_file(file).await?;
        steps::passed("mirror.stored", &self.topic.name);
        Ok(stored)
    }
}

fn is_full(commit: &Commit) -> bool {
    let bytes: i64 = commit.files.iter().map(|file| file.size).sum();
    commit.files.len() >= ROUND_FILES || bytes as u64 >= ROUND_BYTES
}

/// Runs work that keeps a processor busy beside the tasks that wait.
async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| LogError::store("writing a data file of the cold tier", e))?
}
