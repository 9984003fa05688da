use std::collections::BTreeMap;

use super::*;
use crate::cold::{Commit, PlannedOn, plan_merges};
use crate::world::{WHOLE, World};
use crate::{ColdTier, Mirror, MirrorPolicy, Offset, OffsetRange};

/// A table of that many small files of ten records each.
async fn small_files(count: usize) -> World {
    let mut world = World::new().await;
    for _ in 0..count {
        world.append(0, 10).await;
        world.flush_only(WHOLE).await;
    }
    world
}

async fn open(world: &World) -> Arc<ColdTopic> {
    world.log().cold.topic(&world.topic).await.unwrap()
}

/// The files that the table's present small files come to.
async fn joined(cold: &ColdTopic) -> Vec<Joined> {
    let mut joined = vec![];
    for merge in plan_merges(&cold.coverage(), WHOLE) {
        joined.push(cold.join(merge).await.unwrap());
    }
    joined
}

fn files(cold: &ColdTopic) -> Vec<Arc<ColdFile>> {
    cold.coverage().partitions[&Partition(0)].files().to_vec()
}

/// How many data files lie in the folder, whether the table refers to them or not.
fn stored(world: &World) -> usize {
    let folder = world.dir.path().join(layout::table_folder(&world.topic)).join("_partition=0");
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn a_joined_file_holds_every_record_of_its_inputs_byte_for_byte() {
    let world = small_files(8).await;
    let cold = open(&world).await;
    let before = files(&cold);
    assert_eq!(cold.swap(joined(&cold).await).await.unwrap(), CommitOutcome::Committed);
    let [one] = files(&cold).try_into().expect("one file");
    let sum = |of: fn(&ColdFile) -> u64| before.iter().map(|file| of(file)).sum::<u64>();
    assert_eq!(one.range, OffsetRange::new(Offset::ZERO, Offset::new(80)));
    assert_eq!(one.records, sum(|file| file.records));
    assert_eq!(one.tombstones, sum(|file| file.tombstones));
    assert_eq!(one.undecodable, sum(|file| file.undecodable));
    assert_eq!(one.newest, before[7].newest);
    assert_eq!(stored(&world), 9, "the inputs stay for those who still read them");
    world.trim(0, 80).await;
    world.check_complete().await;
}

#[tokio::test]
async fn of_two_who_join_the_same_files_one_wins_and_no_record_is_there_twice() {
    let world = small_files(8).await;
    let (one, other) = (open(&world).await, open(&world).await);
    let (first, second) = (joined(&one).await, joined(&other).await);
    assert_eq!(one.swap(first).await.unwrap(), CommitOutcome::Committed);
    assert_eq!(other.swap(second).await.unwrap(), CommitOutcome::Lost);
    assert_eq!(files(&one), files(&other));
    assert_eq!(stored(&world), 9, "the loser takes its file back");
    world.trim(0, 80).await;
    world.check_complete().await;
}

#[tokio::test]
async fn joining_goes_through_on_top_of_what_the_mirror_did_meanwhile() {
    let mut world = small_files(8).await;
    let cold = open(&world).await;
    let joined = joined(&cold).await;
    world.append(0, 5).await;
    world.flush_only(WHOLE).await;
    assert_eq!(cold.swap(joined).await.unwrap(), CommitOutcome::Committed);
    assert_eq!(files(&cold).len(), 2);
    world.trim(0, 85).await;
    world.check_complete().await;
}

#[tokio::test]
async fn a_mirror_round_goes_through_on_top_of_what_joining_did_meanwhile() {
    let world = small_files(8).await;
    let (mirror, joiner) = (open(&world).await, open(&world).await);
    let round = Commit {
        planned_on: PlannedOn {
            exists: true,
            mirrored_to: BTreeMap::from([(Partition(0), Some(Offset::new(80)))]),
            data: mirror.held_fields().await.unwrap(),
        },
        begun: crate::Clock::now(world.clock.as_ref()),
        files: vec![],
        data: mirror.held_fields().await.unwrap(),
        gaps: BTreeMap::from([(Partition(0), OffsetRange::new(Offset::new(80), Offset::new(90)))]),
        progress: BTreeMap::from([(Partition(0), Offset::new(90))]),
    };
    assert_eq!(joiner.swap(joined(&joiner).await).await.unwrap(), CommitOutcome::Committed);
    assert_eq!(mirror.commit(&round).await.unwrap(), CommitOutcome::Committed);
    assert_eq!(files(&mirror).len(), 1);
    assert_eq!(mirror.coverage().mirrored_to(Partition(0)), Some(Offset::new(90)));
}

#[tokio::test]
async fn a_joined_file_that_slept_for_days_is_not_committed() {
    let world = small_files(8).await;
    let cold = open(&world).await;
    let joined = joined(&cold).await;
    world.clock.advance(std::time::Duration::from_secs(4 * 24 * 3600));
    assert_eq!(cold.swap(joined).await.unwrap(), CommitOutcome::Lost);
    assert_eq!(files(&cold).len(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_mirrors_that_join_while_they_mirror_neither_lose_nor_double() {
    let mut world = World::new().await;
    let policy = || MirrorPolicy { max_bytes: 20_000, ..MirrorPolicy::default() };
    let mirrors = [0, 1].map(|_| Mirror::spawn(world.log(), policy(), world.clock.clone()));
    for _ in 0..30 {
        world.append(0, 20).await;
        world.append(1, 20).await;
        let name = &world.topic.name;
        let (a, b) = tokio::join!(mirrors[0].flush(name), mirrors[1].flush(name));
        a.unwrap();
        b.unwrap();
    }
    let (a, b) = tokio::join!(mirrors[0].keep_up(), mirrors[1].keep_up());
    a.unwrap();
    b.unwrap();
    drop(mirrors);
    let coverage = world.coverage().await;
    assert!(coverage.partitions.values().all(|covered| covered.files().len() < 20), "{coverage:?}");
    world.trim(0, 600).await;
    world.trim(1, 600).await;
    world.check_complete().await;
}

#[tokio::test]
async fn a_reader_goes_on_after_its_files_were_joined_and_deleted() {
    let mut world = small_files(8).await;
    let log = world.log();
    let whole = OffsetRange::new(Offset::ZERO, Offset::new(80));
    let slice = log.slice(&world.topic, Partition(0), whole).await.unwrap();
    assert_eq!(slice.segments().len(), 8);
    let cold = open(&world).await;
    let inputs = files(&cold);
    assert_eq!(cold.swap(joined(&cold).await).await.unwrap(), CommitOutcome::Committed);
    for file in inputs {
        std::fs::remove_file(world.dir.path().join(layout::table_folder(&world.topic)).join(&file.path)).unwrap();
    }
    world.trim(0, 80).await;
    let decoder = crate::Decoder::new(world.topic.config.schema.as_ref().unwrap().columns()).unwrap();
    let read =
        crate::ReadPlan { decoder, projection: vec![0], tombstones: true, undecodable: false, accept_gap: false };
    assert_eq!(crate::world::lines(&log, slice, &read).await.unwrap().len(), 80);
    world.append(0, 1).await;
    world.check_complete().await;
}

#[tokio::test]
async fn a_store_in_memory_serves_as_well_as_a_folder() {
    let mut world = World::new().await;
    world.append(0, 50).await;
    let objects: Arc<dyn object_store::ObjectStore> = Arc::new(object_store::memory::InMemory::new());
    let log = || crate::Log::new(world.hot.clone(), Arc::new(ColdTier::over(objects.clone(), world.clock.clone())));
    Mirror::spawn(log(), MirrorPolicy::default(), world.clock.clone()).flush(&world.topic.name).await.unwrap();
    world.trim(0, 50).await;
    assert_eq!(world.raw(&log(), 20).await.len(), 50);
}
