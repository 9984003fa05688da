//! What the hot tier may forget: the driver of the embedded log's retention.
//!
//! Every [`LOOK_EVERY`] it trims each partition to what its retention allows, but never past what someone still needs: the mirror's
//! progress where the topic is mirrored, else the slowest reader. Trimming twice, or dying between two partitions, does no harm.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cold::Coverage;
use crate::{Clock, Log, LogError, MirrorPolicy, Offset, Partition, Positions, Topic};

/// Time between two looks: retention counts in seconds, and runs at least every five.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What holds retention back.
#[derive(Debug, Clone)]
pub struct RetentionPolicy {
    /// Which topics are mirrored.
    pub mirror: MirrorPolicy,
    /// Keep records of mirrored topics until they are mirrored. Otherwise what retention deletes first becomes a gap.
    pub waits_for_mirror: bool,
}

/// The retention of all topics. It runs until it is dropped.
pub struct Retention {
    task: JoinHandle<()>,
}

impl Retention {
    /// Starts to trim. `readers` holds for each topic-partition the lowest position, synced, of any reader that still needs it.
    pub fn spawn(
        log: Log,
        policy: RetentionPolicy,
        readers: watch::Receiver<Positions>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let task = tokio::spawn(async move {
            let mut look = tokio::time::interval(LOOK_EVERY);
            look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                look.tick().await;
                let readers = readers.borrow().clone();
                if let Err(error) = trim_all(&log, &policy, &readers, clock.as_ref()).await {
                    tracing::warn!(%error, "retention could not trim; it tries again");
                }
            }
        });
        Retention { task }
    }
}

impl Drop for Retention {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Trims every partition of every topic as far as it may be. One topic's failure does not keep the others.
pub(crate) async fn trim_all(
    log: &Log,
    policy: &RetentionPolicy,
    readers: &Positions,
    clock: &dyn Clock,
) -> Result<(), LogError> {
    let mut failure = None;
    for topic in log.hot.topics().await? {
        failure = trim_topic(log, policy, readers, clock, &topic).await.err().or(failure);
    }
    failure.map_or(Ok(()), Err)
}

async fn trim_topic(
    log: &Log,
    policy: &RetentionPolicy,
    readers: &Positions,
    clock: &dyn Clock,
    topic: &Topic,
) -> Result<(), LogError> {
    let expired = log.hot.expired(topic, clock.now()).await?;
    let floors = if !policy.mirror.mirrors(&topic.name) {
        Floors::Readers(readers.of(&topic.name).collect())
    } else if policy.waits_for_mirror {
        Floors::Mirror(log.cold.topic(topic).await?.coverage())
    } else {
        Floors::None
    };
    for (partition, before) in expired {
        let before = floors.hold(partition, before);
        if before > Offset::ZERO {
            log.hot.trim(topic, partition, before).await?;
        }
    }
    Ok(())
}

/// What keeps a topic's records from being deleted.
enum Floors {
    None,
    Mirror(Arc<Coverage>),
    /// The readers' positions in the topic. A reader of the topic that has no position in a partition needs all of it.
    Readers(BTreeMap<Partition, Offset>),
}

impl Floors {
    /// The offset below which the partition's records may go, at most `expired`.
    fn hold(&self, partition: Partition, expired: Offset) -> Offset {
        let floor = match self {
            Floors::None => return expired,
            Floors::Mirror(coverage) => coverage.mirrored_to(partition),
            Floors::Readers(positions) if positions.is_empty() => return expired,
            Floors::Readers(positions) => positions.get(&partition).copied(),
        };
        expired.min(floor.unwrap_or(Offset::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirrored_topic_keeps_what_is_not_mirrored_yet() {
        let floors = Floors::Mirror(Arc::default());
        assert_eq!(floors.hold(Partition(0), Offset::new(50)), Offset::ZERO);
    }

    #[test]
    fn a_topic_keeps_what_its_slowest_reader_has_not_read() {
        let floors = Floors::Readers(BTreeMap::from([(Partition(0), Offset::new(30))]));
        assert_eq!(floors.hold(Partition(0), Offset::new(50)), Offset::new(30));
        assert_eq!(floors.hold(Partition(0), Offset::new(20)), Offset::new(20));
        assert_eq!(floors.hold(Partition(1), Offset::new(50)), Offset::ZERO, "a reader begins there still");
    }

    #[test]
    fn a_topic_that_nobody_needs_follows_its_retention_alone() {
        assert_eq!(Floors::Readers(BTreeMap::new()).hold(Partition(0), Offset::new(50)), Offset::new(50));
        assert_eq!(Floors::None.hold(Partition(0), Offset::new(50)), Offset::new(50));
    }
}
