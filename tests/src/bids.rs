//! Bids of an auction house, after Nexmark: the rows that engines of this kind are commonly measured with.

use serde_json::{Value, json};

use crate::object_schema;

/// How many auctions get most bids, and how many there are in all.
const HOT_AUCTIONS: usize = 20_000;
const AUCTIONS: u64 = 120_000;

/// How many bids are made in a second of the data's own time.
const BIDS_A_SECOND: u64 = 10_000;

/// When the first bid is made: 2025-01-01 in milliseconds.
const FIRST_MS: u64 = 1_735_689_600_000;

const CHANNELS: [&str; 4] = ["search", "social", "email", "direct"];

/// Bids without end, always the same: 140 bytes on average, 80 % of them on 20,000 auctions by Zipf's law, the others spread evenly
/// over 100,000.
#[derive(Debug)]
pub struct Bids {
    random: fastrand::Rng,
    /// How many of all bids on hot auctions go to this one or one before it.
    cumulative: Vec<f64>,
    made: u64,
}

impl Default for Bids {
    fn default() -> Self {
        let weights: Vec<f64> = (1..=HOT_AUCTIONS).map(|rank| (rank as f64).powf(-1.05)).collect();
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let cumulative = weights.iter().map(|weight| {
            sum += weight / total;
            sum
        });
        Bids { random: fastrand::Rng::with_seed(42), cumulative: cumulative.collect(), made: 0 }
    }
}

impl Bids {
    /// From the first bid on.
    pub fn new() -> Self {
        Self::default()
    }

    /// The configuration of their topic.
    pub fn topic(partitions: u32) -> Value {
        let (text, integer) = (json!({"type": "string"}), json!({"type": "integer"}));
        let schema = object_schema(json!({
            "auction": integer, "bidder": integer, "price": integer, "channel": text, "ts": integer, "extra": text,
        }));
        json!({"partitions": partitions, "key": ["auction"], "schema": schema})
    }

    /// The next bids, one a line.
    pub fn ndjson(&mut self, count: usize) -> Vec<u8> {
        let mut lines = Vec::with_capacity(count * 160);
        for _ in 0..count {
            self.line(&mut lines).expect("a vector takes all");
        }
        lines
    }

    fn line(&mut self, lines: &mut impl std::io::Write) -> std::io::Result<()> {
        let auction = self.auction();
        let random = &mut self.random;
        let (bidder, channel) = (random.u32(..50_000), CHANNELS[random.usize(..4)]);
        let price = (100.0_f64.ln() + random.f64() * (1e5_f64).ln()).exp() as u64;
        let ts = FIRST_MS + self.made * 1_000 / BIDS_A_SECOND;
        let [x, y, z] = [(); 3].map(|()| random.u64(..1 << 62) >> 2);
        self.made += 1;
        writeln!(
            lines,
            r#"{{"auction":{auction},"bidder":{bidder},"price":{price},"channel":"{channel}","ts":{ts},"extra":"{x:015x}{y:015x}{z:015x}"}}"#
        )
    }

    fn auction(&mut self) -> u64 {
        if self.random.f64() < 0.8 {
            let drawn = self.random.f64();
            self.cumulative.partition_point(|sum| *sum < drawn).min(HOT_AUCTIONS - 1) as u64
        } else {
            self.random.u64(HOT_AUCTIONS as u64..AUCTIONS)
        }
    }
}
