//! What a promotion rests on, and what can be done after it: gaps that were accepted, plans that have moved, groups, what is watched,
//! and the catalog brought back from its copy.

use rekap_tests::{Candles, Events, Job, Ledger, Trades, World, WorldConfig, int, list, until};
use serde_json::{Value, json};

/// Each row says which version made it.
fn counting(topic: &str, version: u64) -> String {
    format!("SELECT key, count(*) AS events, {version} AS made_by FROM {topic} GROUP BY key")
}

/// Adds to the server's configuration, and starts it again with it.
async fn reconfigure(world: &mut World, more: &str) {
    let file = world.folder().join("rekap.toml");
    let text = std::fs::read_to_string(&file).expect("a configuration") + more;
    world.stop().await;
    std::fs::write(&file, text).expect("a file in the folder");
    world.restart().await;
}

async fn history(world: &World, job: &str) -> Vec<Value> {
    list(&world.get(&format!("jobs/{job}/history?limit=1000")).await.ok()["events"]).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_does_without_lost_offsets_only_when_it_is_told_to_and_says_so() {
    let mut world = World::start().await;
    reconfigure(&mut world, "[log]\nkind = \"embedded\"\nretention_waits_for_mirror = false\n").await;
    let mut ledger = Ledger::open(&world, "counters", 1).await;
    ledger.append(&world, 10).await;
    world.drop_hot_copy("counters").await;
    let lost = ledger.events();
    ledger.append(&world, 10).await;
    let job =
        Job::new("counts", &counting("counters", 1)).input("counters", json!({"topic": "counters", "start": {"0": 0}}));

    let plan = world.post("jobs/counts/plan", &job.body()).await.ok();
    assert_eq!(plan["inputs"][0]["gaps"], json!([{"partition": 0, "from": 0, "to": lost}]), "{plan}");
    assert!(list(&plan["warnings"]).iter().any(|w| w.as_str().is_some_and(|w| w.contains("are gone"))), "{plan}");
    assert_eq!(world.deploy(&job).await, 1);
    let failed = world.until_phase("counts", 1, "Failed").await;
    assert!(failed["reason"].as_str().is_some_and(|reason| reason.contains("--accept-gap")), "{failed}");

    let replayed = world.post("jobs/counts/versions/1/replay", &json!({"accept_gap": true})).await.ok();
    let left_out = json!([{"topic": "counters", "partition": 0, "from": 0, "to": lost}]);
    assert_eq!((&replayed["attempt"], &replayed["left_out"]), (&json!(2), &left_out), "{replayed}");
    until("only the gap keeps it from being promoted", async || {
        let seen = world.version("counts", 1).await;
        let unmet = |name: &str| seen["ready"][name]["met"] == false;
        let others = ["caught_up", "lag", "ready_for", "verified", "schema"].into_iter().any(unmet);
        if unmet("no_gap") && !others { Ok(()) } else { Err(seen) }
    })
    .await;
    let refused = world.post("jobs/counts/versions/1/promote", &json!({})).await;
    assert_eq!(refused.refused(409, "NOT_READY")["conditions"]["no_gap"]["met"], false, "{refused}");
    world.post("jobs/counts/versions/1/promote", &json!({"force": ["no_gap"]})).await.is(200);
    let promoted = history(&world, "counts").await.into_iter().find(|event| event["type"] == "job.promoted");
    assert_eq!(promoted.expect("it was promoted")["forced"], json!(["no_gap"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_and_a_deploy_warn_of_history_that_is_gone_and_was_read() {
    let more = "[log]\nkind = \"embedded\"\nretention_waits_for_mirror = false\n";
    let world = World::with(WorldConfig { more, ..WorldConfig::default() }).await;
    let mut ledger = Ledger::open(&world, "counters", 1).await;
    ledger.append(&world, 10).await;
    let job = |version| Job::new("counts", &counting("counters", version)).reads("counters");
    assert_eq!(world.post("jobs/counts/plan", &job(1).body()).await.ok()["warnings"], json!([]));
    world.deploy_first(&job(1)).await;
    world.rows_at_end("counts", "counters").await;
    world.drop_hot_copy("counters").await;
    let before = format!("history of `counters` is gone: partition 0 before {}; ", ledger.events());
    let expected = json!([format!("{before}the table will be without it; version 1, which serves, has read it")]);
    let plan = world.post("jobs/counts/plan", &job(2).body()).await.ok();
    assert_eq!(plan["warnings"], expected, "{plan}");
    let deployed = world.post("jobs/counts/versions", &job(2).body()).await.is(201);
    assert_eq!(deployed["warnings"], expected, "{deployed}");
    assert_eq!(world.post("jobs/counts/versions", &job(2).body()).await.is(200)["warnings"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_changes_and_a_deploy_holds_to_it() {
    let world = World::start().await;
    Ledger::open(&world, "counters", 2).await.append(&world, 4000).await;
    let first = Job::new("counts", &counting("counters", 1)).reads("counters");
    world.deploy_first(&first).await;
    let read = world.request(reqwest::Method::GET, "tables/counts/rows").header("user-agent", "billing/2.1");
    read.answer().await.ok();
    let second = first.but("SELECT key, count(*) AS seen FROM counters GROUP BY key");
    let plan = world.post("jobs/counts/plan", &second.body()).await.ok();
    let changed: Vec<_> =
        list(&plan["output_changes"]).iter().map(|c| (&c["column"], &c["change"], &c["breaking"])).collect();
    let (removed, added) = (json!("removed"), json!("added"));
    assert!(changed.contains(&(&json!("events"), &removed, &json!(true))), "{plan}");
    assert!(changed.contains(&(&json!("seen"), &added, &json!(false))), "{plan}");
    assert!(
        list(&plan["query_diff"])
            .iter()
            .any(|line| line.as_str().is_some_and(|line| line.starts_with("+SELECT key, count(*) AS seen")))
    );
    assert_eq!((&plan["rollback"]["possible"], &plan["rollback"]["to"]), (&json!(true), &json!(1)));
    assert_eq!(plan["readers"][0]["reader"], "billing/2.1", "{plan}");
    assert!(int(&plan["records"]) > 0 && plan["time_ms"].is_u64() && plan["disk_bytes"].is_u64(), "measured: {plan}");

    let mut held = second.body();
    held["plan"] = plan["base"].clone();
    assert_eq!(world.post("jobs/counts/versions", &held).await.is(201)["version"], 2);
    let mut late = first.but("SELECT key, sum(n) AS events FROM counters GROUP BY key").body();
    late["plan"] = plan["base"].clone();
    let refused = world.post("jobs/counts/versions", &late).await;
    refused.refused(409, "PLAN_CHANGED");
    assert_eq!(list(&world.job("counts").await["versions"]).len(), 2, "nothing was deployed");

    until("only the output keeps it from being promoted", async || {
        let seen = world.version("counts", 2).await;
        let unmet = |name: &str| seen["ready"][name]["met"] == false;
        let others = ["caught_up", "lag", "ready_for", "verified", "no_gap"].into_iter().any(unmet);
        if unmet("schema") && !others { Ok(()) } else { Err(seen) }
    })
    .await;
    world.post("jobs/counts/versions/2/promote", &json!({})).await.refused(409, "NOT_READY");
    world.post("jobs/counts/versions/2/promote", &json!({"force": ["schema"]})).await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_moves_as_one_and_a_reader_of_two_aliases_never_sees_a_mix() {
    let world = World::start().await;
    Ledger::open(&world, "counters", 2).await.append(&world, 100).await;
    let job = |name: &str, version| {
        Job::new(name, &counting("counters", version)).reads("counters").promote("group", json!("prices"))
    };
    for name in ["left", "right"] {
        world.deploy_first(&job(name, 1)).await;
    }
    world.deploy(&job("left", 2)).await;
    world.until_phase("left", 2, "Ready").await;
    world.post("groups/nobody/promote", &json!({})).await.refused(404, "UNKNOWN_GROUP");
    world.post("groups/prices/rollback", &json!({})).await.refused(409, "NOTHING_TO_ROLL_BACK");
    world.deploy(&job("right", 2).promote("ready_for", json!("30m"))).await;
    let refused = world.post("groups/prices/promote", &json!({})).await;
    let conditions = &refused.refused(409, "NOT_READY")["conditions"];
    assert!(conditions["left"].is_null() && conditions["right"]["ready_for"]["met"] == false, "{refused}");
    assert_eq!(world.job("left").await["serving"], 1, "none of them moved");
    world.deploy_policy(&job("right", 2)).await;
    world.until_phase("right", 2, "Ready").await;

    let (client, stop) = (world.client(), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let told = stop.clone();
    let reader = tokio::spawn(async move {
        let query = "SELECT DISTINCT l.made_by AS l, r.made_by AS r FROM live.left l, live.right r";
        let mut seen = std::collections::BTreeSet::new();
        while !told.load(std::sync::atomic::Ordering::Relaxed) {
            let rows = client.post("sql", &json!({"query": query})).await.ok();
            for row in list(&rows["rows"]) {
                assert_eq!(row["l"], row["r"], "a reader sees all of a group or none");
                seen.insert(int(&row["l"]));
            }
        }
        seen
    });
    for _ in 0..5 {
        let promoted = world.post("groups/prices/promote", &json!({"versions": {"left": 2, "right": 2}})).await.is(200);
        assert_eq!(list(&promoted["jobs"]).iter().map(|job| int(&job["serving"])).collect::<Vec<_>>(), [2, 2]);
        let back = world.post("groups/prices/rollback", &json!({})).await.is(200);
        assert_eq!(list(&back["jobs"]).iter().map(|job| int(&job["serving"])).collect::<Vec<_>>(), [1, 1]);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    reader.await.expect("no read failed");
    for name in ["left", "right"] {
        let types: Vec<Value> = history(&world, name).await.iter().map(|event| event["type"].clone()).collect();
        assert_eq!(types.iter().filter(|kind| *kind == "group.rolled_back").count(), 5, "{types:?}");
    }
    world.post("groups/prices/promote", &json!({"versions": {"left": 2, "right": 2}})).await.is(200);
    world.roll_back("left").await;
    let refused = world.post("groups/prices/rollback", &json!({})).await;
    refused.refused(409, "CANNOT_ROLL_BACK");
    assert_eq!(world.job("right").await["serving"], 2, "none of them moved");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_does_not_hold_what_is_watched_is_taken_back_with_the_reason() {
    let world = World::start().await;
    Ledger::open(&world, "counters", 1).await.append(&world, 100).await;
    let check = json!({"name": "made by the first", "sql": "SELECT count(*) = 0 FROM live WHERE made_by = 2"});
    let watch = json!({"for": "30m", "every": "1s", "checks": [check]});
    let job =
        |version| Job::new("counts", &counting("counters", version)).reads("counters").promote("watch", watch.clone());
    let mut wrong = job(1).body();
    wrong["spec"]["promote"]["watch"]["checks"][0]["sql"] = json!("SELECT nothing FROM live");
    world.post("jobs/counts/versions", &wrong).await.refused(422, "INVALID_CHECK");
    wrong["spec"]["promote"]["watch"]["for"] = json!("0s");
    world.post("jobs/counts/versions", &wrong).await.refused(422, "INVALID_SPEC");
    world.deploy_first(&job(1)).await;
    world.deploy_and_promote(&job(2)).await;
    until("it is taken back", async || {
        let seen = world.job("counts").await;
        if seen["serving"] == 1 { Ok(()) } else { Err(seen) }
    })
    .await;
    let events = history(&world, "counts").await;
    let back = events.iter().find(|event| event["type"] == "job.rolled_back").expect("it was rolled back");
    assert_eq!((&back["cause"], &back["actor"]), (&json!("watch"), &json!("rekap")), "{back}");
    assert!(back["note"].as_str().is_some_and(|note| note.contains("made by the first")), "{back}");
    assert_eq!(world.version("counts", 2).await["rolled_back"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_is_lost_comes_back_from_its_copy_with_aliases_and_history() {
    let mut world = World::start().await;
    reconfigure(&mut world, "[catalog]\nexport = \"file:./copies\"\n").await;
    Ledger::open(&world, "counters", 1).await.append(&world, 100).await;
    let job = |version| Job::new("counts", &counting("counters", version)).reads("counters");
    world.deploy_first(&job(1)).await;
    world.deploy_and_promote(&job(2)).await;
    let (before, rows) = (history(&world, "counts").await, world.rows_at_end("counts", "counters").await);
    world.stop().await;
    for folder in ["data/catalog", "data/tables"] {
        std::fs::remove_dir_all(world.folder().join(folder)).expect("a folder");
    }
    let restore = world.cli(&["catalog", "restore", "copies", "--config", "rekap.toml"]);
    restore.within(world.folder()).run().await.exits(0);
    world.restart().await;
    let after = history(&world, "counts").await;
    assert_eq!(after[..before.len()], before[..], "the history is the same");
    assert_eq!(world.job("counts").await["serving"], 2);
    assert_eq!(world.rows_at_end("counts", "counters").await, rows, "the tables are built again");
    until("the copy agrees", async || {
        let audit = world.get("audit/verify").await.ok();
        let agrees = audit["anchor"].as_str().is_some_and(|anchor| anchor.contains("agrees up to entry"));
        if agrees && audit["verdict"] == "intact" { Ok(()) } else { Err(audit) }
    })
    .await;
}

/// The verification of a second version of a job against its first.
async fn compared(world: &World, job: &Job, second: &str) -> Value {
    world.deploy_first(job).await;
    let version = world.deploy(&job.but(second)).await;
    world.until_phase(job.name(), version, "Ready").await;
    world.get(&format!("jobs/{}/versions/{version}/verification", job.name())).await.ok()
}

/// The rows of the samples of that kind, each as its key columns.
fn sampled(report: &Value, change: &str, side: &str, key: [&str; 2]) -> Vec<[String; 2]> {
    let of_kind = list(&report["samples"]).iter().filter(|sample| sample["change"] == change);
    of_kind.map(|sample| key.map(|column| sample[side][column].as_str().expect("text").to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_names_exactly_the_days_of_the_index_that_were_corrected_and_dropped() {
    let world = World::start().await;
    let events: Events = Candles::events();
    world.topic("candles", &json!({"partitions": 3, "key": ["currency"], "schema": Candles::schema()})).await;
    world.append("candles", &events).await;
    let day = "date_bin(INTERVAL '1 day', ts)";
    let first = format!(
        "SELECT currency, {day} AS day, avg(close) AS price, count(*) AS n FROM candles GROUP BY currency, {day}"
    );
    let second = format!(
        "SELECT currency, {day} AS day, avg(CASE WHEN currency = 'EUR' AND ts >= TIMESTAMP '2019-01-02T00:00:00Z' \
         AND ts < TIMESTAMP '2019-01-05T00:00:00Z' THEN close * 1.01 ELSE close END) AS price, count(*) AS n FROM candles \
         WHERE NOT (currency = 'GBP' AND ts >= TIMESTAMP '2019-02-01T00:00:00Z' AND ts < TIMESTAMP '2019-02-02T00:00:00Z') \
         GROUP BY currency, {day}"
    );
    let job = Job::new("bpi", &first).input("candles", json!({"topic": "candles"}));
    let report = compared(&world, &job, &second).await;
    let counts = &report["counts"];
    assert_eq!((int(&counts["changed"]), int(&counts["added"]), int(&counts["removed"])), (3, 0, 1), "{counts}");
    let days = |report: &Value, change, side| -> Vec<(String, String)> {
        let short = |[currency, day]: [String; 2]| (currency, day[..10].to_owned());
        sampled(report, change, side, ["currency", "day"]).into_iter().map(short).collect()
    };
    let of = |currency: &str, days: &[&str]| {
        days.iter().map(|day| (currency.to_owned(), (*day).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(days(&report, "changed", "new"), of("EUR", &["2019-01-02", "2019-01-03", "2019-01-04"]));
    assert_eq!(days(&report, "removed", "old"), of("GBP", &["2019-02-01"]));
    let price = list(&report["columns"]).iter().find(|column| column["name"] == "price").expect("the price");
    let largest = price["largest_relative_change"].as_f64().expect("a number");
    assert!((largest - 0.01).abs() < 1e-9 && price["changed"] == 3, "{price}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_names_exactly_the_minutes_of_single_trades_that_changed() {
    let world = World::start().await;
    let events = Trades::events();
    world.topic("trades", &json!({"partitions": 2})).await;
    world.append("trades", &events).await;
    let minute = "date_bin(INTERVAL '1 minute', ts)";
    let query = |price: &str| {
        format!(
            "SELECT currency, {minute} AS minute, avg({price}) AS price, count(*) AS n FROM trades GROUP BY currency, {minute}"
        )
    };
    // Trades above a price that few reach, found in the data itself: their minutes are the ones that change.
    let job =
        Job::new("bpi", &query("price")).input("trades", json!({"topic": "trades", "columns": Trades::columns()}));
    world.deploy_first(&job).await;
    let all = world.rows_at_end("bpi", "trades").await;
    let mut prices: Vec<f64> = all.iter().map(|row| row["price"].as_f64().expect("a price")).collect();
    prices.sort_by(f64::total_cmp);
    let limit = prices[prices.len() - 20];
    let version =
        world.deploy(&job.but(&query(&format!("CASE WHEN price > {limit:?} THEN price - 1 ELSE price END")))).await;
    world.until_phase("bpi", version, "Ready").await;
    let report = world.get(&format!("jobs/bpi/versions/{version}/verification")).await.ok();
    let after = world.rows_at_end(&format!("bpi@{version}"), "trades").await;
    let key = |row: &rekap_tests::Row| ["currency", "minute"].map(|c| row[c].as_str().expect("text").to_owned());
    let mut expected: Vec<_> =
        all.iter().zip(&after).filter(|(old, new)| old["price"] != new["price"]).map(|(old, _)| key(old)).collect();
    let mut named = sampled(&report, "changed", "old", ["currency", "minute"]);
    expected.sort();
    named.sort();
    assert!(!expected.is_empty() && expected.len() <= 100, "{}", expected.len());
    assert_eq!((named, int(&report["counts"]["changed"])), (expected.clone(), expected.len() as u64));
}
