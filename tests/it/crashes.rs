//! `kill -9` at any moment: no acknowledged event is missing, none is counted twice, and the deployment goes on by itself.
//!
//! Four promises share `REKAP_KILLS` kills (20 by default). The moments are random; the seed is printed.

use std::time::Duration;

use rekap_tests::{Client, Duck, Job, Ledger, World, WorldConfig, assert_same_rows, seeded};
use serde_json::json;
use tokio::time::sleep;

/// How many kills there are in all unless `REKAP_KILLS` says otherwise.
const KILLS: usize = 20;

/// How many tests share them.
const SHARES: usize = 4;

/// How many events a replay has before it that is to be killed in its middle.
const HISTORY: u64 = 400_000;

#[tokio::test(flavor = "multi_thread")]
async fn killed_during_ingest_no_acknowledged_event_is_missing_and_none_is_there_twice() {
    let mut random = seeded("kill -9 during ingest");
    let mut world = World::start().await;
    let mut ledger = Ledger::open(&world, "counters", 3).await;
    world.deploy_first(&Job::new("counts", &ledger.query()).reads("counters")).await;
    for _ in 0..kills() {
        let writer = ledger.write(world.client());
        a_moment(&mut random, 700).await;
        world.kill();
        world.restart().await;
        ledger = writer.stop().await;
        check(&world, &ledger, "counts").await;
    }
    ledger.check_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_mirroring_the_cold_tier_holds_every_offset_once() {
    let mut random = seeded("kill -9 while mirroring");
    let config = WorldConfig { mirror_max_age: "100ms", mirror_max_bytes: "16KiB", ..WorldConfig::default() };
    let mut world = World::with(config).await;
    let mut ledger = Ledger::open(&world, "counters", 2).await;
    for _ in 0..kills() {
        let writer = ledger.write(world.client());
        let flushing = tokio::spawn(flush_without_end(world.client()));
        a_moment(&mut random, 900).await;
        world.kill();
        flushing.abort();
        world.restart().await;
        ledger = writer.stop().await;
    }
    world.mirror("counters").await;

    let query = "SELECT count(*) AS records, count(DISTINCT (_partition, _offset)) AS offsets, \
                 count(DISTINCT (data.key, data.n)) AS events FROM cold";
    let duck = Duck::new().delta("cold", &world.cold_url("counters").await);
    let events = ledger.events();
    let expected = json!([{"records": events, "offsets": events, "events": events}]);
    assert_eq!(json!(duck.rows(query).await), expected);
    world.drop_hot_copy("counters").await;
    ledger.check_log(&world).await;
    world.deploy_first(&Job::new("counts", &ledger.query()).reads("counters")).await;
    check(&world, &ledger, "counts").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_during_a_replay_the_version_goes_on_by_itself_and_counts_nothing_twice() {
    let mut random = seeded("kill -9 during a replay");
    let mut world = World::start().await;
    let mut ledger = Ledger::open(&world, "counters", 3).await;
    ledger.append(&world, HISTORY).await;
    world.mirror("counters").await;
    world.drop_hot_copy("counters").await;
    let job = Job::new("counts", &ledger.query()).reads("counters");
    world.deploy_first(&job).await;
    for _ in 0..kills() {
        let version = world.deploy_again(&job).await;
        a_moment(&mut random, 500).await;
        world.kill();
        world.restart().await;
        world.until_phase("counts", version, "Ready").await;
        check(&world, &ledger, &format!("counts@{version}")).await;
        world.promote("counts", version).await;
        check(&world, &ledger, "counts").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_during_a_promotion_one_version_serves_and_the_deployment_goes_on() {
    let mut random = seeded("kill -9 during a promotion");
    let mut world = World::start().await;
    let mut ledger = Ledger::open(&world, "counters", 2).await;
    let job = Job::new("counts", &ledger.query()).reads("counters");
    let mut serving = world.deploy_first(&job).await;
    for _ in 0..kills() {
        let writer = ledger.write(world.client());
        let version = world.deploy_again(&job).await;
        world.until_phase("counts", version, "Ready").await;
        let promotion = tokio::spawn(promote(world.client(), version));
        a_moment(&mut random, 60).await;
        world.kill();
        world.restart().await;
        let acknowledged = promotion.await.expect("no panic within");
        let now = world.job("counts").await["serving"].as_u64().expect("a version serves");
        assert!(
            now == version || (now == serving && !acknowledged),
            "{serving} or {version} was promoted, {now} serves"
        );
        if now == serving {
            world.until_phase("counts", version, "Ready").await;
            world.promote("counts", version).await;
        }
        serving = version;
        ledger = writer.stop().await;
        check(&world, &ledger, "counts").await;
    }
}

/// This test's share of the kills.
fn kills() -> usize {
    let all = std::env::var("REKAP_KILLS").map_or(KILLS, |text| text.parse().expect("REKAP_KILLS is a number"));
    all.div_ceil(SHARES)
}

/// A random moment within so many milliseconds: the point of these tests is that nobody waits for anything in particular.
async fn a_moment(random: &mut fastrand::Rng, within_ms: u64) {
    sleep(Duration::from_millis(random.u64(..within_ms))).await;
}

/// The table holds exactly what was acknowledged.
async fn check(world: &World, ledger: &Ledger, alias: &str) {
    let rows = world.rows_at_end(alias, "counters").await;
    assert_same_rows(alias, &["key"], &rows, &ledger.rows());
}

/// Mirrors again and again until the server is gone.
async fn flush_without_end(client: Client) {
    let flush = || client.request(reqwest::Method::POST, "topics/counters/mirror").json(&json!({})).try_answer();
    while flush().await.is_ok() {}
}

/// Promotes, and says whether that was acknowledged.
async fn promote(client: Client, version: u64) -> bool {
    let path = format!("jobs/counts/versions/{version}/promote");
    let answer = client.request(reqwest::Method::POST, &path).json(&json!({})).try_answer().await;
    answer.is_ok_and(|answer| answer.status == 200)
}
