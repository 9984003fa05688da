//! A version that does not keep up, at the moments when it matters: a promotion is called off, a rollback steps back and says by how
//! much, a stalled candidate fails with its place. The version is held at its next commit, so nothing here depends on speed.

use std::time::Duration;

use rekap_tests::{Job, Ledger, World, assert_same_rows, until};
use serde_json::{Value, json};
use tokio::time::Instant;

/// What a promotion may take before it is called off, and some for a busy machine.
const CALLED_OFF_WITHIN: Duration = Duration::from_secs(6);

/// Waits until a version has applied all that was appended.
async fn until_applied(world: &World, ledger: &Ledger, alias: &str) {
    let rows = world.rows_at_end(alias, "counters").await;
    assert_same_rows(alias, &["key"], &rows, &ledger.rows());
}

/// A server whose job has two versions: 1 serves and 2 is ready for as long as it is not ten minutes behind.
async fn world() -> (World, Ledger) {
    let world = World::start().await;
    let mut ledger = Ledger::open(&world, "counters", 2).await;
    ledger.append(&world, 5_000).await;
    let job = Job::new("counts", &ledger.query()).reads("counters").promote("max_lag", json!("10m"));
    world.deploy_first(&job).await;
    let version = world.deploy_again(&job).await;
    world.until_phase("counts", version, "Ready").await;
    (world, ledger)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_whose_candidate_does_not_come_up_in_time_is_called_off_and_changes_nothing() {
    let (world, mut ledger) = world().await;
    world.hold_at("range.computed counts@2");
    ledger.append(&world, 5_000).await;
    world.until_held().await;
    until_applied(&world, &ledger, "counts").await;
    let before = world.job("counts").await;
    let asked = Instant::now();
    let problem = world.post("jobs/counts/versions/2/promote", &json!({})).await.refused(409, "PROMOTION_CALLED_OFF");
    assert!(asked.elapsed() < CALLED_OFF_WITHIN, "it took {:?}", asked.elapsed());
    assert!(asked.elapsed() >= Duration::from_secs(2), "it waits two seconds: {:?}", asked.elapsed());
    assert!(problem["detail"].as_str().is_some_and(|text| text.contains("partition")), "{problem}");
    assert!(problem["conditions"]["caught_up"]["met"].is_boolean(), "{problem}");
    assert_eq!(world.job("counts").await, before, "nothing changed");
    ledger.append(&world, 100).await;
    until_applied(&world, &ledger, "counts").await;
    world.release();
    until_applied(&world, &ledger, "counts@2").await;
    world.promote("counts", 2).await;
    until_applied(&world, &ledger, "counts").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_to_a_version_that_is_behind_steps_back_and_says_by_how_much() {
    let (world, mut ledger) = world().await;
    world.promote("counts", 2).await;
    until_applied(&world, &ledger, "counts@1").await;
    world.hold_at("range.computed counts@1");
    ledger.append(&world, 5_000).await;
    world.until_held().await;
    until_applied(&world, &ledger, "counts").await;
    let asked = Instant::now();
    let answer = world.roll_back("counts").await;
    eprintln!("the rollback took {:?}", asked.elapsed());
    assert_eq!(answer["serving"], 1, "{answer}");
    assert_eq!(steps(&answer["stepped_back"]), 5_000, "as much as it had not applied: {answer}");
    assert!(answer["swap_ms"].as_u64().is_some_and(|ms| (150..1_000).contains(&ms)), "{answer}");
    let history = world.get("jobs/counts/history").await.ok();
    assert!(history.to_string().contains("stepped_back"), "{history}");
    world.release();
    until_applied(&world, &ledger, "counts").await;
}

/// All the offsets that an answer says the alias went back.
fn steps(stepped_back: &Value) -> u64 {
    let partitions = stepped_back["counters"].as_object().expect("the topic's partitions");
    partitions.values().map(|offsets| offsets.as_u64().expect("a number")).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_without_progress_for_its_stall_timeout_fails_and_names_the_partition() {
    let world = World::start().await;
    let mut ledger = Ledger::open(&world, "counters", 1).await;
    ledger.append(&world, 1_000).await;
    let job = Job::new("counts", &ledger.query()).reads("counters").promote("stall_timeout", json!("1s"));
    world.deploy_first(&job).await;
    world.hold_at("range.computed counts@2");
    let version = world.deploy_again(&job).await;
    let failed = world.until_phase("counts", version, "Failed").await;
    let reason = failed["reason"].as_str().expect("a reason");
    assert!(reason.contains("no progress for 1 s") && reason.contains("`counters` partition 0"), "{reason}");
    let told = world.get("jobs/counts/history").await.ok();
    assert!(told.to_string().contains("STALLED"), "{told}");
    world.release();
    world.post("jobs/counts/versions/2/resume", &json!({})).await.ok();
    until("it goes on", async || {
        let seen = world.version("counts", version).await;
        if seen["phase"] == "Ready" { Ok(()) } else { Err(seen) }
    })
    .await;
}
