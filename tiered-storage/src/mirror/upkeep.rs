//! The cold tables' upkeep, beside the mirroring: small files are joined, checkpoints written, and what nothing refers to is deleted.
//!
//! It runs by itself and never holds up the mirror: its commits change no progress, so a mirror round that meets one goes through on top of
//! it. Two processes may do it at once; the slower one loses its work, never a record. A process that dies in it leaves files that a later
//! clean-up takes.
//!
//! Memory: one joined file (the policy's `max_bytes`) at a time. A pass commits what it joined at least every [`PASS_BYTES`].

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Mirror, Work};
use crate::cold::{ColdTopic, CommitOutcome, Joined, Merge, plan_merges};
use crate::{Incarnation, LogError, Timestamp, Topic, TopicName};

/// Time between two looks at what there is to do.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Bytes of small files read for one commit: about what is at stake when the process dies.
const PASS_BYTES: u64 = 256 << 20;

/// Time between two clean-ups of a table. Each lists the table's whole folder.
const CLEAN_EVERY: Duration = Duration::from_secs(6 * 3600);

/// What upkeep remembers of the tables.
#[derive(Default)]
pub(super) struct Upkeep(HashMap<Incarnation, Kept>);

/// What upkeep remembers of one table.
#[derive(Default)]
struct Kept {
    /// The version in which there was nothing left to join.
    joined_at: Option<u64>,
    /// When it was cleaned up last.
    cleaned: Option<Timestamp>,
    /// What failed last, so that it is told once.
    problem: Option<String>,
}

impl Mirror {
    /// Brings the tables of all topics in order, as the background task does; for those who cannot wait for it.
    pub async fn keep_up(&self) -> Result<(), LogError> {
        self.compact().await?;
        self.clean_up().await.map(drop)
    }

    /// Joins the small files of every mirrored topic until none is left to join. Answers how many were joined. A topic that fails keeps
    /// none of the others from its turn; the first failure is the answer.
    pub async fn compact(&self) -> Result<u64, LogError> {
        let before = self.counted(|counts| counts.files_joined);
        let mut failed = None;
        for topic in self.work.mirrored().await? {
            if let Err(error) = self.work.compact(&topic, &mut Kept::default()).await {
                failed.get_or_insert(error);
            }
        }
        failed.map_or_else(|| Ok(self.counted(|counts| counts.files_joined).saturating_sub(before)), Err)
    }

    /// Deletes the files and log entries of every mirrored topic that nothing refers to any more. Answers how many were deleted.
    pub async fn clean_up(&self) -> Result<u64, LogError> {
        let before = self.counted(|counts| counts.objects_deleted);
        let mut failed = None;
        for topic in self.work.mirrored().await? {
            if let Err(error) = self.work.clean(&topic).await {
                failed.get_or_insert(error);
            }
        }
        failed.map_or_else(|| Ok(self.counted(|counts| counts.objects_deleted).saturating_sub(before)), Err)
    }

    fn counted(&self, count: fn(&super::MirrorCounts) -> u64) -> u64 {
        self.counts().values().map(count).sum()
    }
}

impl Work {
    pub(super) async fn run_upkeep(self: Arc<Self>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut upkeep = Upkeep::default();
        loop {
            look.tick().await;
            // The mirror itself tells of topics that cannot be listed.
            let Ok(topics) = self.log.hot.topics().await else { continue };
            upkeep.0.retain(|life, _| topics.iter().any(|topic| topic.incarnation == *life));
            for topic in topics.iter().filter(|topic| self.policy.mirrors(&topic.name)) {
                let kept = upkeep.0.entry(topic.incarnation).or_default();
                let problem = self.keep(topic, kept).await.err().map(|e| e.to_string());
                if let Some(error) = problem.as_ref().filter(|_| kept.problem != problem) {
                    tracing::warn!(topic = %topic.name, error, "the cold table's upkeep failed; it is tried again");
                }
                kept.problem = problem;
            }
        }
    }

    /// The topics that are mirrored.
    async fn mirrored(&self) -> Result<Vec<Topic>, LogError> {
        let mut topics = self.log.hot.topics().await?;
        topics.retain(|topic| self.policy.mirrors(&topic.name));
        Ok(topics)
    }

    /// Does what is due for one table, as far as no schedule does it.
    async fn keep(&self, topic: &Topic, kept: &mut Kept) -> Result<(), LogError> {
        if self.policy.compacts {
            self.compact(topic, kept).await?;
        }
        self.log.cold.topic(topic).await?.checkpoint_if_due().await?;
        let now = self.clock.now();
        if self.policy.cleans && kept.cleaned.is_none_or(|at| now.since(at) >= CLEAN_EVERY) {
            kept.cleaned = Some(now);
            self.clean(topic).await?;
        }
        Ok(())
    }

    /// Joins small files until none is left to join.
    async fn compact(&self, topic: &Topic, kept: &mut Kept) -> Result<(), LogError> {
        let cold = self.log.cold.topic(topic).await?;
        while cold.coverage().version.is_some() && kept.joined_at != cold.coverage().version {
            let coverage = cold.coverage();
            let merges = plan_merges(&coverage, self.policy.max_bytes);
            if merges.is_empty() {
                kept.joined_at = coverage.version;
                break;
            }
            self.join(&topic.name, &cold, merges).await?;
        }
        cold.checkpoint_if_due().await.map(drop)
    }

    /// Deletes what nothing refers to.
    async fn clean(&self, topic: &Topic) -> Result<(), LogError> {
        let cleaned = self.log.cold.topic(topic).await?.clean().await?;
        self.count(&topic.name, |counts| counts.objects_deleted += cleaned.files + cleaned.entries);
        if cleaned.files > 0 {
            tracing::info!(topic = %topic.name, cleaned.files, cleaned.bytes, "deleted files that nothing refers to");
        }
        Ok(())
    }

    /// Joins files and swaps them in, as far as one pass goes.
    async fn join(&self, topic: &TopicName, cold: &ColdTopic, merges: Vec<Merge>) -> Result<(), LogError> {
        let (mut joined, mut bytes, mut files): (Vec<Joined>, _, _) = (Vec::new(), 0, 0);
        for merge in merges {
            (bytes, files) = (bytes + merge.bytes(), files + merge.files.len() as u64);
            joined.push(cold.join(merge).await?);
            if bytes >= PASS_BYTES {
                break;
            }
        }
        if cold.swap(joined).await? == CommitOutcome::Committed {
            self.count(topic, |counts| counts.files_joined += files);
        }
        Ok(())
    }
}
