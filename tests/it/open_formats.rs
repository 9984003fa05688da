//! Others read the mirror: DuckDB and the `deltalake` package open the cold tables as they are and find every record once.

use rekap_tests::{Candles, Duck, Events, Row, World, WorldConfig, assert_same_rows};
use serde_json::{Value, json};

/// What a mirror without a hole or a double must show, by partition.
const DENSE: &str = "SELECT _partition, count(*) AS records, count(DISTINCT _offset) AS offsets, min(_offset) AS first, \
                     max(_offset) + 1 AS next FROM cold GROUP BY _partition ORDER BY _partition";

/// The typed values as the topic's schema names them.
const TYPED: &str = "SELECT data.currency AS currency, data.ts::TIMESTAMP AS ts, count(*) AS candles, sum(data.close) AS close, \
                     min(data.low) AS low, max(data.volume) AS volume FROM cold GROUP BY ALL";

/// The same from the raw bytes that are kept beside them.
const RAW: &str = "SELECT value->>'currency' AS currency, (value->>'ts')::TIMESTAMP AS ts, count(*) AS candles, \
                   sum((value->>'close')::DOUBLE) AS close, min((value->>'low')::DOUBLE) AS low, \
                   max((value->>'volume')::DOUBLE) AS volume \
                   FROM (SELECT decode(_value)::JSON AS value FROM cold) GROUP BY ALL";

/// What went in.
const SENT: &str = "SELECT currency, ts, count(*) AS candles, sum(close) AS close, min(low) AS low, max(volume) AS volume \
                    FROM sent GROUP BY ALL";

/// How every record was decoded: 1 is "by the schema".
const DECODED: &str = "SELECT _decoded, count(*) AS records FROM cold GROUP BY _decoded";

#[tokio::test(flavor = "multi_thread")]
async fn duckdb_and_deltalake_find_every_record_once_with_its_values() {
    let world = World::with(WorldConfig { mirror_max_bytes: "256KiB", ..WorldConfig::default() }).await;
    let candles = some_candles();
    world.topic("candles", &json!({"partitions": 3, "key": ["currency"], "schema": Candles::schema()})).await;
    for part in [candles.before(10_000), candles.since(10_000)] {
        world.append("candles", &part).await;
        world.mirror("candles").await;
    }

    let url = world.cold_url("candles").await;
    let sent = Duck::new().events("sent", &candles).rows(SENT).await;
    let readers = [("deltalake", Duck::new().delta("cold", &url)), ("DuckDB", Duck::new().parquet("cold", &url))];
    for (reader, duck) in readers {
        let [dense, typed, raw, decoded] =
            duck.ask(&[DENSE, TYPED, RAW, DECODED]).await.try_into().expect("an answer for each question");
        assert_dense(reader, &dense, &world.topic_status("candles").await);
        assert_same_rows(&format!("typed values read by {reader}"), &["currency", "ts"], &typed, &sent);
        assert_same_rows(&format!("raw values read by {reader}"), &["currency", "ts"], &raw, &sent);
        assert_eq!(json!(decoded), json!([{"_decoded": 1, "records": candles.lines.len()}]), "{reader}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_without_a_schema_is_mirrored_with_its_raw_bytes_and_nothing_made_up() {
    let world = World::start().await;
    world.topic("plain", &json!({"partitions": 1})).await;
    let events =
        Events { lines: ["1", "\"two\"", "{\"three\": [3]}", "null"].map(str::to_owned).to_vec(), columns: &[] };
    world.append("plain", &events).await;
    world.mirror("plain").await;

    let url = world.cold_url("plain").await;
    let query =
        "SELECT _offset, decode(_value) AS value, _decoded, epoch_us(_timestamp) > 0 AS stamped FROM cold ORDER BY ALL";
    let columns = "SELECT column_name AS name FROM (DESCRIBE cold) ORDER BY ALL";
    let answers = Duck::new().delta("cold", &url).ask(&[query, columns]).await;
    let expected: Vec<Value> = (0..)
        .zip(&events.lines)
        .map(|(offset, line)| json!({"_offset": offset, "value": line, "_decoded": 0, "stamped": true}))
        .collect();
    assert_eq!(json!(answers[0]), json!(expected));
    let names = ["_decoded", "_headers", "_key", "_offset", "_partition", "_timestamp", "_value"];
    assert_eq!(json!(answers[1]), json!(names.map(|name| json!({"name": name}))));
}

fn some_candles() -> Events {
    Candles::events().before(30_000)
}

/// Every partition runs from 0 to its end without a hole or a double.
fn assert_dense(reader: &str, dense: &[Row], status: &Value) {
    let expected: Vec<Value> = status["partitions"]
        .as_array()
        .expect("partitions")
        .iter()
        .filter(|p| p["end"] != 0)
        .map(|p| {
            let end = &p["end"];
            json!({"_partition": p["partition"], "records": end, "offsets": end, "first": 0, "next": end})
        })
        .collect();
    assert_eq!(json!(dense), json!(expected), "offsets as {reader} sees them");
}
