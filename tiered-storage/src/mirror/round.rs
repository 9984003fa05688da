//! One round of the mirror: look, plan, write files, commit.
//!
//! Memory: one data file (the policy's `max_bytes`, one row group more at most) and one batch of [`READ_BYTES`]. A round ends early at
//! [`ROUND_FILES`] or [`ROUND_BYTES`], so that progress is committed often even while a large backlog is worked off.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deltalake_core::kernel::Add;

use super::Work;
use super::plan::{Facts, Part, Urgency, plan};
use super::watched::Watched;
use crate::cold::{ColdTopic, Commit, CommitOutcome, Coverage, FileWriter, PlannedOn, StoredFields};
use crate::{Decoder, LogBatch, LogError, Offset, OffsetRange, Partition, Topic, WriterSchemas, steps};

/// Bytes of records read from the hot tier at a time.
const READ_BYTES: usize = 8 << 20;

/// Data files in one round: the size of a log entry stays below a few MB.
const ROUND_FILES: usize = 1000;

/// Bytes of data files in one round: a few seconds of work are at stake in a crash.
const ROUND_BYTES: u64 = 1 << 30;

/// What came of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RoundOutcome {
    /// There was nothing to do.
    Idle,
    /// The cold tier reaches further than before.
    Moved,
    /// The tiers moved under the round; nothing was done, plan again.
    Lost,
}

impl Work {
    /// Mirrors the next part of what is due.
    pub(super) async fn round(
        &self,
        topic: &Topic,
        urgency: Urgency,
        watched: &mut Watched,
    ) -> Result<RoundOutcome, LogError> {
        let outcome = self.try_round(topic, urgency, watched).await;
        match &outcome {
            Ok(RoundOutcome::Moved) => self.count(&topic.name, |counts| counts.rounds += 1),
            Ok(RoundOutcome::Lost) => self.count(&topic.name, |counts| counts.lost_rounds += 1),
            Ok(RoundOutcome::Idle) | Err(_) => {}
        }
        outcome
    }

    async fn try_round(
        &self,
        topic: &Topic,
        urgency: Urgency,
        watched: &mut Watched,
    ) -> Result<RoundOutcome, LogError> {
        let cold = self.log.cold.topic(topic).await?;
        let coverage = cold.coverage();
        let parts = self.plan(topic, &coverage, urgency, watched).await?;
        // Before the store is needed: while it hangs, people want to know what waits.
        self.look_at_ages(topic, watched).await;
        if parts.is_empty() {
            return Ok(RoundOutcome::Idle);
        }
        let decoder = decoder_of(topic)?;
        let held = cold.held_fields().await?;
        let stored = StoredFields::choose(decoder.fields(), &held);
        let planned_on = PlannedOn { exists: coverage.version.is_some(), mirrored_to: BTreeMap::new(), data: held };
        let mut commit = Commit {
            planned_on,
            begun: self.clock.now(),
            files: Vec::new(),
            data: stored.data.clone(),
            gaps: BTreeMap::new(),
            progress: BTreeMap::new(),
        };
        let mut writing = Writing { work: self, topic, cold: &cold, decoder, stored, coverage, watched };
        let committed = match writing.write_parts(parts, &mut commit).await {
            Ok(()) => cold.commit(&commit).await,
            Err(e) => Err(e),
        };
        match committed {
            Ok(CommitOutcome::Committed) => {
                steps::passed("mirror.committed", &topic.name);
                self.tell(topic, &commit);
                Ok(RoundOutcome::Moved)
            }
            Ok(CommitOutcome::Doubled) => {
                cold.discard(&commit.files).await;
                Ok(RoundOutcome::Moved)
            }
            Ok(CommitOutcome::Lost) => {
                cold.discard(&commit.files).await;
                cold.refresh().await?;
                Ok(RoundOutcome::Lost)
            }
            // Retention was faster than the reading: what is gone is a gap of the next plan.
            Err(LogError::OutOfRange { .. }) => {
                cold.discard(&commit.files).await;
                Ok(RoundOutcome::Lost)
            }
            // The files stay: the failure may hide a success.
            Err(e) => Err(e),
        }
    }

    /// Counts what was written, and tells the operator of what was lost.
    fn tell(&self, topic: &Topic, commit: &Commit) {
        let bytes: i64 = commit.files.iter().map(|file| file.size).sum();
        self.count(&topic.name, |counts| {
            counts.files_written += commit.files.len() as u64;
            counts.bytes_written += bytes as u64;
        });
        for (partition, gap) in &commit.gaps {
            tracing::error!(topic = %topic.name, %partition, "offsets {gap} were deleted by retention before they were mirrored");
        }
    }

