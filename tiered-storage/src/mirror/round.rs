//! One round of the mirror: look, plan, write files, commit.
//!
//! If the process dies in a round nothing has happened but that files lie there to which nothing refers.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use super::Work;
use super::plan::{Facts, Part, Urgency, plan};
use super::watched::Watched;
use super::writing::{Room, Writing, is_outrun};
use crate::cold::{ColdTopic, Commit, CommitOutcome, Coverage, PlannedOn, StoredFields};
use crate::{Decoder, LogError, Topic, steps};

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
    /// Mirrors the next part of what is due. Where a part fails the others are mirrored all the same, and the failure is the answer.
    pub(super) async fn round(
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
        let watched = Mutex::new(watched);
        let room = Room::default();
        let writing = Writing { work: self, topic, cold: &cold, decoder, stored, coverage, watched, room };
        let failed = writing.write_parts(parts, &mut commit).await.filter(|e| !is_outrun(e));
        if commit.progress.is_empty() {
            return failed.map_or_else(|| Ok(self.lost(topic)), Err);
        }
        let outcome = self.settle(topic, &cold, &commit).await?;
        failed.map_or(Ok(outcome), Err)
    }

    /// Makes what was written part of the table. Files that did not become part of it are removed.
    async fn settle(&self, topic: &Topic, cold: &ColdTopic, commit: &Commit) -> Result<RoundOutcome, LogError> {
        // After a failure the files stay: it may hide a success.
        match cold.commit(commit).await? {
            CommitOutcome::Committed => {
                steps::passed("mirror.committed", &topic.name);
                self.tell(topic, commit);
            }
            CommitOutcome::Doubled => cold.discard(&commit.files).await,
            CommitOutcome::Lost => {
                cold.discard(&commit.files).await;
                cold.refresh().await?;
                return Ok(self.lost(topic));
            }
        }
        self.count(&topic.name, |counts| counts.rounds += 1);
        Ok(RoundOutcome::Moved)
    }

    fn lost(&self, topic: &Topic) -> RoundOutcome {
        self.count(&topic.name, |counts| counts.lost_rounds += 1);
        RoundOutcome::Lost
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
