//! What happens by itself at its time: schedules and what became of them, the drill, and replays that make way for what is served.

use std::time::Duration;

use rekap_tests::{Job, Ledger, World, WorldConfig, int, list, rekap, until};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Two that are due each second, one that is not due for long.
const SCHEDULES: &str = "\
[catalog]
export = \"file:./copies\"
[[schedules]]
name = \"compaction\"
cron = \"* * * * * *\"
task = \"compaction\"
[[schedules]]
name = \"drill\"
cron = \"* * * * * *\"
timezone = \"Europe/Vienna\"
task = \"drill\"
job = \"count*\"
[[schedules]]
name = \"yearly\"
cron = \"0 3 1 1 *\"
task = \"catalog-export\"
";

/// A schedule of that name, as it is shown.
async fn schedule(world: &World, name: &str) -> Value {
    let listed = world.get("schedules").await.ok();
    let found = list(&listed["schedules"]).iter().find(|schedule| schedule["schedule"] == name);
    found.unwrap_or_else(|| panic!("no schedule {name} in {listed}")).clone()
}

/// Waits until the schedule's last run came to that.
async fn until_ran(world: &World, name: &str, outcome: &str) -> Value {
    until(&format!("{name} is {outcome}"), async || {
        let seen = schedule(world, name).await;
        if seen["runs"][0]["outcome"] == outcome { Ok(seen["runs"][0].clone()) } else { Err(seen) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_run_at_their_times_say_what_became_of_them_and_remember_it() {
    let mut world = World::with(WorldConfig { more: SCHEDULES, ..WorldConfig::default() }).await;
    until_ran(&world, "compaction", "done").await;
    let none = until_ran(&world, "drill", "failed").await;
    assert!(none["detail"].as_str().is_some_and(|detail| detail.contains("no job is named `count*`")), "{none}");
    let mut ledger = Ledger::open(&world, "counters", 2).await;
    ledger.append(&world, 1_000).await;
    world.deploy_first(&Job::new("counts", &ledger.query()).reads("counters")).await;
    until("a drill passes", async || {
        let seen = schedule(&world, "drill").await;
        let passes = seen["runs"][0]["detail"].as_str().is_some_and(|detail| detail.starts_with("counts: pass"));
        if passes && seen["runs"][0]["outcome"] == "done" { Ok(()) } else { Err(seen) }
    })
    .await;
    until("it ran some times", async || {
        let seen = schedule(&world, "compaction").await;
        if seen["counts"]["done"].as_u64() >= Some(4) { Ok(()) } else { Err(seen) }
    })
    .await;

    let yearly = schedule(&world, "yearly").await;
    assert!(
        list(&yearly["runs"]).is_empty()
            && yearly["next_run"].as_str().is_some_and(|next| next.contains("-01-01T03:00:00"))
    );
    world.post("schedules/yearly/run", &json!({"note": "before the upgrade"})).await.is(202);
    let ran = until_ran(&world, "yearly", "done").await;
    assert!(
        ran["by_hand"] == true && ran["detail"].as_str().is_some_and(|detail| detail.starts_with("copied up to entry"))
    );
    world.post("schedules/monthly/run", &json!({})).await.refused(404, "UNKNOWN_SCHEDULE");
    let shown = world.cli(&["schedules"]).run().await.exits(0);
    assert!(shown.stdout.contains("catalog-export"), "{shown:?}");

    world.stop().await;
    world.restart().await;
    assert_eq!(schedule(&world, "yearly").await["runs"][0]["due"], ran["due"], "it is remembered");
    let audit = world.get("audit?limit=10000").await.ok();
    let of = |kind: &str, name: &str| {
        list(&audit["events"]).iter().filter(|event| event["type"] == kind && event["schedule"] == name).count()
    };
    assert_eq!((of("schedule.set", "compaction"), of("schedule.set", "yearly")), (1, 1));
    let written = of("schedule.ran", "compaction");
    assert!((1..=3).contains(&written), "what turns out as before is not written again and again: {written}");
    let metrics = String::from_utf8(world.get("/metrics").await.body).expect("text");
    for name in ["rekap_schedule_failed{schedule=\"yearly\"} 0", "rekap_drill_differs{job=\"counts\"} 0"] {
        assert!(metrics.contains(name), "{name} is not in {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_cannot_be_kept_keeps_the_server_from_starting_and_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rekap.toml");
    for (says, why) in [
        ("cron = \"0 0 30 2 *\"\ntask = \"compaction\"", "never comes again"),
        ("cron = \"0 3 * *\"\ntask = \"compaction\"", "has 4 fields"),
        ("cron = \"0 3 * * *\"\ntask = \"sweep\"", "no task `sweep`"),
        ("cron = \"0 3 * * *\"\ntask = \"drill\"", "job = \"*\""),
        ("cron = \"0 3 * * *\"\ntask = \"drill\"\njob = \"no job\"", "no job can be named"),
        ("cron = \"0 3 * * *\"\ntimezone = \"Vienna\"\ntask = \"compaction\"", "no time zone"),
        ("cron = \"0 3 * * *\"\ntask = \"catalog-export\"", "`[catalog]`"),
    ] {
        std::fs::write(&file, format!("[[schedules]]\nname = \"nightly\"\n{says}\n")).expect("a file");
        let refused =
            std::process::Command::new(rekap()).args(["serve", "--config"]).arg(&file).output().expect("it runs");
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && told.contains("schedule `nightly`") && told.contains(why), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_of_mirrored_history_beside_a_flow_passes_and_disturbs_nothing() {
    let world = World::start().await;
    let mut ledger = Ledger::open(&world, "counters", 2).await;
    ledger.append(&world, 5_000).await;
    world.drop_hot_copy("counters").await;
    world.deploy_first(&Job::new("counts", &ledger.query()).reads("counters")).await;
    world.post("jobs/nothing/drill", &json!({})).await.refused(404, "UNKNOWN_JOB");
    world.get("jobs/counts/drill").await.refused(404, "NOT_DRILLED");
    let writer = ledger.write(world.client());
    let drilled = world.cli(&["drill", "counts", "--note", "by hand"]).run().await;
    let ledger = writer.stop().await;
    let drilled = drilled.exits(0);
    assert!(drilled.stdout.contains("pass"), "{drilled:?}");
    let found = world.get("jobs/counts/drill").await.ok();
    assert_eq!((&found["verdict"], &found["counts"]["changed"]), (&json!("pass"), &json!(0)), "{found}");
    assert!(int(&found["records"]) >= 5_000 && int(&found["counts"]["same"]) > 0, "{found}");
    let job = world.job("counts").await;
    assert_eq!((&job["serving"], &job["versions"], &job["drill"]["state"]), (&json!(1), &json!([1]), &json!("done")));
    let rows = world.rows_at_end("counts", "counters").await;
    rekap_tests::assert_same_rows("after the drill", &["key"], &rows, &ledger.rows());
    let history = world.cli(&["history", "counts"]).run().await.exits(0);
    assert!(history.stdout.contains("job.drilled"), "{history:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_keeps_to_the_limit_that_it_was_given_and_says_so() {
    let world = World::start().await;
    let mut ledger = Ledger::open(&world, "counters", 2).await;
    ledger.append(&world, 10_000).await;
    let job = Job::new("counts", &ledger.query()).reads("counters");
    world.deploy_first(&job).await;
    let version = world.deploy_again(&job).await;
    world.until_phase("counts", version, "Ready").await;
    let path = format!("jobs/counts/versions/{version}/replay");
    world.post(&path, &json!({"max_records_per_s": 0})).await.refused(422, "INVALID_BODY");
    let begun = Instant::now();
    let asked = world.post(&path, &json!({"max_records_per_s": 2_500})).await.is(200);
    assert_eq!(asked["max_records_per_s"], 2_500, "{asked}");
    until("the replay says that it is slowed", async || {
        let seen = world.version("counts", version).await;
        let throttled = &seen["progress"]["throttled"];
        let slowed = throttled["by"] == "max_records_per_s" && throttled["records_per_s"] == 2_500;
        if slowed && throttled["reason"].is_string() { Ok(()) } else { Err(seen) }
    })
    .await;
    let ready = world.until_phase("counts", version, "Ready").await;
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(3), "10,000 records at 2,500 a second took {took:?}");
    assert!(ready["progress"]["throttled"].is_null(), "{ready}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_makes_way_while_what_serves_lags_says_for_whom_and_goes_on_by_itself() {
    let world = World::start().await;
    let mut ledger = Ledger::open(&world, "counters", 2).await;
    ledger.append(&world, 20_000).await;
    let job = Job::new("counts", &ledger.query()).reads("counters");
    world.deploy_first(&job).await;
    world.hold_at("range.computed counts@1");
    ledger.append(&world, 100).await;
    world.until_held().await;
    until("the version that serves lags", async || {
        let seen = world.version("counts", 1).await;
        if seen["lag_ms"].as_u64().is_some_and(|lag| lag > 3_000) { Ok(()) } else { Err(seen) }
    })
    .await;
    let version = world.deploy_again(&job).await;
    let slowed = until("the replay makes way", async || {
        let seen = world.version("counts", version).await;
        if seen["progress"]["throttled"]["by"] == "live_lag" { Ok(seen) } else { Err(seen) }
    })
    .await;
    let reason = slowed["progress"]["throttled"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("counts@1, which serves, is") && reason.contains("behind the log"), "{reason}");
    world.release();
    let ready = world.until_phase("counts", version, "Ready").await;
    assert!(ready["progress"]["throttled"].is_null(), "{ready}");
}

/// What the lag of the version that serves may come to beside a replay, on a busy machine.
const LAG_MS: u64 = 5_000;

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_replay_what_serves_keeps_up_with_a_steady_flow() {
    let world = World::start().await;
    let mut ledger = Ledger::open(&world, "counters", 2).await;
    ledger.append(&world, 300_000).await;
    let job = Job::new("counts", &ledger.query()).reads("counters");
    world.deploy_first(&job).await;
    let writer = ledger.write(world.client());
    let version = world.deploy_again(&job).await;
    let mut lags = vec![];
    until("the replay is done", async || {
        let seen = world.version("counts", version).await;
        lags.extend(world.version("counts", 1).await["lag_ms"].as_u64());
        if seen["phase"] == "Ready" { Ok(()) } else { Err(seen) }
    })
    .await;
    writer.stop().await;
    let worst = lags.iter().max().copied().unwrap_or_default();
    println!("the worst lag of {} looks was {worst} ms", lags.len());
    assert!(worst < LAG_MS, "{lags:?}");
}
