//! Commands upon a version or a job: verify, promote, roll back, and the rest.

use std::time::Duration;

use rekap_tiered_storage::{Clock, SystemClock, Timestamp};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::args::{VersionCommand, VersionRef};
use super::client::object;
use super::failure::Failure;
use super::out::{Out, Style, cell, count};
use super::plan::notes;
use super::{Session, watch};

/// How often a running verification is looked at.
const EVERY: Duration = Duration::from_millis(100);

/// How a version is promoted.
#[derive(Debug)]
pub(super) struct Promotion {
    pub(super) when_ready: bool,
    pub(super) force: Vec<String>,
    pub(super) watch: bool,
    pub(super) note: Option<String>,
}

/// How a version is replayed.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) start: Option<String>,
    pub(super) accept_gap: bool,
    pub(super) max_records_per_s: Option<u64>,
    pub(super) note: Option<String>,
}

/// The path of a version.
fn path(version: &VersionRef) -> String {
    format!("/v1/jobs/{}/versions/{}", version.job, version.version)
}

/// `rekap verify`: asks for it, waits, and shows the result.
pub(super) async fn verify(s: &Session, version: &VersionRef, note: Option<String>) -> Result<(), Failure> {
    s.client.post(&format!("{}/verify", path(version)), &object([("note", json!(note))])).await?;
    loop {
        let result = s.client.get(&format!("{}/verification", path(version))).await?;
        if result["state"] == "done" {
            s.out.answer(&result, |out, result| show_verification(out, result, ""))?;
            return match result["verdict"].as_str() {
                Some("fail") => Err(Failure::Failed("verification failed".to_owned())),
                _ => Ok(()),
            };
        }
        sleep(EVERY).await;
    }
}

/// A verification for people: verdict, counts, checks.
pub(crate) fn show_verification(out: &Out, result: &Value, indent: &str) -> Result<(), Failure> {
    let verdict = |value: &Value| {
        let style = match value.as_str() {
            Some("pass") => Style::Good,
            Some("fail") => Style::Bad,
            _ => Style::Warn,
        };
        out.paint(style, cell(value))
    };
    let counted = ["same", "changed", "added", "removed"]
        .map(|name| format!("{} {name}", count(result["counts"][name].as_u64().unwrap_or(0))));
    out.line(format!("{indent}{}: {}", verdict(&result["verdict"]), counted.join(", ")))?;
    for check in result["checks"].as_array().into_iter().flatten() {
        let reason = check["reason"].as_str().map_or(String::new(), |reason| format!("  {reason}"));
        out.line(format!("{indent}  {} {}{reason}", verdict(&check["verdict"]), cell(&check["name"])))?;
    }
    Ok(())
}

/// `rekap promote`.
pub(super) async fn promote(s: &Session, version: &VersionRef, how: Promotion) -> Result<(), Failure> {
    let body = object([
        ("force", if how.force.is_empty() { Value::Null } else { json!(how.force) }),
        ("when_ready", if how.when_ready { json!(true) } else { Value::Null }),
        ("note", json!(how.note)),
    ]);
    let done = s.client.post(&format!("{}/promote", path(version)), &body).await?;
    s.out.answer(&done, |out, done| match done["serving"].as_u64() {
        Some(n) if n == u64::from(version.version) => show_swap(out, done),
        _ if !done["approved_by"].is_null() => {
            let (by, waits) = (cell(&done["approved_by"]), cell(&done["waits_for"]));
            out.line(format!("{}@{} is approved by {by}, and waits for {waits}", version.job, version.version))
        }
        _ => out.line(format!("{}@{} will serve as soon as it is ready", version.job, version.version)),
    })?;
    if how.watch { watch::until(s, version, "Serving", None, watch::Told::Live).await.map(drop) } else { Ok(()) }
}

/// `rekap rollback`.
pub(super) async fn rollback(s: &Session, job: &str, to: Option<u32>, note: Option<String>) -> Result<(), Failure> {
    let body = object([("to", json!(to)), ("note", json!(note))]);
    let done = s.client.post(&format!("/v1/jobs/{job}/rollback"), &body).await?;
    s.out.answer(&done, show_swap)
}

/// What serves now, and how long the swap took.
fn show_swap(out: &Out, done: &Value) -> Result<(), Failure> {
    let version = out.paint(Style::Good, format!("{}@{}", cell(&done["job"]), cell(&done["serving"])));
    let took = done["swap_ms"].as_f64().map_or(String::new(), |ms| format!(" (swapped in {ms} ms)"));
    out.line(format!("{version} serves{took}"))?;
    notes(out, done)?;
    match &done["stepped_back"] {
        Value::Null => Ok(()),
        steps => out.line(format!("  {} {steps}", out.paint(Style::Warn, "stepped back:"))),
    }
}

/// `rekap replay`.
pub(super) async fn replay(s: &Session, version: &VersionRef, how: Replay) -> Result<(), Failure> {
    let body = object([
        ("start", json!(how.start)),
        ("accept_gap", if how.accept_gap { json!(true) } else { Value::Null }),
        ("max_records_per_s", json!(how.max_records_per_s)),
        ("note", json!(how.note)),
    ]);
    let done = s.client.post(&format!("{}/replay", path(version)), &body).await?;
    s.out.answer(&done, |out, done| {
        let name = out.paint(Style::Name, format!("{}@{}", version.job, version.version));
        out.line(format!("replay {name}, attempt {}", cell(&done["attempt"])))?;
        for lost in done["left_out"].as_array().into_iter().flatten() {
            let place = format!("{}/{}", cell(&lost["topic"]), cell(&lost["partition"]));
            let told = out.paint(Style::Warn, "does without:");
            out.line(format!("  {told} {place} offsets {}..{}", lost["from"], lost["to"]))?;
        }
        Ok(())
    })
}

/// `rekap pause|resume|abort|retire`.
pub(super) async fn act(s: &Session, it: VersionCommand, verb: &str) -> Result<(), Failure> {
    let done =
        s.client.post(&format!("{}/{verb}", path(&it.version)), &object([("note", json!(it.note.note))])).await?;
    let version = format!("{}@{}", it.version.job, it.version.version);
    let told = match verb {
        "pause" => "is paused",
        "resume" => "goes on",
        "abort" => "is given up",
        _ => "is retired",
    };
    s.out.answer(&done, |out, _| out.line(format!("{} {told}", out.paint(Style::Name, version))))
}

/// How long a job is frozen where nothing else is said: until the people who know have slept.
const FREEZE: Duration = Duration::from_hours(24);

/// `rekap freeze`.
pub(super) async fn freeze(s: &Session, job: &str, until: Option<String>, note: Option<String>) -> Result<(), Failure> {
    let until = until.unwrap_or_else(|| SystemClock.now().plus(FREEZE).to_string());
    let body = object([("until", json!(until)), ("note", json!(note))]);
    let done = s.client.post(&format!("/v1/jobs/{job}/freeze"), &body).await?;
    let over = until.parse::<Timestamp>().is_ok_and(|until| until <= SystemClock.now());
    s.out.answer(&done, |out, _| match over {
        true => out.line(format!("{job} is not frozen any more")),
        false => out.line(format!("{job} is frozen until {until} (a moment in the past ends a freeze)")),
    })
}
