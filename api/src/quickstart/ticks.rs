//! Trades for the quickstart, made from a seed, and what both versions of the index have to make of them.

use std::collections::BTreeMap;
use std::fmt::Write;

use rekap_tiered_storage::Timestamp;
use serde_json::Value;

/// The currencies, each with the price that its trades start at.
const CURRENCIES: [(&str, f64); 3] = [("EUR", 38_500.0), ("GBP", 33_200.0), ("USD", 42_300.0)];
/// 2024-01-01T00:00:00Z in µs: when the trades begin.
const BEGIN: i64 = 1_704_067_200_000_000;
/// The mean time between two trades, in µs: eight trades a minute and currency.
const MEAN_GAP: u64 = 2_500_000;
/// Doubles that differ by less than this part of themselves are the same: sums in another order.
const TOLERANCE: f64 = 1e-9;

/// A source of trades: the same seed gives the same trades.
#[derive(Debug)]
pub(super) struct Ticks {
    seed: u64,
    at: i64,
    prices: [f64; 3],
    /// What was handed out, by currency and minute.
    pub(super) ledger: Ledger,
}

impl Ticks {
    /// Trades from the beginning.
    pub(super) fn new(seed: u64) -> Self {
        Ticks { seed, at: BEGIN, prices: CURRENCIES.map(|(_, price)| price), ledger: Ledger::default() }
    }

    /// The next `n` trades, a JSON line each.
    pub(super) fn lines(&mut self, n: usize) -> String {
        let mut lines = String::with_capacity(n * 96);
        for _ in 0..n {
            self.at += (self.random() % (2 * MEAN_GAP)) as i64;
            let which = (self.random() % 3) as usize;
            let step = self.share() - 0.5;
            self.prices[which] *= 1.0 + step * 4e-4;
            let price = (self.prices[which] * (1.0 + (self.share() - 0.5) * 2e-3) * 100.0).round() / 100.0;
            let volume = (self.share().powi(4) * 10_000.0).round().max(1.0) / 10_000.0;
            let (currency, ts) = (CURRENCIES[which].0, Timestamp::from_micros(self.at - self.at % 1000));
            self.ledger.add(currency, self.at, price, volume);
            // Writing to a string does not fail.
            let _ = writeln!(lines, r#"{{"currency":"{currency}","ts":"{ts}","price":{price},"volume":{volume}}}"#);
        }
        lines
    }

    /// xorshift64*: enough chance for prices, and the same everywhere.
    fn random(&mut self) -> u64 {
        self.seed ^= self.seed >> 12;
        self.seed ^= self.seed << 25;
        self.seed ^= self.seed >> 27;
        self.seed.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    /// Chance in `0..1`.
    fn share(&mut self) -> f64 {
        self.random() as f64 / (1_u64 << 53) as f64
    }
}

/// The trades of one currency and minute, summed up.
#[derive(Debug, Default)]
struct Minute {
    trades: u64,
    prices: f64,
    volume: f64,
    turnover: f64,
}

/// What the table has to say, computed on the side.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    minutes: BTreeMap<(String, i64), Minute>,
    /// The number of trades.
    pub(super) trades: u64,
}

/// Which formula a version has.
#[derive(Debug, Clone, Copy)]
pub(super) enum Formula {
    /// The mean of all trades.
    Mean,
    /// The mean weighed by volume.
    Weighed,
}

impl Ledger {
    fn add(&mut self, currency: &str, at: i64, price: f64, volume: f64) {
        let minute = self.minutes.entry((currency.to_owned(), at - at % 60_000_000)).or_default();
        minute.trades += 1;
        minute.prices += price;
        minute.volume += volume;
        minute.turnover += price * volume;
        self.trades += 1;
    }

    /// The number of rows that the table has to have.
    pub(super) fn rows(&self) -> usize {
        self.minutes.len()
    }

    /// True when this row is what the formula makes of the trades.
    pub(super) fn agrees(&self, row: &Value, formula: Formula) -> bool {
        let key = || Some((row["currency"].as_str()?.to_owned(), row["minute"].as_str()?.parse::<Timestamp>().ok()?));
        let Some(minute) = key().and_then(|(currency, at)| self.minutes.get(&(currency, at.as_micros()))) else {
            return false;
        };
        let price = match formula {
            Formula::Mean => minute.prices / minute.trades as f64,
            Formula::Weighed => minute.turnover / minute.volume,
        };
        let same = |name: &str, expected: f64| {
            row[name].as_f64().is_some_and(|found| (found - expected).abs() <= TOLERANCE * expected.abs())
        };
        row["trades"] == minute.trades && same("price", price) && same("volume", minute.volume)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_trades_and_they_are_json() {
        let lines = Ticks::new(7).lines(100);
        assert_eq!(lines, Ticks::new(7).lines(100));
        assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{lines}");
    }

    #[test]
    fn the_ledger_knows_a_wrong_price() {
        let mut ticks = Ticks::new(7);
        let tick: Value = serde_json::from_str(&ticks.lines(1)).unwrap();
        let minute = Timestamp::from_micros(BEGIN + (ticks.at - BEGIN) / 60_000_000 * 60_000_000).to_string();
        let row = |price: f64| serde_json::json!({"currency": tick["currency"], "minute": minute, "price": price, "volume": tick["volume"], "trades": 1});
        let price = tick["price"].as_f64().unwrap();
        assert!(ticks.ledger.agrees(&row(price), Formula::Mean) && ticks.ledger.agrees(&row(price), Formula::Weighed));
        assert!(!ticks.ledger.agrees(&row(price + 0.01), Formula::Mean));
    }
}
