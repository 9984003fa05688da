//! `docs/examples/hoverboard`, walked line by line as its page says, and the promise of order that its keys are for.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use rekap_tests::{NDJSON, Record, World, assert_same_rows, int, rekap, repository, rows_of, until};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const EXAMPLE: &str = "docs/examples/hoverboard";

/// How many clients send at the same time.
const SENDERS: usize = 8;

/// How many requests each of them sends, one after the other.
const REQUESTS: usize = 25;

/// How many trips are in each request.
const TRIPS: usize = 40;

/// How many hoverboards and customers there are in the trips of the senders: 60 keys, which all senders share.
const HOVERBOARDS: usize = 12;
const CUSTOMERS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_the_hoverboard_page_works_as_it_stands() {
    let world = World::start().await;
    let bin = tempfile::tempdir().expect("a temporary folder");
    std::os::unix::fs::symlink(rekap(), bin.path().join("rekap")).expect("a link");
    let lines = shell_lines();
    assert!(lines.len() > 10, "the page shows how: {lines:?}");
    for line in lines {
        let printed = shell(&world, bin.path(), &line).await;
        if line.contains("refused") {
            assert!(printed.contains("started_at") && printed.ends_with("refused\n"), "{line}\n{printed}");
        }
    }
    let judged = judged();
    assert_same_rows(
        "usage by day",
        &["hoverboard_id", "day"],
        &world.rows_at_end("usage_by_day", "trip").await,
        &judged,
    );
    assert_eq!(world.rows("fleet").await.len(), 12, "one row for each hoverboard, however often it was reported");
    let trips: u64 = judged.iter().map(|row| int(&row["trips"])).sum();
    let query = "SELECT sum(u.trips) AS trips FROM live.usage_by_day u JOIN live.fleet f ON f.id = u.hoverboard_id";
    let joined = rows_of(&world.post("sql", &json!({"query": query})).await.ok());
    assert_eq!(joined[0]["trips"], trips, "every trip finds its hoverboard");
}

#[tokio::test(flavor = "multi_thread")]
async fn trips_of_one_key_stay_in_order_while_eight_clients_send_to_a_hundred_partitions() {
    let world = World::start().await;
    world.cli(&["apply", EXAMPLE]).run().await.exits(0);
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let client = world.client();
        senders.spawn(async move {
            for request in 0..REQUESTS {
                let trips: Vec<String> = (0..TRIPS).map(|n| trip(sender, request * TRIPS + n)).collect();
                let answer = client.post_bytes("topics/trip/records", NDJSON, trips.join("\n")).await;
                assert_eq!(answer.ok()["appended"], TRIPS, "{answer}");
            }
        });
    }
    senders.join_all().await;
    check_order(&world.records("trip").await);
    world.mirror("trip").await;
    world.drop_hot_copy("trip").await;
    let cold = world.records("trip").await;
    assert!(cold.iter().all(|record| record.tier == "cold"), "the hot copy is gone");
    check_order(&cold);
    world.until_serving("usage_by_day", 1).await;
    until("the table holds every trip", async || {
        let rows = world.rows_at_end("usage_by_day", "trip").await;
        let trips: u64 = rows.iter().map(|row| int(&row["trips"])).sum();
        if trips as usize == SENDERS * REQUESTS * TRIPS { Ok(()) } else { Err(format!("{trips} trips")) }
    })
    .await;
}

