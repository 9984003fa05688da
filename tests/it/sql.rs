//! SQL over what is served and what is in the log: the same answers as DuckDB gives from the events that were sent.

use std::time::Duration;

use rekap_tests::{Answer, Candles, Duck, Job, NDJSON, World, WorldConfig, assert_same_rows, list, rows_of, until};
use serde_json::{Value, json};

/// How many of the candles are not mirrored: too few for the mirror to begin by itself.
const NOT_MIRRORED: usize = 300;

async fn sql(world: &World, query: &str) -> Answer {
    world.post("sql", &json!({"query": query})).await
}

async fn one(world: &World, query: &str) -> Value {
    let answer = sql(world, query).await.ok();
    assert_eq!(list(&answer["rows"]).len(), 1, "{answer}");
    answer["rows"][0].clone()
}

/// What the plan says of what it reads.
async fn scan(world: &World, query: &str) -> String {
    let answer = sql(world, &format!("EXPLAIN {query}")).await.ok();
    let plan = list(&answer["rows"]).iter().find(|row| row["plan_type"] == "physical_plan").expect("a physical plan");
    let lines = plan["plan"].as_str().expect("text").lines();
    lines.filter(|line| line.contains("Scan: ")).map(str::trim).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_answers_from_both_tiers_as_duckdb_does_from_the_events() {
    let world = World::with(WorldConfig { mirror_max_bytes: "256KiB", ..WorldConfig::default() }).await;
    let candles = Candles::events();
    let mirrored = candles.lines.len() - NOT_MIRRORED;
    world.topic("hour.candles", &json!({"partitions": 3, "key": ["currency"], "schema": Candles::schema()})).await;
    world.append("hour.candles", &candles.before(mirrored)).await;
    world.mirror("hour.candles").await;
    world.append("hour.candles", &candles.since(mirrored)).await;

    let query = |log: &str| {
        format!(
            "SELECT currency, count(*) AS candles, min(low) AS low, max(high) AS high, avg(close) AS close \
             FROM {log} WHERE ts >= '2020-01-01T00:00:00Z' GROUP BY currency"
        )
    };
    let sent = Duck::new().events("sent", &candles).rows(&query("sent")).await;
    let found = sql(&world, &query("log.\"hour.candles\"")).await.ok();
    assert_same_rows("aggregates over the log", &["currency"], &rows_of(&found), &sent);

    let counted = one(&world, "SELECT count(*) AS n, count(DISTINCT _partition) AS p FROM log.\"hour.candles\"").await;
    assert_eq!(counted["n"], candles.lines.len());
    let about = scan(&world, "SELECT close FROM log.\"hour.candles\"").await;
    assert!(
        about.contains("columns=[close]") && !about.contains("cold_files=0") && !about.contains("hot_offsets=0"),
        "{about}"
    );
    let page = "FROM log.\"hour.candles\" WHERE _partition = 0 AND _offset BETWEEN 100 AND 104";
    let about = scan(&world, &format!("SELECT close {page}")).await;
    assert!(about.contains("partitions=1 of 3, cold_files=1, cold_offsets=5, hot_offsets=0"), "{about}");
    let offsets = sql(&world, &format!("SELECT _offset {page} ORDER BY _offset")).await.ok();
    assert_eq!(offsets["rows"], json!((100..105).map(|o| json!({"_offset": o})).collect::<Vec<_>>()));
    let about = scan(&world, "SELECT close FROM log.\"hour.candles\" WHERE _timestamp < '2000-01-01T00:00:00Z'").await;
    assert!(about.contains("cold_files=0"), "what was appended today is not read for it: {about}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_joins_with_the_log_and_keys_are_looked_up() {
    let world = World::start().await;
    let schema = json!({"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}});
    world.topic("ticks-1", &json!({"partitions": 2, "schema": schema})).await;
    let events: String = (0..100).map(|n| format!("{{\"k\":\"k{}\",\"v\":{n}}}\n", n % 10)).collect();
    world.post_bytes("topics/ticks-1/records", NDJSON, events).await.ok();
    let job = Job::new("sums", "SELECT k, sum(v) AS v FROM t GROUP BY k").input("t", json!({"topic": "ticks-1"}));
    world.deploy_first(&job).await;
    world.rows_at_end("sums", "ticks-1").await;
    let key = "FROM live.sums WHERE k = 'k7'";
    assert_eq!(one(&world, &format!("SELECT v {key}")).await, json!({"v": 520}));
    assert_eq!(scan(&world, &format!("SELECT v {key}")).await, "TableScan: sums@1, lookup of 1 keys");
    let joined = "SELECT count(*) AS wrong FROM live.sums s FULL JOIN \
                  (SELECT k, sum(v) AS v FROM log.\"ticks-1\" GROUP BY k) l ON s.k = l.k WHERE s.v IS DISTINCT FROM l.v";
    assert_eq!(one(&world, joined).await, json!({"wrong": 0}));
    let both = "SELECT count(*) AS n FROM live.sums a JOIN version.\"sums@1\" b USING (k, v)";
    assert_eq!(one(&world, both).await, json!({"n": 10}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_does_not_decode_is_a_row_of_nulls_with_its_value() {
    let world = World::start().await;
    world.topic("odd", &json!({"partitions": 1, "key": []})).await;
    world.post_bytes("topics/odd/records", NDJSON, "{\"n\":1}\n\"two\"\n").await.ok();
    world.mirror("odd").await;
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    world.topic("odd", &json!({"schema": schema})).await;
    world.post_bytes("topics/odd/records", NDJSON, "{\"n\":3}\n").await.ok();
    let found = sql(&world, "SELECT _offset, n, _value FROM log.odd ORDER BY _offset").await.ok();
    let row = |offset: u64, n: Value, value: &str| json!({"_offset": offset, "n": n, "_value": value});
    let expected =
        [row(0, json!(1), "eyJuIjoxfQ=="), row(1, Value::Null, "InR3byI="), row(2, json!(3), "eyJuIjozfQ==")];
    assert_eq!(found["rows"], json!(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_written_by_one_set_of_rules_in_json_and_csv() {
    let world = World::start().await;
    let query = "SELECT 9223372036854775807 AS big, 0.1 + 0.2::DOUBLE AS d, CAST(12.5 AS DECIMAL(10, 3)) AS dec, \
                 TIMESTAMP '2016-01-05 13:20:00.5' AS t, arrow_cast('ab', 'Binary') AS b, 1e308::DOUBLE * 10 AS inf, \
                 named_struct('x', 1, 'y', 'a,b') AS s, [1, NULL] AS l, NULL::BIGINT AS nothing, '' AS empty";
    let json = world.post("sql", &json!({"query": query})).await.ok();
    let expected = json!({
        "big": 9223372036854775807_i64, "d": 0.1 + 0.2, "dec": "12.500", "t": "2016-01-05T13:20:00.500Z", "b": "YWI=",
        "inf": "Infinity", "s": {"x": 1, "y": "a,b"}, "l": [1, null], "nothing": null, "empty": "",
    });
    assert_eq!(json["rows"], json!([expected]));
    let csv = world.post("sql", &json!({"query": query, "format": "csv"})).await;
    let lines = "big,d,dec,t,b,inf,s,l,nothing,empty\n\
                 9223372036854775807,0.30000000000000004,12.500,2016-01-05T13:20:00.500Z,YWI=,Infinity,\
                 \"{\"\"x\"\":1,\"\"y\"\":\"\"a,b\"\"}\",\"[1,null]\",,\"\"\n";
    assert_eq!(String::from_utf8_lossy(&csv.body), lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_has_bounds_and_ends_with_its_client() {
    let world = World::with(WorldConfig {
        more: "[sql]\nmax_rows = 1000\nmax_memory = \"32MB\"\nmax_time = \"15s\"\n",
        ..WorldConfig::default()
    })
    .await;
    let refused = async |query: &str, code: &str| sql(&world, query).await.refused(422, code);
    refused("SELECT value FROM generate_series(1, 5000)", "QUERY_TOO_MANY_ROWS").await;
    refused("SELECT repeat('x', 1000) || value AS x FROM generate_series(1, 1000000) ORDER BY 1", "QUERY_TOO_LARGE")
        .await;
    let endless = "SELECT count(*) AS n FROM generate_series(1, 1000000) a CROSS JOIN generate_series(1, 1000000) b";
    refused(endless, "QUERY_TIMED_OUT").await;

    let running = async || {
        let text = String::from_utf8(world.get("/metrics").await.body).expect("text");
        let line =
            text.lines().find(|line| line.starts_with("rekap_sql_queries_running")).expect("the metric").to_owned();
        line.rsplit(' ').next().expect("a value").to_owned()
    };
    until("the timed out query has ended", async || match running().await.as_str() {
        "0" => Ok(()),
        more => Err(more.to_owned()),
    })
    .await;
    let client = world.client();
    let call = tokio::spawn(async move { client.post("sql", &json!({"query": endless})).await });
    until("the query runs", async || match running().await.as_str() {
        "1" => Ok(()),
        other => Err(other.to_owned()),
    })
    .await;
    call.abort();
    let gone = async || if running().await == "0" { Ok(()) } else { Err("it runs") };
    tokio::time::timeout(Duration::from_secs(12), until("the query is gone", gone))
        .await
        .expect("before its time is up");
}
