//! The same product on Apache Kafka: a real broker, Kafka's own producer, and retention that really deletes.

use std::time::Duration;

use rekap_tests::{
    Bucket, Candles, Cli, Client, Duck, Events, Job, Kafka, Ledger, Row, World, WorldConfig, assert_same_rows,
    partitions, seeded, until,
};
use serde_json::{Value, json};
use tokio::time::sleep;

const PLAIN: &str = "SELECT currency, date_bin(INTERVAL '1 day', ts) AS day, count(*) AS candles, avg(close) AS price \
                     FROM candles GROUP BY currency, date_bin(INTERVAL '1 day', ts)";
const WEIGHTED: &str = "SELECT currency, date_bin(INTERVAL '1 day', ts) AS day, count(*) AS candles, \
                        sum(close * volume) / nullif(sum(volume), 0) AS price \
                        FROM candles GROUP BY currency, date_bin(INTERVAL '1 day', ts)";
const PLAIN_JUDGE: &str = "SELECT currency, date_trunc('day', ts)::TIMESTAMP AS day, count(*) AS candles, \
                           avg(close) AS price FROM candles GROUP BY ALL";
const WEIGHTED_JUDGE: &str = "SELECT currency, date_trunc('day', ts)::TIMESTAMP AS day, count(*) AS candles, \
                              sum(close * volume) / nullif(sum(volume), 0) AS price FROM candles GROUP BY ALL";

/// Does something that waits, off the test's threads.
async fn blocking<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(act).await.expect("no panic within")
}

/// A key and a tab before each event, as the console producer takes them.
fn keyed(events: &Events) -> Vec<String> {
    let currency =
        |line: &String| serde_json::from_str::<Value>(line).expect("JSON")["currency"].as_str().map(str::to_owned);
    events.lines.iter().map(|line| format!("{}\t{line}", currency(line).expect("a currency"))).collect()
}

async fn produce(kafka: Kafka, topic: &'static str, events: &Events) -> Kafka {
    let lines = keyed(events);
    blocking(move || {
        kafka.produce(topic, &lines);
        kafka
    })
    .await
}

