//! `rekap plan`, `rekap deploy` and `rekap apply`: job folders on their way to the server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::{Value, json};

use super::args::VersionRef;
use super::client::object;
use super::failure::{Failure, at};
use super::folder::{self, JobFolder};
use super::out::{Style, cell, count};
use super::plan::{notes, short, show};
use super::{Session, markdown, watch};
use crate::Problem;

/// The exit code of `plan --exit-code` when there are changes.
const CHANGES: u8 = 10;

/// How a plan is shown.
#[derive(Debug, Default)]
pub(super) struct PlanHow {
    /// Exit with 10 when there are changes.
    pub(super) exit_code: bool,
    /// As a deploy that makes a new version even if nothing changed.
    pub(super) rebuild: bool,
    /// Write it to this file, for `deploy --plan`.
    pub(super) output: Option<PathBuf>,
    /// As Markdown, for a comment on a pull request.
    pub(super) markdown: bool,
}

/// How a folder is deployed.
#[derive(Debug, Default)]
pub(super) struct How {
    /// A file of `plan -o`: only if that plan still holds.
    pub(super) plan: Option<PathBuf>,
    /// A new version even if nothing changed.
    pub(super) rebuild: bool,
    /// Watch until it is ready.
    pub(super) watch: bool,
    /// Why.
    pub(super) note: Option<String>,
}

/// `rekap plan DIR`.
pub(super) async fn plan(s: &Session, dir: &Path, how: PlanHow) -> Result<ExitCode, Failure> {
    let plan = ask_plan(s, &JobFolder::read(dir)?, how.rebuild).await?;
    let to_stdout = how.output.as_deref() == Some(Path::new("-"));
    if let Some(file) = how.output.as_deref().filter(|_| !to_stdout) {
        std::fs::write(file, format!("{plan:#}\n")).map_err(at(file))?;
    }
    if let Ok(refusal) = serde_json::from_value::<Refusal>(plan["refusal"].clone()) {
        if s.out.is_json() {
            s.out.line(&plan)?;
        }
        return Err(refusal.into());
    }
    match how.markdown {
        // The plan itself, where a file would have it; with `--json` it is what is printed anyway.
        _ if to_stdout && !s.out.is_json() => s.out.line(format!("{plan:#}"))?,
        true => s.out.bytes(markdown::plan(&plan).as_bytes())?,
        false => s.out.answer(&plan, show)?,
    }
    let code = if how.exit_code && plan["changes"].as_bool().unwrap_or(true) { CHANGES } else { 0 };
    Ok(ExitCode::from(code))
}

/// Why the server would refuse the deploy.
#[derive(Debug, Deserialize)]
struct Refusal {
    code: String,
    detail: String,
    remedy: String,
    #[serde(default)]
    place: Value,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let problem = Problem::unprocessable(&refusal.code, refusal.detail, refusal.remedy);
        if refusal.place.is_null() { problem.into() } else { problem.with("place", refusal.place).into() }
    }
}

/// The server's plan for a folder.
async fn ask_plan(s: &Session, folder: &JobFolder, rebuild: bool) -> Result<Value, Failure> {
    let body = json!({"spec": folder.spec, "query": folder.query, "rebuild": rebuild});
    s.client.post(&format!("/v1/jobs/{}/plan", folder.name), &body).await
}

/// `rekap deploy DIR`.
pub(super) async fn deploy(s: &Session, dir: &Path, how: How) -> Result<(), Failure> {
    let folder = JobFolder::read(dir)?;
    let plan = how.plan.as_deref().map(base_of).transpose()?;
    let body = object([
        ("spec", folder.spec.clone()),
        ("query", json!(folder.query)),
        ("plan", json!(plan)),
        ("rebuild", if how.rebuild { json!(true) } else { Value::Null }),
        ("note", json!(how.note)),
    ]);
    let deployed = s.client.post(&format!("/v1/jobs/{}/versions", folder.name), &body).await?;
    s.out.answer(&deployed, |out, deployed| {
        let version = out.paint(Style::Name, format!("{}@{}", folder.name, cell(&deployed["version"])));
        match (deployed["policy_changed"].as_bool(), deployed["created"].as_bool()) {
            (Some(true), _) => out.line(format!("{}: only its promotion policy changed", folder.name)),
            (_, Some(false)) => out.line(format!("{version} is what the folder says already; nothing was made")),
            _ => out.line(format!("{version} is deployed ({})", short(&deployed["digest"]))),
        }?;
        notes(out, deployed)
    })?;
    match deployed["version"].as_u64().filter(|_| how.watch) {
        Some(n) => {
            let version = VersionRef { job: folder.name, version: n as u32 };
            watch::until(s, &version, "Ready", None, watch::Told::Live).await.map(drop)
        }
        None => Ok(()),
    }
}

/// Deploys a folder and says nothing of it.
pub(crate) async fn quietly(s: &Session, dir: &Path) -> Result<Value, Failure> {
    let folder = JobFolder::read(dir)?;
    let body = json!({"spec": folder.spec, "query": folder.query});
    s.client.post(&format!("/v1/jobs/{}/versions", folder.name), &body).await
}

/// What the plan in `file` rests on; the server refuses the deploy once that has moved.
fn base_of(file: &Path) -> Result<Value, Failure> {
    let no_plan = |why: String| Failure::Usage(format!("{} is no plan of `rekap plan -o`: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(at(file))?;
    let plan: Value = serde_json::from_str(&text).map_err(|e| no_plan(e.to_string()))?;
    match &plan["base"] {
        Value::Object(_) => Ok(plan["base"].clone()),
        _ => Err(no_plan("it has no `base`".to_owned())),
    }
}

/// `rekap apply DIR`.
pub(super) async fn apply(s: &Session, dir: &Path) -> Result<(), Failure> {
    for (topic, config) in folder::topics(dir)? {
        let made = s.client.put(&format!("/v1/topics/{topic}"), &config).await?;
        s.out.answer(&made, |out, made| {
            let partitions = made["partitions"].as_array().map_or(0, Vec::len);
            out.line(format!("topic {}: {} partitions", out.paint(Style::Name, &topic), count(partitions as u64)))
        })?;
    }
    for folder in JobFolder::find(dir)? {
        deploy(s, &folder, How::default()).await?;
    }
    Ok(())
}
