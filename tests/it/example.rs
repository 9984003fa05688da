//! `docs/examples/bitcoin-price-index`, walked as its page says, on the trades of a real exchange.

use rekap_tests::{Called, Duck, Events, Trades, World, assert_same_rows, repository, until};
use serde_json::{Value, json};

const EXAMPLE: &str = "docs/examples/bitcoin-price-index";

/// The currencies in which each trade is reported, and what a euro is worth in them.
const RATES: [(&str, f64); 3] = [("EUR", 1.0), ("GBP", 0.74), ("USD", 1.09)];

/// The mean by minute, and the price weighed by volume, in DuckDB's words.
const JUDGES: [&str; 2] = ["avg(price)", "sum(price * volume) / sum(volume)"];

/// The trades as the example's topic wants them.
fn ticks() -> Events {
    let tick = |line: &String| -> Option<[String; 3]> {
        let trade: Value = serde_json::from_str(line).expect("trades are JSON");
        let [ts, price, volume] = ["ts", "price", "amount"].map(|field| trade[field].as_f64().expect("a number"));
        let ts = chrono::DateTime::from_timestamp(ts as i64, 0).expect("a second of this century").to_rfc3339();
        let in_currency = |(currency, rate): (&str, f64)| {
            json!({"currency": currency, "ts": ts, "price": price * rate, "volume": volume}).to_string()
        };
        (volume > 0.0).then(|| RATES.map(in_currency))
    };
    Events {
        lines: Trades::events().lines.iter().filter_map(tick).flatten().collect(),
        columns: &[("currency", "VARCHAR"), ("ts", "TIMESTAMPTZ"), ("price", "DOUBLE"), ("volume", "DOUBLE")],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_price_index_is_corrected_promoted_and_rolled_back_as_its_page_says() {
    let world = World::start().await;
    let ticks = ticks();
    world.topic("ticks", &topic()).await;
    world.append("ticks", &ticks).await;
    let [mean, weighed] = JUDGES.map(judge);
    let duck = Duck::new().events("ticks", &ticks);
    let judged = duck.ask(&[&mean, &weighed]).await;

    rekap(&world, &["deploy", &format!("{EXAMPLE}/v1"), "--watch"]).await;
    world.until_serving("bpi", 1).await;
    let key = ["currency", "minute"];
    assert_same_rows("version 1", &key, &world.rows_at_end("bpi", "ticks").await, &judged[0]);
    rekap(&world, &["plan", &format!("{EXAMPLE}/v2")]).await;
    rekap(&world, &["deploy", &format!("{EXAMPLE}/v2"), "--watch"]).await;
    rekap(&world, &["wait", "bpi@2", "--for", "Ready"]).await;
    rekap(&world, &["promote", "bpi@2"]).await;
    assert_same_rows("version 2", &key, &world.rows_at_end("bpi", "ticks").await, &judged[1]);
    rekap(&world, &["rollback", "bpi"]).await;
    assert_same_rows("version 1 again", &key, &world.rows_at_end("bpi", "ticks").await, &judged[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_short_way_of_its_page_ends_with_rows() {
    let world = World::start().await;
    rekap(&world, &["apply", EXAMPLE]).await;
    rekap(&world, &["topic", "append", "ticks", &format!("{EXAMPLE}/ticks.ndjson")]).await;
    until("one of both versions serves", async || {
        let job = world.job("bpi").await;
        if job["serving"].is_u64() { Ok(()) } else { Err(job) }
    })
    .await;
    assert!(!world.rows_at_end("bpi", "ticks").await.is_empty());
    let rows = rekap(&world, &["rows", "bpi"]).await;
    assert!(rows.stdout.contains("EUR"), "{}", rows.stdout);
}

async fn rekap(world: &World, arguments: &[&str]) -> Called {
    world.cli(arguments).run().await.exits(0)
}

/// The topic of the example's `topics.toml`, with its schema from the file that this names.
fn topic() -> Value {
    let read =
        |file: &str| std::fs::read_to_string(repository().join(EXAMPLE).join(file)).expect("a file of the example");
    let topics: toml::Table = read("topics.toml").parse().expect("TOML");
    let mut topic = serde_json::to_value(&topics["topics"]["ticks"]).expect("a topic's settings are plain");
    let schema = topic["schema"].as_str().expect("the name of a file").to_owned();
    topic["schema"] = serde_json::from_str(&read(&schema)).expect("JSON");
    topic
}

fn judge(price: &str) -> String {
    format!(
        "SELECT currency, date_trunc('minute', ts)::TIMESTAMP AS minute, {price} AS price, sum(volume) AS volume, \
         count(*) AS trades FROM ticks GROUP BY ALL"
    )
}
