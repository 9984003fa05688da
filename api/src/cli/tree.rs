//! A job as a tree: what serves, its versions, where each reads, and what it still lacks. Pure: what the server answered in, text out.

#[cfg(test)]
mod tests;

use serde_json::Value;

use super::jobs::phase as painted;
use super::out::{Out, Style, cell, count};

/// How wide a bar is, in characters.
const BAR: usize = 24;
/// Partitions shown one by one; of more, only those that are furthest behind.
const PARTITIONS: usize = 8;
/// Versions that are over are not drawn: they say nothing of what is going on.
const OVER: [&str; 2] = ["Retired", "Aborted"];

/// Draws `job` with its `versions`, as `GET /jobs/{job}` and `GET /jobs/{job}/versions/{n}` answer them.
pub(super) fn draw(out: &Out, job: &Value, versions: &[Value]) -> String {
    let mut lines = vec![head(out, job)];
    let drawn: Vec<&Value> =
        versions.iter().filter(|view| !OVER.contains(&view["phase"].as_str().unwrap_or(""))).collect();
    for (i, view) in drawn.iter().enumerate() {
        let last = i + 1 == drawn.len();
        let (branch, below) = if last { ("└─", "   ") } else { ("├─", "│  ") };
        lines.push(format!("{} {}", out.paint(Style::Dim, branch), version(out, view)));
        lines.extend(details(out, view).into_iter().map(|line| format!("{}{line}", out.paint(Style::Dim, below))));
    }
    lines.join("\n")
}

/// What the alias serves, and whether it could go back.
fn head(out: &Out, job: &Value) -> String {
    let name = out.paint(Style::Bold, cell(&job["job"]));
    let serving = match job["serving"].as_u64() {
        Some(n) => format!("serves @{n}"),
        None => "serves nothing yet".to_owned(),
    };
    let back = &job["rollback"];
    let rollback = match back["possible"].as_bool() {
        Some(true) => format!("rollback to @{} until {}", cell(&back["to"]), cell(&back["until"])),
        _ => format!("no rollback: {}", cell(&back["why_not"])),
    };
    format!("{name}  {serving}  {}", out.paint(Style::Dim, rollback))
}

/// A version's own line: phase, rows, lag, and how far a replay is.
fn version(out: &Out, view: &Value) -> String {
    let phase = cell(&view["phase"]);
    let mut words = vec![format!("@{}", cell(&view["version"])), painted(out, &phase)];
    words.push(format!("{} rows", count(view["rows"].as_u64().unwrap_or(0))));
    if let Some(lag) = view["lag_ms"].as_u64() {
        words.push(format!("lag {lag} ms"));
    }
    if let Some(n @ 1..) = view["dead_letters"].as_u64() {
        words.push(out.paint(Style::Warn, format!("{} dead letters", count(n))));
    }
    words.join("  ")
}

/// What stands below a version: how far it has read, what it lacks, why it stopped.
fn details(out: &Out, view: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let phase = view["phase"].as_str().unwrap_or("");
    for name in ["reason", "problem"] {
        if let Some(text) = view[name].as_str() {
            lines.push(out.paint(Style::Bad, text));
        }
    }
    if matches!(phase, "Replaying" | "CatchingUp" | "Paused") {
        lines.push(progress(out, &view["progress"]));
        if let Some(reason) = view["progress"]["throttled"]["reason"].as_str() {
            lines.push(out.paint(Style::Warn, format!("slowed: {reason}")));
        }
        lines.extend(partitions(out, &view["progress"]["partitions"]));
    }
    if matches!(phase, "CatchingUp" | "Verifying" | "Ready") {
        lines.extend(conditions(out, &view["ready"]));
    }
    lines
}

/// The whole replay: bar, counts, rate, time left.
fn progress(out: &Out, progress: &Value) -> String {
    let number = |name: &str| progress[name].as_u64().unwrap_or(0);
    let (done, total) = (number("records_done"), number("records_total"));
    let rate = progress["rate_per_s"].as_f64().map_or(String::new(), |rate| format!("  {}/s", count(rate as u64)));
    let left = progress["eta_ms"].as_u64().map_or(String::new(), |ms| format!("  {} left", duration(ms)));
    format!("{}  {} of {} records{rate}{left}", bar(out, done, total), count(done), count(total))
}

/// The partitions that are furthest behind, with the tier that each reads.
fn partitions(out: &Out, partitions: &Value) -> Vec<String> {
    let behind = |p: &Value| p["target"].as_u64().unwrap_or(0).saturating_sub(p["position"].as_u64().unwrap_or(0));
    let mut all: Vec<&Value> = partitions.as_array().into_iter().flatten().collect();
    all.sort_by_key(|p| std::cmp::Reverse(behind(p)));
    let more = all.len().saturating_sub(PARTITIONS);
    let line = |p: &&Value| {
        let place = format!("{}/{}", cell(&p["topic"]), cell(&p["partition"]));
        let (position, target) = (p["position"].as_u64().unwrap_or(0), p["target"].as_u64().unwrap_or(0));
        let tier = p["tier"].as_str().unwrap_or("");
        format!(
            "{}  {place:<16} {} → {}  {}",
            bar(out, position, target),
            count(position),
            count(target),
            out.paint(Style::Dim, tier)
        )
    };
    let mut lines: Vec<String> = all.iter().take(PARTITIONS).map(line).collect();
    if more > 0 {
        lines.push(out.paint(Style::Dim, format!("… and {more} more partitions, all further")));
    }
    lines
}

/// Each condition of promotion, met or not.
fn conditions(out: &Out, ready: &Value) -> Vec<String> {
    let line = |(name, condition): (&String, &Value)| {
        let (mark, style) = if condition["met"] == true { ("✓", Style::Good) } else { ("·", Style::Warn) };
        format!("{} {name:<10} {}", out.paint(style, mark), out.paint(Style::Dim, cell(&condition["detail"])))
    };
    ready.as_object().into_iter().flatten().map(line).collect()
}

/// `done` of `total` as a bar; full when there is nothing to do.
fn bar(out: &Out, done: u64, total: u64) -> String {
    let full = if total == 0 { BAR } else { (done.min(total) as u128 * BAR as u128 / u128::from(total)) as usize };
    format!("{}{}", out.paint(Style::Name, "━".repeat(full)), out.paint(Style::Dim, "─".repeat(BAR - full)))
}

/// Milliseconds for people.
fn duration(ms: u64) -> String {
    match ms / 1000 {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min {} s", s / 60, s % 60),
        s => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}
