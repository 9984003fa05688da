//! How long after its acknowledgement an event is seen by a read, while 5,000 events a second come in.
//!
//! `cargo bench -p rekap-tests --bench latency`. `REKAP_BENCH_RATE` says how many events a second (5,000 by default),
//! `REKAP_BENCH_SECONDS` for how long (10).

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::disallowed_methods, reason = "its clients are threads of their own that keep a steady pace")]

use std::thread;
use std::time::Duration;

use rekap_tests::{Client, Durations, Job, NDJSON, World, object_schema, size};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How many clients append and read, each in turn.
const CLIENTS: usize = 10;

/// How many events an append holds.
const BATCH: usize = 10;

#[tokio::main]
async fn main() {
    let (rate, seconds) = (size("REKAP_BENCH_RATE", 5_000), size("REKAP_BENCH_SECONDS", 10));
    let world = World::start().await;
    let schema = object_schema(json!({"key": {"type": "string"}, "n": {"type": "integer"}}));
    world.topic("events", &json!({"partitions": 4, "key": ["key"], "schema": schema})).await;
    let query = "SELECT key, count(*) AS events, max(n) AS last FROM events GROUP BY key";
    world.deploy_first(&Job::new("last", query).reads("events")).await;
    println!("appends of {BATCH} events by {CLIENTS} clients, each followed by a read that must see the last of them");
    for rate in [rate / 5, rate] {
        let every = Duration::from_secs_f64((CLIENTS * BATCH) as f64 / rate as f64);
        let cpu = world.usage().cpu;
        let (mut appends, mut visible, mut late) = (Durations::default(), Durations::default(), 0);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let client = world.client();
                thread::spawn(move || {
                    steady(&client, &format!("{rate}-{number}"), every, Duration::from_secs(seconds as u64))
                })
            })
            .collect();
        let joined = move || clients.into_iter().map(|client| client.join().expect("a client")).collect::<Vec<_>>();
        for (appended, seen, behind) in tokio::task::spawn_blocking(joined).await.expect("no panic within") {
            appends.extend(appended);
            visible.extend(seen);
            late += behind;
        }
        let events = appends.count() * BATCH;
        let [append_p50, append_p99] = appends.quantiles_ms([0.5, 0.99]);
        let [p50, p99, max] = visible.quantiles_ms([0.5, 0.99, 1.0]);
        println!(
            "{:.0} events/s: acknowledged → seen p50 {p50:.2} ms, p99 {p99:.2} ms, longest {max:.1} ms; \
             sent → acknowledged p50 {append_p50:.2} ms, p99 {append_p99:.2} ms; {:.0} µs of processor an append with its read; \
             {late} of {} appends were sent late",
            events as f64 / seconds as f64,
            (world.usage().cpu - cpu).as_secs_f64() * 1e6 / appends.count() as f64,
            appends.count()
        );
    }
}

/// Appends at a steady pace, and reads after each append. Gives how long appends took, how long after it the read was answered, and how
/// often the pace could not be kept.
fn steady(client: &Client, name: &str, every: Duration, during: Duration) -> (Durations, Durations, usize) {
    let mut wire = client.wire();
    let (mut appends, mut visible, mut late) = (Durations::default(), Durations::default(), 0);
    let started = Instant::now();
    for turn in 0.. {
        let due = every * turn;
        if due >= during {
            break;
        }
        match due.checked_sub(started.elapsed()) {
            Some(left) => thread::sleep(left),
            None => late += 1,
        }
        let key = format!("{name}-{}", turn % 100);
        let n = turn as usize * BATCH;
        let lines: Vec<String> = (n..n + BATCH).map(|n| format!(r#"{{"key":"{key}","n":{n}}}"#)).collect();
        let sent = Instant::now();
        let (status, answer) = wire.post("topics/events/records", NDJSON, lines.join("\n").as_bytes());
        let acknowledged = Instant::now();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        let offsets = answer["offsets"].as_object().expect("offsets by partition");
        let ends: Vec<String> = offsets.iter().map(|(p, range)| format!("events/{p}={}", range[1])).collect();
        let (status, rows) = wire.get(&format!("tables/last/rows?key={key}&min_positions={}", ends.join(",")));
        visible.add(acknowledged.elapsed());
        appends.add(acknowledged - sent);
        let rows: Value = serde_json::from_slice(&rows).expect("JSON");
        assert_eq!((status, &rows["rows"][0]["last"]), (200, &json!(n + BATCH - 1)), "{rows}");
    }
    (appends, visible, late)
}
