//! What Rekap refuses: every bad input is answered with a problem that says what is wrong and what to do, and changes nothing.

mod http;

use rekap_tests::{Answer, Client, Job, NDJSON, World, object_schema};
use reqwest::Method;
use serde_json::{Value, json};

/// One byte more than a record may have.
const TOO_LARGE_RECORD: usize = (1 << 20) + 1;

/// More than a request may have.
const TOO_LARGE_REQUEST: usize = (64 << 20) + 1;

/// A good job over `ticks`, to be spoiled in one place.
const QUERY: &str = "SELECT currency, count(*) AS n FROM ticks GROUP BY currency";

/// A server with a topic of one event and a serving job.
async fn world() -> World {
    let world = World::start().await;
    let schema =
        object_schema(json!({"currency": {"type": "string"}, "price": {"type": "number"}, "n": {"type": "integer"}}));
    world.topic("ticks", &json!({"partitions": 2, "key": ["currency"], "schema": schema})).await;
    world.topic("plain", &json!({"partitions": 1})).await;
    let event = r#"{"currency":"EUR","price":1.5,"n":1}"#;
    world.post_bytes("topics/ticks/records", NDJSON, event).await.ok();
    world.deploy_first(&job()).await;
    world
}

fn job() -> Job {
    Job::new("bpi", QUERY).reads("ticks")
}

