//! Drivers by themselves: asyncpg, psycopg and Java's, with prepared statements that outlive a promotion.

use rekap_tests::{Asking, Job};
use serde_json::json;

use super::prices;

/// The columns that a second version has in place of the first one's `trades`.
const CHANGED: &str = "SELECT currency, date_bin(INTERVAL '1 minute', at) AS minute, avg(price) AS price, count(*) AS trades, \
                       sum(CAST(price AS DECIMAL(20, 4))) AS money, max(n) AS newest FROM ticks \
                       GROUP BY currency, date_bin(INTERVAL '1 minute', at)";

/// So many runs after which every driver has a statement of its own on the server, Java's in the binary format.
const RUNS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn java_finds_tables_columns_and_keys_and_reads_them_in_both_formats() {
    let (_world, postgres) = prices().await;
    let told = tokio::task::spawn_blocking(move || {
        let mut java = postgres.java();
        let about: Vec<String> = (0..9).map(|_| java.hear()).collect();
        let rows: Vec<String> = (0..RUNS).map(|_| java.ask()).collect();
        (about, rows)
    });
    let (about, rows) = told.await.expect("Java's driver finds what it asks for");
    assert_eq!(about[0], "bpi:TABLE");
    assert_eq!(about[1], "live:bpi log:raw.ticks version:bpi@1");
    assert_eq!(about[2], "currency:text:0 minute:timestamptz:6 price:float8:17 trades:int8:0 money:numeric:4");
    assert_eq!(about[3], "currency:1:bpi_pkey minute:2:bpi_pkey");
    assert_eq!(about[4], "bpi_pkey:currency:f bpi_pkey:minute:f");
    assert_eq!((about[5].as_str(), about[6].as_str()), ("", ""), "there are no foreign keys");
    assert!(about[7].split(' ').any(|kind| kind == "int8"), "{}", about[7]);
    assert_eq!(about[8], "true", "its words are known");
    let first = "currency,minute,price,trades,money | 30.5 213.5000 | 50.0 300.0000";
    assert!(rows.iter().all(|row| row == first), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn prepared_statements_go_on_by_themselves_when_a_promotion_changes_the_columns() {
    let (world, postgres) = prices().await;
    let asking = tokio::task::spawn_blocking(move || {
        let mut clients = [postgres.java(), postgres.python_again("SELECT * FROM live.bpi WHERE trades > 0")];
        (0..9).for_each(|_| drop(clients[0].hear()));
        let before: Vec<String> = (0..RUNS).flat_map(|_| clients.each_mut().map(Asking::ask)).collect();
        (clients, before)
    });
    let (mut clients, before) = asking.await.expect("each answers");
    assert!(before.iter().all(|columns| !columns.contains("newest")), "{before:?}");
    let second = Job::new("bpi", CHANGED).input("ticks", json!({"topic": "raw.ticks"}));
    let version = world.deploy(&second).await;
    world.until_phase("bpi", version, "Ready").await;
    world.promote("bpi", version).await;
    let after = tokio::task::spawn_blocking(move || clients.each_mut().map(Asking::ask)).await.expect("each goes on");
    assert!(after[0].starts_with("currency,minute,price,trades,money,newest | "), "{after:?}");
    let columns = json!(["currency", "minute", "price", "trades", "money", "newest"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&after[1]).expect("JSON"), json!([columns, columns]));
}
