//! A topic that is another one than it was stops its readers; nothing is skipped.

use std::path::Path;
use std::process::Command;

use super::*;
use crate::{ColdTier, Log, Mirror, MirrorPolicy, Positions};

async fn fill(log: &KafkaLog, name: &TopicName, count: usize) {
    log.append(name, (0..count).map(|i| value(&i.to_string())).collect(), None).await.unwrap();
}

fn stitched(hot: &Arc<KafkaLog>, folder: &TempDir) -> Log {
    let url = format!("file:{}", folder.path().join("cold").display());
    Log::new(hot.clone(), Arc::new(ColdTier::open(&url, Arc::new(SystemClock)).unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_again_with_fewer_or_more_records_stops_its_readers_and_keeps_its_mirror_apart() {
    let (log, prefix, folder) = shared().await;
    for records in [3, 40] {
        let name = name(&format!("{prefix}{records}"));
        let topic = log.create_topic(&name, partitions(1)).await.unwrap();
        fill(&log, &name, 10).await;
        assert_eq!(read_all(&*log, &topic, P0).await.len(), 10);
        let both = stitched(&log, &folder);
        let mirror = Mirror::spawn(
            both.clone(),
            MirrorPolicy { topics: vec![], ..MirrorPolicy::default() },
            Arc::new(SystemClock),
        );
        mirror.flush(&name).await.unwrap();
        let reached: Positions = format!("{name}/0=10").parse().unwrap();
        assert_eq!(both.ends(&topic, &reached).await.unwrap()[&P0], Offset::new(10));

        // Somebody else does it, so that this process is not told.
        let other_folder = tempfile::tempdir().unwrap();
        let other = open(Kafka::shared(), &other_folder).await;
        other.delete_topic(&name).await.unwrap();
        other.create_topic(&name, partitions(1)).await.unwrap();
        fill(&other, &name, records).await;
        let read = log.read(&topic, P0, range(10, 40), ANY).await;
        let stopped = !matches!(&read, Ok(batch) if !batch.is_empty());
        assert!(stopped, "no record of another topic is handed out: {read:?}");
        until("the reader is stopped", async || match both.ends(&topic, &reached).await {
            Err(LogError::Diverged { .. }) => Ok(()),
            other => Err(other),
        })
        .await;
        assert!(matches!(log.read(&topic, P0, range(0, 10), ANY).await, Err(LogError::Diverged { .. })));
        mirror.flush(&name).await.unwrap();
        let anew = log.topic(&name).await.unwrap();
        let mirrored = |topic: &Topic| {
            let (cold, topic) = (both.cold.clone(), topic.clone());
            async move { cold.topic(&topic).await.unwrap().coverage().mirrored_to(P0) }
        };
        assert_eq!(mirrored(&topic).await, Some(Offset::new(10)));
        assert_eq!(mirrored(&anew).await, Some(Offset::new(records as u64)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_its_tail_stops_its_readers_also_when_it_has_grown_beyond_them() {
    let kafka = tokio::task::spawn_blocking(Kafka::start).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(&kafka, &folder).await;
    let topic = log.create_topic(&name("t"), partitions(1)).await.unwrap();
    fill(&log, &name("t"), 10).await;
    let kafka = restarted(kafka, |data| copy(&data.join("t-0"), &data.join("../before"))).await;
    until("the broker is back", async || log.ranges(&name("t")).await).await;
    fill(&log, &name("t"), 20).await;
    assert_eq!(read_all(&*log, &topic, P0).await.len(), 30);
    let reached: Positions = "t/0=30".parse().unwrap();

    // An old copy of the partition is put back, as a leader that lacks the tail would have it.
    let kafka = restarted(kafka, |data| {
        std::fs::remove_dir_all(data.join("t-0")).unwrap();
        copy(&data.join("../before"), &data.join("t-0"));
    })
    .await;
    let both = stitched(&log, &folder);
    until("the loss is seen", async || match both.ends(&topic, &reached).await {
        Err(LogError::Truncated { end, reached, .. }) if (end.get(), reached.get()) == (10, 30) => Ok(()),
        other => Err(other),
    })
    .await;
    // By another producer: the one from before is told that its sequence has a hole.
    let other_folder = tempfile::tempdir().unwrap();
    fill(&*open(&kafka, &other_folder).await, &name("t"), 50).await;
    for restarts in [false, true] {
        if restarts {
            // What is known of epochs is kept.
            drop(both.clone());
            log = open(&kafka, &folder).await;
        }
        let read = log.read(&topic, P0, range(30, 60), ANY).await;
        assert!(
            matches!(&read, Err(LogError::Truncated { end, reached, .. }) if (end.get(), reached.get()) == (10, 30)),
            "{read:?}"
        );
    }
    assert_eq!(log.read(&topic, P0, range(0, 10), ANY).await.unwrap().len(), 10, "what is still the same is read");
}

/// Kills the broker, does something to its data, and starts it again.
async fn restarted(kafka: Kafka, change: impl FnOnce(&Path) + Send + 'static) -> Kafka {
    let restarted = tokio::task::spawn_blocking(move || {
        kafka.kill();
        change(&kafka.folder().join("data"));
        kafka.launch();
        kafka
    });
    restarted.await.unwrap()
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").args([from, to]).status().unwrap();
    assert!(copied.success());
}
