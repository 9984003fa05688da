//! What the quickstart has shown at its end, in figures that it computed on the side.

use serde_json::Value;

use super::ticks::{Formula, Ledger};
use crate::cli::client::Client;
use crate::cli::failure::Failure;

/// Rows read at once.
const PAGE: usize = 10_000;

/// What was found in one version's table.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// Rows.
    pub(super) rows: usize,
    /// Rows that are what the formula makes of the trades.
    pub(super) right: usize,
    /// The sum of their trades.
    pub(super) trades: u64,
}

/// The whole table of a version, once it has read everything up to the log's end, against what was handed out.
pub(super) async fn count(
    client: &Client,
    version: u32,
    ledger: &Ledger,
    formula: Formula,
) -> Result<Counted, Failure> {
    let first = format!("/v1/tables/bpi@{version}/rows?limit={PAGE}&min_positions={}", ends(client).await?);
    let (mut counted, mut cursor) = (Counted::default(), String::new());
    loop {
        let page = client.get(&format!("{first}{cursor}")).await?;
        for row in page["rows"].as_array().into_iter().flatten() {
            counted.rows += 1;
            counted.right += usize::from(ledger.agrees(row, formula));
            counted.trades += row["trades"].as_u64().unwrap_or(0);
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(counted),
        }
    }
}

/// The log's end, as `min_positions` takes it.
async fn ends(client: &Client) -> Result<String, Failure> {
    let topic = client.get("/v1/topics/ticks").await?;
    let end = |p: &Value| format!("ticks/{}={}", p["partition"], p["end"]);
    Ok(topic["partitions"].as_array().into_iter().flatten().map(end).collect::<Vec<_>>().join(","))
}
