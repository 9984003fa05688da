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
use futures::future::join_all;
use futures::{StreamExt as _, stream};
use tokio::join;

use super::Work;
use super::plan::Part;
use super::watched::Watched;
use crate::cold::{ColdTopic, Commit, Coverage, FileWriter, NewFile, StoredFields, off_the_runtime};
use crate::{Decoder, LogBatch, LogError, Offset, OffsetRange, Partition, Topic, WriterSchemas, steps};

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

/// Records to write, with the schemas that they were written with.
type Input = (LogBatch, WriterSchemas);

/// The files of a part, which end before `to`, and why they end there if they should not.
struct Written {
    files: Vec<Add>,
    to: Offset,
    failed: Option<LogError>,
}

impl Writing<'_> {
    /// Writes the files of the parts, as far as the round's bounds allow. Each part that comes to something is noted in the commit; the
    /// answer is why others did not, or got less far than they could. A part that fails keeps none of the others from being written.
    pub(super) async fn write_parts(&self, parts: Vec<Part>, commit: &mut Commit) -> Option<LogError> {
        let mut failed = Failed::default();
        for some in parts.chunks(TAILS_AT_ONCE) {
            if self.room.is_full() || failed.ends_the_round() {
                break;
            }
            let read = join_all(some.iter().map(|part| self.read(part.partition, part.range))).await;
            let (mut whole, mut longer) = (vec![], vec![]);
            for (part, input) in some.iter().zip(read) {
                match input {
                    Ok(Some(input)) if input.0.range.to < part.range.to => longer.push((*part, input)),
                    Ok(input) => whole.push((part, input)),
                    Err(e) => failed.note(e),
                }
            }
            self.write_whole(whole, commit, &mut failed).await;
            let longer = stream::iter(longer).map(|(part, first)| self.write_longer(part, first));
            for (part, mut written) in longer.buffer_unordered(LONGER_AT_ONCE).collect::<Vec<_>>().await {
                written.failed.take().into_iter().for_each(|e| failed.note(e));
                if !written.files.is_empty() {
                    self.note(&part, written, commit);
                }
            }
        }
        failed.0
    }

    /// The first records of a range; none where it is empty.
    async fn read(&self, partition: Partition, range: OffsetRange) -> Result<Option<Input>, LogError> {
        if range.is_empty() {
            return Ok(None);
        }
        let batch = self.work.log.read_on(self.topic, partition, range, READ_BYTES).await?;
        self.watched.lock().expect("no holder panics").entry(partition).or_default().measure(&batch);
        let writers = self.work.log.writers(&self.decoder, batch.values()).await?;
        Ok(Some((batch, writers)))
    }

    /// Writes a file for each of the parts, all at the same time.
    async fn write_whole(&self, parts: Vec<(&Part, Option<Input>)>, commit: &mut Commit, failed: &mut Failed) {
        let files = parts.into_iter().map(|(part, input)| self.whole_file(part, input));
        let (mut done, mut new) = (vec![], vec![]);
        for (part, file) in join_all(files).await {
            match file {
                Ok(file) => {
                    done.push(part);
                    new.extend(file);
                }
                Err(e) => failed.note(e),
            }
        }
        match self.store(new).await {
            Ok(stored) => {
                for part in done {
                    self.note(part, Written { files: vec![], to: part.range.to, failed: None }, commit);
                }
                commit.files.extend(stored);
            }
            Err(e) => failed.note(e),
        }
    }

    async fn whole_file<'p>(
        &self,
        part: &'p Part,
        input: Option<Input>,
    ) -> (&'p Part, Result<Option<NewFile>, LogError>) {
        let Some(input) = input else { return (part, Ok(None)) };
        let write = async {
            let writer = self.add(self.writer(&input.0)?, input).await?;
            off_the_runtime(move || writer.finish()).await
        };
        (part, write.await.map(Some))
    }

    /// Writes the files of a part that begins with these records; none where the round is full before.
    async fn write_longer(&self, part: Part, first: Input) -> (Part, Written) {
        let mut written = Written { files: vec![], to: part.range.from, failed: None };
        let mut next = Some(first);
        while let Some(first) = next.take().filter(|_| !self.room.is_full()) {
            match self.write_next(&part, first, &mut written).await {
                Ok(ahead) => next = ahead,
                Err(e) => written.failed = Some(e),
            }
        }
        (part, written)
    }

    /// Writes and stores one file, and gives the records that follow it.
    async fn write_next(&self, part: &Part, first: Input, written: &mut Written) -> Result<Option<Input>, LogError> {
        let (file, ahead) = self.write_file(part, first).await?;
        let to = file.file.range.to;
        written.files.extend(self.store(vec![file]).await?);
        written.to = to;
        ahead
    }

    /// Writes one file that begins with these records, and gives what follows it. Where that cannot be read the file ends early: what
    /// was read until then is not read again.
    async fn write_file(
        &self,
        part: &Part,
        mut next: Input,
    ) -> Result<(NewFile, Result<Option<Input>, LogError>), LogError> {
        let mut writer = self.writer(&next.0)?;
        loop {
            let rest = OffsetRange { from: next.0.range.to, to: part.range.to };
            let (added, ahead) = join!(self.add(writer, next), self.read(part.partition, rest));
            writer = added?;
            match ahead {
                Ok(Some(input)) if (writer.bytes() as u64) < self.work.policy.max_bytes => next = input,
                ahead => return Ok((off_the_runtime(move || writer.finish()).await?, ahead)),
            }
        }
    }

    fn writer(&self, first: &LogBatch) -> Result<FileWriter, LogError> {
        FileWriter::new(self.decoder.clone(), self.stored.clone(), first.partition, first.range.from)
    }

    async fn add(&self, mut writer: FileWriter, (batch, writers): Input) -> Result<FileWriter, LogError> {
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

/// Why parts of a round got less far than they could: of all reasons the one that says most.
#[derive(Default)]
struct Failed(Option<LogError>);

impl Failed {
    fn note(&mut self, e: LogError) {
        if self.0.as_ref().is_none_or(|before| weight(before) < weight(&e)) {
            self.0 = Some(e);
        }
    }

    /// True when the parts that were not begun would fare no better: a tier does not answer, and each of them would wait for it.
    fn ends_the_round(&self) -> bool {
        matches!(self.0, Some(LogError::Store { .. }))
    }
}

fn weight(e: &LogError) -> u8 {
    match e {
        LogError::Store { .. } => 2,
        e if is_outrun(e) => 0,
        _ => 1,
    }
}

/// True when retention was faster than the reading: what is gone is a gap of the next plan.
pub(super) fn is_outrun(e: &LogError) -> bool {
    matches!(e, LogError::OutOfRange { .. })
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