    /// Looks at what waits, and plans.
    pub(super) async fn plan(
        &self,
        topic: &Topic,
        coverage: &Coverage,
        urgency: Urgency,
        watched: &mut Watched,
    ) -> Result<Vec<Part>, LogError> {
        let now = self.clock.now();
        let mut facts = Vec::new();
        for (partition, hot) in self.log.hot.ranges(&topic.name).await? {
            let covered = coverage.partition(partition);
            let mirrored_to = coverage.mirrored_to(partition);
            let waited = watched.entry(partition).or_default().look(hot, mirrored_to, now);
            let bytes_per_record = covered.map_or(0, |covered| covered.bytes_per_record());
            facts.push(Facts {
                partition,
                hot,
                mirrored_to,
                begins: self.log.hot.first_offset(),
                waited,
                bytes_per_record,
            });
        }
        // After the ranges: they are of this topic, or of one that is found to be another.
        self.log.check_identity(topic).await?;
        let retention = topic.config.retention_ms.map(Duration::from_millis);
        plan(&facts, retention, &self.policy, urgency).map_err(|truncated| LogError::Truncated {
            topic: topic.name.clone(),
            partition: truncated.partition,
            end: truncated.end,
            reached: truncated.mirrored_to,
        })
    }
}

/// The decoder of the topic's own schema.
fn decoder_of(topic: &Topic) -> Result<Decoder, LogError> {
    topic.config.decoder().map_err(|e| LogError::Invalid(format!("the schema of topic `{}`: {e}", topic.name)))
}

/// What writing the files of a round needs.
struct Writing<'a> {
    work: &'a Work,
    topic: &'a Topic,
    cold: &'a ColdTopic,
    decoder: Decoder,
    stored: StoredFields,
    /// What the round was planned on.
    coverage: Arc<Coverage>,
    watched: &'a mut Watched,
}

impl Writing<'_> {
    /// Writes the files of the parts, as far as the round's bounds allow.
    async fn write_parts(&mut self, parts: Vec<Part>, commit: &mut Commit) -> Result<(), LogError> {
        for part in parts {
            if is_full(commit) {
                break;
            }
            let mirrored_to = self.coverage.mirrored_to(part.partition);
            commit.planned_on.mirrored_to.insert(part.partition, mirrored_to);
            commit.gaps.extend(part.gap.map(|gap| (part.partition, gap)));
            commit.progress.insert(part.partition, part.range.from);
            self.write_part(part.partition, part.range, commit).await?;
        }
        Ok(())
    }

    async fn write_part(
        &mut self,
        partition: Partition,
        range: OffsetRange,
        commit: &mut Commit,
    ) -> Result<(), LogError> {
        let mut at = range.from;
        while at < range.to && !is_full(commit) {
            let file = self.write_file(partition, OffsetRange { from: at, to: range.to }).await?;
            at = file.1;
            commit.files.push(file.0);
            commit.progress.insert(partition, at);
        }
        Ok(())
    }

    /// Writes one file of the first records in `range`, and says where the next one begins.
    async fn write_file(&mut self, partition: Partition, range: OffsetRange) -> Result<(Add, Offset), LogError> {
        let mut writer = FileWriter::new(self.decoder.clone(), self.stored.clone(), partition, range.from)?;
        while writer.to() < range.to && (writer.bytes() as u64) < self.work.policy.max_bytes {
            let left = OffsetRange { from: writer.to(), to: range.to };
            let batch = self.work.log.hot.read(self.topic, partition, left, READ_BYTES).await?;
            self.watched.entry(partition).or_default().measure(&batch);
            let writers = self.work.log.writers(&self.decoder, batch.values()).await?;
            writer = write(writer, batch, writers).await?;
        }
        let to = writer.to();
        let file = off_the_runtime(move || writer.finish()).await?;
        let stored = self.cold.store_file(file).await?;
        steps::passed("mirror.stored", &self.topic.name);
        Ok((stored, to))
    }
}

fn is_full(commit: &Commit) -> bool {
    let bytes: i64 = commit.files.iter().map(|file| file.size).sum();
    commit.files.len() >= ROUND_FILES || bytes as u64 >= ROUND_BYTES
}

async fn write(mut writer: FileWriter, batch: LogBatch, writers: WriterSchemas) -> Result<FileWriter, LogError> {
    off_the_runtime(move || writer.write(&batch, &writers).map(|()| writer)).await
}

/// Runs work that keeps a processor busy beside the tasks that wait.
async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| LogError::store("writing a data file of the cold tier", e))?
}
