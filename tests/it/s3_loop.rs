//! The whole loop with the cold tier in a bucket: history leaves the hot tier, is replayed from S3, and other engines read it there.

use rekap_tests::{Bucket, Candles, Duck, Job, Ledger, Setup, World, WorldConfig, assert_same_rows, seeded, until};
use serde_json::json;

/// What a mirror without a hole or a double must show.
const DENSE: &str = "SELECT count(*) AS records, count(DISTINCT (_partition, _offset)) AS offsets, \
                     count(DISTINCT (data.key, data.n)) AS events FROM cold";

/// For each key: dense from 0.
const BY_KEY: &str = "SELECT data.key AS key, count(*) AS events, min(data.n) AS first, max(data.n) AS last, \
                      sum(data.n)::BIGINT AS total FROM cold GROUP BY ALL";

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_loop_runs_with_history_in_a_bucket() {
    let bucket = Bucket::fresh().await;
    let world =
        World::with(WorldConfig { mirror_max_bytes: "256KiB", ..WorldConfig::default() }.on(bucket.setup())).await;
    let candles = Candles::events().before(20_000);
    world.topic("candles", &json!({"partitions": 3, "key": ["currency"], "schema": Candles::schema()})).await;
    world.append("candles", &candles.before(15_000)).await;
    world.mirror("candles").await;
    world.drop_hot_copy("candles").await;
    world.append("candles", &candles.since(15_000)).await;

    let query =
        "SELECT currency, count(*) AS candles, max(close) AS close, min(low) AS low FROM candles GROUP BY currency";
    let job = Job::new("prices", query).reads("candles");
    world.deploy_first(&job).await;
    let judged = Duck::new().events("candles", &candles).rows(query).await;
    let rows = world.rows_at_end("prices", "candles").await;
    assert_same_rows("replayed from the bucket and the log", &["currency"], &rows, &judged);

    let changed = query.replace("max(close)", "sum(close)");
    let version = world.deploy_and_promote(&job.but(&changed)).await;
    let judged = Duck::new().events("candles", &candles).rows(&changed).await;
    let rows = world.rows_at_end("prices", "candles").await;
    assert_same_rows("the next version", &["currency"], &rows, &judged);
    world.roll_back("prices").await;
    assert_eq!(world.job("prices").await["serving"], version - 1);

    world.mirror("candles").await;
    let url = world.cold_url("candles").await;
    assert!(url.starts_with(&bucket.url()), "{url}");
    let typed = "SELECT data.currency AS currency, count(*) AS candles, max(data.close) AS close, min(data.low) AS low \
                 FROM cold GROUP BY ALL";
    let cold = Duck::new().within(&bucket).delta("cold", &url).rows(typed).await;
    let judged = Duck::new().events("candles", &candles).rows(query).await;
    assert_same_rows("the table in the bucket as `deltalake` reads it", &["currency"], &cold, &judged);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_mirroring_to_a_bucket_every_record_is_there_once() {
    let mut random = seeded("kill -9 while mirroring to a bucket");
    let bucket = Bucket::fresh().await;
    let config = WorldConfig { mirror_max_age: "100ms", mirror_max_bytes: "16KiB", ..WorldConfig::default() };
    let mut world = World::with(config.on(bucket.setup())).await;
    let mut ledger = Ledger::open(&world, "counters", 2).await;
    for _ in 0..4 {
        let writer = ledger.write(world.client());
        tokio::time::sleep(std::time::Duration::from_millis(200 + random.u64(..900))).await;
        world.kill();
        world.restart().await;
        ledger = writer.stop().await;
    }
    world.mirror("counters").await;
    let url = world.cold_url("counters").await;
    let answers = Duck::new().within(&bucket).delta("cold", &url).ask(&[DENSE, BY_KEY]).await;
    let events = ledger.events();
    assert_eq!(json!(answers[0]), json!([{"records": events, "offsets": events, "events": events}]));
    assert_same_rows("each key in the bucket", &["key"], &answers[1], &ledger.rows());
    world.drop_hot_copy("counters").await;
    ledger.check_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_is_lost_comes_back_from_its_copy_in_a_bucket() {
    let bucket = Bucket::fresh().await;
    let copies = format!("{}/copies", bucket.url());
    let export = Setup { toml: format!("[catalog]\nexport = \"{copies}\"\n"), environment: Vec::new() };
    let mut world = World::with(WorldConfig::default().on(bucket.setup()).on(export)).await;
    let mut ledger = Ledger::open(&world, "counters", 1).await;
    ledger.append(&world, 100).await;
    world.deploy_first(&Job::new("counts", &ledger.query()).reads("counters")).await;
    until("the copy agrees", async || {
        let audit = world.get("audit/verify").await.ok();
        let agrees = audit["anchor"].as_str().is_some_and(|anchor| anchor.contains("agrees up to entry"));
        if agrees && audit["verdict"] == "intact" { Ok(()) } else { Err(audit) }
    })
    .await;
    let history = world.get("jobs/counts/history").await.ok()["events"].clone();
    world.stop().await;
    for folder in ["data/catalog", "data/tables"] {
        std::fs::remove_dir_all(world.folder().join(folder)).expect("a folder");
    }
    let restore = world.cli(&["catalog", "restore", &copies, "--config", "rekap.toml"]);
    restore.within(world.folder()).with(&bucket.setup().environment).run().await.exits(0);
    world.restart().await;
    let events = world.get("jobs/counts/history").await.ok()["events"].clone();
    let (before, after) = (rekap_tests::list(&history), rekap_tests::list(&events));
    assert_eq!(after[..before.len()], before[..], "the history is the same");
    let rows = world.rows_at_end("counts", "counters").await;
    assert_same_rows("the table is built again", &["key"], &rows, &ledger.rows());
}
