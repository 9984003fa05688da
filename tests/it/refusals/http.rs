//! The list of what is refused before anybody looks at SQL: each bad request with its status and code.

use rekap_tests::{Answer, Client, NDJSON, World};
use reqwest::Method;
use serde_json::{Value, json};

use super::{state, world};

const JSON: &str = "application/json";

/// A request that must be refused.
struct Bad {
    what: &'static str,
    method: &'static str,
    path: &'static str,
    media: &'static str,
    body: Vec<u8>,
    status: u16,
    code: &'static str,
}

fn bad(
    what: &'static str,
    method: &'static str,
    path: &'static str,
    body: &str,
    status: u16,
    code: &'static str,
) -> Bad {
    Bad { what, method, path, media: JSON, body: body.as_bytes().to_vec(), status, code }
}

/// A body of records.
fn records(what: &'static str, path: &'static str, body: impl Into<Vec<u8>>, status: u16, code: &'static str) -> Bad {
    Bad { what, method: "POST", path, media: NDJSON, body: body.into(), status, code }
}

const TICKS: &str = "topics/ticks/records";
const RAW: &str = "topics/ticks/records?raw=true";
const GOOD: &str = r#"{"currency":"EUR","price":1.5,"n":2}"#;

fn of_records() -> Vec<Bad> {
    let then = |bad: &str| format!("{GOOD}\n{bad}\n{GOOD}\n");
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let long = format!("\"{}\"", "x".repeat((1 << 20) + 1));
    let huge = then(&format!(r#"{{"currency":"EUR","price":1,"n":{}}}"#, "9".repeat(40)));
    vec![
        records("half a line", TICKS, then(r#"{"currency":"#), 422, "INVALID_RECORD"),
        records("a wrong type", TICKS, then(r#"{"currency":1,"price":1,"n":2}"#), 422, "INVALID_RECORD"),
        records("a missing field", TICKS, then(r#"{"currency":"EUR","n":2}"#), 422, "INVALID_RECORD"),
        records("no object", TICKS, then("7"), 422, "INVALID_RECORD"),
        records("an integer past 64 bits", TICKS, huge, 422, "INVALID_RECORD"),
        records(
            "a number past all doubles",
            TICKS,
            then(r#"{"currency":"EUR","price":1e999,"n":2}"#),
            422,
            "INVALID_RECORD",
        ),
        records("not a number", TICKS, then(r#"{"currency":"EUR","price":NaN,"n":2}"#), 422, "INVALID_RECORD"),
        records("half a surrogate", TICKS, then(r#"{"currency":"\ud800","price":1,"n":2}"#), 422, "INVALID_RECORD"),
        records("no UTF-8", TICKS, [GOOD.as_bytes(), b"\n\xff\xfe\n"].concat(), 422, "INVALID_RECORD"),
        records("five thousand arrays in each other", "topics/ticks/records", deep, 422, "INVALID_RECORD"),
        records("a record over 1 MiB", "topics/plain/records", long, 413, "RECORD_TOO_LARGE"),
        records("a request over 64 MiB", "topics/plain/records", vec![b'\n'; (64 << 20) + 1], 413, "BODY_TOO_LARGE"),
        records("nothing", TICKS, "", 422, "EMPTY_BODY"),
        records("only line ends", TICKS, "\n \n", 422, "EMPTY_BODY"),
        bad("an empty array", "POST", TICKS, "[]", 422, "EMPTY_BODY"),
        bad("an array that breaks off", "POST", TICKS, &format!("[{GOOD},"), 422, "INVALID_RECORD"),
        bad("something after the array", "POST", TICKS, &format!("[{GOOD}] 1"), 422, "INVALID_RECORD"),
        records("an unknown topic", "topics/nothing/records", "1\n", 404, "UNKNOWN_TOPIC"),
        records("a name that no topic can have", "topics/a%20b/records", "1\n", 404, "UNKNOWN_TOPIC"),
        records("an unknown parameter", "topics/ticks/records?colour=red", GOOD, 400, "BAD_QUERY"),
        records("a parameter that is none", "topics/ticks/records?raw=perhaps", GOOD, 400, "BAD_QUERY"),
        Bad { media: "image/png", ..records("another type", TICKS, GOOD, 415, "UNSUPPORTED_MEDIA_TYPE") },
        records("raw: an unknown partition", RAW, r#"{"value":null,"key":"k","partition":9}"#, 422, "INVALID_RECORD"),
        records("raw: a negative partition", RAW, r#"{"value":null,"key":"k","partition":-1}"#, 422, "INVALID_RECORD"),
        records("raw: an unknown field", RAW, r#"{"value":null,"key":"k","colour":1}"#, 422, "INVALID_RECORD"),
        records("raw: a field twice", RAW, r#"{"value":null,"key":"k","key":"l"}"#, 422, "INVALID_RECORD"),
        records("raw: no base64", RAW, r#"{"value":"!","encoding":"base64"}"#, 422, "INVALID_RECORD"),
        records("raw: another encoding", RAW, r#"{"value":"1","encoding":"hex"}"#, 422, "INVALID_RECORD"),
        records("raw: no time", RAW, r#"{"value":null,"key":"k","timestamp":"noon"}"#, 422, "INVALID_RECORD"),
        records("raw: no headers", RAW, r#"{"value":null,"key":"k","headers":7}"#, 422, "INVALID_RECORD"),
        records("raw: no value", RAW, r#"{"key":"k"}"#, 422, "INVALID_RECORD"),
        records("raw: a tombstone without its key", RAW, r#"{"value":null}"#, 422, "INVALID_RECORD"),
    ]
}

fn of_topics() -> Vec<Bad> {
    let put = |what, path, body: Value, status, code| bad(what, "PUT", path, &body.to_string(), status, code);
    vec![
        put("no partitions", "topics/new", json!({}), 422, "INVALID_TOPIC"),
        put("zero partitions", "topics/new", json!({"partitions": 0}), 422, "INVALID_TOPIC"),
        put("too many partitions", "topics/new", json!({"partitions": 10_001}), 422, "INVALID_TOPIC"),
        put("partitions in words", "topics/new", json!({"partitions": "three"}), 422, "INVALID_BODY"),
        put("a negative retention", "topics/new", json!({"partitions": 1, "retention_ms": -1}), 422, "INVALID_BODY"),
        put("an unknown field", "topics/new", json!({"partitions": 1, "colour": 1}), 422, "INVALID_BODY"),
        put("another format", "topics/new", json!({"partitions": 1, "format": "cbor"}), 422, "INVALID_BODY"),
        put("a name with a space", "topics/a%20b", json!({"partitions": 1}), 422, "INVALID_NAME"),
        put("a name of two dots", "topics/..%2Fx", json!({"partitions": 1}), 422, "INVALID_NAME"),
        put(
            "a schema of no type",
            "topics/new",
            json!({"partitions": 1, "schema": {"type": "odd"}}),
            422,
            "INVALID_SCHEMA",
        ),
        put("fewer partitions", "topics/ticks", json!({"partitions": 1}), 422, "INVALID_TOPIC"),
        put("another key under records", "topics/ticks", json!({"key": []}), 409, "KEY_FIXED"),
        put(
            "fields that differ by case only",
            "topics/new",
            json!({"partitions": 1, "schema": {"properties": {"o": {"properties": {"k": {}, "K": {}}}}}}),
            422,
            "INVALID_TOPIC",
        ),
        put("no schema any more", "topics/ticks", json!({"schema": null}), 409, "INCOMPATIBLE_SCHEMA"),
        bad("no object", "PUT", "topics/new", "[1]", 422, "INVALID_BODY"),
        bad("no JSON", "PUT", "topics/new", "{", 400, "BAD_JSON"),
        bad("a field of the body twice", "PUT", "topics/new", r#"{"partitions":1,"partitions":2}"#, 400, "BAD_JSON"),
        Bad { media: "text/plain", ..put("another type", "topics/new", json!({}), 415, "UNSUPPORTED_MEDIA_TYPE") },
        put("a parameter", "topics/new?force=1", json!({"partitions": 1}), 400, "BAD_QUERY"),
        bad("a topic that is not there", "GET", "topics/nothing", "", 404, "UNKNOWN_TOPIC"),
        bad("a topic that is not there", "DELETE", "topics/nothing", "", 404, "UNKNOWN_TOPIC"),
        bad("a topic that a job reads", "DELETE", "topics/ticks", "", 409, "TOPIC_IN_USE"),
        bad("to mirror what is not there", "POST", "topics/nothing/mirror", "{}", 404, "UNKNOWN_TOPIC"),
        bad("an argument of none", "POST", "topics/ticks/mirror", r#"{"now":1}"#, 422, "INVALID_BODY"),
        bad("an unknown partition", "GET", "topics/ticks/records?partition=9", "", 404, "UNKNOWN_PARTITION"),
        bad(
            "an offset past the end",
            "GET",
            "topics/ticks/records?partition=0&from=99",
            "",
            422,
            "OFFSET_OUT_OF_RANGE",
        ),
        bad("a place that is none", "GET", "topics/ticks/records?from=noon", "", 422, "INVALID_START"),
        bad("no partition of several", "GET", TICKS, "", 422, "PARTITION_NEEDED"),
        bad("a cursor that is none", "GET", "topics?cursor=garbage", "", 422, "INVALID_CURSOR"),
        bad("a page too large", "GET", "topics/ticks/records?limit=10001", "", 422, "INVALID_LIMIT"),
        bad("a page of nothing", "GET", "topics?limit=0", "", 422, "INVALID_LIMIT"),
        bad("a page in words", "GET", "topics?limit=all", "", 400, "BAD_QUERY"),
        bad("an unknown parameter", "GET", "topics?colour=red", "", 400, "BAD_QUERY"),
    ]
}

fn of_jobs() -> Vec<Bad> {
    let spec = json!({"name": "bpi", "inputs": {"ticks": {"topic": "ticks"}}});
    let query = "SELECT currency, count(*) AS n FROM ticks GROUP BY currency";
    let deploy = |what, change: fn(&mut Value), status, code| {
        let mut body = json!({"spec": spec, "query": query});
        change(&mut body);
        bad(what, "POST", "jobs/bpi/versions", &body.to_string(), status, code)
    };
    let post = |what, path, body: &str, status, code| bad(what, "POST", path, body, status, code);
    vec![
        deploy("another name", |b| b["spec"]["name"] = "other".into(), 422, "INVALID_SPEC"),
        deploy("no query", |b| drop(b.as_object_mut().expect("an object").remove("query")), 422, "INVALID_BODY"),
        deploy("an unknown field beside the spec", |b| b["colour"] = 1.into(), 422, "INVALID_BODY"),
        deploy("an unknown field", |b| b["spec"]["colour"] = 1.into(), 422, "INVALID_SPEC"),
        deploy("an unknown policy", |b| b["spec"]["promote"] = json!({"colour": 1}), 422, "INVALID_SPEC"),
        deploy("a duration in words", |b| b["spec"]["promote"] = json!({"max_lag": "soon"}), 422, "INVALID_SPEC"),
        deploy("a negative duration", |b| b["spec"]["promote"] = json!({"max_lag": "-1s"}), 422, "INVALID_SPEC"),
        deploy("a duration without a unit", |b| b["spec"]["promote"] = json!({"ready_for": "5"}), 422, "INVALID_SPEC"),
        deploy("a share past all", |b| b["spec"]["promote"] = json!({"max_changed": "500%x"}), 422, "INVALID_SPEC"),
        deploy(
            "a check that is never true",
            |b| b["spec"]["promote"] = json!({"checks": [{"name": "one", "sql": "SELECT 1"}]}),
            422,
            "INVALID_CHECK",
        ),
        deploy("an unknown topic", |b| b["spec"]["inputs"]["ticks"]["topic"] = "none".into(), 422, "UNKNOWN_TOPIC"),
        deploy(
            "a start past the end",
            |b| b["spec"]["inputs"]["ticks"]["start"] = json!({"0": 99}),
            422,
            "START_PAST_END",
        ),
        deploy(
            "a start of no partition",
            |b| b["spec"]["inputs"]["ticks"]["start"] = json!({"7": 0}),
            422,
            "UNKNOWN_PARTITION",
        ),
        deploy("a note in numbers", |b| b["note"] = 7.into(), 422, "INVALID_BODY"),
        post("half an object", "jobs/bpi/versions", "{\"spec\":", 400, "BAD_JSON"),
        post("a spec twice", "jobs/bpi/versions", r#"{"spec":{},"spec":{},"query":""}"#, 400, "BAD_JSON"),
        bad("an unknown job", "GET", "jobs/nothing", "", 404, "UNKNOWN_JOB"),
        bad("an unknown job", "DELETE", "jobs/nothing", "", 404, "UNKNOWN_JOB"),
        bad("an unknown version", "GET", "jobs/bpi/versions/9", "", 404, "UNKNOWN_VERSION"),
        bad("a version in words", "GET", "jobs/bpi/versions/x", "", 400, "BAD_REQUEST"),
        bad("a version past all", "GET", "jobs/bpi/versions/99999999999", "", 400, "BAD_REQUEST"),
        post("to promote what is not there", "jobs/bpi/versions/9/promote", "{}", 404, "UNKNOWN_VERSION"),
        post(
            "to force what is no condition",
            "jobs/bpi/versions/1/promote",
            r#"{"force":["luck"]}"#,
            422,
            "NOT_FORCIBLE",
        ),
        post("to force catching up", "jobs/bpi/versions/1/promote", r#"{"force":["caught_up"]}"#, 422, "NOT_FORCIBLE"),
        post("an unknown argument", "jobs/bpi/versions/1/promote", r#"{"now":true}"#, 422, "INVALID_BODY"),
        post("to roll back from the first", "jobs/bpi/rollback", "{}", 409, "NOTHING_TO_ROLL_BACK"),
        post("to roll back to nothing", "jobs/bpi/rollback", r#"{"to":9}"#, 404, "UNKNOWN_VERSION"),
        post("to roll back to a word", "jobs/bpi/rollback", r#"{"to":"one"}"#, 422, "INVALID_BODY"),
        post("to replay what serves", "jobs/bpi/versions/1/replay", "{}", 409, "IN_USE"),
        post("to retire what serves", "jobs/bpi/versions/1/retire", "{}", 409, "IN_USE"),
        post("to abort what serves", "jobs/bpi/versions/1/abort", "{}", 409, "IN_USE"),
        post("a freeze until a word", "jobs/bpi/freeze", r#"{"until":"noon"}"#, 422, "INVALID_BODY"),
        post("a freeze without an end", "jobs/bpi/freeze", "{}", 422, "INVALID_BODY"),
        bad("no verification yet", "GET", "jobs/bpi/versions/9/verification", "", 404, "UNKNOWN_VERSION"),
        bad("a cursor that is none", "GET", "jobs/bpi/versions/1/dead-letters?cursor=%21", "", 422, "INVALID_CURSOR"),
        bad("a history page too large", "GET", "jobs/bpi/history?limit=10001", "", 422, "INVALID_LIMIT"),
    ]
}

fn of_reads() -> Vec<Bad> {
    let get = |what, path, status, code| bad(what, "GET", path, "", status, code);
    let post = |what, body: &str, status, code| bad(what, "POST", "sql", body, status, code);
    vec![
        get("an unknown alias", "tables/nothing/rows", 404, "UNKNOWN_JOB"),
        get("an unknown version", "tables/bpi@9/rows", 404, "UNKNOWN_VERSION"),
        get("a column that is no key", "tables/bpi/rows?n=1", 422, "UNUSABLE_FILTER"),
        get("an unknown column", "tables/bpi/rows?colour=red", 422, "UNUSABLE_FILTER"),
        get("a page too large", "tables/bpi/rows?limit=10001", 422, "INVALID_LIMIT"),
        get("a cursor that is none", "tables/bpi/rows?cursor=%21%21", 422, "INVALID_CURSOR"),
        get("a cursor that is none", "jobs?cursor=garbage", 422, "INVALID_CURSOR"),
        get("a cursor of another table", "tables/bpi/rows?cursor=other.1.1.AAAA", 422, "INVALID_CURSOR"),
        get("positions that are none", "tables/bpi/rows?min_positions=later", 422, "INVALID_POSITIONS"),
        get("positions of another topic", "tables/bpi/rows?min_positions=plain/0=1", 422, "INVALID_POSITIONS"),
        post("no query", "{}", 422, "INVALID_BODY"),
        post("another format", r#"{"query":"SELECT 1","format":"xml"}"#, 422, "INVALID_BODY"),
        post("two queries", r#"{"query":"SELECT 1","query":"SELECT 2"}"#, 400, "BAD_JSON"),
        post("no JSON", "SELECT 1", 400, "BAD_JSON"),
        get("no route", "nothing", 404, "NO_SUCH_ROUTE"),
        get("no version of the API", "/v2/jobs", 404, "NO_SUCH_ROUTE"),
        bad("a method that is not there", "DELETE", "jobs", "", 405, "METHOD_NOT_ALLOWED"),
        bad("a method that is not there", "PATCH", "topics/ticks", "{}", 405, "METHOD_NOT_ALLOWED"),
        bad("a method that is not there", "POST", "/readyz", "{}", 405, "METHOD_NOT_ALLOWED"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_request_has_its_status_its_code_and_a_remedy_and_changes_nothing() {
    let world = world().await;
    let before = state(&world).await;
    let events = audited(&world).await;
    let mut wrong = Vec::new();
    for bad in [of_records(), of_topics(), of_jobs(), of_reads()].into_iter().flatten() {
        let answer = send(&world, &bad).await;
        let code = answer.json()["code"].clone();
        if answer.status != bad.status || code != bad.code {
            wrong.push(format!(
                "{} ({} {}): not {} {} but {answer}",
                bad.what, bad.method, bad.path, bad.status, bad.code
            ));
            continue;
        }
        answer.problem(bad.status);
        if audited(&world).await != events {
            wrong.push(format!("{} left something in the audit trail", bad.what));
        }
    }
    assert!(wrong.is_empty(), "{} of the list:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(state(&world).await, before, "nothing changed");
}

async fn send(world: &World, bad: &Bad) -> Answer {
    let request = world.request(Method::from_bytes(bad.method.as_bytes()).expect("a method"), bad.path);
    let bare = bad.body.is_empty() && bad.method != "POST";
    if bare { request.answer().await } else { request.body(bad.media, bad.body.clone()).answer().await }
}

/// How many events clients have caused.
async fn audited(client: &Client) -> usize {
    let audit = client.get("audit?limit=10000").await.ok();
    rekap_tests::list(&audit["events"]).iter().filter(|event| event["actor"] == "local").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_headers_are_refused_and_a_refused_request_leaves_its_key_free() {
    let world = world().await;
    let post = |name: &'static str, value: String, path: &'static str| {
        world.request(Method::POST, path).header(name, &value).json(&json!({}))
    };
    let long = "k".repeat(256);
    post("idempotency-key", long, "topics/ticks/mirror").answer().await.refused(422, "INVALID_IDEMPOTENCY_KEY");
    post("idempotency-key", String::new(), "sql").answer().await.refused(422, "INVALID_IDEMPOTENCY_KEY");
    post("if-match", "yesterday".into(), "jobs/bpi/rollback").answer().await.refused(412, "GENERATION_MOVED");
    post("if-match", "\"99\"".into(), "jobs/bpi/rollback").answer().await.refused(412, "GENERATION_MOVED");
    post("if-match", "\"98\", \"99\"".into(), "jobs/bpi/rollback").answer().await.refused(412, "GENERATION_MOVED");
    let seen = world.get("jobs/bpi").await.header("etag").expect("an ETag").to_owned();
    let listed = post("if-match", format!("\"99\", {seen}"), "jobs/bpi/rollback").answer().await;
    listed.refused(409, "NOTHING_TO_ROLL_BACK");
    post("content-encoding", "gzip".into(), "topics/ticks/mirror")
        .answer()
        .await
        .refused(415, "UNSUPPORTED_MEDIA_TYPE");
    let request = |body: &str| {
        let request = world.request(Method::POST, TICKS).header("idempotency-key", "free");
        request.body(NDJSON, body.to_owned()).answer()
    };
    request("{\"currency\":").await.refused(422, "INVALID_RECORD");
    request(GOOD).await.is(200);
    request(&format!("{GOOD}\n{GOOD}")).await.refused(422, "IDEMPOTENCY_KEY_REUSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_topics_stands_in_the_audit_trail_with_who_and_why() {
    let world = World::start().await;
    world.put("topics/t", &json!({"partitions": 1, "note": "for the team"})).await.is(201);
    world.put("topics/t", &json!({"partitions": 1})).await.is(200);
    world.put("topics/t", &json!({"partitions": 3})).await.is(200);
    world.post_bytes("topics/t/records", NDJSON, "1\n2\n").await.ok();
    world.post_bytes("topics/t/records?note=a%20backfill", NDJSON, "3\n").await.ok();
    world.post("topics/t/mirror", &json!({"note": "before the weekend"})).await.ok();
    world.delete("topics/t").await.is(204);
    let audit = world.get("audit").await.ok();
    let seen: Vec<Value> = audit["events"]
        .as_array()
        .expect("events")
        .iter()
        .map(|event| json!([event["type"], event["topic"], event["actor"], event["note"], event["partitions"]]))
        .collect();
    let expected = json!([
        ["topic.created", "t", "local", "for the team", 1],
        ["topic.changed", "t", "local", null, 3],
        ["topic.appended", "t", "local", "a backfill", null],
        ["topic.mirrored", "t", "local", "before the weekend", null],
        ["topic.deleted", "t", "local", null, null],
    ]);
    assert_eq!(json!(seen), expected, "{audit}");
}
