//! Single trades of Bitcoin against the euro in January 2016 (Kraken).

use serde_json::{Value, json};

use crate::events::Events;
use crate::input;

/// How many trades a generated file has, as the real one does.
const TRADES: usize = 46_549;

/// The second of the first generated trade.
const FIRST: i64 = 1_451_606_418;

/// One trade: `{currency, ts, price, amount}`, `ts` in seconds. Many share their second, and some are exact repeats.
#[derive(Debug)]
pub struct Trades;

impl Trades {
    /// All trades, in order.
    pub fn events() -> Events {
        let lines = match input::lines("kraken_BTCEUR_trades_2016-01.csv.gz") {
            Some(lines) => lines.skip(1).map(|line| from_csv(&line)).collect(),
            None => generated(),
        };
        Events {
            lines,
            columns: &[("currency", "VARCHAR"), ("ts", "BIGINT"), ("price", "DOUBLE"), ("amount", "DOUBLE")],
        }
    }

    /// The columns that a job declares where the topic has no schema.
    pub fn columns() -> Value {
        json!({"currency": "text", "ts": "timestamp_s", "price": "double", "amount": "double"})
    }
}

/// `Time,Price,Amount`
fn from_csv(line: &str) -> String {
    let cells: Vec<&str> = line.split(',').collect();
    trade(cells[0], cells[1], cells[2])
}

fn trade(ts: &str, price: &str, amount: &str) -> String {
    format!(r#"{{"currency":"EUR","ts":{ts},"price":{price},"amount":{amount}}}"#)
}

fn generated() -> Vec<String> {
    let mut random = input::generator("trades");
    let (mut ts, mut price) = (FIRST, 396.0);
    std::iter::repeat_with(|| {
        ts += random.i64(0..45);
        price += random.f64() - 0.5;
        trade(&ts.to_string(), &format!("{price:.12}"), &format!("{:.12}", random.f64()))
    })
    .take(TRADES)
    .collect()
}
