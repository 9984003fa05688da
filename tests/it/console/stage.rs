//! A server with the price index on it, and a browser in front.

use rekap_tests::{Browser, Events, Trades, World, repository, until};
use serde_json::{Value, json};

const EXAMPLE: &str = "docs/examples/bitcoin-price-index";

/// How many trades are taken; in three currencies each.
const TRADES: usize = 6_000;
/// Those that are mirrored, and whose hot copy is dropped, before the rest come.
const COLD: usize = 14_000;

/// The currencies, and what a euro is worth in them.
const RATES: [(&str, f64); 3] = [("EUR", 1.0), ("GBP", 0.74), ("USD", 1.09)];

/// A file of the example.
pub(super) fn example(file: &str) -> String {
    std::fs::read_to_string(repository().join(EXAMPLE).join(file)).expect("a file of the example")
}

/// The trades as the example's topic wants them.
fn ticks() -> Events {
    let trades = Trades::events();
    let ticks = trades.lines.iter().filter_map(|line| {
        let trade: Value = serde_json::from_str(line).expect("trades are JSON");
        let [ts, price, volume] = ["ts", "price", "amount"].map(|field| trade[field].as_f64().expect("a number"));
        let ts = chrono::DateTime::from_timestamp(ts as i64, 0).expect("a second of this century").to_rfc3339();
        let tick = move |(currency, rate): (&str, f64)| {
            json!({"currency": currency, "ts": ts, "price": price * rate, "volume": volume}).to_string()
        };
        (volume > 0.0).then(|| RATES.map(tick))
    });
    Events { lines: ticks.take(TRADES).flatten().collect(), columns: &[] }
}

/// A server whose topic `ticks` is partly cold, with the first version of the index serving.
pub(super) async fn serving() -> World {
    serving_on(World::start().await).await
}

/// The same on a server of another configuration.
pub(super) async fn serving_on(world: World) -> World {
    let schema: Value = serde_json::from_str(&example("ticks.schema.json")).expect("the example's schema is JSON");
    world.topic("ticks", &json!({"partitions": 4, "key": ["currency"], "schema": schema})).await;
    let ticks = ticks();
    world.append("ticks", &ticks.before(COLD)).await;
    world.mirror("ticks").await;
    world.drop_hot_copy("ticks").await;
    world.append("ticks", &ticks.since(COLD)).await;
    world.cli(&["deploy", &format!("{EXAMPLE}/v1")]).run().await.exits(0);
    world.until_serving("bpi", 1).await;
    world
}

/// Deploys the second version and waits until it is ready to take over.
pub(super) async fn with_a_candidate(world: &World) {
    world.cli(&["deploy", &format!("{EXAMPLE}/v2")]).run().await.exits(0);
    world.until_phase("bpi", 2, "Ready").await;
}

/// A browser at a page of the server, once that has drawn itself.
pub(super) async fn at(world: &World, path: &str) -> Browser {
    let browser = Browser::start().await;
    browser.look(1360, 900, "light").await;
    go(&browser, world, path).await;
    browser
}

/// Goes to a page of the server and waits until it has drawn itself.
pub(super) async fn go(browser: &Browser, world: &World, path: &str) {
    browser.open(&format!("{}{path}", world.url())).await;
    until(&format!("{path} has drawn itself"), async || {
        let drawn = "return Boolean(document.querySelector('main h1')) && !document.querySelector('.waiting') \
             && Boolean(document.querySelector('.rail a[href=\"/topics/ticks\"]'))";
        if browser.run(drawn).await == true { Ok(()) } else { Err(browser.text().await) }
    })
    .await;
}
