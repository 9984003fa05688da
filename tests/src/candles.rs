//! The hourly price of Bitcoin in three currencies over four years (bitfinex).

use chrono::DateTime;
use serde_json::{Value, json};

use crate::events::{Events, object_schema};
use crate::input;

/// The currencies that are read.
const CURRENCIES: [&str; 3] = ["EUR", "GBP", "USD"];

/// What is above this in the `unix` column is milliseconds, below it seconds: the files have both.
const LARGEST_SECONDS: i64 = 100_000_000_000;

/// How many hours a generated file has, as the real ones do.
const HOURS: i64 = 34_239;

/// The first hour of a generated file, in seconds.
const FIRST_HOUR: i64 = 1_526_364_000;

/// One hour in one currency: `{currency, ts, open, high, low, close, volume}`, `ts` in RFC 3339.
#[derive(Debug)]
pub struct Candles;

impl Candles {
    /// All candles, in the order in which the hours passed. The hour that the files hold twice is there twice.
    pub fn events() -> Events {
        let mut candles: Vec<(i64, String)> = CURRENCIES.into_iter().flat_map(of_currency).collect();
        candles.sort();
        Events {
            lines: candles.into_iter().map(|(_, line)| line).collect(),
            columns: &[
                ("currency", "VARCHAR"),
                ("ts", "TIMESTAMP"),
                ("open", "DOUBLE"),
                ("high", "DOUBLE"),
                ("low", "DOUBLE"),
                ("close", "DOUBLE"),
                ("volume", "DOUBLE"),
            ],
        }
    }

    /// The topic's JSON Schema.
    pub fn schema() -> Value {
        let number = json!({"type": "number"});
        object_schema(json!({
            "currency": {"type": "string"}, "ts": {"type": "string", "format": "date-time"},
            "open": number, "high": number, "low": number, "close": number, "volume": number,
        }))
    }
}

fn of_currency(currency: &str) -> Vec<(i64, String)> {
    match input::lines(&format!("bitfinex_BTC{currency}_1h.csv.gz")) {
        Some(lines) => lines.skip(1).map(|line| from_csv(currency, &line)).collect(),
        None => generated(currency),
    }
}

/// `unix,date,symbol,open,high,low,close,Volume <fiat>,Volume BTC`
fn from_csv(currency: &str, line: &str) -> (i64, String) {
    let cells: Vec<&str> = line.split(',').collect();
    let unix: i64 = cells[0].parse().expect("`unix` is a number");
    let seconds = if unix > LARGEST_SECONDS { unix / 1000 } else { unix };
    candle(currency, seconds, [cells[3], cells[4], cells[5], cells[6], cells[8]])
}

fn candle(currency: &str, seconds: i64, [open, high, low, close, volume]: [&str; 5]) -> (i64, String) {
    let ts = DateTime::from_timestamp(seconds, 0).expect("an hour of this century").format("%Y-%m-%dT%H:%M:%SZ");
    let line = format!(
        r#"{{"currency":"{currency}","ts":"{ts}","open":{open},"high":{high},"low":{low},"close":{close},"volume":{volume}}}"#
    );
    (seconds, line)
}

/// A random walk with the quirks of the real files: an hour that is there twice, hours without volume, float noise.
fn generated(currency: &str) -> Vec<(i64, String)> {
    let mut random = input::generator(&format!("candles in {currency}"));
    let mut price = 8000.0;
    let hours = std::iter::once(HOURS / 2).chain(0..HOURS);
    hours
        .map(|hour| {
            let open = price;
            price *= 1.0 + (random.f64() - 0.5) / 50.0;
            let volume = if random.u32(..100) == 0 { 0.0 } else { random.f64() * 500.0 };
            let figures = [open, open.max(price), open.min(price), price, volume].map(|figure| format!("{figure:?}"));
            candle(currency, FIRST_HOUR + hour * 3600, figures.each_ref().map(String::as_str))
        })
        .collect()
}
