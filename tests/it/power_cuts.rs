//! The machine stops, and with it goes what was not synced (`tests/c/power_cut.c` says exactly what). The log has all that it
//! acknowledged, the catalog its last event; a table loses its tail together with its positions, and nobody sees it go back.

use rekap_tests::{Job, Ledger, World, WorldConfig, assert_same_rows, int, until};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn after_a_power_cut_all_that_was_acknowledged_is_there_in_log_cold_tier_and_catalog() {
    let mut world = World::with_power(WorldConfig::default()).await;
    let mut ledger = Ledger::open(&world, "counters", 2).await;
    let job = Job::new("counts", &ledger.query()).reads("counters");
    let mut serving = world.deploy_first(&job).await;
    for round in 0..3 {
        let writer = ledger.write(world.client());
        let version = world.deploy_again(&job).await;
        world.until_phase("counts", version, "Ready").await;
        world.post("topics/counters/mirror", &json!({})).await.ok();
        let mirrored = world.topic_status("counters").await;
        world.promote("counts", version).await;
        world.cut_power();
        world.restart().await;
        ledger = writer.stop().await;
        assert_eq!(world.job("counts").await["serving"], version, "round {round}: the promotion was acknowledged");
        assert_not_behind(&world.topic_status("counters").await, &mirrored);
        check(&world, &ledger, "counts").await;
        ledger.check_log(&world).await;
        assert_ne!(version, serving);
        serving = version;
        assert_eq!(world.get("audit/verify").await.ok()["verdict"], "intact");
    }
    world.mirror("counters").await;
    world.drop_hot_copy("counters").await;
    ledger.check_log(&world).await;
}

fn assert_not_behind(after: &Value, before: &Value) {
    for (after, before) in rekap_tests::partitions(after).iter().zip(rekap_tests::partitions(before)) {
        let reach = |partition: &Value| partition["mirrored_to"].as_u64().unwrap_or(0);
        assert!(reach(after) >= reach(before), "the mirror was answered at {before} and is at {after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_loses_its_unsynced_tail_and_no_reader_sees_it_before_it_is_back() {
    let mut world = World::with_power(WorldConfig::default()).await;
    let mut ledger = Ledger::open(&world, "counters", 2).await;
    ledger.append(&world, 1_000).await;
    world.deploy_first(&Job::new("counts", &ledger.query()).reads("counters")).await;
    check(&world, &ledger, "counts").await;
    // The tables are not synced from here on, and readers see what is only in memory.
    world.hold_at("tables.persisting");
    world.until_held().await;
    ledger.append(&world, 1_000).await;
    check(&world, &ledger, "counts").await;
    world.cut_power();
    world.hold_at("range.computed counts@1");
    world.launch();
    until("the version is about to come back", async || {
        let answer = world.request(Method::GET, "/readyz").try_answer().await.map_err(|e| e.to_string())?;
        if answer.status == 503 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    world.until_held().await;
    world.get("tables/counts/rows").await.refused(503, "RECOVERING");
    world.get("/readyz").await.refused(503, "RECOVERING");
    world.post("sql", &json!({"query": "SELECT count(*) FROM live.counts"})).await.problem(422);
    let behind = world.version("counts", 1).await;
    assert!(int(&behind["progress"]["records_done"]) < ledger.events(), "the unsynced tail is lost: {behind}");
    world.release();
    world.until_ready().await;
    check(&world, &ledger, "counts").await;
}

/// The table holds exactly what was acknowledged.
async fn check(world: &World, ledger: &Ledger, alias: &str) {
    let rows = world.rows_at_end(alias, "counters").await;
    assert_same_rows(alias, &["key"], &rows, &ledger.rows());
}