/// Each key is in one partition, and there each sender's trips stand in the order in which it sent them, none missing or twice.
fn check_order(records: &[Record]) {
    assert_eq!(records.len(), SENDERS * REQUESTS * TRIPS);
    let mut partitions: BTreeMap<String, u64> = BTreeMap::new();
    let mut next: BTreeMap<(String, u64), Vec<u64>> = BTreeMap::new();
    for record in records {
        let event: Value = serde_json::from_slice(record.value.as_deref().expect("no tombstones")).expect("JSON");
        let key = json!([event["hoverboard_id"], event["customer_id"]]).to_string();
        assert_eq!(record.key.as_deref(), Some(key.as_bytes()), "the key is the two fields, as a compact array");
        let home = *partitions.entry(key.clone()).or_insert(record.partition);
        assert_eq!(record.partition, home, "all of {key} is in one partition");
        let id = event["id"].as_str().expect("an id");
        let (sender, n) = id.split_once('-').expect("sender-number");
        let place = (key, sender.parse().expect("a sender"));
        next.entry(place).or_default().push(n.parse().expect("a number"));
    }
    assert_eq!(partitions.len(), HOVERBOARDS * CUSTOMERS, "every key was sent");
    for ((key, sender), sent) in next {
        let all = (0..REQUESTS * TRIPS).filter(|n| *n % (HOVERBOARDS * CUSTOMERS) == key_number(&key));
        assert_eq!(sent, all.map(|n| n as u64).collect::<Vec<_>>(), "sender {sender}, key {key}");
    }
}

/// The `n`th trip of a sender; its key follows from `n`, so that all senders send to all keys.
fn trip(sender: usize, n: usize) -> String {
    let key = n % (HOVERBOARDS * CUSTOMERS);
    let (board, customer) = (key / CUSTOMERS, key % CUSTOMERS);
    let day = format!("2024-05-{:02}", 1 + n % 28);
    format!(
        r#"{{"id":"{sender}-{n}","hoverboard_id":"hb-{board}","customer_id":"c-{customer}","started_at":"{day}T06:00:00Z","ended_at":"{day}T06:20:00Z","metres":{n}}}"#
    )
}

/// Which of the keys of [`trip`] that is.
fn key_number(key: &str) -> usize {
    let fields: Vec<String> = serde_json::from_str(key).expect("an array of texts");
    let number = |field: &String| field.split_once('-').and_then(|(_, n)| n.parse::<usize>().ok()).expect("a number");
    number(&fields[0]) * CUSTOMERS + number(&fields[1])
}

/// The commands of the page's shell blocks but for the one that starts the server, which is there already.
fn shell_lines() -> Vec<String> {
    let page = fs::read_to_string(repository().join(EXAMPLE).join("README.md")).expect("the page");
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).filter(|line| !line.starts_with("rekap serve")).map(str::to_owned).collect()
}

/// Runs a line in a shell, as a reader of the page would, and gives all that it printed.
async fn shell(world: &World, bin: &std::path::Path, line: &str) -> String {
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(repository()).env("PATH", path);
    command.env("REKAP_URL", world.url()).env("NO_COLOR", "1");
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic within");
    let output = output.expect("a shell");
    let printed = [output.stderr, output.stdout].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "`{line}` ended with {}:\n{printed}", output.status);
    printed
}

/// What `usage_by_day` must hold, added up trip by trip.
fn judged() -> Vec<rekap_tests::Row> {
    let trips = fs::read_to_string(repository().join(EXAMPLE).join("trips.ndjson")).expect("the trips");
    let mut days: BTreeMap<(String, String), (u64, u64, f64, u64)> = BTreeMap::new();
    for line in trips.lines() {
        let trip: Value = serde_json::from_str(line).expect("JSON");
        let text = |field: &str| trip[field].as_str().expect("text").to_owned();
        let at = |field: &str| chrono::DateTime::parse_from_rfc3339(&text(field)).expect("a time");
        let (metres, seconds) = (int(&trip["metres"]), (at("ended_at") - at("started_at")).num_seconds());
        let day = at("started_at").format("%Y-%m-%dT00:00:00Z").to_string();
        let sums = days.entry((text("hoverboard_id"), day)).or_default();
        *sums = (sums.0 + 1, sums.1 + metres, sums.2 + seconds as f64 / 60.0, sums.3.max(metres));
    }
    let row = |((board, day), (trips, metres, minutes, longest))| {
        let row = json!({"hoverboard_id": board, "day": day, "trips": trips, "metres": metres, "minutes": minutes,
            "longest": longest});
        row.as_object().expect("an object").clone()
    };
    days.into_iter().map(row).collect()
}
