use super::*;
use crate::memory_log::MemoryLog;
use crate::world::{WHOLE, World};
use crate::{Coverage, HotLog, Offset, OffsetRange, Positions, Start, Tier, Timestamp, TopicConfig};

/// A mirror without its background task, as a process that starts now has it.
fn mirror(world: &World) -> Work {
    Work::new(world.log(), MirrorPolicy::default(), world.clock.clone())
}

#[tokio::test]
async fn a_flush_mirrors_to_the_end_and_the_hot_copy_may_go() {
    let mut world = World::new().await;
    world.append(0, 1500).await;
    world.append(1, 20).await;
    world.flush(WHOLE).await;
    assert_eq!(world.mirrored_to().await, [1500, 20]);
    world.trim(0, 1500).await;
    world.trim(1, 5).await;
    world.append(0, 10).await;
    world.check_complete().await;
    let raw = world.raw(&world.log(), 1000).await;
    assert_eq!(raw[&(Partition(0), 1499)].0, Tier::Cold);
    assert_eq!(raw[&(Partition(0), 1500)].0, Tier::Hot);
}

#[tokio::test]
async fn rounds_go_on_where_the_last_one_ended() {
    let mut world = World::new().await;
    for round in 1..=3 {
        world.append(0, 10).await;
        world.flush(WHOLE).await;
        assert_eq!(world.mirrored_to().await, [round * 10, 0]);
    }
    assert_eq!(world.coverage().await.partitions[&Partition(0)].files().len(), 3);
    world.check_complete().await;
}

#[tokio::test]
async fn files_are_cut_by_size() {
    let mut world = World::new().await;
    world.append(0, 5000).await;
    world.flush(20_000).await;
    let coverage = world.coverage().await;
    assert!(coverage.partitions[&Partition(0)].files().len() > 3);
    world.trim(0, 5000).await;
    world.check_complete().await;
}

#[tokio::test]
async fn offsets_with_holes_are_mirrored_as_they_are() {
    let mut world = World::on(MemoryLog::with_holes(2)).await;
    world.append(0, 2000).await;
    world.flush(WHOLE).await;
    assert_eq!(world.mirrored_to().await, [6000, 0]);
    world.trim(0, 6000).await;
    world.check_complete().await;
}

#[tokio::test]
async fn what_retention_deletes_first_becomes_a_gap_that_everyone_sees() {
    let mut world = World::new().await;
    world.append(0, 100).await;
    world.flush(WHOLE).await;
    world.append(0, 100).await;
    world.trim(0, 150).await;
    let unrecorded =
        world.log().slice(&world.topic, Partition(0), OffsetRange::new(Offset::ZERO, Offset::new(200))).await;
    assert!(
        matches!(unrecorded, Err(LogError::Gap { missing, .. }) if missing.from.get() == 100 && missing.to.get() == 150)
    );
    world.flush(WHOLE).await;
    let gap = OffsetRange::new(Offset::new(100), Offset::new(150));
    assert_eq!(world.coverage().await.partitions[&Partition(0)].gaps(), [gap]);
    assert_eq!(world.log().extent(&world.topic).await.unwrap()[&Partition(0)].gaps, [gap]);
    // The gap stays when later rounds, and further gaps, are committed.
    world.append(0, 50).await;
    world.trim(0, 220).await;
    world.flush(WHOLE).await;
    let later = OffsetRange::new(Offset::new(200), Offset::new(220));
    assert_eq!(world.coverage().await.partitions[&Partition(0)].gaps(), [gap, later]);
}

#[tokio::test]
async fn a_log_that_lost_its_tail_is_not_mirrored() {
    let mut world = World::new().await;
    world.append(0, 100).await;
    let mirror = mirror(&world);
    mirror.flush(&world.topic.name).await.unwrap();
    world.hot.truncate(&world.topic.name, Partition(0), 60);
    world.append(1, 1).await;
    let refused = mirror.flush(&world.topic.name).await;
    assert!(
        matches!(refused, Err(LogError::Truncated { end, reached, .. }) if end.get() == 60 && reached.get() == 100)
    );
}

