//! `rekap test DIR`: runs a job folder's own cases, each in a server of its own that is gone afterwards.
//!
//! A case is a folder below `DIR/tests`: what comes in (`<input>.ndjson`), and what must be in the table then (`expected.ndjson`).
//! It runs the very code that production runs: the topic's schema checks the events, the job is deployed, its table is read. What
//! is on disk changes only with `--accept`; whatever a killed run leaves is a folder among the temporary ones.

mod case;
mod compare;
mod run;

use std::path::Path;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::Session;
use super::failure::Failure;
use super::folder::{self, JobFolder};
use super::out::{Out, Style, count};
use case::Case;
use compare::Difference;
use run::Got;

/// How many differences of a case are shown; the first ones tell.
const SHOWN: usize = 10;

/// How a case went.
struct Outcome {
    name: String,
    records: u64,
    rows: usize,
    /// Empty when all is as expected.
    differences: Vec<Difference>,
    accepted: bool,
}

/// Runs all cases of `dir`; with `accept` writes down what comes out as what is expected.
pub(super) async fn test(s: &Session, dir: &Path, accept: bool) -> Result<(), Failure> {
    let job = JobFolder::read(dir)?;
    let topics = folder::topics_above(dir)?;
    let cases = Case::find(dir)?;
    let began = Instant::now();
    let mut outcomes = Vec::new();
    for case in &cases {
        let outcome = run_case(&job, &topics, case, accept).await?;
        if !s.out.is_json() {
            show(&s.out, &outcome)?;
        }
        outcomes.push(outcome);
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.differences.is_empty()).count();
    if s.out.is_json() {
        s.out.line(
            json!({"job": job.name, "failed": failed, "cases": outcomes.iter().map(as_json).collect::<Vec<_>>()}),
        )?;
    }
    match failed {
        0 if s.out.is_json() => Ok(()),
        0 => s.out.line(format!("{} of {} passed in {} ms", cases.len(), cases.len(), began.elapsed().as_millis())),
        _ => Err(Failure::Failed(format!(
            "{failed} of {} cases failed; `--accept` writes down what came out as what is expected",
            cases.len()
        ))),
    }
}

/// Runs all cases of `dir`, and writes down what comes out as what is expected.
pub(super) async fn accept(dir: &Path) -> Result<(), Failure> {
    let (job, topics) = (JobFolder::read(dir)?, folder::topics_above(dir)?);
    for case in Case::find(dir)? {
        run_case(&job, &topics, &case, true).await?;
    }
    Ok(())
}

/// Runs one case; with `accept` what comes out becomes what is expected.
async fn run_case(job: &JobFolder, topics: &[(String, Value)], case: &Case, accept: bool) -> Result<Outcome, Failure> {
    let got = run::run(job, topics, case).await?;
    let differences = if accept { Vec::new() } else { differences(case, &got)? };
    if accept {
        case.accept(&got.rows, &got.dead_letters)?;
    }
    Ok(Outcome { name: case.name.clone(), records: got.records, rows: got.rows.len(), differences, accepted: accept })
}

/// All that is not as the case expects.
fn differences(case: &Case, got: &Got) -> Result<Vec<Difference>, Failure> {
    let mut differences = compare::table(&got.key, case.expected()?, &got.rows)?;
    differences.extend(compare::dead_letters(case.dead_letters()?, &got.dead_letters));
    Ok(differences)
}

/// One line a case, and below it what is not as expected.
fn show(out: &Out, outcome: &Outcome) -> Result<(), Failure> {
    let verdict = match (outcome.differences.is_empty(), outcome.accepted) {
        (_, true) => out.paint(Style::Warn, "kept"),
        (true, false) => out.paint(Style::Good, "ok  "),
        (false, false) => out.paint(Style::Bad, "fail"),
    };
    let what = format!("({} records, {} rows)", count(outcome.records), count(outcome.rows as u64));
    out.line(format!("{verdict} {} {}", outcome.name, out.paint(Style::Dim, what)))?;
    for difference in outcome.differences.iter().take(SHOWN) {
        out.line(format!("     {difference}"))?;
    }
    match outcome.differences.len().checked_sub(SHOWN) {
        Some(more @ 1..) => out.line(format!("     … and {more} more")),
        _ => Ok(()),
    }
}

fn as_json(outcome: &Outcome) -> Value {
    let differences: Vec<String> = outcome.differences.iter().map(ToString::to_string).collect();
    json!({
        "name": outcome.name,
        "passed": differences.is_empty(),
        "records": outcome.records,
        "rows": outcome.rows,
        "differences": differences,
    })
}
