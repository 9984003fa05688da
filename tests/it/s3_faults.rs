//! A bucket that fails in every way: nothing is lost, nothing is there twice, and only the mirror waits.

use std::time::Duration;

use rekap_tests::{Bucket, Client, Duck, Fault, Ledger, Proxy, World, WorldConfig, assert_same_rows, seeded, until};
use serde_json::json;

/// What a mirror without a hole or a double must show.
const DENSE: &str = "SELECT count(*) AS records, count(DISTINCT (_partition, _offset)) AS offsets FROM cold";

/// For each key: dense from 0.
const BY_KEY: &str = "SELECT data.key AS key, count(*) AS events, min(data.n) AS first, max(data.n) AS last, \
                      sum(data.n)::BIGINT AS total FROM cold GROUP BY ALL";

/// How many requests in a hundred fail.
const PERCENT: u32 = 15;

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_fails_at_random_and_a_server_that_is_killed_lose_and_double_nothing() {
    let mut random = seeded("a bucket that fails at random");
    let bucket = Bucket::fresh().await;
    let proxy = Proxy::chaos(bucket.endpoint(), random.fork(), PERCENT).await;
    let config = WorldConfig { mirror_max_age: "100ms", mirror_max_bytes: "16KiB", ..WorldConfig::default() };
    let mut world = World::with(config.on(bucket.through(proxy.endpoint()).setup())).await;
    let mut ledger = Ledger::open(&world, "counters", 3).await;
    proxy.fail();
    for _ in 0..3 {
        let writer = ledger.write(world.client());
        let flushing = tokio::spawn(flush_for_a_while(world.client()));
        tokio::time::sleep(Duration::from_millis(1_000 + random.u64(..2_000))).await;
        world.kill();
        flushing.abort();
        world.restart().await;
        ledger = writer.stop().await;
    }
    proxy.release();
    until("the mirror is at the end", async || {
        let answer = world.post("topics/counters/mirror", &json!({})).await;
        if answer.status == 200 { Ok(()) } else { Err(answer) }
    })
    .await;

    let url = world.cold_url("counters").await;
    let answers = Duck::new().within(&bucket).delta("cold", &url).ask(&[DENSE, BY_KEY]).await;
    let events = ledger.events();
    assert_eq!(json!(answers[0]), json!([{"records": events, "offsets": events}]));
    assert_same_rows("each key in the bucket", &["key"], &answers[1], &ledger.rows());
    world.drop_hot_copy("counters").await;
    ledger.check_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_holds_up_the_mirror_and_nothing_else_and_takes_no_memory() {
    let bucket = Bucket::fresh().await;
    let proxy = Proxy::before(bucket.endpoint(), |asked| match asked.method.as_str() {
        "PUT" => Fault::Hang,
        _ => Fault::Pass,
    })
    .await;
    let config = WorldConfig { mirror_max_age: "100ms", mirror_max_bytes: "4MiB", ..WorldConfig::default() };
    let world = World::with(config.on(bucket.through(proxy.endpoint()).setup())).await;
    world.topic("wide", &json!({"partitions": 2, "retention_ms": 3_600_000})).await;
    append_mib(&world, 96).await;
    let before = resident_bytes(world.server_id());
    append_mib(&world, 96).await;
    let grown = resident_bytes(world.server_id()).saturating_sub(before);
    assert!(grown < 80 << 20, "96 MiB more behind a store that hangs took {grown} bytes");
    let status = world.topic_status("wide").await;
    for partition in rekap_tests::partitions(&status) {
        assert_eq!(partition["mirrored_to"], json!(null), "{partition}");
        let headroom = partition["mirror_headroom_ms"].as_u64().expect("a forecast");
        assert!((3_000_000..3_600_000).contains(&headroom), "{partition}");
    }
    proxy.release();
    until("the mirror has caught up", async || {
        let status = world.topic_status("wide").await;
        let done = rekap_tests::partitions(&status).iter().all(|p| p["mirrored_to"] == p["end"]);
        if done { Ok(()) } else { Err(status) }
    })
    .await;
}

/// Mirrors again and again until the server is gone, whatever it answers.
async fn flush_for_a_while(client: Client) {
    let flush = || client.request(reqwest::Method::POST, "topics/counters/mirror").json(&json!({})).try_answer();
    while flush().await.is_ok() {}
}

/// Appends so many MiB in events of a KiB.
async fn append_mib(client: &Client, mib: usize) {
    let event = json!("x".repeat(1022)).to_string();
    let chunk = vec![event; 4096].join("\n");
    for _ in 0..mib / 4 {
        client.post_bytes("topics/wide/records", rekap_tests::NDJSON, chunk.clone()).await.ok();
    }
}

/// The memory that a process has now.
fn resident_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the server runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the kernel says it");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("a number of KiB") << 10
}
