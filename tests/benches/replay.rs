//! How fast a version replays history from the cold tier, beside DuckDB over the same Parquet files in the same run.
//!
//! `cargo bench -p rekap-tests --bench replay`. `REKAP_BENCH_RECORDS` says over how many records (one million by default).

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::time::Duration;

use rekap_tests::{Client, Duck, Events, Job, World, object_schema, until};
use serde_json::json;
use tokio::time::Instant;

/// How many records there are unless `REKAP_BENCH_RECORDS` says otherwise.
const RECORDS: usize = 1_000_000;

/// How often each side runs, turn by turn.
const ROUNDS: u32 = 5;

/// How many records are made and appended at once.
const CHUNK: usize = 100_000;

/// How many different auctions there are for each hundred records, roughly as in Nexmark.
const AUCTIONS_PER_HUNDRED: usize = 3;

/// Four figures for each auction.
const REKAP: &str = "SELECT auction, count(*) AS bids, sum(price) AS total, max(price) AS highest, min(price) AS lowest \
                     FROM bids GROUP BY auction";

/// The same in DuckDB, over the typed columns of the mirror.
const DUCKDB: &str = "CREATE OR REPLACE TABLE auctions AS SELECT data.auction AS auction, count(*) AS bids, \
                      sum(data.price) AS total, max(data.price) AS highest, min(data.price) AS lowest FROM bids GROUP BY ALL";

#[tokio::main]
async fn main() {
    let records =
        std::env::var("REKAP_BENCH_RECORDS").map_or(RECORDS, |text| text.parse().expect("a number of records"));
    let world = World::start().await;
    load(&world, records).await;
    let duck = Duck::new().parquet("bids", &world.cold_url("bids").await);
    let job = Job::new("auctions", REKAP).reads("bids");
    world.deploy_first(&job).await;

    println!(
        "{records} records in {} auctions, 2 partitions, replayed from Parquet into a durable table",
        auctions(records)
    );
    println!(
        "{:>5} {:>12} {:>14} {:>12} {:>14} {:>7}",
        "round", "rekap s", "records/s", "duckdb s", "records/s", "ratio"
    );
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let (ours, theirs) = (replay(&world, &job).await, duck.time(DUCKDB).await);
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        let [our_rate, their_rate] = [ours, theirs].map(|took| records as f64 / took.as_secs_f64());
        let [ours, theirs] = [ours, theirs].map(|took| took.as_secs_f64());
        println!("{round:>5} {ours:>12.3} {our_rate:>14.0} {theirs:>12.3} {their_rate:>14.0} {ratio:>7.1}");
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median: a replay takes {:.1} times as long as DuckDB's query", ratios[ratios.len() / 2]);
}

/// Appends the bids, mirrors them and lets the hot copy go.
async fn load(world: &World, records: usize) {
    let (text, integer) = (json!({"type": "string"}), json!({"type": "integer"}));
    let schema =
        object_schema(json!({"auction": integer, "bidder": integer, "price": integer, "channel": text, "ts": integer}));
    world.topic("bids", &json!({"partitions": 2, "schema": schema})).await;
    let mut random = fastrand::Rng::with_seed(42);
    for from in (0..records).step_by(CHUNK) {
        let bids = (from..records.min(from + CHUNK)).map(|n| bid(&mut random, n, auctions(records)));
        world.append("bids", &Events { lines: bids.collect(), columns: &[] }).await;
    }
    world.mirror("bids").await;
    world.drop_hot_copy("bids").await;
}

fn auctions(records: usize) -> usize {
    records * AUCTIONS_PER_HUNDRED / 100
}

fn bid(random: &mut fastrand::Rng, n: usize, auctions: usize) -> String {
    let (auction, bidder, price) = (random.usize(..auctions), random.u32(..100_000), random.u32(100..1_000_000));
    let ts = 1_700_000_000_000 + n / 10;
    format!(r#"{{"auction":{auction},"bidder":{bidder},"price":{price},"channel":"channel-{}","ts":{ts}}}"#, price % 7)
}

/// From the deploy until the new version's table holds all of history. The version is retired afterwards.
async fn replay(client: &Client, job: &Job) -> Duration {
    let ends = client.ends("bids").await;
    let started = Instant::now();
    let version = client.deploy_again(job).await;
    let path = format!("tables/auctions@{version}/rows?limit=1&min_positions={ends}");
    until("the new version holds all of history", async || {
        let answer = client.get(&path).await;
        if answer.status == 200 { Ok(()) } else { Err(answer) }
    })
    .await;
    let took = started.elapsed();
    client.post(&format!("jobs/auctions/versions/{version}/abort"), &json!({})).await.ok();
    took
}
