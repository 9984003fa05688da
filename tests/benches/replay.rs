//! How fast a version replays history from the cold tier into its durable table, and in how much memory; beside DuckDB over the same
//! Parquet files in the same run, turn by turn.
//!
//! `cargo bench -p rekap-tests --bench replay`. `REKAP_BENCH_RECORDS` says over how many bids (one million by default),
//! `REKAP_BENCH_ROUNDS` how often each side runs.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::time::Duration;

use rekap_tests::{Bids, Duck, Job, NDJSON, Took, World, median, size, until_within};
use serde_json::json;
use tokio::time::Instant;

/// How many bids are appended at once.
const CHUNK: usize = 20_000;

/// How many partitions the topic has.
const PARTITIONS: u32 = 4;

/// How long one replay may take before the run is given up.
const DEADLINE: Duration = Duration::from_secs(600);

/// One question, in both dialects.
struct Question {
    name: &'static str,
    rekap: &'static str,
    /// What DuckDB's table is like.
    table: &'static str,
    duckdb: &'static str,
}

const QUESTIONS: [Question; 2] = [
    Question {
        name: "auctions",
        rekap: "SELECT auction, count(*) AS bids, sum(price) AS total, max(price) AS highest, min(price) AS lowest \
                FROM bids GROUP BY auction",
        table: "(auction BIGINT PRIMARY KEY, bids BIGINT, total HUGEINT, highest BIGINT, lowest BIGINT)",
        duckdb: "SELECT data.auction, count(*), sum(data.price), max(data.price), min(data.price) FROM bids GROUP BY ALL",
    },
    Question {
        name: "windows",
        rekap: "SELECT auction, date_bin(INTERVAL '10 seconds', to_timestamp_millis(ts)) AS \"window\", \
                count(*) AS bids, sum(price) AS total, max(price) AS highest, min(price) AS lowest \
                FROM bids GROUP BY auction, \"window\"",
        table: "(auction BIGINT, w BIGINT, bids BIGINT, total HUGEINT, highest BIGINT, lowest BIGINT, \
                PRIMARY KEY (auction, w))",
        duckdb: "SELECT data.auction, data.ts // 10000 AS w, count(*), sum(data.price), max(data.price), \
                 min(data.price) FROM bids GROUP BY ALL",
    },
];

#[tokio::main]
async fn main() {
    let records = size("REKAP_BENCH_RECORDS", 1_000_000);
    let rounds = size("REKAP_BENCH_ROUNDS", 5);
    let world = World::start().await;
    load(&world, records).await;
    let duck = Duck::new().parquet("bids", &world.cold_url("bids").await);
    println!("{records} bids in {PARTITIONS} partitions, replayed from Parquet into a durable table with a key");
    println!("s: seconds, cpu: processor seconds of all cores, x: how many times DuckDB's");
    for question in QUESTIONS {
        compare(&world, &duck, &question, records, rounds).await;
    }
}

/// Appends the bids, mirrors them and lets the hot copy go.
async fn load(world: &World, records: usize) {
    world.topic("bids", &Bids::topic(PARTITIONS)).await;
    let mut bids = Bids::new();
    for from in (0..records).step_by(CHUNK) {
        let count = CHUNK.min(records - from);
        let answer = world.post_bytes("topics/bids/records", NDJSON, bids.ndjson(count)).await;
        assert_eq!(answer.ok()["appended"], count, "{answer}");
    }
    world.mirror("bids").await;
    world.drop_hot_copy("bids").await;
}

async fn compare(world: &World, duck: &Duck, question: &Question, records: usize, rounds: usize) {
    let job = Job::new(question.name, question.rekap).reads("bids");
    let file = tempfile::tempdir().expect("a temporary folder");
    let mut columns: [Vec<f64>; 6] = Default::default();
    println!(
        "\n{:>9} {:>8} {:>7} {:>12} {:>9} {:>8} {:>7} {:>12} {:>6} {:>6}",
        question.name, "rekap s", "cpu", "records/s", "peak MB", "duckdb s", "cpu", "records/s", "x s", "x cpu"
    );
    for round in 1..=rounds {
        world.forget_peak();
        let ours = replay(world, &job).await;
        let peak = world.usage().peak_bytes as f64 / 1e6;
        let attach = format!("ATTACH '{}' AS disk", file.path().join(format!("{round}.duckdb")).display());
        let create = format!("CREATE TABLE disk.result {}", question.table);
        let insert = format!("INSERT INTO disk.result {}", question.duckdb);
        let theirs = duck.time(&[&attach, &create, &insert]).await;
        let [ours_s, ours_cpu, theirs_s, theirs_cpu] =
            [ours.wall, ours.cpu, theirs.wall, theirs.cpu].map(|took| took.as_secs_f64());
        let [our_rate, their_rate] = [ours_s, theirs_s].map(|seconds| records as f64 / seconds);
        let (x, x_cpu) = (ours_s / theirs_s, ours_cpu / theirs_cpu);
        println!(
            "{round:>9} {ours_s:>8.3} {ours_cpu:>7.2} {our_rate:>12.0} {peak:>9.0} {theirs_s:>8.3} {theirs_cpu:>7.2} \
             {their_rate:>12.0} {x:>6.2} {x_cpu:>6.2}"
        );
        for (column, figure) in columns.iter_mut().zip([our_rate, peak, their_rate, x, x_cpu, ours_cpu]) {
            column.push(figure);
        }
    }
    let [our_rate, peak, their_rate, x, x_cpu, cpu] = columns.map(|column| median(&column));
    println!(
        "{:>9} {our_rate:.0} records/s against {their_rate:.0}: {x:.2} times the time, {x_cpu:.2} times the processor; \
         {:.2} µs of processor a record; {peak:.0} MB",
        "median",
        cpu * 1e6 / records as f64
    );
}

/// From the deploy until the new version's table holds all of history. The version is retired afterwards.
async fn replay(world: &World, job: &Job) -> Took {
    let ends = world.ends("bids").await;
    let cpu = world.usage().cpu;
    let started = Instant::now();
    let version = world.deploy_again(job).await;
    let path = format!("tables/{}@{version}/rows?limit=1&min_positions={ends}", job.name());
    until_within(DEADLINE, "the new version holds all of history", async || {
        let answer = world.get(&path).await;
        if answer.status == 200 { Ok(()) } else { Err(answer) }
    })
    .await;
    let took = Took { wall: started.elapsed(), cpu: world.usage().cpu - cpu };
    let path = format!("jobs/{}/versions/{version}", job.name());
    let ended = if version == 1 { "Serving" } else { "Aborted" };
    until_within(DEADLINE, "the version is out of the way", async || {
        // The first version serves by itself once it is ready; the others are aborted.
        if version > 1 {
            world.post(&format!("{path}/abort"), &json!({})).await;
        }
        let seen = world.get(&path).await.ok();
        if seen["phase"] == ended { Ok(()) } else { Err(seen) }
    })
    .await;
    took
}
