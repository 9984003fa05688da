//! `rekap group …`: jobs that are promoted and rolled back as one.

use serde_json::{Value, json};

use super::Session;
use super::args::GroupVerb;
use super::client::object;
use super::failure::Failure;
use super::out::{Out, Style, cell};

/// `rekap group show|promote|rollback`.
pub(super) async fn group(s: &Session, verb: GroupVerb) -> Result<(), Failure> {
    match verb {
        GroupVerb::Show { group } => {
            let shown = s.client.get(&format!("/v1/groups/{group}")).await?;
            s.out.answer(&shown, show)
        }
        GroupVerb::Promote { group, force, note } => {
            let force = if force.is_empty() { Value::Null } else { json!(force) };
            let body = object([("force", force), ("note", json!(note.note))]);
            let done = s.client.post(&format!("/v1/groups/{group}/promote"), &body).await?;
            s.out.answer(&done, promoted)
        }
        GroupVerb::Rollback { group, note } => {
            let body = object([("note", json!(note.note))]);
            let done = s.client.post(&format!("/v1/groups/{group}/rollback"), &body).await?;
            s.out.answer(&done, moved)
        }
    }
}

fn show(out: &Out, group: &Value) -> Result<(), Failure> {
    let rows: Vec<Vec<String>> = group["jobs"].as_array().into_iter().flatten().map(row).collect();
    out.table(&["job", "serving", "candidate", "not met", "approved by"], &rows, "")?;
    match &group["why_no_rollback"] {
        Value::Null => out.line("the last promotion of the group can be taken back"),
        why => out.line(format!("no rollback of the group: {}", cell(why))),
    }
}

fn row(job: &Value) -> Vec<String> {
    let unmet = job["ready"].as_object().into_iter().flatten().filter(|(_, condition)| condition["met"] != true);
    let unmet = unmet.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    vec![cell(&job["job"]), cell(&job["serving"]), cell(&job["candidate"]), unmet, cell(&job["approved_by"])]
}

fn promoted(out: &Out, done: &Value) -> Result<(), Failure> {
    if done["approved_by"].is_null() {
        return moved(out, done);
    }
    let versions = done["versions"].as_object().into_iter().flatten();
    let versions: Vec<String> = versions.map(|(job, version)| format!("{job}@{version}")).collect();
    let (by, waits) = (cell(&done["approved_by"]), cell(&done["waits_for"]));
    out.line(format!("{} approved by {by}, and wait for {waits}", versions.join(", ")))
}

fn moved(out: &Out, done: &Value) -> Result<(), Failure> {
    for job in done["jobs"].as_array().into_iter().flatten() {
        let version = out.paint(Style::Good, format!("{}@{}", cell(&job["job"]), cell(&job["serving"])));
        out.line(format!("{version} serves"))?;
        if !job["stepped_back"].is_null() {
            out.line(format!("  {} {}", out.paint(Style::Warn, "stepped back:"), job["stepped_back"]))?;
        }
    }
    out.line(format!("all at once, in {} ms", cell(&done["swap_ms"])))
}