#[tokio::test]
async fn a_topic_made_again_has_a_table_of_its_own() {
    let mut world = World::new().await;
    world.append(0, 10).await;
    let mirror = mirror(&world);
    mirror.flush(&world.topic.name).await.unwrap();
    let (old, config) = (world.topic.clone(), world.topic.config.clone());
    world.hot.delete_topic(&old.name).await.unwrap();
    world.topic = world.hot.create_topic(&old.name, config).await.unwrap();
    world.appended.clear();
    world.append(0, 3).await;
    mirror.flush(&world.topic.name).await.unwrap();
    assert_eq!(world.mirrored_to().await, [3, 0]);
    world.check_complete().await;
    let stale = world.log().slice(&old, Partition(0), OffsetRange::new(Offset::ZERO, Offset::new(3))).await;
    assert!(matches!(stale, Err(LogError::Diverged { .. })));
}

#[tokio::test]
async fn two_mirrors_that_race_mirror_everything_once() {
    let mut world = World::new().await;
    let (one, other) = (mirror(&world), mirror(&world));
    for _ in 0..10 {
        world.append(0, 200).await;
        world.append(1, 100).await;
        let (a, b) = tokio::join!(one.flush(&world.topic.name), other.flush(&world.topic.name));
        a.unwrap();
        b.unwrap();
    }
    assert_eq!(world.mirrored_to().await, [2000, 1000]);
    world.trim(0, 2000).await;
    world.trim(1, 1000).await;
    world.check_complete().await;
}

