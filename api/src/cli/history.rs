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
        return s.out.answer(&answer, show_verdict);
    }
    let page = s.client.get("/v1/audit?limit=10000").await?;
    s.out.answer(&page, show_events)
}

/// Whether the log is as it was written.
fn show_verdict(out: &Out, answer: &Value) -> Result<(), Failure> {
    let style = if answer["verdict"] == "intact" { Style::Good } else { Style::Bad };
    let entries = count(answer["entries"].as_u64().unwrap_or(0));
    out.line(format!("{}: {entries} entries", out.paint(style, cell(&answer["verdict"]))))?;
    if !answer["broken"].is_null() {
        out.line(format!("  entry {}: {}", cell(&answer["broken"]["seq"]), cell(&answer["broken"]["detail"])))?;
    }
    out.line(format!("  head {}", cell(&answer["head"])))?;
    out.line(format!("  compared with: {}", cell(&answer["anchor"])))
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
    let subject = out.paint(Style::Name, subject(event) + &version);
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

/// What it happened to: a job, else the topic, group or schedule that it names.
fn subject(event: &Value) -> String {
    let named = |kind: &str| event[kind].as_str().filter(|name| !name.is_empty()).map(|name| format!("{kind} {name}"));
    match event["job"].as_str() {
        Some(job) if !job.is_empty() => job.to_owned(),
        _ => ["topic", "group", "schedule"].into_iter().find_map(named).unwrap_or_default(),
    }
}

/// A field of an event that fits into its line.
fn fact((name, value): (&String, &Value)) -> Option<String> {
    let shown = [
        "seq", "at", "actor", "address", "type", "note", "job", "version", "digest", "state", "topic", "group",
        "schedule",
    ]
    .contains(&name.as_str());
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
