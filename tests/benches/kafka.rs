//! How fast Kafka goes into a durable table of `GROUP BY auction`, and into the mirror: one broker and one server on this machine.
//!
//! `cargo bench -p rekap-tests --bench kafka`. `REKAP_BENCH_RECORDS` says over how many records (one million by default). The records
//! come from Kafka's own producer; starting up is left out.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::time::Duration;

use rekap_tests::{Client, Job, Kafka, World, WorldConfig, object_schema, partitions, until};
use serde_json::json;
use tokio::time::Instant;

/// How many records there are unless `REKAP_BENCH_RECORDS` says otherwise.
const RECORDS: usize = 1_000_000;

/// How often the query runs.
const ROUNDS: u32 = 3;

/// How many records go through one producer.
const CHUNK: usize = 500_000;

/// How many different auctions there are for each hundred records, roughly as in Nexmark.
const AUCTIONS_PER_HUNDRED: usize = 3;

const QUERY: &str = "SELECT auction, count(*) AS bids, sum(price) AS total, max(price) AS highest, min(price) AS lowest \
                     FROM bids GROUP BY auction";

#[tokio::main]
async fn main() {
    let records =
        std::env::var("REKAP_BENCH_RECORDS").map_or(RECORDS, |text| text.parse().expect("a number of records"));
    let kafka = Kafka::start();
    let world = World::with(WorldConfig::default().on(kafka.setup())).await;
    load(&kafka, &world, records).await;
    let job = Job::new("auctions", QUERY).reads("bids");
    println!("{records} records in 4 partitions of Kafka");
    for round in 1..=ROUNDS {
        report(&format!("GROUP BY, round {round}"), records, query(&world, &job).await);
    }
    let started = Instant::now();
    world.mirror("bids").await;
    report("mirror", records, started.elapsed());
}

fn report(what: &str, records: usize, took: Duration) {
    println!("{what:>20} {:>8.3} s {:>12.0} records/s", took.as_secs_f64(), records as f64 / took.as_secs_f64());
}

async fn load(kafka: &Kafka, world: &World, records: usize) {
    let (text, integer) = (json!({"type": "string"}), json!({"type": "integer"}));
    let schema =
        object_schema(json!({"auction": integer, "bidder": integer, "price": integer, "channel": text, "ts": integer}));
    world.topic("bids", &json!({"partitions": 4, "schema": schema})).await;
    let mut random = fastrand::Rng::with_seed(42);
    for from in (0..records).step_by(CHUNK) {
        let lines: Vec<String> = (from..records.min(from + CHUNK)).map(|n| bid(&mut random, n, records)).collect();
        kafka.produce("bids", &lines);
    }
    until("all records are seen", async || {
        let status = world.topic_status("bids").await;
        let ends: u64 = partitions(&status).iter().filter_map(|partition| partition["end"].as_u64()).sum();
        if ends == records as u64 { Ok(()) } else { Err(ends) }
    })
    .await;
}

fn bid(random: &mut fastrand::Rng, n: usize, records: usize) -> String {
    let auction = random.usize(..(records * AUCTIONS_PER_HUNDRED / 100).max(1));
    let (bidder, price, ts) = (random.u32(..100_000), random.u32(100..1_000_000), 1_700_000_000_000 + n / 10);
    format!(
        "{auction}\t{{\"auction\":{auction},\"bidder\":{bidder},\"price\":{price},\"channel\":\"channel-{}\",\"ts\":{ts}}}",
        price % 7
    )
}

/// From the deploy until the version's table holds all records.
async fn query(client: &Client, job: &Job) -> Duration {
    let ends = client.ends("bids").await;
    let started = Instant::now();
    let version = client.deploy_again(job).await;
    let path = format!("tables/auctions@{version}/rows?limit=1&min_positions={ends}");
    until("the version holds all records", async || {
        let answer = client.get(&path).await;
        if answer.status == 200 { Ok(()) } else { Err(answer) }
    })
    .await;
    started.elapsed()
}