/// Everything that a refusal must leave as it was.
async fn state(client: &Client) -> Value {
    let topics = client.get("topics").await.ok();
    let jobs = client.get("jobs").await.ok();
    let tables = client.rows("bpi").await;
    json!({"topics": topics["topics"], "jobs": jobs["jobs"], "rows": tables})
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_records_are_refused_whole_with_their_index_and_field() {
    let world = world().await;
    let before = state(&world).await;
    let good = r#"{"currency":"EUR","price":1.5,"n":2}"#;
    let cases = [
        ("no JSON", "{\"currency\":", 1, None),
        ("half a line", "\u{1}", 1, None),
        ("a wrong type", r#"{"currency":"EUR","price":"high","n":2}"#, 1, Some("price")),
        ("a missing field", r#"{"currency":"EUR","n":2}"#, 1, Some("price")),
        ("a fraction where an integer is due", r#"{"currency":"EUR","price":1,"n":2.5}"#, 1, Some("n")),
        ("no object", "[1, 2]", 1, None),
    ];
    for (what, bad, index, field) in cases {
        let body = format!("{good}\n{bad}\n{good}\n");
        let answer = world.post_bytes("topics/ticks/records", NDJSON, body).await;
        let problem = answer.problem(422);
        assert_eq!(problem["index"], index, "{what}: {answer}");
        let named = field.is_none_or(|field| problem["field"].as_str().is_some_and(|said| said.contains(field)));
        assert!(named, "{what}: {answer}");
    }
    let array = json!([serde_json::from_str::<Value>(good).expect("JSON"), {"currency": 7}]);
    assert_eq!(world.post("topics/ticks/records", &array).await.problem(422)["index"], 1);
    assert_eq!(state(&world).await, before, "nothing was appended");
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_unknown_and_oversized_appends_are_refused() {
    let world = world().await;
    let before = state(&world).await;
    let long = format!("\"{}\"", "x".repeat(TOO_LARGE_RECORD));
    let cases: [(&str, &str, &str, Vec<u8>, u16); 8] = [
        ("an empty body", "ticks", NDJSON, vec![], 422),
        ("only line ends", "ticks", NDJSON, b"\n\n".to_vec(), 422),
        ("an empty array", "ticks", "application/json", b"[]".to_vec(), 422),
        ("an unknown topic", "nothing", NDJSON, b"1\n".to_vec(), 404),
        ("a record over 1 MiB", "plain", NDJSON, long.into_bytes(), 413),
        ("a request over 64 MiB", "plain", NDJSON, vec![b'\n'; TOO_LARGE_REQUEST], 413),
        ("a type that is no JSON", "plain", "text/plain", b"1".to_vec(), 415),
        ("text that is not UTF-8", "ticks", NDJSON, vec![0xff, 0xfe], 422),
    ];
    for (what, topic, content_type, body, status) in cases {
        eprintln!("{what}");
        world.post_bytes(&format!("topics/{topic}/records"), content_type, body).await.problem(status);
    }
    let raw = json!({"key": "EUR", "value": "not base64!", "encoding": "base64"}).to_string();
    world.post_bytes("topics/plain/records?raw=true", NDJSON, raw).await.problem(422);
    let elsewhere = json!({"value": "1", "partition": 7}).to_string();
    world.post_bytes("topics/plain/records?raw=true", NDJSON, elsewhere).await.problem(422);
    assert_eq!(state(&world).await, before, "nothing was appended");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_topics_are_refused() {
    let world = world().await;
    let before = state(&world).await;
    let text = json!({"type": "string"});
    let cases = [
        ("no partition", "new", json!({"partitions": 0}), 422),
        ("too many partitions", "new", json!({"partitions": 10_001}), 422),
        ("partitions in words", "new", json!({"partitions": "three"}), 422),
        ("an unknown field", "new", json!({"partitions": 1, "colour": "red"}), 422),
        ("a name with a space", "a%20b", json!({"partitions": 1}), 422),
        ("a name that is a folder", "..%2Fx", json!({"partitions": 1}), 422),
        ("a schema that is none", "new", json!({"partitions": 1, "schema": {"type": "strange"}}), 422),
        (
            "a leading underscore",
            "new",
            json!({"partitions": 1, "schema": {"type": "object", "properties": {"_a": text}}}),
            422,
        ),
        ("another format", "new", json!({"partitions": 1, "format": "avro"}), 422),
        ("fewer partitions", "ticks", json!({"partitions": 1}), 422),
        (
            "an incompatible schema",
            "ticks",
            json!({"schema": object_schema(json!({"currency": {"type": "integer"}, "price": {"type": "number"}, "n": text}))}),
            409,
        ),
    ];
    for (what, topic, config, status) in cases {
        eprintln!("{what}");
        world.put(&format!("topics/{topic}"), &config).await.problem(status);
    }
    world.get("topics/nothing").await.problem(404);
    world.delete("topics/nothing").await.problem(404);
    world.delete("topics/ticks").await.problem(409);
    world.get("topics/ticks/records?partition=9&from=0").await.problem(404);
    world.get("topics/ticks/records?partition=0&from=0&limit=10001").await.problem(422);
    assert_eq!(state(&world).await, before, "nothing changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topics_key_changes_only_while_nothing_goes_by_it() {
    let world = world().await;
    world.put("topics/ticks", &json!({"key": ["currency"], "retention_ms": 86_400_000})).await.is(200);
    world.put("topics/ticks", &json!({"key": ["n"]})).await.refused(409, "KEY_FIXED");
    world.topic("empty", &json!({"partitions": 1, "key": ["a"]})).await;
    world.put("topics/empty", &json!({"key": ["b"]})).await.is(200);
    let input = json!({"topic": "empty", "columns": {"b": "text", "x": "bigint"}});
    let latest = Job::new("latest", "SELECT b, x FROM empty").with("key", json!(["b"])).input("empty", input);
    world.deploy_first(&latest).await;
    world.put("topics/empty", &json!({"key": ["a"]})).await.refused(409, "TOPIC_IN_USE");
    world.delete("jobs/latest").await.is(204);
    world.put("topics/empty", &json!({"key": ["a"]})).await.is(200);
    world.post_bytes("topics/empty/records", NDJSON, r#"{"a":"x"}"#).await.ok();
    let refused = world.put("topics/empty", &json!({"key": []})).await.refused(409, "KEY_FIXED");
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("[a]")), "{refused}");
    // Nor once the records are gone.
    world.mirror("empty").await;
    world.drop_hot_copy("empty").await;
    world.put("topics/empty", &json!({"key": ["b"]})).await.refused(409, "KEY_FIXED");
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_are_not_incremental_or_not_deterministic_are_refused_with_what_to_write_instead() {
    let world = world().await;
    let before = state(&world).await;
    let cases = [
        ("the wall clock", "SELECT currency, now() AS at, count(*) AS n FROM ticks GROUP BY currency"),
        (
            "today",
            "SELECT currency, count(*) FILTER (WHERE _timestamp > current_date) AS n FROM ticks GROUP BY currency",
        ),
        ("chance", "SELECT currency, sum(random()) AS n FROM ticks GROUP BY currency"),
        ("a join", "SELECT a.currency, count(*) AS n FROM ticks a JOIN ticks b ON a.n = b.n GROUP BY a.currency"),
        ("a window", "SELECT currency, row_number() OVER (PARTITION BY currency ORDER BY n) AS n FROM ticks"),
        ("DISTINCT", "SELECT DISTINCT currency FROM ticks"),
        ("count(DISTINCT)", "SELECT currency, count(DISTINCT n) AS n FROM ticks GROUP BY currency"),
        ("median", "SELECT currency, median(price) AS n FROM ticks GROUP BY currency"),
        ("array_agg", "SELECT currency, array_agg(price) AS n FROM ticks GROUP BY currency"),
        ("ORDER BY", "SELECT currency, count(*) AS n FROM ticks GROUP BY currency ORDER BY n"),
        ("LIMIT", "SELECT currency, count(*) AS n FROM ticks GROUP BY currency LIMIT 5"),
        (
            "a subquery",
            "SELECT currency, count(*) AS n FROM ticks WHERE n > (SELECT max(n) FROM ticks) GROUP BY currency",
        ),
        ("two statements", "SELECT currency, count(*) AS n FROM ticks GROUP BY currency; SELECT 1"),
        ("an insert", "INSERT INTO ticks VALUES (1)"),
        ("a drop", "DROP TABLE ticks"),
        ("no SQL", "SELEKT currency FROM ticks"),
        ("nothing", ""),
        ("an unknown input", "SELECT currency, count(*) AS n FROM trades GROUP BY currency"),
        ("an unknown column", "SELECT colour, count(*) AS n FROM ticks GROUP BY colour"),
        ("an unknown function", "SELECT currency, sum(twice(price)) AS n FROM ticks GROUP BY currency"),
        ("first_value without an order", "SELECT currency, first_value(price) AS n FROM ticks GROUP BY currency"),
        (
            "an aggregate of an aggregate",
            "SELECT max(n) AS m FROM (SELECT currency, count(*) AS n FROM ticks GROUP BY currency)",
        ),
    ];
    for (what, query) in cases {
        eprintln!("{what}");
        deploy(&world, job().but(query).body()).await.problem(422);
    }
    assert_eq!(state(&world).await, before, "nothing was deployed");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_specs_are_refused_with_the_field_that_is_wrong() {
    let world = world().await;
    let before = state(&world).await;
    let upsert = "SELECT currency, price FROM ticks";
    let cases = [
        ("another name", Job::new("other", QUERY).reads("ticks"), "name"),
        ("an unknown field", job().with("colour", json!("red")), "colour"),
        ("a key that is not in the output", job().with("key", json!(["minute"])), "minute"),
        ("a key that is not the group", job().with("key", json!(["n"])), "key"),
        ("an upsert without a key", job().but(upsert), "key"),
        ("time that is no key column", job().with("time", json!("n")), "time"),
        ("retain without time", job().with("retain", json!("400 days")), "retain"),
        ("a duration that is none", job().promote("max_lag", json!("soon")), "max_lag"),
        ("a share that is none", job().promote("max_changed", json!("some")), "max_changed"),
        ("an unknown policy", job().promote("colour", json!("red")), "colour"),
        ("an unknown on_error", job().input("ticks", json!({"topic": "ticks", "on_error": "shrug"})), "on_error"),
        ("a start that is none", job().input("ticks", json!({"topic": "ticks", "start": "noon"})), "start"),
        ("an input without a topic", job().input("ticks", json!({})), "topic"),
        (
            "a column type that is none",
            job().input("ticks", json!({"topic": "ticks", "columns": {"a": "money"}})),
            "money",
        ),
        ("no input", Job::new("bpi", QUERY), "inputs"),
    ];
    for (what, job, said) in cases {
        let answer = deploy(&world, job.body()).await;
        let problem = answer.problem(422);
        assert!(problem.to_string().contains(said), "{what}: the problem names `{said}`: {answer}");
    }
    let unknown = deploy(&world, job().input("ticks", json!({"topic": "nothing"})).body()).await;
    assert!([404, 422].contains(&unknown.status), "{unknown}");
    unknown.problem(unknown.status);
    assert_eq!(state(&world).await, before, "nothing was deployed");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_upon_what_is_not_there_or_not_ready_are_refused() {
    let world = world().await;
    let before = state(&world).await;
    let not_there = [
        (Method::GET, "jobs/nothing"),
        (Method::GET, "jobs/bpi/versions/9"),
        (Method::POST, "jobs/bpi/versions/9/promote"),
        (Method::POST, "jobs/bpi/versions/9/abort"),
        (Method::POST, "jobs/bpi/versions/9/replay"),
        (Method::POST, "jobs/nothing/rollback"),
        (Method::GET, "tables/nothing"),
        (Method::GET, "tables/nothing/rows"),
        (Method::GET, "tables/bpi@9/rows"),
        (Method::GET, "/v1/nothing"),
        (Method::GET, "/nothing"),
    ];
    for (method, path) in not_there {
        eprintln!("{method} {path}");
        let body = if method == Method::POST { Some(json!({})) } else { None };
        request(&world, method, path, body).await.problem(404);
    }
    world.post("jobs/bpi/rollback", &json!({})).await.refused(409, "NOTHING_TO_ROLL_BACK");
    world.post("jobs/bpi/rollback", &json!({"to": 9})).await.problem(404);
    world.post("jobs/bpi/versions/1/replay", &json!({})).await.refused(409, "IN_USE");
    world.post("jobs/bpi/versions/1/promote", &json!({"force": ["caught_up"]})).await.problem(422);
    world.delete("jobs").await.problem(405);
    assert_eq!(state(&world).await, before, "nothing changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_not_ready_is_not_promoted_and_says_why() {
    let world = world().await;
    let version =
        world.deploy(&job().promote("ready_for", json!("1h")).with("key", json!(["currency"])).but(OTHER)).await;
    world.until_phase("bpi", version, "Verifying").await;
    let answer = world.post(&format!("jobs/bpi/versions/{version}/promote"), &json!({})).await;
    let problem = answer.refused(409, "NOT_READY");
    for condition in ["caught_up", "lag", "ready_for", "verified", "no_gap", "schema"] {
        assert!(problem["conditions"][condition]["met"].is_boolean(), "{condition}: {answer}");
    }
    assert_eq!(problem["conditions"]["ready_for"]["met"], false, "{answer}");
    assert_eq!(world.job("bpi").await["serving"], 1);
}

/// Another query with the same columns.
const OTHER: &str = "SELECT currency, count(*) + 0 AS n FROM ticks GROUP BY currency";

#[tokio::test(flavor = "multi_thread")]
async fn bad_reads_are_refused() {
    let world = world().await;
    let cases = [
        ("a column that is no key", "tables/bpi/rows?n=1", 422),
        ("an unknown column", "tables/bpi/rows?colour=red", 422),
        ("a page too large", "tables/bpi/rows?limit=10001", 422),
        ("a page of nothing", "tables/bpi/rows?limit=0", 422),
        ("a cursor that is none", "tables/bpi/rows?cursor=%21%21", 422),
        ("positions that are none", "tables/bpi/rows?min_positions=later", 422),
        ("a version that is no number", "tables/bpi@x/rows", 404),
    ];
    for (what, path, status) in cases {
        let answer = world.get(path).await;
        assert!([400, status].contains(&answer.status), "{what}: {answer}");
        answer.problem(answer.status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_is_one_select_and_nothing_else() {
    let world = world().await;
    let one = world.post("sql", &json!({"query": "SELECT currency, n FROM live.bpi"})).await.ok();
    assert_eq!(one["rows"], json!([{"currency": "EUR", "n": 1}]), "{one}");
    let before = state(&world).await;
    let refused = [
        "DELETE FROM live.bpi",
        "INSERT INTO live.bpi VALUES ('USD', 1)",
        "DROP TABLE live.bpi",
        "CREATE TABLE t (a int)",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "COPY live.bpi TO '/tmp/rekap-copy.csv'",
        "SET datafusion.execution.batch_size = 1",
        "SELECT 1; SELECT 2",
        "EXPLAIN ANALYZE SELECT 1",
        "SELECT * FROM live.nothing",
        "SELECT * FROM '/etc/passwd'",
        "SELEKT 1",
        "",
    ];
    for query in refused {
        let answer = world.post("sql", &json!({"query": query})).await;
        assert!((400..500).contains(&answer.status), "{answer}");
        answer.problem(answer.status);
    }
    assert_eq!(state(&world).await, before, "nothing changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_json_is_a_problem_too() {
    let world = world().await;
    for path in ["jobs/bpi/versions", "jobs/bpi/plan", "sql", "jobs/bpi/rollback"] {
        let answer = world.post_bytes(path, "application/json", "{not json").await;
        assert!([400, 422].contains(&answer.status), "{answer}");
        answer.problem(answer.status);
    }
}

async fn deploy(client: &Client, body: Value) -> Answer {
    client.post("jobs/bpi/versions", &body).await
}

async fn request(client: &Client, method: Method, path: &str, body: Option<Value>) -> Answer {
    let request = client.request(method, path);
    body.iter().fold(request, |request, body| request.json(body)).answer().await
}
