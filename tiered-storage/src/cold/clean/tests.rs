use std::sync::Arc;

use super::*;
use crate::cold::plan_merges;
use crate::world::{WHOLE, World};
use crate::{Clock as _, Partition, SystemClock};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A table of small files, and the clock at the machine's own time, by which files have their age.
async fn small_files(count: usize) -> (World, Arc<ColdTopic>) {
    let mut world = World::new().await;
    world.clock.advance(SystemClock.now().since(world.clock.now()));
    for _ in 0..count {
        world.append(0, 10).await;
        world.flush_only(WHOLE).await;
    }
    let cold = world.log().cold.topic(&world.topic).await.unwrap();
    (world, cold)
}

fn stored(world: &World) -> usize {
    let folder = world.dir.path().join(layout::table_folder(&world.topic)).join("_partition=0");
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn a_file_that_nothing_refers_to_goes_after_a_safe_age_and_nothing_else_does() {
    let (world, cold) = small_files(3).await;
    let folder = world.dir.path().join(layout::table_folder(&world.topic)).join("_partition=0");
    let live = cold.coverage().partitions[&Partition(0)].files()[0].clone();
    let orphan = layout::data_file(Partition(0), live.range, uuid::Uuid::new_v4());
    std::fs::copy(folder.join("..").join(&live.path), folder.join("..").join(&orphan)).unwrap();
    std::fs::write(folder.join("notes.parquet"), "not ours").unwrap();
    assert_eq!(cold.clean().await.unwrap().files, 0);
    world.clock.advance(DAY * 8);
    let cleaned = cold.clean().await.unwrap();
    assert_eq!((cleaned.files, cleaned.bytes), (1, live.bytes));
    assert!(!folder.join("..").join(&orphan).exists());
    assert_eq!(stored(&world), 4);
    world.trim(0, 30).await;
    world.check_complete().await;
}

#[tokio::test]
async fn what_was_joined_away_stays_for_seven_days_however_old_it_is() {
    let (world, cold) = small_files(8).await;
    world.clock.advance(DAY * 30);
    let merge = plan_merges(&cold.coverage(), WHOLE).remove(0);
    let joined = cold.join(merge).await.unwrap();
    cold.swap(vec![joined]).await.unwrap();
    world.clock.advance(DAY * 6);
    assert_eq!(cold.clean().await.unwrap().files, 0);
    world.clock.advance(DAY * 2);
    assert_eq!(cold.clean().await.unwrap().files, 8);
    assert_eq!(stored(&world), 1);
    world.trim(0, 80).await;
    world.check_complete().await;
}

#[tokio::test]
async fn log_entries_go_once_a_checkpoint_stands_for_them_and_is_old_enough() {
    let (mut world, cold) = small_files(3).await;
    let entries = || {
        let log = world.dir.path().join(layout::table_folder(&world.topic)).join("_delta_log");
        let names = std::fs::read_dir(log).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".json")).count()
    };
    assert_eq!(entries(), 4);
    assert!(!cold.checkpoint_if_due().await.unwrap());
    cold.checkpoint().await.unwrap();
    assert_eq!(cold.clean().await.unwrap().entries, 0);
    world.clock.advance(DAY * 8);
    assert_eq!(cold.clean().await.unwrap().entries, 3);
    assert_eq!(entries(), 1);
    assert_eq!(world.mirrored_to().await[0], 30);
    world.append(0, 10).await;
    world.flush_only(WHOLE).await;
    world.trim(0, 40).await;
    world.check_complete().await;
}