async fn check(world: &World, moment: &str, alias: &str, judge: &str, events: &Events) {
    let ours: Vec<Row> = world.rows_at_end(alias, "candles").await;
    let theirs = Duck::new().events("candles", events).rows(judge).await;
    assert_same_rows(&format!("{alias} {moment}"), &["currency", "day"], &ours, &theirs);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_loop_on_kafka_equals_duckdb_from_the_first_version_to_the_rollback() {
    let kafka = blocking(Kafka::start).await;
    let mut world = World::with(WorldConfig::default().on(kafka.setup())).await;
    let all = Candles::events();
    let (first, second, third) = (all.lines.len() * 6 / 10, all.lines.len() * 8 / 10, all.lines.len() * 9 / 10);
    world.topic("candles", &json!({"partitions": 3, "key": ["currency"], "schema": Candles::schema()})).await;
    let kafka = produce(kafka, "candles", &all.before(first)).await;
    let plain = Job::new("bpi", PLAIN).reads("candles");
    world.deploy_first(&plain).await;
    check(&world, "before mirroring", "bpi", PLAIN_JUDGE, &all.before(first)).await;

    // History leaves Kafka, more comes, and a second version replays from the cold tier into Kafka.
    world.mirror("candles").await;
    world.drop_hot_copy("candles").await;
    let kafka = produce(kafka, "candles", &all.before(second).since(first)).await;
    let status = world.topic_status("candles").await;
    for partition in partitions(&status) {
        // A partition that no key falls into was never mirrored.
        let mirrored_to = partition["mirrored_to"].as_u64().unwrap_or(0);
        assert_eq!(partition["earliest"], mirrored_to, "Kafka holds what is not mirrored, and no more: {status}");
    }
    let version = world.deploy(&plain.but(WEIGHTED)).await;
    let ready = world.until_phase("bpi", version, "Ready").await;
    assert_eq!(ready["positions"], world.version("bpi", 1).await["positions"], "both are at the same offsets");
    check(&world, "replayed from both tiers", "bpi@2", WEIGHTED_JUDGE, &all.before(second)).await;
    world.promote("bpi", version).await;
    check(&world, "promoted", "bpi", WEIGHTED_JUDGE, &all.before(second)).await;

    // The broker is killed between events, and everything goes on by itself.
    let kafka = produce(kafka, "candles", &all.before(third).since(second)).await;
    let kafka = blocking(move || {
        kafka.kill();
        kafka.launch();
        kafka
    })
    .await;
    let kafka = produce(kafka, "candles", &all.since(third)).await;
    until("the server sees the broker again", async || {
        let answer = world.get("topics/candles").await;
        let ends: u64 = match answer.status {
            200 => partitions(&answer.ok()).iter().filter_map(|p| p["end"].as_u64()).sum(),
            _ => 0,
        };
        if ends == all.lines.len() as u64 { Ok(()) } else { Err(answer) }
    })
    .await;
    check(&world, "after the broker was killed", "bpi", WEIGHTED_JUDGE, &all).await;
    let groups = ["--bootstrap-server", &kafka.bootstrap(), "--describe", "--group", "rekap-bpi-2"].map(str::to_owned);
    let kafka = until_group_is_at_the_end(kafka, groups).await;
    let rolled_back = world.roll_back("bpi").await;
    assert_eq!(rolled_back["serving"], 1, "{rolled_back}");
    check(&world, "rolled back", "bpi", PLAIN_JUDGE, &all).await;
    world.stop().await;
    world.restart().await;
    check(&world, "after a restart", "bpi", PLAIN_JUDGE, &all).await;
    check(&world, "the other one after a restart", "bpi@2", WEIGHTED_JUDGE, &all).await;
    drop(kafka);
}

/// Waits until Kafka's own tool shows no lag in any of the three partitions.
async fn until_group_is_at_the_end(kafka: Kafka, arguments: [String; 5]) -> Kafka {
    let class = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    blocking(move || {
        let arguments = arguments.each_ref().map(String::as_str);
        let mut said = String::new();
        let shown = (0..10).any(|_| {
            let ran = kafka.tool(class, &arguments).output().expect("java runs");
            said = String::from_utf8_lossy(&ran.stdout).into_owned();
            let lag = |line: &str| line.contains("candles") && line.split_whitespace().nth(5) == Some("0");
            said.lines().filter(|line| lag(line)).count() == 3
        });
        assert!(shown, "the group is not at the end: {said}");
        kafka
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_moments_on_kafka_and_s3_every_event_is_there_once() {
    let mut random = seeded("kill -9 of the server on Kafka and S3");
    let (kafka, bucket) = (blocking(Kafka::shared).await, Bucket::fresh().await);
    let config = WorldConfig { mirror_max_age: "200ms", mirror_max_bytes: "16KiB", ..WorldConfig::default() };
    let mut world = World::with(config.on(kafka.setup()).on(bucket.setup())).await;
    let mut ledger = Ledger::open(&world, "counters", 3).await;
    world.deploy_first(&Job::new("counts", &ledger.query()).reads("counters")).await;
    for _ in 0..kills() {
        let writer = ledger.write(world.client());
        sleep(Duration::from_millis(random.u64(..900))).await;
        world.kill();
        world.restart().await;
        ledger = writer.stop().await;
        let rows = world.rows_at_end("counts", "counters").await;
        assert_same_rows("counts", &["key"], &rows, &ledger.rows());
    }
    world.mirror("counters").await;
    let query = "SELECT count(*) AS records, count(DISTINCT (_partition, _offset)) AS offsets, \
                 count(DISTINCT (data.key, data.n)) AS events FROM cold";
    let duck = Duck::new().within(&bucket).delta("cold", &world.cold_url("counters").await);
    let events = ledger.events();
    let expected = json!([{"records": events, "offsets": events, "events": events}]);
    assert_eq!(json!(duck.rows(query).await), expected, "the Delta table holds every event once");
    ledger.check_log(&world).await;
}

/// How many kills there are: `REKAP_KAFKA_KILLS`, or a few.
fn kills() -> usize {
    std::env::var("REKAP_KAFKA_KILLS").map_or(5, |text| text.parse().expect("REKAP_KAFKA_KILLS is a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_of_which_a_partition_was_refused_says_what_landed_and_with_a_key_nothing_does() {
    let kafka = blocking(Kafka::shared).await;
    let world = World::with(WorldConfig::default().on(kafka.setup())).await;
    world.topic("halves", &json!({"partitions": 2})).await;
    let bootstrap = kafka.bootstrap();
    let smaller = ["--bootstrap-server", &bootstrap, "--alter", "--entity-type", "topics", "--entity-name", "halves"];
    let mut tool = kafka.tool("kafka.admin.ConfigCommand", &smaller);
    tool.args(["--add-config", "max.message.bytes=100000"]);
    let ran = blocking(move || tool.output()).await.expect("java runs");
    assert!(ran.status.success(), "{ran:?}");
    let large: String = std::iter::repeat_with(fastrand::alphanumeric).take(300_000).collect();
    let records =
        json!([{"partition": 0, "value": large}, {"partition": 1, "value": "small"}, {"partition": 1, "value": "too"}]);
    let path = "topics/halves/records?raw=true";
    let part = world.post(path, &records).await.refused(503, "PARTIAL_APPEND");
    assert_eq!(part["landed"], json!({"1": [0, 2]}), "{part}");
    let request = world.request(reqwest::Method::POST, path).json(&records).header("idempotency-key", "once");
    let whole = request.answer().await;
    assert!(whole.status >= 400, "{whole}");
    let held = world.records("halves").await;
    let held: Vec<_> = held.into_iter().map(|record| (record.partition, record.value.expect("a value"))).collect();
    assert_eq!(held, [(1, b"small".to_vec()), (1, b"too".to_vec())], "the request with a key left nothing");
}

/// Kafka's own tool for topics.
async fn topics(kafka: &'static Kafka, arguments: &[&str]) {
    let bootstrap = kafka.bootstrap();
    let mut tool = kafka.tool("org.apache.kafka.tools.TopicCommand", &["--bootstrap-server", &bootstrap]);
    tool.args(arguments);
    let ran = blocking(move || tool.output()).await.expect("java runs");
    assert!(ran.status.success(), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_others_made_is_read_and_when_it_is_made_again_its_versions_stop() {
    let kafka = blocking(Kafka::shared).await;
    let world = World::with(WorldConfig::default().on(kafka.setup())).await;
    topics(kafka, &["--create", "--topic", "others", "--partitions", "1"]).await;
    blocking(|| kafka.produce("others", &["a\t{\"n\": 1}".into(), "b\t{\"n\": 2}".into()])).await;
    let status = until("the topic is seen", async || {
        let answer = world.get("topics/others").await;
        let status = if answer.status == 200 { answer.ok() } else { Value::Null };
        if status["partitions"][0]["end"] == 2 { Ok(status) } else { Err(answer) }
    })
    .await;
    assert_eq!((&status["key"], &status["schema"]), (&json!([]), &Value::Null));
    // Who reads others' records may say once how they are keyed.
    world.put("topics/others", &json!({"key": ["k"]})).await.is(200);
    world.put("topics/others", &json!({"key": ["n"]})).await.refused(409, "KEY_FIXED");
    let names = world.get("topics").await.ok();
    let internal = |topic: &Value| topic["topic"].as_str().is_some_and(|name| name.starts_with("__"));
    assert!(!names["topics"].as_array().expect("a list").iter().any(internal), "{names}");

    let input = json!({"topic": "others", "start": "beginning", "columns": {"n": "bigint"}});
    let job =
        Job::new("sums", "SELECT CAST(_key AS text) AS k, sum(n) AS total FROM others GROUP BY CAST(_key AS text)")
            .input("others", input);
    world.deploy_first(&job).await;
    assert_eq!(world.rows_at_end("sums", "others").await.len(), 2);
    topics(kafka, &["--delete", "--topic", "others"]).await;
    topics(kafka, &["--create", "--topic", "others", "--partitions", "1"]).await;
    // Fewer than were read of the former one, which therefore is further by numbers that mean nothing any more.
    blocking(|| kafka.produce("others", &["c\t{\"n\": 36}".into()])).await;
    let failed = until("the version stops", async || {
        let seen = world.version("sums", 1).await;
        if seen["run"] == "Failed" { Ok(seen) } else { Err(seen) }
    })
    .await;
    assert!(
        failed.to_string().contains("deleted and made again") || failed.to_string().contains("no topic"),
        "{failed}"
    );
    assert_eq!(world.rows("sums").await.len(), 2, "what was served is served still, and nothing of the other topic");
    let anew = world.deploy_again(&job).await;
    until("the new version reads", async || {
        let seen = world.version("sums", anew).await;
        if seen["run"] == "Live" { Ok(()) } else { Err(seen) }
    })
    .await;
    assert_eq!(json!(world.rows_at_end("sums@2", "others").await), json!([{"k": "c", "total": 36}]));
    // There is nothing to compare it with any more, so a person decides.
    let path = format!("jobs/sums/versions/{anew}/promote");
    until("it is promoted by hand", async || {
        let answer = world.post(&path, &json!({"force": ["verified"]})).await;
        if answer.status == 200 { Ok(()) } else { Err(answer) }
    })
    .await;
    assert_eq!(json!(world.rows("sums").await), json!([{"k": "c", "total": 36}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_broker_is_not_there_says_so_and_ends() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config =
        "data = \"data\"\n[server]\nlisten = \"127.0.0.1:0\"\n[log]\nkind = \"kafka\"\nbootstrap = \"127.0.0.1:1\"\n";
    std::fs::write(folder.path().join("rekap.toml"), config).expect("a file in it");
    let ran = Cli::new("http://127.0.0.1:1", &["serve"]).within(folder.path()).run().await.exits(1);
    for part in ["127.0.0.1:1", "log.bootstrap"] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    std::fs::write(folder.path().join("rekap.toml"), "[log]\nkind = \"kafka\"\n").expect("a file in it");
    let ran = Cli::new("http://127.0.0.1:1", &["serve"]).within(folder.path()).run().await;
    assert!(ran.code != 0 && ran.stderr.contains("log.bootstrap"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_without_a_key_land_where_kafkas_own_producer_puts_them() {
    let kafka = blocking(Kafka::shared).await;
    let world = World::with(WorldConfig::default().on(kafka.setup())).await;
    for topic in ["by-rekap", "by-kafka"] {
        world.topic(topic, &json!({"partitions": 5})).await;
    }
    let keys: Vec<String> = (0..200).map(|n| format!("key-{}", n * 7919)).collect();
    let lines: Vec<String> = keys.iter().map(|key| format!("{key}\tv")).collect();
    blocking(move || kafka.produce("by-kafka", &lines)).await;
    let raw: Vec<String> = keys.iter().map(|key| json!({"key": key, "value": "v"}).to_string()).collect();
    let path = "topics/by-rekap/records?raw=true";
    world.post_bytes(path, rekap_tests::NDJSON, raw.join("\n")).await.ok();
    let places = async |client: &Client, topic: &str| {
        let records = client.records(topic).await;
        let mut places: Vec<_> = records.into_iter().map(|record| (record.key, record.partition)).collect();
        places.sort();
        places
    };
    let ends = async || {
        world.topic_status("by-kafka").await["partitions"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|p| p["end"].as_u64())
            .sum::<u64>()
    };
    until("all are seen", async || match ends().await {
        200 => Ok(()),
        fewer => Err(fewer),
    })
    .await;
    assert_eq!(places(&world, "by-rekap").await, places(&world, "by-kafka").await);
}
