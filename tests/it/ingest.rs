//! Events in every form that platforms send them in.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use rekap_tests::{Answer, Candles, Duck, NDJSON, World, WorldConfig, assert_same_rows, list, rows_of, until};
use reqwest::Method;
use serde_json::{Value, json};

/// How many candles a test sends in each form.
const SENT: usize = 3_000;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).expect("memory takes all");
    packed.finish().expect("memory takes all")
}

async fn send(world: &World, topic: &str, media: &str, coding: Option<&str>, body: Vec<u8>) -> Answer {
    let request = world.request(Method::POST, &format!("topics/{topic}/records")).body(media, body);
    let request = coding.into_iter().fold(request, |request, coding| request.header("content-encoding", coding));
    request.answer().await
}

/// The candles in one form: its media type, its encoding and its bytes.
fn forms(lines: &[String]) -> Vec<(&'static str, Option<&'static str>, Vec<u8>)> {
    let events: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let names = ["currency", "ts", "open", "high", "low", "close", "volume"];
    let cell = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let csv_line = |event: &Value| names.map(|name| cell(&event[name])).join(",");
    let csv = names.join(",") + "\r\n" + &events.iter().map(csv_line).collect::<Vec<_>>().join("\r\n");
    let cloud = |(id, event): (usize, &Value)| json!({"specversion": "1.0", "id": id.to_string(), "source": "/bitfinex", "type": "candle", "data": event});
    let batch: Vec<Value> = events.iter().enumerate().map(cloud).collect();
    let ndjson = lines.join("\n").into_bytes();
    vec![
        (NDJSON, None, ndjson.clone()),
        (NDJSON, Some("gzip"), gzip(&ndjson)),
        ("application/json", None, Value::from(events.clone()).to_string().into_bytes()),
        ("text/csv; charset=utf-8", None, csv.clone().into_bytes()),
        ("text/csv", Some("gzip"), gzip(csv.as_bytes())),
        ("application/cloudevents-batch+json", None, Value::from(batch).to_string().into_bytes()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_events_in_every_form_are_the_same_rows() {
    let world = World::start().await;
    let candles = Candles::events().before(SENT);
    let question = |from: &str| {
        format!(
            "SELECT currency, count(*) AS candles, sum(close) AS close, min(low) AS low FROM {from} GROUP BY currency"
        )
    };
    let expected = Duck::new().events("sent", &candles).rows(&question("sent")).await;
    for (n, (media, coding, body)) in forms(&candles.lines).into_iter().enumerate() {
        let topic = format!("candles{n}");
        world.topic(&topic, &json!({"partitions": 2, "key": ["currency"], "schema": Candles::schema()})).await;
        assert_eq!(send(&world, &topic, media, coding, body).await.ok()["appended"], SENT);
        let found = world.post("sql", &json!({"query": question(&format!("log.{topic}"))})).await.ok();
        assert_same_rows(&format!("{media} {coding:?}"), &["currency"], &rows_of(&found), &expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_tells_the_form_by_the_name_of_the_file() {
    let world = World::start().await;
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    world.topic("t", &json!({"partitions": 1, "schema": schema})).await;
    let files =
        [("a.csv", b"n\n1\n2\n".to_vec()), ("b.csv.gz", gzip(b"n\n3\n")), ("c.ndjson.gz", gzip(b"{\"n\":4}\n"))];
    for (name, bytes) in files {
        let file = world.folder().join(name);
        std::fs::write(&file, bytes).expect("a file in the temporary folder");
        world.cli(&["topic", "append", "t", file.to_str().expect("UTF-8")]).run().await.exits(0);
    }
    let found = world.post("sql", &json!({"query": "SELECT sum(n) AS n FROM log.t"})).await.ok();
    assert_eq!(found["rows"], json!([{"n": 10}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_not_taken_is_415_and_a_bomb_is_413() {
    let world = World::start().await;
    world.topic("t", &json!({"partitions": 1})).await;
    for (media, coding) in
        [("text/plain", None), ("application/xml", None), (NDJSON, Some("br")), (NDJSON, Some("gzip, gzip"))]
    {
        let answer = send(&world, "t", media, coding, b"1\n".to_vec()).await;
        answer.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    let bomb = gzip(&vec![b'\n'; 80 << 20]);
    assert!(bomb.len() < 1 << 20);
    send(&world, "t", NDJSON, Some("gzip"), bomb).await.refused(413, "BODY_TOO_LARGE");
    send(&world, "t", NDJSON, Some("gzip"), b"1\n".to_vec()).await.refused(400, "BAD_BODY");
    send(&world, "t", NDJSON, Some("zstd"), b"1\n".to_vec()).await.refused(400, "BAD_BODY");
    assert_eq!(world.topic_status("t").await["partitions"][0]["end"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_are_told_to_wait_while_the_server_holds_all_that_it_may() {
    let world = World::with(WorldConfig { server: "max_ingest = \"1KiB\"\n", ..WorldConfig::default() }).await;
    world.topic("t", &json!({"partitions": 1})).await;
    send(&world, "t", NDJSON, None, b"1\n".repeat(2000)).await.ok();
    // Requests that announce more than there is room for, and are in no hurry to send it. One that comes while the room of the request
    // before it is not given back yet is refused itself, so there is another one at each try.
    let address = world.url().trim_start_matches("http://").to_owned();
    let head = format!(
        "POST /v1/topics/t/records HTTP/1.1\r\nhost: {address}\r\ncontent-type: {NDJSON}\r\ncontent-length: 4000\r\n\r\n"
    );
    let mut slow = Vec::new();
    let refused = until("the next one is refused", async || {
        let mut connection = std::net::TcpStream::connect(&address).expect("the server listens");
        connection.write_all(head.as_bytes()).expect("the server reads");
        slow.push(connection);
        let answer = send(&world, "t", NDJSON, None, b"2\n".to_vec()).await;
        if answer.status == 429 { Ok(answer) } else { Err(answer.to_string()) }
    })
    .await;
    refused.refused(429, "OVERLOADED");
    assert_eq!(refused.header("retry-after"), Some("1"));
    drop(slow);
    until("there is room again", async || {
        let answer = send(&world, "t", NDJSON, None, b"3\n".to_vec()).await;
        if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_that_is_refused_is_named_and_none_is_appended() {
    let world = World::start().await;
    let schema = json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}});
    world.topic("t", &json!({"partitions": 1, "schema": schema})).await;
    let answer = send(&world, "t", NDJSON, None, b"{\"a\":1}\n{}\n{\"a\":2}\n{\"a\":\"x\"}\n".to_vec()).await;
    let problem = answer.refused(422, "INVALID_RECORD");
    assert_eq!((&problem["index"], &problem["field"]), (&json!(1), &json!("a")));
    let places: Vec<_> = list(&problem["errors"]).iter().map(|error| (&error["index"], &error["field"])).collect();
    assert_eq!(places, [(&json!(1), &json!("a")), (&json!(3), &json!("a"))]);
    assert_eq!(world.topic_status("t").await["partitions"][0]["end"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_follows_another_by_the_topics_rule() {
    let world = World::start().await;
    let schema = |fields: Value, required: Value| json!({"type": "object", "properties": fields, "required": required});
    let first = schema(json!({"a": {"type": "integer"}, "b": {"type": "string"}}), json!(["a"]));
    assert_eq!(world.topic("t", &json!({"partitions": 1, "schema": first})).await["compatibility"], "backward");
    let without_b = schema(json!({"a": {"type": "integer"}}), json!(["a"]));
    let refused = world.put("topics/t", &json!({"schema": without_b})).await.refused(409, "INCOMPATIBLE_SCHEMA");
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("`b`")), "{refused}");
    let changed = world.topic("t", &json!({"schema": without_b, "compatibility": "forward"})).await;
    assert_eq!((&changed["schema_version"], &changed["compatibility"]), (&json!(2), &json!("forward")));
    let other = schema(json!({"a": {"type": "string"}}), json!(["a"]));
    world.put("topics/t", &json!({"schema": other, "compatibility": "full"})).await.refused(409, "INCOMPATIBLE_SCHEMA");
    world.topic("t", &json!({"schema": other, "compatibility": "none"})).await;
    world.put("topics/t", &json!({"compatibility": "sometimes"})).await.problem(422);
    let schemas = world.get("topics/t/schemas").await.ok();
    assert_eq!(
        schemas["schemas"],
        json!([
            {"version": 1, "schema": first}, {"version": 2, "schema": without_b}, {"version": 3, "schema": other},
        ])
    );
    send(&world, "t", NDJSON, None, b"{\"a\":\"now text\"}".to_vec()).await.ok();
}
