//! How many rows a second can be asked for by their key over HTTP, and what one such read costs.
//!
//! `cargo bench -p rekap-tests --bench reads`. `REKAP_BENCH_READS` says how many reads a round has (100,000 by default). The same without
//! HTTP: `cargo test --release -p rekap-tables --test bench -- --ignored --nocapture point_reads`.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::disallowed_methods, reason = "its clients are threads of their own that keep a steady pace")]

use std::thread;

use rekap_tests::{Bids, Durations, Job, NDJSON, World, median, size};
use tokio::time::Instant;

/// How many bids the table is made from.
const BIDS: usize = 500_000;

/// How many connections read at the same time.
const READERS: usize = 8;

/// Auctions that surely have bids: the hottest.
const AUCTIONS: u64 = 2_000;

const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    let reads = size("REKAP_BENCH_READS", 100_000);
    let world = World::start().await;
    world.topic("bids", &Bids::topic(4)).await;
    let mut bids = Bids::new();
    for _ in 0..BIDS / 20_000 {
        world.post_bytes("topics/bids/records", NDJSON, bids.ndjson(20_000)).await.ok();
    }
    let query = "SELECT auction, count(*) AS bids, sum(price) AS total FROM bids GROUP BY auction";
    world.deploy_first(&Job::new("auctions", query).reads("bids")).await;
    let mut rates = (vec![], vec![]);
    println!("{reads} reads of one row each by its key, {READERS} connections, one read at a time on each");
    for _ in 0..ROUNDS {
        let (cpu, started) = (world.usage().cpu, Instant::now());
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                let client = world.client();
                thread::spawn(move || {
                    let (mut wire, mut took) = (client.wire(), Durations::default());
                    let mut random = fastrand::Rng::with_seed(reader as u64);
                    for _ in 0..reads / READERS {
                        let asked = Instant::now();
                        let auction = random.u64(..AUCTIONS);
                        let (status, body) = wire.get(&format!("tables/auctions/rows?auction={auction}"));
                        took.add(asked.elapsed());
                        assert!(status == 200 && body.len() > 40, "{}", String::from_utf8_lossy(&body));
                    }
                    took
                })
            })
            .collect();
        let joined = move || readers.into_iter().map(|reader| reader.join().expect("a reader")).collect::<Vec<_>>();
        let mut all = Durations::default();
        tokio::task::spawn_blocking(joined)
            .await
            .expect("no panic within")
            .into_iter()
            .for_each(|took| all.extend(took));
        let (took, cpu) = (started.elapsed().as_secs_f64(), (world.usage().cpu - cpu).as_secs_f64());
        let [p50, p99] = all.quantiles_ms([0.5, 0.99]);
        let (rate, of_a_core) = (all.count() as f64 / took, all.count() as f64 / cpu);
        println!(
            "{rate:>8.0} reads/s, p50 {p50:.3} ms, p99 {p99:.3} ms; {of_a_core:.0} for each second of the server's processor time"
        );
        rates.0.push(rate);
        rates.1.push(of_a_core);
    }
    println!("median: {:.0} reads/s, {:.0} for each second of processor time", median(&rates.0), median(&rates.1));
}
