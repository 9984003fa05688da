//! Several servers on one Kafka behind a real NGINX, as `docs/examples/nginx` has it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rekap_tests::{Client, Job, Kafka, NDJSON, Nginx, World, WorldConfig, list, until};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Enough for the hash to send some to each server.
const TOPICS: usize = 8;

/// How many records each topic has before a server is killed, and in the end.
const RECORDS: [u64; 2] = [20, 40];

fn topic(n: usize) -> String {
    format!("front.ends.{n}")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_front_ends_keep_the_order_of_a_key_and_one_does_alone_what_both_did() {
    let kafka = tokio::task::spawn_blocking(Kafka::start).await.expect("no panic within");
    let keeper = World::with(WorldConfig::default().on(kafka.setup())).await;
    let mut other = World::with(WorldConfig::default().on(kafka.setup())).await;
    let at = |world: &World| world.url().trim_start_matches("http://").to_owned();
    let nginx = Nginx::before([&at(&keeper), &at(&other)]).await;
    let front = Client::new(&nginx.url());
    let schema = json!({"type": "object", "properties": {"k": {"type": "string"}, "n": {"type": "integer"}}});
    for n in 0..TOPICS {
        front.topic(&topic(n), &json!({"partitions": 2, "key": ["k"], "schema": schema})).await;
    }
    for world in [&keeper, &other] {
        until("both servers know all topics", async || {
            match world.get(&format!("topics/{}", topic(TOPICS - 1))).await {
                answer if answer.status == 200 => Ok(()),
                answer => Err(answer),
            }
        })
        .await;
    }

    let written: Arc<Vec<AtomicU64>> = Arc::new((0..TOPICS).map(|_| AtomicU64::new(0)).collect());
    let failing = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..TOPICS).map(|n| start(Client::new(&nginx.url()), n, written.clone(), failing.clone())).collect();
    let all_have = async |records: u64| {
        until(&format!("every topic has {records} records"), async || {
            let least = written.iter().map(|n| n.load(Ordering::Relaxed)).min().unwrap_or(0);
            if least >= records { Ok(()) } else { Err(least) }
        })
        .await;
    };
    all_have(RECORDS[0]).await;
    let taken = [appends(&keeper).await, appends(&other).await];
    assert!(taken.iter().all(|n| *n > 0), "both servers took appends: {taken:?}");
    // A server dies under writes, and the other one takes its topics.
    failing.store(true, Ordering::Relaxed);
    other.kill();
    for writer in writers {
        writer.await.expect("every append was answered in the end");
    }
    other.restart().await;

    for n in 0..TOPICS {
        for world in [&keeper, &other] {
            assert_in_order(world, &topic(n)).await;
        }
    }
    let sums = "SELECT k, count(*) AS c, sum(n) AS total FROM t GROUP BY k";
    front.deploy_first(&Job::new("sums", sums).input("t", json!({"topic": topic(0)}))).await;
    let rows = front.rows_at_end("sums", &topic(0)).await;
    let count: u64 = rows.iter().map(|row| row["c"].as_u64().expect("a number")).sum();
    assert_eq!(count, RECORDS[1]);
    other.get("tables/sums").await.refused(404, "UNKNOWN_JOB");
    drop(nginx);
    drop(kafka);
}

/// A writer on a thread of its own.
fn start(front: Client, n: usize, written: Arc<Vec<AtomicU64>>, failing: Arc<AtomicBool>) -> JoinHandle<()> {
    tokio::task::spawn_blocking(move || Handle::current().block_on(write(front, n, written, failing)))
}

/// Appends records one after the other, each with the next number; one that is not answered well is sent again as it was.
async fn write(front: Client, n: usize, written: Arc<Vec<AtomicU64>>, failing: Arc<AtomicBool>) {
    for number in 0..RECORDS[1] {
        let event = format!("{{\"k\":\"k{}\",\"n\":{number}}}", number % 3);
        until("the append is answered", async || {
            let request = front.request(Method::POST, &format!("topics/{}/records", topic(n)));
            let request = request.body(NDJSON, event.clone()).header("idempotency-key", &format!("{n}-{number}"));
            match request.try_answer().await {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => {
                    assert!(failing.load(Ordering::Relaxed), "refused while all was well: {answer}");
                    Err(answer.to_string())
                }
                Err(unreachable) => Err(unreachable.to_string()),
            }
        })
        .await;
        written[n].fetch_add(1, Ordering::Relaxed);
    }
}

/// How many appends a server has answered.
async fn appends(world: &World) -> u64 {
    let text = String::from_utf8(world.get("/metrics").await.body).expect("text");
    let counts = text.lines().filter(|line| {
        line.starts_with("rekap_http_request_duration_seconds_count")
            && line.contains("/records")
            && line.contains("POST")
    });
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// Every number is there once, and those of one key come in order. What follows the open transaction of a server that died is readable once
/// it is back and has ended that.
async fn assert_in_order(world: &World, topic: &str) {
    let mut by_key: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let records = until("the server reads all records of the topic", async || {
        let mut records = vec![];
        for partition in 0..2 {
            let path = format!("topics/{topic}/records?partition={partition}&from=beginning&limit=1000");
            match world.get(&path).await {
                answer if answer.status == 200 => records.extend_from_slice(list(&answer.ok()["records"])),
                answer => return Err(answer.to_string()),
            }
        }
        if records.len() as u64 >= RECORDS[1] { Ok(records) } else { Err(format!("{} records", records.len())) }
    })
    .await;
    for record in records {
        let event: Value = serde_json::from_str(record["value"].as_str().expect("text")).expect("JSON");
        let key = event["k"].as_str().expect("a key").to_owned();
        by_key.entry(key).or_default().push(event["n"].as_u64().expect("a number"));
    }
    let expected: BTreeMap<String, Vec<u64>> =
        (0..3).map(|k| (format!("k{k}"), (0..RECORDS[1]).filter(|n| n % 3 == k).collect())).collect();
    assert_eq!(by_key, expected, "{topic} at {}", world.url());
}
