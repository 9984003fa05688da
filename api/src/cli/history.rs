//! `rekap history` and `rekap audit`.

use serde_json::Value;

use super::Session;
use super::failure::Failure;
use super::out::{Out, Style, cell};

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

/// Events, one a line: when, who, what, and the rest as it is.
fn show_events(out: &Out, page: &Value) -> Result<(), Failure> {
    let shown = ["seq", "at", "actor", "type"];
    for event in page["events"].as_array().into_iter().flatten() {
        let rest =
            event.as_object().into_iter().flatten().filter(|(name, v)| !shown.contains(&name.as_str()) && !v.is_null());
        let rest = rest.map(|(name, value)| format!("{name}={}", cell(value))).collect::<Vec<_>>().join(" ");
        let [seq, at, actor, kind] = shown.map(|name| cell(&event[name]));
        out.line(format!("{seq:>5} {} {actor}  {}  {rest}", out.paint(Style::Dim, at), out.paint(Style::Name, kind)))?;
    }
    Ok(())
}
