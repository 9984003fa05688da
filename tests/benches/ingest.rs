//! How many events a second come in over HTTP: checked against a schema, keyed, durable when acknowledged.
//!
//! `cargo bench -p rekap-tests --bench ingest`. `REKAP_BENCH_RECORDS` says how many bids each round sends (one million by default).

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::disallowed_methods, reason = "its clients are threads of their own that keep a steady pace")]

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rekap_tests::{Bids, NDJSON, World, median, size};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How many bids a request holds: about 700 kB.
const BATCH: usize = 5_000;

/// How many clients send at the same time.
const SENDERS: usize = 4;

const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    let records = size("REKAP_BENCH_RECORDS", 1_000_000);
    let world = World::start().await;
    let mut bids = Bids::new();
    let bodies: Arc<Vec<Vec<u8>>> = Arc::new((0..records.div_ceil(BATCH)).map(|_| bids.ndjson(BATCH)).collect());
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    println!("{records} bids of {} bytes, {BATCH} a request, {SENDERS} clients", bytes / bodies.len() / BATCH);
    println!("µs: processor time of the server for one event");
    let plain = json!({"partitions": 4});
    let kinds: [(&str, Value); 2] = [("schema and key", Bids::topic(4)), ("no schema, no key", plain)];
    let mut figures: [[Vec<f64>; 2]; 2] = Default::default();
    for round in 0..ROUNDS {
        for (kind, (name, config)) in kinds.iter().enumerate() {
            let topic = format!("bids-{kind}-{round}");
            world.topic(&topic, config).await;
            let (cpu, started) = (world.usage().cpu, Instant::now());
            send(&world, &topic, &bodies).await;
            let (took, cpu) = (started.elapsed(), world.usage().cpu - cpu);
            let sent = (bodies.len() * BATCH) as f64;
            let (rate, each) = (sent / took.as_secs_f64(), cpu.as_secs_f64() * 1e6 / sent);
            println!("{name:>18}: {rate:>9.0} events/s, {each:.2} µs");
            figures[kind][0].push(rate);
            figures[kind][1].push(each);
            world.delete(&format!("topics/{topic}")).await.ok();
            settle(&world).await;
        }
    }
    for ((name, _), [rates, each]) in kinds.iter().zip(&figures) {
        println!("median, {name}: {:.0} events/s, {:.2} µs", median(rates), median(each));
    }
}

async fn send(world: &World, topic: &str, bodies: &Arc<Vec<Vec<u8>>>) {
    let senders = (0..SENDERS).map(|sender| {
        let (client, bodies, path) = (world.client(), bodies.clone(), format!("topics/{topic}/records"));
        thread::spawn(move || {
            let mut wire = client.wire();
            for body in bodies.iter().skip(sender).step_by(SENDERS) {
                let (status, answer) = wire.post(&path, NDJSON, body);
                assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
            }
        })
    });
    let senders: Vec<_> = senders.collect();
    let joined = move || senders.into_iter().for_each(|sender| sender.join().expect("a sender"));
    tokio::task::spawn_blocking(joined).await.expect("no panic within");
}

/// Waits until the server is at rest: what it tidies up after one round is not to be counted in the next.
async fn settle(world: &World) {
    let quiet = Duration::from_millis(300);
    rekap_tests::until("the server is at rest", async || {
        let before = world.usage().cpu;
        tokio::time::sleep(quiet).await;
        let used = world.usage().cpu - before;
        if used < quiet / 10 { Ok(()) } else { Err(format!("{used:?} of {quiet:?}")) }
    })
    .await;
}
