//! The judge itself: DuckDB reads every event that the tests send, so that an agreement with it means something.

use rekap_tests::{Candles, Duck, GitHubHour, Row, Trades, assert_same_rows};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn duckdb_reads_every_event_that_is_sent() {
    let inputs = [("candles", Candles::events()), ("trades", Trades::events()), ("github", GitHubHour::events())];
    for (name, events) in inputs {
        let rows = Duck::new().events("sent", &events).rows("SELECT count(*) AS n, count(COLUMNS(*)) FROM sent").await;
        let [counts] = rows.try_into().expect("one row");
        for (column, _) in events.columns.iter().filter(|(column, _)| *column != "org") {
            assert_eq!(counts[*column], events.lines.len(), "{name}: every event has a `{column}`: {counts:?}");
        }
    }
}

#[test]
#[should_panic(expected = "1 differences")]
fn a_comparison_sees_one_wrong_count() {
    let row = |count: u64| -> Row { json!({"key": "a", "n": count}).as_object().expect("an object").clone() };
    assert_same_rows("counts", &["key"], &[row(2)], &[row(3)]);
}

#[test]
#[should_panic(expected = "1 differences")]
fn a_comparison_sees_a_double_that_is_off_by_more_than_the_order_of_addition() {
    let row = |price: f64| -> Row { json!({"key": "a", "price": price}).as_object().expect("an object").clone() };
    assert_same_rows("prices", &["key"], &[row(1.000_000_01)], &[row(1.0)]);
}

#[test]
fn a_comparison_takes_times_as_instants_and_doubles_within_their_tolerance() {
    let row = |time: &str, price: f64| -> Row {
        json!({"time": time, "price": price}).as_object().expect("an object").clone()
    };
    let (ours, judge) = (row("2018-05-15T06:00:00+00:00", 0.1 + 0.2), row("2018-05-15T06:00:00Z", 0.3));
    assert_same_rows("both", &["time"], &[ours], &[judge]);
}
