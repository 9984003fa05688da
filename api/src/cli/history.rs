//! `rekap history` and `rekap audit`.

use serde_json::Value;

use super::Session;
use super::failure::Failure;
use super::out::{Out, Style, cell, count};

/// `rekap history JOB`.
pub(super) async fn history(s: &Session, job: &str, limit: usize) -> Result<(), Failure> {
    let page = s.client.get(&format!("/v1/jobs/{job}/history?limit={limit}")).await?;
    s.out.answer(&page, show_events)
}

/// `rekap audit [verify]`.
pub(super) async fn audit(s: &Session, verify: bool) -> Result<(), Failure> {
    if verify {
        let answer = s.client.get("/v1/audit/verify").await?;
        return s.out.answer(&answer, |out, answer| out.line(format!("{answer:#}")));
    }
    let page = s.client.get("/v1/audit?limit=10000").await?;
    s.out.answer(&page, show_events)
}

/// Events, one short line each: when, who, what to what.
fn show_events(out: &Out, page: &Value) -> Result<(), Failure> {
    let events = page["events"].as_array().into_iter().flatten();
    // The book-keeping of repeated requests is no news to people; `--json` has it.
    for event in events.filter(|event| event["type"] != "request.answered") {
        let at = cell(&event["at"]).replace('T', " ").chars().take(19).collect::<String>();
        let head = format!("{:>5}  {at}  {:<8}", cell(&event["seq"]), cell(&event["actor"]));
        out.line(format!("{}  {}", out.paint(Style::Dim, head), told(out, event)))?;
    }
    Ok(())
}

/// `bpi@1 verified: pass, 0 same, 1,002 added "a note"`.
fn told(out: &Out, event: &Value) -> String {
    let version = event["version"].as_u64().map_or(String::new(), |n| format!("@{n}"));
    let subject = out.paint(Style::Name, cell(&event["job"]) + &version);
    let kind = cell(&event["type"]);
    let verb = kind.rsplit('.').next().unwrap_or("").replace('_', " ");
    let mut facts: Vec<String> = event.as_object().into_iter().flatten().filter_map(fact).collect();
    facts.extend(
        event["counts"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, n)| format!("{} {name}", count(n.as_u64().unwrap_or(0)))),
    );
    let colon = if facts.is_empty() { "" } else { ": " };
    let note = event["note"]
        .as_str()
        .map_or(String::new(), |note| format!("  {}", out.paint(Style::Dim, format!("“{note}”"))));
    format!("{subject} {verb}{colon}{}{note}   {}", facts.join(", "), out.paint(Style::Dim, kind))
}

/// A field of an event that fits into its line.
fn fact((name, value): (&String, &Value)) -> Option<String> {
    let shown =
        ["seq", "at", "actor", "address", "type", "note", "job", "version", "digest", "state"].contains(&name.as_str());
    let small = matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(true));
    if shown || !small {
        return None;
    }
    Some(match (name.as_str(), value) {
        ("verdict" | "reason", value) => cell(value),
        (name, Value::Bool(_)) => name.replace('_', " "),
        (name, value) => format!("{} {}", name.replace('_', " "), cell(value)),
    })
}
