//! `rekap drill JOB`: begins a drill, waits for it, and shows what it found. Who goes away does not end it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::Session;
use super::client::object;
use super::commands::show_verification;
use super::failure::Failure;
use super::out::{Out, Style, cell, count};

/// How often a drill that goes on is looked at.
const EVERY: Duration = Duration::from_millis(200);

/// `rekap drill`.
pub(super) async fn drill(s: &Session, job: &str, note: Option<String>) -> Result<(), Failure> {
    let path = format!("/v1/jobs/{job}/drill");
    let before = s.client.get(&format!("/v1/jobs/{job}")).await?["drill"]["at"].clone();
    s.client.post(&path, &object([("note", json!(note))])).await?;
    loop {
        // A drill that ended without a result (the server stopped) leaves the one before.
        let found = s.client.get(&format!("/v1/jobs/{job}")).await?["drill"].clone();
        if found["state"] != "running" {
            if found["at"] == before {
                return Err(Failure::Failed("the drill ended without a result; see the server's log".to_owned()));
            }
            let found = s.client.get(&path).await?;
            s.out.answer(&found, show)?;
            return match found["verdict"].as_str() {
                Some("pass") => Ok(()),
                _ => Err(Failure::Failed(format!("the drill of {job} did not pass"))),
            };
        }
        sleep(EVERY).await;
    }
}

fn show(out: &Out, found: &Value) -> Result<(), Failure> {
    show_verification(out, found, "")?;
    if let Some(reason) = found["reason"].as_str() {
        out.line(format!("  {}", out.paint(Style::Warn, reason)))?;
    }
    let records = count(found["records"].as_u64().unwrap_or(0));
    out.line(format!(
        "  version {} at {}, {records} records in {} ms",
        found["version"],
        cell(&found["at"]),
        found["took_ms"]
    ))
}