/// Drives a future for so many polls and then drops it, as a crash would; true when it was done by then. What it handed to the
/// disk's threads goes on, so whether the last step took effect is left to chance, as in life.
async fn die_after(polls: usize, work: impl Future<Output = Result<(), LogError>>) -> bool {
    let mut work = Box::pin(work);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return std::task::Poll::Ready(false);
        }
        left -= 1;
        work.as_mut().poll(context).map(|done| {
            done.unwrap();
            true
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_dies_at_any_step_neither_loses_nor_doubles() {
    let mut finished = false;
    let mut polls = 0;
    while !finished {
        let mut world = World::new().await;
        world.append(0, 30).await;
        if polls % 2 == 0 {
            world.flush(WHOLE).await;
            world.append(0, 20).await;
        }
        world.append(1, 10).await;
        finished = die_after(polls, mirror(&world).flush(&world.topic.name)).await && polls % 2 == 0;
        world.append(1, 5).await;
        world.flush(WHOLE).await;
        assert_eq!(world.mirrored_to().await, world.hot_ends().await, "after {polls} polls");
        world.trim(0, 50).await;
        world.trim(1, 15).await;
        world.check_complete().await;
        polls += 1;
    }
    assert!(polls > 5, "a round has steps to die at: {polls}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_that_is_dropped_at_any_step_leaves_its_process_able_to_go_on() {
    let mut finished = false;
    let mut polls = 0;
    while !finished {
        let mut world = World::new().await;
        let mirror = mirror(&world);
        world.append(0, 10).await;
        mirror.flush(&world.topic.name).await.unwrap();
        world.append(0, 20).await;
        finished = die_after(polls, mirror.flush(&world.topic.name)).await;
        // What differs is in the way of a round that would only repeat the one before.
        world.append(0, 5).await;
        for _ in 0..2 {
            mirror.flush(&world.topic.name).await.unwrap();
        }
        assert_eq!(world.mirrored_to().await, world.hot_ends().await, "after {polls} polls");
        world.trim(0, 35).await;
        world.check_complete().await;
        polls += 1;
    }
    assert!(polls > 5, "a flush has steps to be dropped at: {polls}");
}

/// The data files in the cold tier's folder, whether the table refers to them or not.
fn stored(world: &World) -> usize {
    let mut folders = vec![world.dir.path().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => files += usize::from(entry.path().extension().is_some_and(|ext| ext == "parquet")),
            }
        }
    }
    files
}

#[tokio::test]
async fn a_read_that_fails_costs_nothing_of_what_was_written_before_it_or_of_other_partitions() {
    let away = || LogError::Registry("away".into());
    for from in [0, 700, 2500] {
        let mut world = World::new().await;
        world.append(0, 3000).await;
        world.append(1, 100).await;
        world.hot.faults.lock().unwrap().unreadable = Some((Partition(0), from, away));
        let mirror = mirror(&world);
        for _ in 0..3 {
            let failed = mirror.flush(&world.topic.name).await.unwrap_err();
            assert!(matches!(failed, LogError::Registry(_)), "{failed}");
            assert_eq!(world.mirrored_to().await, [from, 100]);
            assert_eq!(stored(&world), 1 + usize::from(from > 0), "nothing lies there that the table does not know");
        }
        world.hot.faults.lock().unwrap().unreadable = None;
        mirror.flush(&world.topic.name).await.unwrap();
        world.trim(0, 3000).await;
        world.check_complete().await;
    }
}

#[tokio::test]
async fn a_round_that_retention_outran_in_one_partition_moves_the_others() {
    let mut world = World::new().await;
    world.append(0, 3000).await;
    world.append(1, 100).await;
    let gone = || LogError::OutOfRange {
        topic: "ticks".parse().unwrap(),
        partition: Partition(0),
        asked: Offset::new(1400),
        held: OffsetRange::new(Offset::new(2000), Offset::new(3000)),
    };
    world.hot.faults.lock().unwrap().unreadable = Some((Partition(0), 1400, gone));
    let (mirror, mut watched) = (mirror(&world), Watched::new());
    assert_eq!(mirror.round(&world.topic, Urgency::Now, &mut watched).await.unwrap(), RoundOutcome::Moved);
    assert_eq!(world.mirrored_to().await, [1400, 100]);
    assert_eq!(mirror.round(&world.topic, Urgency::Now, &mut watched).await.unwrap(), RoundOutcome::Lost);
    world.hot.faults.lock().unwrap().unreadable = None;
    world.trim(0, 2000).await;
    mirror.flush(&world.topic.name).await.unwrap();
    let gap = OffsetRange::new(Offset::new(1400), Offset::new(2000));
    assert_eq!(world.coverage().await.partitions[&Partition(0)].gaps(), [gap]);
}

#[tokio::test]
async fn a_topic_that_always_has_more_leaves_the_others_their_turn() {
    let mut world = World::new().await;
    world.append(0, 10).await;
    let last = world.hot.create_topic(&"zebra".parse().unwrap(), world.topic.config.clone()).await.unwrap();
    world
        .hot
        .append(
            &last.name,
            vec![crate::NewRecord { partition: None, key: None, value: None, headers: vec![], timestamp: None }],
            None,
        )
        .await
        .unwrap();
    world.hot.faults.lock().unwrap().grows = Some(world.topic.name.clone());
    let policy = MirrorPolicy { max_age: Duration::ZERO, ..MirrorPolicy::default() };
    let work = Work::new(world.log(), policy, world.clock.clone());
    let moved = tokio::time::timeout(Duration::from_secs(20), work.mirror_due()).await;
    assert!(moved.expect("a pass ends"), "there is more to do");
    let cold = work.log.cold.topic(&last).await.unwrap();
    assert_eq!(cold.coverage().mirrored_to(Partition(0)), Some(Offset::new(1)));
}

#[tokio::test]
async fn what_waits_of_a_topic_is_seen_while_the_mirror_is_at_work_elsewhere() {
    let mut world = World::new().await;
    let config = TopicConfig { retention_ms: Some(3_600_000), ..world.topic.config.clone() };
    world.topic = world.hot.alter_topic(&world.topic.name, config).await.unwrap();
    let work = mirror(&world);
    work.flush(&world.topic.name).await.unwrap();
    world.append(1, 3).await;
    world.clock.advance(Duration::from_secs(3));
    assert!(work.headroom(&world.topic).is_empty());
    work.look_beside(&world.topic).await.unwrap();
    assert_eq!(work.headroom(&world.topic).into_keys().collect::<Vec<_>>(), [Partition(1)]);
}

#[tokio::test]
async fn the_background_mirrors_what_is_due_by_itself() {
    let mut world = World::new().await;
    world.append(0, 100).await;
    let policy = MirrorPolicy { max_age: Duration::ZERO, ..MirrorPolicy::default() };
    let log = world.log();
    let _mirror = Mirror::spawn(log.clone(), policy, world.clock.clone());
    let mirrored = async {
        loop {
            let cold = log.cold.topic(&world.topic).await.unwrap();
            if cold.coverage().mirrored_to(Partition(0)) == Some(Offset::new(100)) {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), mirrored).await.expect("mirrored within 20 s");
}

#[tokio::test]
async fn retention_waits_for_the_mirror_where_it_is_told_to() {
    use crate::retention::{RetentionPolicy, trim_all};
    let mut world = World::new().await;
    world.append(0, 100).await;
    let config = TopicConfig { retention_ms: Some(1), ..world.topic.config.clone() };
    world.topic = world.hot.alter_topic(&world.topic.name, config).await.unwrap();
    let (log, mirror) = (world.log(), MirrorPolicy::default());
    let policy = RetentionPolicy { mirror: mirror.clone(), waits_for_mirror: true };
    let earliest = || async { world.hot.ranges(&world.topic.name).await.unwrap()[&Partition(0)].earliest.get() };
    trim_all(&log, &policy, &Positions::new(), world.clock.as_ref()).await.unwrap();
    assert_eq!(earliest().await, 0);
    Work::new(log.clone(), mirror, world.clock.clone()).flush(&world.topic.name).await.unwrap();
    trim_all(&log, &policy, &Positions::new(), world.clock.as_ref()).await.unwrap();
    assert_eq!(earliest().await, 100);
}

#[tokio::test]
async fn retention_is_raised_while_the_mirror_is_late_as_far_as_the_policy_lets_it() {
    const HOUR: u64 = 3_600_000;
    let mut world = World::new().await;
    let config = TopicConfig { retention_ms: Some(HOUR), ..world.topic.config.clone() };
    world.topic = world.hot.alter_topic(&world.topic.name, config).await.unwrap();
    world.append(0, 100).await;
    let late = async |limit: Option<u64>| {
        let policy = MirrorPolicy { raise_retention_to: limit.map(Duration::from_millis), ..MirrorPolicy::default() };
        let work = Work::new(world.log(), policy, world.clock.clone());
        let topic = world.hot.topic(&world.topic.name).await.unwrap();
        let coverage = world.log().cold.topic(&topic).await.unwrap().coverage();
        let mut watched = Watched::new();
        work.plan(&topic, &coverage, Urgency::Due, &mut watched).await.unwrap();
        work.look_at_ages(&topic, &mut watched).await;
        world.clock.advance(Duration::from_millis(topic.config.retention_ms.unwrap() * 3 / 4));
        work.warn_early(&topic).await;
        world.hot.topic(&topic.name).await.unwrap().config.retention_ms.unwrap() / HOUR
    };
    assert_eq!(late(None).await, 1);
    assert_eq!(late(Some(3 * HOUR)).await, 2);
    assert_eq!(late(Some(3 * HOUR)).await, 3);
    assert_eq!(late(Some(3 * HOUR)).await, 3);
}

#[tokio::test]
async fn retention_is_not_raised_for_records_that_were_old_when_they_came() {
    let mut world = World::new().await;
    let config = TopicConfig { retention_ms: Some(3_600_000), ..world.topic.config.clone() };
    world.topic = world.hot.alter_topic(&world.topic.name, config).await.unwrap();
    let policy = MirrorPolicy { raise_retention_to: Some(Duration::from_secs(1 << 30)), ..MirrorPolicy::default() };
    let work = Work::new(world.log(), policy, world.clock.clone());
    // By their own time they are of 1970.
    world.append(0, 100).await;
    let (mut watched, coverage) = (Watched::new(), Coverage::default());
    let mut warned = async || {
        work.plan(&world.topic, &coverage, Urgency::Due, &mut watched).await.unwrap();
        work.look_at_ages(&world.topic, &mut watched).await;
        assert_eq!(work.headroom(&world.topic)[&Partition(0)], Duration::ZERO);
        work.warn_early(&world.topic).await;
        world.hot.topic(&world.topic.name).await.unwrap().config.retention_ms.unwrap() / 3_600_000
    };
    assert_eq!(warned().await, 1);
    world.clock.advance(Duration::from_secs(10 * 60));
    assert_eq!(warned().await, 1, "a small tail may wait for so long");
    world.clock.advance(Duration::from_secs(10 * 60));
    assert_eq!(warned().await, 2, "that is too long");
}

#[tokio::test]
async fn retention_that_could_not_be_raised_is_raised_when_it_can_be() {
    let mut world = World::new().await;
    let config = TopicConfig { retention_ms: Some(3_600_000), ..world.topic.config.clone() };
    world.topic = world.hot.alter_topic(&world.topic.name, config).await.unwrap();
    let policy = MirrorPolicy { raise_retention_to: Some(Duration::from_secs(7200)), ..MirrorPolicy::default() };
    let work = Work::new(world.log(), policy, world.clock.clone());
    world.append(0, 100).await;
    let mut watched = Watched::new();
    work.plan(&world.topic, &Coverage::default(), Urgency::Due, &mut watched).await.unwrap();
    work.look_at_ages(&world.topic, &mut watched).await;
    world.clock.advance(Duration::from_secs(2400));
    for (refuses, retention) in [(true, 3_600_000), (true, 3_600_000), (false, 7_200_000)] {
        world.hot.faults.lock().unwrap().refuses_changes = refuses;
        work.warn_early(&world.topic).await;
        assert_eq!(world.hot.topic(&world.topic.name).await.unwrap().config.retention_ms, Some(retention));
    }
}

#[tokio::test]
async fn a_start_by_time_is_found_in_either_tier() {
    let mut world = World::new().await;
    world.append(0, 100).await;
    world.flush(WHOLE).await;
    world.append(0, 100).await;
    world.trim(0, 100).await;
    let log = world.log();
    for (time, offset) in [(0, 0), (41_500, 42), (99_000, 99), (99_001, 100), (150_000, 150), (999_999_999, 200)] {
        let start = log.resolve_start(&world.topic, Start::At(Timestamp::from_micros(time))).await.unwrap();
        assert_eq!(start.get(&world.topic.name, Partition(0)), Some(Offset::new(offset)), "{time}");
    }
    let start = |start| log.resolve_start(&world.topic, start);
    assert_eq!(start(Start::Beginning).await.unwrap().to_string(), "ticks/0=0,ticks/1=0");
    assert_eq!(start(Start::End).await.unwrap().to_string(), "ticks/0=200,ticks/1=0");
    let named = Start::Offsets(BTreeMap::from([(Partition(0), Offset::new(7))]));
    assert_eq!(start(named).await.unwrap().to_string(), "ticks/0=7,ticks/1=0");
}

#[tokio::test]
async fn the_embedded_log_goes_cold_record_for_record() {
    let dir = tempfile::TempDir::new().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(crate::SystemClock);
    let hot = crate::EmbeddedLog::open(&dir.path().join("hot"), clock.clone()).unwrap();
    let cold = crate::ColdTier::open(&format!("file:{}", dir.path().join("cold").display()), clock.clone()).unwrap();
    let log = Log::new(hot.clone(), Arc::new(cold));
    let config = TopicConfig { partitions: 3, retention_ms: Some(0), ..TopicConfig::default() };
    let topic = hot.create_topic(&"ticks".parse().unwrap(), config).await.unwrap();
    let value = |n: u32| bytes::Bytes::from(format!("{{\"n\": {n}}}"));
    for n in 0..30 {
        let record = crate::NewRecord {
            partition: Some(Partition(n % 3)),
            key: None,
            value: Some(value(n)),
            headers: vec![],
            timestamp: None,
        };
        hot.append(&topic.name, vec![record], None).await.unwrap();
    }
    let mirror = Mirror::spawn(log.clone(), MirrorPolicy::default(), clock.clone());
    mirror.flush(&topic.name).await.unwrap();
    let policy = crate::RetentionPolicy { mirror: MirrorPolicy::default(), waits_for_mirror: true };
    crate::retention::trim_all(&log, &policy, &Positions::new(), clock.as_ref()).await.unwrap();
    for (partition, extent) in log.extent(&topic).await.unwrap() {
        assert_eq!(extent.hot.earliest, extent.hot.end, "retention went down to the last record");
        let (batches, next) = log.records(&topic, partition, Offset::ZERO, 100).await.unwrap();
        let read: Vec<_> = batches.iter().flat_map(|(_, batch)| batch.values().iter().flatten()).collect();
        let sent: Vec<_> = (0..10).map(|n| value(n * 3 + partition.0)).collect();
        assert_eq!(read, sent);
        assert_eq!((next, batches[0].0), (Offset::new(10), Tier::Cold));
    }
}
