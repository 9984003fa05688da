//! Avro and Protobuf as Kafka's users have them: written by Confluent's and Google's own clients, with a schema registry that is away at
//! times, mirrored, replayed and compared; and every format over HTTP.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rekap_tests::{
    Answer, Duck, Events, Job, Kafka, Registry, Row, World, WorldConfig, assert_same_rows, int, list, partitions,
    run_python, until,
};
use serde_json::{Value, json};

const QUERY: &str =
    "SELECT board, count(*) AS trips, sum(meters) AS meters, count(rider) AS riders FROM trips GROUP BY board";
const JUDGE: &str =
    "SELECT board, count(*) AS trips, sum(meters)::BIGINT AS meters, count(rider) AS riders FROM trips GROUP BY ALL";

/// The present schema of trips, and the one before: without `rider`, and with `meters` as an int.
fn trip(present: bool) -> String {
    let mut fields = vec![
        json!({"name": "board", "type": "string"}),
        json!({"name": "meters", "type": if present { "long" } else { "int" }}),
        json!({"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}),
    ];
    if present {
        fields.insert(1, json!({"name": "rider", "type": ["null", "string"], "default": null}));
    }
    json!({"type": "record", "name": "Trip", "namespace": "fleet", "fields": fields}).to_string()
}

/// So many trips from a number on; those of the present schema have a rider now and then.
fn trips(range: std::ops::Range<i64>, present: bool) -> Vec<Value> {
    let one = |n: i64| {
        let mut trip = json!({"board": format!("hb-{}", n % 7), "meters": n * 10, "at": 1_700_000_000_000i64 + n});
        if present {
            trip["rider"] = if n % 3 == 0 { Value::Null } else { json!(format!("r{n}")) };
        }
        trip
    };
    range.map(one).collect()
}

fn events(values: &[Value]) -> Events {
    let columns = &[("board", "VARCHAR"), ("meters", "BIGINT"), ("rider", "VARCHAR")];
    Events { lines: values.iter().map(Value::to_string).collect(), columns }
}

async fn check(world: &World, moment: &str, alias: &str, topic: &str, values: &[Value]) {
    let ours: Vec<Row> = world.rows_at_end(alias, topic).await;
    let theirs = Duck::new().events("trips", &events(values)).rows(JUDGE).await;
    assert_same_rows(&format!("{alias} {moment}"), &["board"], &ours, &theirs);
}

/// A server on the broker of this process and on this registry.
async fn world(kafka: &'static Kafka, registry: &Registry) -> World {
    World::with(WorldConfig::default().on(kafka.setup()).on(registry.setup())).await
}

async fn shared() -> &'static Kafka {
    tokio::task::spawn_blocking(Kafka::shared).await.expect("no panic within")
}

fn raw(topic: &str, values: &[&[u8]]) -> Value {
    json!([{"topic": topic, "values": values.iter().map(|value| BASE64_STANDARD.encode(value)).collect::<Vec<_>>()}])
}

async fn dead_letters(world: &World, version: &str) -> Vec<(String, String)> {
    let letters = world.get(&format!("{version}/dead-letters")).await.ok();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list(&letters["dead_letters"]).iter().map(|letter| (text(&letter["code"]), text(&letter["detail"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn avro_of_confluents_serializer_is_mirrored_and_replayed_whether_the_registry_is_there_or_not() {
    let (kafka, registry) = (shared().await, Registry::start().await);
    let world = world(kafka, &registry).await;
    let topic = "avro-trips";
    let produce = |part: Value| {
        let mut request = part;
        request["bootstrap"] = json!(kafka.bootstrap());
        request["registry"] = registry.access();
        async move { run_python("wire.py", &request).await }
    };
    world
        .put(&format!("topics/{topic}"), &json!({"partitions": 2, "format": "avro", "wire": "confluent"}))
        .await
        .is(422);
    registry.register(&format!("{topic}-value"), "AVRO", &trip(false));
    registry.register(&format!("{topic}-value"), "AVRO", &trip(true));
    let made = world.topic(topic, &json!({"partitions": 2, "format": "avro", "wire": "confluent"})).await;
    assert_eq!(made["schema"]["fields"][1]["name"], "rider", "the subject's latest schema is kept: {made}");

    // Two writers' schemas in one topic, and records that are none.
    let (old, new) = (trips(0..300, false), trips(300..600, true));
    produce(json!({"avro": [{"topic": topic, "schema": trip(false), "values": old},
                            {"topic": topic, "schema": trip(true), "values": new}],
                   "raw": raw(topic, &[b"\0\0\0\x03\xe7\x02a", b"\0\0\0\0\x02\x08hb", b"{\"board\": 1}"])}))
    .await;
    let mut all = [old, new].concat();
    let job = Job::new("usage", QUERY).input("trips", json!({"topic": topic}));
    world.deploy_first(&job).await;
    check(&world, "from Kafka", "usage", topic, &all).await;
    let mut letters = dead_letters(&world, "jobs/usage/versions/1").await;
    letters.sort();
    let codes: Vec<&str> = letters.iter().map(|(code, _)| code.as_str()).collect();
    assert_eq!(codes, ["UNDECODABLE", "UNDECODABLE", "UNKNOWN_SCHEMA"], "{letters:?}");
    assert!(letters[2].1.contains("999"), "{letters:?}");

    // History leaves Kafka; a replay of it needs nothing of the registry, not even after a restart.
    world.mirror(topic).await;
    world.drop_hot_copy(topic).await;
    let mut world = world;
    world.stop().await;
    registry.be_away(true);
    world.restart().await;
    let second = world.deploy(&job.but(&format!("{QUERY} HAVING count(*) > 0"))).await;
    world.until_phase("usage", second, "Ready").await;
    check(&world, "replayed from the mirror", "usage@2", topic, &all).await;
    assert_eq!(dead_letters(&world, "jobs/usage/versions/2").await.len(), 3);
    world.promote("usage", second).await;

    // A schema that is not known yet, while the registry is away: versions and mirror wait, and say why.
    registry.be_away(false);
    let third = trip(true).replace("rider", "passenger");
    let id = registry.register("elsewhere", "AVRO", &third);
    registry.be_away(true);
    let late = [&[0, 0, 0, 0, id as u8][..], b"\x08hb-0\x00\x02\x02"].concat();
    produce(json!({"raw": raw(topic, &[&late])})).await;
    until("the version waits for the registry", async || {
        let version = world.version("usage", second).await;
        let waits = version["problem"].as_str().is_some_and(|problem| problem.contains("schema registry"));
        if waits && version["phase"] == "Serving" { Ok(()) } else { Err(version) }
    })
    .await;
    world.post(&format!("topics/{topic}/mirror"), &json!({})).await.refused(503, "SCHEMA_REGISTRY_UNAVAILABLE");
    assert_eq!(dead_letters(&world, "jobs/usage/versions/2").await.len(), 3, "waiting is no dead letter");
    registry.be_away(false);
    all.push(json!({"board": "hb-0", "meters": 1, "at": 1}));
    check(&world, "after the registry came back", "usage", topic, &all).await;
    assert_eq!(dead_letters(&world, "jobs/usage/versions/2").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn protobuf_in_confluents_wire_format_is_mirrored_typed_and_replayed() {
    let (kafka, registry) = (shared().await, Registry::start().await);
    let world = world(kafka, &registry).await;
    let topic = "protobuf-trips";
    let source = "syntax = \"proto3\"; package fleet; message Trip { string board = 1; int64 meters = 2; optional string rider = 3; }";
    let id = registry.register(&format!("{topic}-value"), "PROTOBUF", source);
    world
        .topic(
            topic,
            &json!({"partitions": 2, "format": "protobuf", "wire": "confluent", "schema": {"message": "fleet.Trip"}}),
        )
        .await;
    let all: Vec<Value> = trips(0..400, true)
        .into_iter()
        .map(|mut trip| {
            let fields = trip.as_object_mut().expect("an object");
            fields.remove("at");
            if fields["rider"].is_null() {
                fields.remove("rider");
            }
            trip
        })
        .collect();
    let fields = json!([["board", 1, "STRING"], ["meters", 2, "INT64"], ["rider", 3, "STRING"]]);
    let part =
        json!({"topic": topic, "id": id, "package": "fleet", "message": "Trip", "fields": fields, "values": all});
    run_python("wire.py", &json!({"bootstrap": kafka.bootstrap(), "protobuf": [part]})).await;
    let job = Job::new("fleet", QUERY).input("trips", json!({"topic": topic}));
    world.deploy_first(&job).await;
    check(&world, "from Kafka", "fleet", topic, &all).await;
    world.mirror(topic).await;
    let data = Duck::new().delta("cold", &world.cold_url(topic).await);
    let theirs = data.rows("SELECT data.board AS board, count(*) AS trips, sum(data.meters)::BIGINT AS meters, count(data.rider) AS riders FROM cold GROUP BY ALL").await;
    assert_same_rows("the mirror, opened by others", &["board"], &world.rows_at_end("fleet", topic).await, &theirs);
    world.drop_hot_copy(topic).await;
    registry.be_away(true);
    let second = world.deploy(&job.but(&format!("{QUERY} HAVING count(*) > 0"))).await;
    world.until_phase("fleet", second, "Ready").await;
    check(&world, "replayed from the mirror", "fleet@2", topic, &all).await;
}

/// Sends records as their writer made them.
async fn send(world: &World, topic: &str, values: &[&[u8]]) -> Answer {
    let record = |value: &&[u8]| json!({"value": BASE64_STANDARD.encode(value), "encoding": "base64"});
    let records: Vec<Value> = values.iter().map(record).collect();
    world.post(&format!("topics/{topic}/records?raw=true"), &json!(records)).await
}

async fn sql(world: &World, query: &str) -> Value {
    world.post("sql", &json!({"query": query})).await.ok()["rows"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_every_format_are_checked_where_they_come_in_and_have_columns_in_sql() {
    let world = World::start().await;
    let schema = json!({"type": "record", "name": "r", "fields": [{"name": "id", "type": "long"}, {"name": "s", "type": "string"}]});
    world.topic("a", &json!({"partitions": 1, "format": "avro", "schema": schema, "key": ["id", "s"]})).await;
    let good: [&[u8]; 2] = [b"\x36\x06foo", b"\x02\x02x"];
    assert_eq!(send(&world, "a", &good).await.ok()["appended"], 2);
    let refused = send(&world, "a", &[good[0], b"\x36\x06fo"]).await.refused(422, "INVALID_RECORD");
    assert_eq!((&refused["index"], &refused["field"]), (&json!(1), &json!("s")), "{refused}");
    assert_eq!(partitions(&world.topic_status("a").await)[0]["end"], 2, "all or nothing");
    world.post("topics/a/records", &json!({"id": 1, "s": "x"})).await.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    let records = world.get("topics/a/records").await.ok();
    assert_eq!(records["records"][0]["key"], "[27,\"foo\"]", "{records}");
    assert_eq!(
        sql(&world, "SELECT id, s FROM log.a ORDER BY id").await,
        json!([{"id": 1, "s": "x"}, {"id": 27, "s": "foo"}])
    );
    let incompatible = json!({"schema": {"type": "record", "name": "r", "fields": [{"name": "id", "type": "string"}, {"name": "s", "type": "string"}]}});
    world.put("topics/a", &incompatible).await.refused(409, "INCOMPATIBLE_SCHEMA");
    world.put("topics/a", &json!({"format": "text", "schema": null, "key": []})).await.is(409);

    let source = "syntax = \"proto3\"; message M { int64 id = 1; string s = 2; }";
    world
        .topic(
            "p",
            &json!({"partitions": 1, "format": "protobuf", "schema": {"proto": source, "message": "M"}, "key": ["s"]}),
        )
        .await;
    send(&world, "p", &[b"\x08\x05\x12\x01y"]).await.ok();
    assert_eq!(
        sql(&world, "SELECT id, s, CAST(_key AS VARCHAR) AS k FROM log.p").await,
        json!([{"id": 5, "s": "y", "k": "y"}])
    );
    world
        .put("topics/q", &json!({"partitions": 1, "format": "protobuf", "schema": {"proto": "message {"}}))
        .await
        .refused(422, "INVALID_TOPIC");

    world.topic("t", &json!({"partitions": 1, "format": "text"})).await;
    let lines = world.post_bytes("topics/t/records", "text/plain", "one\r\n\nzwei é\n").await;
    assert_eq!(lines.ok()["appended"], 2);
    world.post_bytes("topics/t/records", "text/plain", b"\xff\n".to_vec()).await.refused(422, "INVALID_RECORD");
    assert_eq!(
        sql(&world, "SELECT value FROM log.t ORDER BY _offset").await,
        json!([{"value": "one"}, {"value": "zwei é"}])
    );
    let job = Job::new("words", "SELECT value, count(*) AS n FROM t GROUP BY value").reads("t");
    world.deploy_first(&job).await;
    assert_eq!(world.rows_at_end("words", "t").await.len(), 2);

    world.topic("b", &json!({"partitions": 1, "format": "bytes"})).await;
    send(&world, "b", &[b"\xff\x00"]).await.ok();
    assert_eq!(sql(&world, "SELECT _value AS v FROM log.b").await, json!([{"v": "/wA="}]));
    world
        .put("topics/c", &json!({"partitions": 1, "format": "bytes", "wire": "confluent"}))
        .await
        .refused(422, "INVALID_TOPIC");
    let mirrored = ["a", "p", "t", "b"];
    for topic in mirrored {
        world.mirror(topic).await;
        let held: u64 = partitions(&world.topic_status(topic).await).iter().map(|p| int(&p["mirrored_to"])).sum();
        assert!(held > 0, "{topic}");
    }
    let typed =
        Duck::new().delta("cold", &world.cold_url("a").await).rows("SELECT data.id AS id FROM cold ORDER BY 1").await;
    assert_eq!(typed.len(), 2);
}
