//! Writing the data files of a round: several partitions side by side, and of each the next records are read while those before them
//! are written.
//!
//! Memory: of [`TAILS_AT_ONCE`] partitions a batch of [`READ_BYTES`] and, where that is all that waits, a small data file each; of
//! [`LONGER_AT_ONCE`] of them another batch and one data file (the policy's `max_bytes`, one row group more at most). A round ends early
//! at [`ROUND_FILES`] or [`ROUND_BYTES`], so that progress is committed often even while a large backlog is worked off. What was stored
//! when the process dies is left to clean-up.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use deltalake_core::kernel::Add;
use futures::future::try_join_all;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::try_join;

use super::Work;
use super::plan::Part;
use super::watched::Watched;
use crate::cold::{ColdTopic, Commit, Coverage, FileWriter, NewFile, StoredFields, off_the_runtime};
use crate::{Decoder, LogBatch, LogError, Offset, OffsetRange, Partition, Topic, steps};

/// Bytes of records read from the hot tier at a time.
const READ_BYTES: usize = 8 << 20;

/// Data files in one round: the size of a log entry stays below a few MB.
const ROUND_FILES: usize = 1000;

/// Partitions whose files are written at the same time, as long as one batch is all that waits of each: the time of a small file is
/// that of its syncs, or of a request to a bucket.
const TAILS_AT_ONCE: usize = 8;

/// Partitions whose files are written at the same time where more than a batch waits of each. Each keeps a processor busy and part of
/// another one that reads ahead; one more may wait for the store.
const LONGER_AT_ONCE: usize = 4;

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
    pub(super) watched: Mutex<&'a mut Watched>,
    pub(super) room: Room,
}

/// What a round has stored so far, of what it may.
#[derive(Default)]
pub(super) struct Room {
    files: AtomicUsize,
    bytes: AtomicU64,
}

/// The files of a part, which end before `to`.
struct Written {
    files: Vec<Add>,
    to: Offset,
}

impl Writing<'_> {
    /// Writes the files of the parts, as far as the round's bounds allow.
    pub(super) async fn write_parts(&self, parts: Vec<Part>, commit: &mut Commit) -> Result<(), LogError> {
        for some in parts.chunks(TAILS_AT_ONCE) {
            if self.room.is_full() {
                break;
            }
            let batches = try_join_all(some.iter().map(|part| self.read(part.partition, part.range))).await?;
            let (mut whole, mut longer) = (vec![], vec![]);
            for (part, batch) in some.iter().zip(batches) {
                match batch {
                    Some(batch) if batch.range.to < part.range.to => longer.push((*part, batch)),
                    batch => whole.push((part, batch)),
                }
            }
            self.write_whole(whole, commit).await?;
            let longer = stream::iter(longer).map(|(part, batch)| self.write_longer(part, batch));
            let longer: Vec<_> = longer.buffer_unordered(LONGER_AT_ONCE).try_collect().await?;
            longer.into_iter().flatten().for_each(|(part, written)| self.note(&part, written, commit));
        }
        Ok(())
    }

    /// The first records of a range; none where it is empty.
    async fn read(&self, partition: Partition, range: OffsetRange) -> Result<Option<LogBatch>, LogError> {
        if range.is_empty() {
            return Ok(None);
        }
        let batch = self.work.log.hot.read(self.topic, partition, range, READ_BYTES).await?;
        self.watched.lock().expect("no holder panics").entry(partition).or_default().measure(&batch);
        Ok(Some(batch))
    }

    /// Writes a file for each of the parts, all at the same time.
    async fn write_whole(&self, parts: Vec<(&Part, Option<LogBatch>)>, commit: &mut Commit) -> Result<(), LogError> {
        let (parts, batches): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let files = batches.into_iter().flatten().map(|batch| self.whole_file(batch));
        let stored = self.store(try_join_all(files).await?).await?;
        for part in parts {
            self.note(part, Written { files: vec![], to: part.range.to }, commit);
        }
        commit.files.extend(stored);
        Ok(())
    }

    async fn whole_file(&self, batch: LogBatch) -> Result<NewFile, LogError> {
        let writer = self.add(self.writer(&batch)?, batch).await?;
        off_the_runtime(move || writer.finish()).await
    }

    /// Writes the files of a part that begins with this batch; none where the round is full before.
    async fn write_longer(&self, part: Part, first: LogBatch) -> Result<Option<(Part, Written)>, LogError> {
        let mut written = Written { files: vec![], to: part.range.from };
        let mut next = Some(first);
        while let Some(first) = next.take().filter(|_| !self.room.is_full()) {
            let (file, ahead) = self.write_file(&part, first).await?;
            written.to = file.file.range.to;
            written.files.extend(self.store(vec![file]).await?);
            next = ahead;
        }
        Ok((!written.files.is_empty()).then_some((part, written)))
    }

    /// Writes one file that begins with this batch, and gives the batch that follows it.
    async fn write_file(&self, part: &Part, mut next: LogBatch) -> Result<(NewFile, Option<LogBatch>), LogError> {
        let mut writer = self.writer(&next)?;
        loop {
            let rest = OffsetRange { from: next.range.to, to: part.range.to };
            let (added, ahead) = try_join!(self.add(writer, next), self.read(part.partition, rest))?;
            writer = added;
            match ahead {
                Some(batch) if (writer.bytes() as u64) < self.work.policy.max_bytes => next = batch,
                ahead => return Ok((off_the_runtime(move || writer.finish()).await?, ahead)),
            }
        }
    }

    fn writer(&self, first: &LogBatch) -> Result<FileWriter, LogError> {
        FileWriter::new(self.decoder.clone(), self.stored.clone(), first.partition, first.range.from)
    }

    async fn add(&self, mut writer: FileWriter, batch: LogBatch) -> Result<FileWriter, LogError> {
        let writers = self.work.log.writers(&self.decoder, batch.values()).await?;
        off_the_runtime(move || writer.write(&batch, &writers).map(|()| writer)).await
    }

    async fn store(&self, files: Vec<NewFile>) -> Result<Vec<Add>, LogError> {
        let stored = self.cold.store_files(files).await?;
        if !stored.is_empty() {
            steps::passed("mirror.stored", &self.topic.name);
        }
        self.room.take(&stored);
        Ok(stored)
    }

    /// Notes what became of a part, and what it stands on.
    fn note(&self, part: &Part, written: Written, commit: &mut Commit) {
        let mirrored_to = self.coverage.mirrored_to(part.partition);
        commit.planned_on.mirrored_to.insert(part.partition, mirrored_to);
        commit.gaps.extend(part.gap.map(|gap| (part.partition, gap)));
        commit.progress.insert(part.partition, written.to);
        commit.files.extend(written.files);
    }
}

impl Room {
    fn take(&self, files: &[Add]) {
        let bytes: i64 = files.iter().map(|file| file.size).sum();
        self.files.fetch_add(files.len(), Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn is_full(&self) -> bool {
        self.files.load(Ordering::Relaxed) >= ROUND_FILES || self.bytes.load(Ordering::Relaxed) >= ROUND_BYTES
    }
}
