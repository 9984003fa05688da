//! Topics of very many partitions: what grows with them stays within what clients read.

use rekap_tests::{Job, NDJSON, World, int};
use serde_json::{Value, json};

/// More than `Rekap-Positions` has room for.
const PARTITIONS: u32 = 1_000;

/// A world with a topic of that many partitions, a record in each, and a served table over it.
async fn world_of(partitions: u32) -> World {
    let world = World::start().await;
    world.put("topics/wide", &json!({"partitions": partitions})).await.is(201);
    let record = |partition| json!({"partition": partition, "key": "k", "value": "{\"k\":1}"}).to_string();
    let records = (0..partitions).map(record).collect::<Vec<_>>().join("\n");
    world.post_bytes("topics/wide/records?raw=true", NDJSON, records).await.ok();
    let count = Job::new("wide", "SELECT k, count(*) AS n FROM wide GROUP BY k")
        .input("wide", json!({"topic": "wide", "columns": {"k": "bigint"}}));
    world.deploy_first(&count).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_that_no_header_can_hold_are_in_the_body() {
    let world = world_of(PARTITIONS).await;
    let page = world.get("tables/wide/rows?min_positions=wide/999=1").await;
    assert_eq!((page.header("rekap-positions"), page.header("rekap-positions-in")), (None, Some("body")));
    let body = page.ok();
    assert_eq!(body["positions"]["wide"].as_object().map(serde_json::Map::len), Some(PARTITIONS as usize));
    assert_eq!(int(&body["positions"]["wide"]["999"]), 1);
    assert_eq!(int(&body["rows"][0]["n"]), u64::from(PARTITIONS));
    let about = world.get("tables/wide").await;
    assert_eq!(about.header("rekap-positions-in"), Some("body"));
    assert_eq!(int(&about.ok()["positions"]["wide"]["0"]), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_header_says_the_positions_and_the_body_does_not() {
    let world = world_of(3).await;
    let page = world.get("tables/wide/rows?min_positions=wide/2=1").await;
    assert_eq!(page.header("rekap-positions"), Some("wide/0=1,wide/1=1,wide/2=1"));
    assert_eq!((page.header("rekap-positions-in"), &page.ok()["positions"]), (None, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_of_a_thousand_partitions_is_mirrored_while_one_waits() {
    let world = world_of(PARTITIONS).await;
    let mirrored = world.post("topics/wide/mirror", &json!({})).await.ok();
    let partitions = mirrored["partitions"].as_array().expect("partitions");
    assert!(partitions.iter().all(|partition| partition["mirrored_to"] == 1), "{mirrored}");
}
