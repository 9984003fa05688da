//! `rekap jobs` and `rekap versions`.

use serde_json::Value;

use super::Session;
use super::failure::Failure;
use super::out::{Out, Style, cell, count};
use super::plan::short;

/// All jobs: what serves, what could be rolled back to.
pub(super) async fn jobs(s: &Session) -> Result<(), Failure> {
    let answer = s.client.get("/v1/jobs?limit=10000").await?;
    s.out.answer(&answer, |out, answer| {
        let row = |job: &Value| {
            let rollback = &job["rollback"];
            let back = match rollback["possible"].as_bool() {
                Some(true) => format!("to @{} until {}", cell(&rollback["to"]), cell(&rollback["until"])),
                _ => format!("no: {}", cell(&rollback["why_not"])),
            };
            vec![cell(&job["job"]), cell(&job["serving"]), cell(&job["standby"]), cell(&job["versions"]), back]
        };
        let rows: Vec<_> = answer["jobs"].as_array().into_iter().flatten().map(row).collect();
        out.table(&["JOB", "SERVING", "STANDBY", "VERSIONS", "ROLLBACK"], &rows, "")
    })
}

/// A job's versions, one line each.
pub(super) async fn versions(s: &Session, job: &str) -> Result<(), Failure> {
    let answer = s.client.get(&format!("/v1/jobs/{job}/versions?limit=10000")).await?;
    s.out.answer(&answer, |out, answer| {
        let rows: Vec<_> = answer["versions"].as_array().into_iter().flatten().map(row).collect();
        out.table(&["VERSION", "PHASE", "ROWS", "LAG MS", "DEAD LETTERS", "VERIFIED", "DIGEST"], &rows, "")
    })
}

/// One version as a line of a table.
fn row(view: &Value) -> Vec<String> {
    vec![
        cell(&view["version"]),
        cell(&view["phase"]),
        view["rows"].as_u64().map_or("-".to_owned(), count),
        cell(&view["lag_ms"]),
        cell(&view["dead_letters"]),
        cell(&view["verification"]["verdict"]),
        short(&view["digest"]),
    ]
}

/// A phase in its colour.
pub(crate) fn phase(out: &Out, phase: &str) -> String {
    let style = match phase {
        "Serving" | "Ready" => Style::Good,
        "Failed" | "Aborted" => Style::Bad,
        "Paused" => Style::Warn,
        _ => Style::Name,
    };
    out.paint(style, phase)
}
