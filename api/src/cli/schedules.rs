//! `rekap schedules`: what the server does at which times, and what became of it.

use serde_json::{Value, json};

use super::Session;
use super::args::SchedulesVerb;
use super::client::object;
use super::failure::Failure;
use super::out::{Out, Style, cell};

/// `rekap schedules [run NAME]`.
pub(super) async fn schedules(s: &Session, verb: Option<SchedulesVerb>) -> Result<(), Failure> {
    let Some(SchedulesVerb::Run { schedule, note }) = verb else {
        let listed = s.client.get("/v1/schedules?limit=10000").await?;
        return s.out.answer(&listed, show);
    };
    let body = object([("note", json!(note.note))]);
    let done = s.client.post(&format!("/v1/schedules/{schedule}/run"), &body).await?;
    s.out.answer(&done, |out, _| out.line(format!("{schedule} runs; `rekap schedules` shows what becomes of it")))
}

fn show(out: &Out, listed: &Value) -> Result<(), Failure> {
    let schedules = || listed["schedules"].as_array().into_iter().flatten();
    let rows: Vec<Vec<String>> = schedules().map(row).collect();
    out.table(&["schedule", "task", "at", "next", "last", "outcome"], &rows, "")?;
    for schedule in schedules().filter(|schedule| schedule["runs"][0]["outcome"] == "failed") {
        let name = out.paint(Style::Bad, cell(&schedule["schedule"]));
        out.line(format!("{name}: {}", cell(&schedule["runs"][0]["detail"])))?;
    }
    Ok(())
}

fn row(schedule: &Value) -> Vec<String> {
    let last = &schedule["runs"][0];
    let task = match schedule["job"].as_str() {
        Some(job) => format!("{} of {job}", cell(&schedule["task"])),
        None => cell(&schedule["task"]),
    };
    let at = format!("{} ({})", cell(&schedule["cron"]), cell(&schedule["timezone"]));
    let outcome = if schedule["running_since"].is_null() { cell(&last["outcome"]) } else { "running".to_owned() };
    vec![cell(&schedule["schedule"]), task, at, cell(&schedule["next_run"]), cell(&last["due"]), outcome]
}
