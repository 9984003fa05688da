//! How long promotion and rollback take while a table is read 2,000 times a second and written to, and what its readers notice.
//!
//! `cargo bench -p rekap-tests --bench swaps`. `REKAP_BENCH_SWAPS` says how many promotions, each with its rollback (100 by default).

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::disallowed_methods, reason = "its clients are threads of their own that keep a steady pace")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rekap_tests::{Client, Durations, Job, Ledger, World, size};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How many clients read, and how many times a second all of them together.
const READERS: u32 = 4;
const READS_A_SECOND: u32 = 2_000;

/// How long after one swap the next is asked for.
const BETWEEN_SWAPS: Duration = Duration::from_millis(25);

#[tokio::main]
async fn main() {
    let swaps = size("REKAP_BENCH_SWAPS", 100);
    let world = World::start().await;
    let mut ledger = Ledger::open(&world, "counters", 4).await;
    ledger.append(&world, 50_000).await;
    world.deploy_first(&Job::new("counts", &query(1)).reads("counters")).await;
    let second = world.deploy(&Job::new("counts", &query(2)).reads("counters")).await;
    world.until_phase("counts", second, "Ready").await;
    let writer = ledger.write(world.client());
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (client, stop) = (world.client(), stop.clone());
            thread::spawn(move || read(&client, &stop))
        })
        .collect();
    let mut told = [Durations::default(), Durations::default()];
    let mut asked = told.clone();
    let mut pace = tokio::time::interval(BETWEEN_SWAPS);
    for _ in 0..swaps {
        for (kind, path) in ["jobs/counts/versions/2/promote", "jobs/counts/rollback"].into_iter().enumerate() {
            pace.tick().await;
            let started = Instant::now();
            let answer = world.post(path, &json!({})).await.is(200);
            asked[kind].add(started.elapsed());
            told[kind].add(Duration::from_secs_f64(answer["swap_ms"].as_f64().expect("a time") / 1e3));
        }
    }
    stop.store(true, Ordering::Relaxed);
    let joined = move || readers.into_iter().map(|reader| reader.join().expect("a reader")).collect::<Vec<_>>();
    let mut reads = Durations::default();
    tokio::task::spawn_blocking(joined).await.expect("no panic within").into_iter().for_each(|took| reads.extend(took));
    let events = writer.stop().await.events();
    println!("{swaps} promotions and rollbacks, {} reads, {events} events written, no read failed", reads.count());
    for (kind, name) in ["promotion", "rollback"].into_iter().enumerate() {
        let [p50, p99, max] = told[kind].quantiles_ms([0.5, 0.99, 1.0]);
        let [asked_p50, asked_p99] = asked[kind].quantiles_ms([0.5, 0.99]);
        println!(
            "{name}: p50 {p50:.2} ms, p99 {p99:.2} ms, longest {max:.2} ms; as its client sees it p50 {asked_p50:.2} ms, \
             p99 {asked_p99:.2} ms"
        );
    }
    let [p50, p99, max] = reads.quantiles_ms([0.5, 0.99, 1.0]);
    println!("reads meanwhile: p50 {p50:.2} ms, p99 {p99:.2} ms, longest {max:.2} ms");
}

fn query(version: u64) -> String {
    format!("SELECT key, count(*) AS events, sum(n) AS total, {version} AS made_by FROM counters GROUP BY key")
}

/// Reads at a steady pace until told to stop.
fn read(client: &Client, stop: &AtomicBool) -> Durations {
    let (mut wire, mut took) = (client.wire(), Durations::default());
    let started = Instant::now();
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let due = Duration::from_secs(1) * READERS / READS_A_SECOND * turn;
        thread::sleep(due.saturating_sub(started.elapsed()));
        let asked = Instant::now();
        let (status, body) = wire.get("tables/counts/rows?limit=10");
        took.add(asked.elapsed());
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let page: Value = serde_json::from_slice(&body).expect("JSON");
        assert!(page["rows"][0]["made_by"] == page["rows"][1]["made_by"], "a page mixes versions: {page}");
    }
    took
}
