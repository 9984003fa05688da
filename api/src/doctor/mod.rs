//! `rekap doctor`: whether a server with this configuration could work, and what keeps it from that. Needs no server.
//!
//! A chapter is a list of findings about one part of the world. To examine one more, write a file with
//! `async fn examine(&Config) -> Vec<Finding>` and add it to [`chapters`]. Whatever a check writes it removes again.

mod cold;
mod data;
mod kafka;

use std::path::Path;

use rekap_tiered_storage::{Finding, Verdict};
use serde_json::{Value, json};

use crate::Config;
use crate::cli::failure::Failure;
use crate::cli::out::{Out, Style};
use crate::config::LogKind;

/// The findings about one part.
struct Chapter {
    name: &'static str,
    findings: Vec<Finding>,
}

/// Examines everything that the configuration names; fails when any check does.
pub(crate) async fn run(out: &Out, config: Option<&Path>) -> Result<(), Failure> {
    let usage = |e: crate::ConfigError| Failure::Usage(e.to_string());
    let config = Config::load(config, std::env::vars()).map_err(usage)?;
    config.check().map_err(usage)?;
    let chapters = chapters(&config).await;
    out.answer(&told(&chapters), |out, _| chapters.iter().try_for_each(|chapter| show(out, chapter)))?;
    let all = chapters.iter().flat_map(|chapter| &chapter.findings);
    let failed: Vec<&str> = all.filter(|found| found.verdict == Verdict::Fail).map(|found| found.check).collect();
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Failure::Unfit(failed.join(", "))),
    }
}

/// Every part that the configuration names.
async fn chapters(config: &Config) -> Vec<Chapter> {
    let mut chapters = vec![Chapter { name: "data folder", findings: data::examine(config).await }];
    if config.log.kind == LogKind::Kafka {
        chapters.push(Chapter { name: "log in Kafka", findings: kafka::examine(config).await });
    }
    chapters.push(Chapter { name: "cold tier", findings: cold::examine(config).await });
    chapters
}

/// All of it, for programs.
fn told(chapters: &[Chapter]) -> Value {
    let checks: Vec<Value> =
        chapters.iter().flat_map(|chapter| chapter.findings.iter().map(|found| one(chapter.name, found))).collect();
    json!({"ok": checks.iter().all(|check| check["verdict"] != "fail"), "checks": checks})
}

fn one(chapter: &str, found: &Finding) -> Value {
    json!({
        "part": chapter,
        "check": found.check,
        "verdict": word(found.verdict),
        "detail": found.detail,
        "remedy": found.remedy,
        "took_ms": found.took.as_millis() as u64,
    })
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Warn => "warn",
        Verdict::Fail => "fail",
        Verdict::Skipped => "skipped",
    }
}

/// All of it, for people.
fn show(out: &Out, chapter: &Chapter) -> Result<(), Failure> {
    out.line(out.paint(Style::Bold, chapter.name))?;
    for found in &chapter.findings {
        let style = match found.verdict {
            Verdict::Pass => Style::Good,
            Verdict::Warn => Style::Warn,
            Verdict::Fail => Style::Bad,
            Verdict::Skipped => Style::Dim,
        };
        let verdict = out.paint(style, format!("{:<7}", word(found.verdict)));
        out.line(format!("  {verdict} {:<22} {}", found.check, found.detail))?;
        if !found.remedy.is_empty() {
            out.line(format!("          {} {}", out.paint(style, "→"), found.remedy))?;
        }
    }
    Ok(())
}
