//! Several people at one job, and windows that are over: who comes second learns so, nothing is done twice, and what can still be done
//! is said.

use rekap_tests::{Answer, Job, Ledger, World, until};
use reqwest::Method;
use serde_json::{Value, json};

/// Each row says which version made it.
fn counting(version: u64) -> String {
    format!("SELECT key, count(*) AS events, {version} AS made_by FROM counters GROUP BY key")
}

fn job(name: &str, version: u64) -> Job {
    Job::new(name, &counting(version)).reads("counters")
}

async fn world() -> World {
    let world = World::start().await;
    Ledger::open(&world, "counters", 2).await.append(&world, 200).await;
    world
}

/// Sends a command under the condition that nothing has moved since that tag was read.
async fn command(world: &World, path: &str, tag: &str) -> Answer {
    world.request(Method::POST, path).header("if-match", tag).json(&json!({})).answer().await
}

async fn tag(world: &World, path: &str) -> String {
    world.get(path).await.header("etag").expect("an ETag").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_operators_who_saw_the_same_job_one_moves_it_and_the_other_is_told_to_look_again() {
    let world = world().await;
    world.deploy_first(&job("counts", 1)).await;
    for version in [2, 3] {
        assert_eq!(world.deploy(&job("counts", version)).await, version);
    }
    for version in [2, 3] {
        world.until_phase("counts", version, "Ready").await;
    }
    let seen = tag(&world, "jobs/counts").await;
    let (one, other) = tokio::join!(
        command(&world, "jobs/counts/versions/2/promote", &seen),
        command(&world, "jobs/counts/versions/3/promote", &seen)
    );
    let (won, lost) = if one.status == 200 { (one, other) } else { (other, one) };
    assert_eq!(won.is(200)["serving"], world.job("counts").await["serving"]);
    lost.refused(412, "GENERATION_MOVED");
    command(&world, "jobs/counts/rollback", &seen).await.refused(412, "GENERATION_MOVED");
    let now = tag(&world, "jobs/counts").await;
    let (one, other) =
        tokio::join!(command(&world, "jobs/counts/rollback", &now), command(&world, "jobs/counts/rollback", &now));
    let mut codes = [one.status, other.status];
    codes.sort_unstable();
    assert_eq!(codes, [200, 412], "{one} {other}");
    assert_eq!(world.job("counts").await["serving"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_candidates_of_one_job_are_each_compared_with_what_serves_then_and_now() {
    let world = world().await;
    world.deploy_first(&job("counts", 1)).await;
    world.deploy(&job("counts", 2)).await;
    world.deploy(&job("counts", 3)).await;
    for version in [2, 3] {
        world.until_phase("counts", version, "Ready").await;
        let verification = world.get(&format!("jobs/counts/versions/{version}/verification")).await.ok();
        assert_eq!(verification["against"], 1, "{verification}");
    }
    world.promote("counts", 2).await;
    until("the other one is compared with what serves now", async || {
        let verification = world.get("jobs/counts/versions/3/verification").await.ok();
        if verification["against"] == 2 && verification["state"] == "done" { Ok(()) } else { Err(verification) }
    })
    .await;
    world.until_phase("counts", 3, "Ready").await;
    world.promote("counts", 3).await;
    for expected in [2, 1] {
        assert_eq!(world.roll_back("counts").await["serving"], expected);
    }
    world.post("jobs/counts/rollback", &json!({})).await.refused(409, "NOTHING_TO_ROLL_BACK");
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_of_zero_promote_at_once_and_leave_no_way_back_but_a_fresh_version() {
    let world = world().await;
    let at_once =
        |version| job("counts", version).promote("ready_for", json!("0s")).promote("rollback_window", json!("0s"));
    world.deploy_first(&at_once(1)).await;
    world.deploy_and_promote(&at_once(2)).await;
    until("what served is let go", async || {
        let seen = world.version("counts", 1).await;
        if seen["phase"] == "Retired" { Ok(()) } else { Err(seen) }
    })
    .await;
    let refused = world.post("jobs/counts/rollback", &json!({})).await.refused(409, "NOTHING_TO_ROLL_BACK");
    assert!(refused["remedy"].as_str().is_some_and(|remedy| remedy.contains("rekap runbook counts")), "{refused}");
    let fresh = world.deploy(&at_once(1)).await;
    world.until_phase("counts", fresh, "Ready").await;
    world.promote("counts", fresh).await;
    assert_eq!(made_by(&world).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_its_window_a_rollback_is_refused_and_a_replay_of_the_same_version_brings_it_back() {
    let world = world().await;
    world.deploy_first(&job("counts", 1)).await;
    world.deploy_and_promote(&job("counts", 2)).await;
    let promoted = world.get("jobs/counts/history?first=newest&limit=1").await.ok();
    let at = promoted["events"][0]["at"]
        .as_str()
        .expect("a time")
        .parse::<chrono::DateTime<chrono::Utc>>()
        .expect("RFC 3339");
    let mut until_then = at + chrono::Duration::milliseconds(500);
    // On a busy machine that may be past before it is said.
    while world.post("jobs/counts/rollback-window", &json!({"until": until_then.to_rfc3339()})).await.status == 422 {
        until_then += chrono::Duration::milliseconds(500);
    }
    world.until_phase("counts", 1, "Retired").await;
    assert_eq!(world.job("counts").await["rollback"]["possible"], false);
    world.post("jobs/counts/rollback", &json!({})).await.refused(409, "NOTHING_TO_ROLL_BACK");
    world.post("jobs/counts/rollback", &json!({"to": 1})).await.refused(409, "CANNOT_ROLL_BACK");
    let replayed = world.post("jobs/counts/versions/1/replay", &json!({})).await.is(200);
    assert_eq!(replayed["attempt"], 2, "{replayed}");
    world.until_phase("counts", 1, "Ready").await;
    world.promote("counts", 1).await;
    assert_eq!(made_by(&world).await, 1);
    assert_eq!(world.roll_back("counts").await["serving"], 2, "and there is a way back from it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_to_a_version_that_was_paused_lets_it_read_on_and_says_so() {
    let world = World::start().await;
    let mut ledger = Ledger::open(&world, "counters", 2).await;
    ledger.append(&world, 200).await;
    world.deploy_first(&job("counts", 1)).await;
    world.deploy_and_promote(&job("counts", 2)).await;
    world.post("jobs/counts/versions/1/pause", &json!({})).await.is(200);
    ledger.append(&world, 200).await;
    world.rows_at_end("counts", "counters").await;
    let back = world.roll_back("counts").await;
    assert!(back["warnings"][0].as_str().is_some_and(|told| told.contains("version 1 was paused")), "{back}");
    let rows = world.rows_at_end("counts", "counters").await;
    assert!(rows.iter().all(|row| row["made_by"] == 1), "{rows:?}");
    let told = world.get("jobs/counts/history?first=newest&limit=1").await.ok();
    assert_eq!((&told["events"][0]["type"], &told["events"][0]["resumed"]), (&json!("job.rolled_back"), &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_that_outlives_the_rollback_window_is_when_the_way_back_ends() {
    let world = world().await;
    world.deploy_first(&job("counts", 1)).await;
    world.deploy_and_promote(&job("counts", 2)).await;
    let (window, freeze) = ("2099-01-01T00:00:00Z", "2099-06-01T00:00:00Z");
    world.post("jobs/counts/rollback-window", &json!({"until": window})).await.is(200);
    assert_eq!(world.job("counts").await["rollback"]["until"], window);
    world.post("jobs/counts/freeze", &json!({"until": freeze})).await.is(200);
    assert_eq!(world.job("counts").await["rollback"]["until"], freeze);
    assert_eq!(world.version("counts", 1).await["until"], freeze);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_promotion_when_ready_is_armed_even_when_it_is_ready_and_it_serves_at_once() {
    let world = world().await;
    world.deploy_first(&job("counts", 1)).await;
    let second = world.deploy(&job("counts", 2)).await;
    let path = format!("jobs/counts/versions/{second}");
    let verification = world.get(&format!("{path}/verification")).await.is(200);
    assert!(verification["state"] == "running" || verification["state"] == "done", "{verification}");
    world.until_phase("counts", second, "Ready").await;
    assert_eq!(world.get(&format!("{path}/verification")).await.is(200)["state"], "done");
    let armed = world.post(&format!("{path}/promote"), &json!({"when_ready": true})).await.is(202);
    assert_eq!((&armed["armed"], &armed["version"]), (&json!(true), &json!(second)), "{armed}");
    world.until_serving("counts", second).await;
    let serves = world.post(&format!("{path}/promote"), &json!({"when_ready": true})).await.is(200);
    assert_eq!(serves["serving"], second);
    let third = world.deploy(&job("counts", 3)).await;
    world.until_phase("counts", third, "Ready").await;
    let promote = format!("counts@{third}");
    world.cli(&["promote", &promote, "--when-ready", "--watch"]).run().await.exits(0);
    assert_eq!(world.job("counts").await["serving"], third);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_about_a_command_that_changes_nothing_is_kept() {
    let world = world().await;
    world.deploy_first(&job("counts", 1)).await;
    world.deploy(&job("counts", 2)).await;
    world.post("jobs/counts/versions/2/abort", &json!({})).await.is(200);
    world.post("jobs/counts/versions/2/retire", &json!({"note": "it was wrong anyway"})).await.is(200);
    let last = world.get("audit?first=newest&limit=1").await.ok();
    let event = &last["events"][0];
    assert_eq!((&event["type"], &event["note"]), (&json!("request.answered"), &json!("it was wrong anyway")), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_has_moved_since_it_was_looked_at_is_neither_promoted_nor_rolled_back() {
    let world = world().await;
    let of_group = |name: &str, version| job(name, version).promote("group", json!("prices"));
    for name in ["left", "right"] {
        world.deploy_first(&of_group(name, 1)).await;
    }
    let before = tag(&world, "groups/prices").await;
    for name in ["left", "right"] {
        world.deploy(&of_group(name, 2)).await;
        world.until_phase(name, 2, "Ready").await;
    }
    command(&world, "groups/prices/promote", &before).await.refused(412, "GENERATION_MOVED");
    assert_eq!(world.job("left").await["serving"], 1, "none of them moved");
    let seen = tag(&world, "groups/prices").await;
    let shown = world.get("groups/prices").await.ok();
    assert_eq!(format!("\"{}\"", shown["generation"]), seen);
    command(&world, "groups/prices/promote", &seen).await.is(200);
    command(&world, "groups/prices/rollback", &seen).await.refused(412, "GENERATION_MOVED");
    assert_eq!(world.job("right").await["serving"], 2, "none of them moved");
    command(&world, "groups/prices/rollback", &tag(&world, "groups/prices").await).await.is(200);
    let serving: Vec<Value> =
        vec![world.job("left").await["serving"].clone(), world.job("right").await["serving"].clone()];
    assert_eq!(serving, [1, 1]);
}

/// Which version made the rows that are served.
async fn made_by(world: &World) -> u64 {
    let rows = world.rows_at_end("counts", "counters").await;
    rows[0]["made_by"].as_u64().expect("a number")
}
