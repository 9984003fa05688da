//! Rows of a table: read page by page, and compared with what a judge computed.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::Client;
use crate::client::Answer;

/// One row: its columns by name.
pub type Row = Map<String, Value>;

/// How far two doubles may be apart, relative to the larger: the order of addition differs between ranges.
const TOLERANCE: f64 = 1e-9;

/// How many differences a failing comparison shows.
const SHOWN: usize = 5;

/// The most rows that one page may hold.
const PAGE: usize = 10_000;

/// A whole table as one scan gave it.
#[derive(Debug, Clone)]
pub struct Scan {
    /// The version that all pages came from.
    pub version: u64,
    /// `Rekap-Positions` of the last page.
    pub positions: String,
    /// The rows in key order.
    pub rows: Vec<Row>,
}

impl Client {
    /// All rows of `alias` (or `alias@n`).
    pub async fn rows(&self, alias: &str) -> Vec<Row> {
        self.scan(alias, "").await.rows
    }

    /// All rows once the table has taken in everything that `topic` holds now.
    pub async fn rows_at_end(&self, alias: &str, topic: &str) -> Vec<Row> {
        let ends = self.ends(topic).await;
        self.scan(alias, &format!("&min_positions={ends}")).await.rows
    }

    /// All rows of `alias`, with further query parameters.
    pub async fn scan(&self, alias: &str, parameters: &str) -> Scan {
        let first = format!("tables/{alias}/rows?limit={PAGE}{parameters}");
        let mut page = self.get(&first).await;
        let mut scan = Scan { version: version_of(&page), positions: String::new(), rows: Vec::new() };
        loop {
            let body = page.ok();
            assert_eq!(version_of(&page), scan.version, "a scan stays on one version");
            scan.positions = page.header("rekap-positions").expect("a page says its positions").to_owned();
            scan.rows.extend(rows_of(&body));
            match body["next_cursor"].as_str() {
                Some(cursor) => page = self.get(&format!("{first}&cursor={cursor}")).await,
                None => return scan,
            }
        }
    }
}

/// The rows in a page or in the answer of a query.
pub fn rows_of(body: &Value) -> Vec<Row> {
    let rows = body["rows"].as_array().unwrap_or_else(|| panic!("no rows in {body}"));
    rows.iter().map(|row| row.as_object().expect("a row is an object").clone()).collect()
}

fn version_of(page: &Answer) -> u64 {
    page.ok();
    page.header("rekap-version").and_then(|text| text.parse().ok()).expect("a page names the version that it came from")
}

/// Fails unless both sides hold the same rows by `key`: counts and texts exactly, doubles within 1e-9 relative, times as instants.
pub fn assert_same_rows(what: &str, key: &[&str], ours: &[Row], judge: &[Row]) {
    let (ours, judge) = (sorted(key, ours), sorted(key, judge));
    let mut differences: Vec<String> = ours
        .iter()
        .zip(&judge)
        .filter(|(left, right)| !same_row(left, right))
        .map(|(left, right)| format!("  rekap  {}\n  duckdb {}", show(left), show(right)))
        .collect();
    if ours.len() != judge.len() {
        differences.push(format!("  rekap has {} rows, duckdb {}", ours.len(), judge.len()));
    }
    assert!(!judge.is_empty(), "{what}: a comparison of nothing proves nothing");
    let shown = &differences[..differences.len().min(SHOWN)];
    assert!(differences.is_empty(), "{what}: {} differences, such as\n{}", differences.len(), shown.join("\n"));
}

fn sorted(key: &[&str], rows: &[Row]) -> Vec<Row> {
    let mut rows = rows.to_vec();
    rows.sort_by_cached_key(|row| key.iter().map(|column| key_text(&row[*column])).collect::<Vec<_>>());
    rows
}

fn key_text(value: &Value) -> String {
    instant(value).map_or_else(|| value.to_string(), |at| format!("{:020}", at.timestamp_micros()))
}

fn same_row(left: &Row, right: &Row) -> bool {
    left.len() == right.len()
        && left.iter().all(|(name, value)| right.get(name).is_some_and(|other| same(value, other)))
}

fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
            (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
        }
        (Value::String(_), Value::String(_)) if instant(left).is_some() => instant(left) == instant(right),
        _ => left == right,
    }
}

fn instant(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(value.as_str()?).ok().map(|at| at.to_utc())
}

fn show(row: &Row) -> String {
    Value::Object(row.clone()).to_string()
}
