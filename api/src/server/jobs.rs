//! `/v1/jobs`: planning and deploying, and what is done to a job as a whole.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rekap_jobs::{ActionTarget, JobSpec};
use rekap_orchestrator::TokenRole;
use rekap_orchestrator::views::PlanBase;
use rekap_tiered_storage::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::App;
use super::access::Caller;
use super::actions::admit_targets;
use super::describe::shapes;
use super::extract::{Command, NoQuery, Nothing, Query};
use super::list::{ListQuery, listing, page};
use crate::Problem;

/// A job as it is sent: `job.toml` without `query`, and the query.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Deploy {
    /// `job.toml` as JSON, without `query`.
    #[schema(value_type = Object)]
    spec: Value,
    /// The SQL.
    query: String,
    /// Make a new version even if nothing changed.
    #[serde(default)]
    rebuild: bool,
    /// `base` of the plan that this deploy carries out: refused with 409 once that has moved.
    #[serde(default)]
    #[schema(schema_with = shapes::plan_base)]
    plan: Option<PlanBase>,
}

impl Deploy {
    /// The spec, which has to be of the job in the path.
    /// It reads what its deployer may read, and writes to no other topics either.
    fn spec(self, job: &str, caller: &Caller) -> Result<JobSpec, Problem> {
        let spec = JobSpec::from_json(self.spec, self.query)?;
        spec.inputs.values().try_for_each(|input| caller.may_topic(input.topic.as_str()))?;
        let mut written = spec.actions.iter().filter_map(|action| match &action.target {
            ActionTarget::Topic(topic) => Some(topic),
            ActionTarget::Webhook(_) => None,
        });
        written.try_for_each(|topic| caller.may_topic(topic.as_str()))?;
        if spec.name == job {
            return Ok(spec);
        }
        Err(Problem::unprocessable(
            "INVALID_SPEC",
            format!("`name` is `{}`, the path says `{job}`", spec.name),
            "deploy a job under its own name",
        )
        .with("field", "name"))
    }
}

/// Says what a deploy would do. Changes nothing.
#[utoipa::path(post, path = "/v1/jobs/{job}/plan", tag = "jobs", params(("job" = String, Path)), request_body = Deploy,
    responses((status = 200, description = "the plan, with a `refusal` where the deploy would be refused", body = Object),
        (status = 422, description = "what is sent is no job", body = Problem)))]
pub(super) async fn plan(
    State(app): State<App>,
    Path(job): Path<String>,
    Command { body, caller, .. }: Command<Deploy>,
) -> Result<Answer<impl Serialize>, Problem> {
    let rebuild = body.rebuild;
    let spec = body.spec(&job, &caller)?;
    admit_targets(&app, &spec).await?;
    Ok(Answer(app.orchestrator().plan(&spec, rebuild).await?))
}

/// Why nobody is second on a server without tokens.
const ONE_PERSON: &str = "`promote.two_people`: this server has no tokens, so everybody is `local` and nobody is the second; \
    set `tokens = true` in [server]";

/// Deploys a version.
#[utoipa::path(post, path = "/v1/jobs/{job}/versions", tag = "jobs", params(("job" = String, Path)), request_body = Deploy,
    responses((status = 201, description = "`{job, version, digest}`", body = Object),
        (status = 200, description = "a live version has that digest already, or only the policy changed", body = Object),
        (status = 409, description = "`PLAN_CHANGED`: what the plan rests on has moved", body = Problem),
        (status = 422, description = "the spec or the query is refused", body = Problem)))]
pub(super) async fn deploy(
    State(app): State<App>,
    Path(job): Path<String>,
    command: Command<Deploy>,
) -> Result<(StatusCode, Answer<impl Serialize>), Problem> {
    let by = command.by();
    let (rebuild, plan) = (command.body.rebuild, command.body.plan.clone());
    let spec = command.body.spec(&job, &command.caller)?;
    admit_targets(&app, &spec).await?;
    // What is promoted by itself is promoted by whoever deploys it.
    if spec.promote.auto {
        command.caller.at_least(TokenRole::Operator)?;
    }
    let two_people = spec.promote.two_people;
    // Otherwise one person could do away with the second one.
    if !two_people && app.orchestrator().takes_two_people(&job) {
        command.caller.at_least(TokenRole::Admin)?;
    }
    let mut deployed = app.orchestrator().deploy_planned(spec, rebuild, plan, by).await?;
    if two_people && command.caller.issued().is_none() {
        deployed.warnings.push(ONE_PERSON.into());
    }
    let status = if deployed.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Answer(deployed)))
}

/// All jobs.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", params(ListQuery),
    responses((status = 200, description = "`{jobs: [...], next_cursor?}`", body = Object)))]
pub(super) async fn list_jobs(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Value>, Problem> {
    let (mut jobs, scope) = (app.orchestrator().jobs(), caller.scope());
    jobs.retain(|job| scope.has_job(&job.job));
    let (jobs, next) = page(jobs, &query, |job| &job.job)?;
    Ok(listing("jobs", jobs, next))
}

/// One job: what serves, what a rollback would do. Its `ETag` is its generation.
#[utoipa::path(get, path = "/v1/jobs/{job}", tag = "jobs", params(("job" = String, Path)),
    responses((status = 200, description = "`{job, alias, generation, serving, standby, versions, rollback}`", body = Object),
        (status = 404, description = "no such job", body = Problem)))]
pub(super) async fn get_job(
    State(app): State<App>,
    Path(job): Path<String>,
    _query: NoQuery,
) -> Result<Response, Problem> {
    let job = app.orchestrator().job(&job)?;
    let etag = etag(job.generation);
    Ok(([(header::ETAG, etag)], Answer(job)).into_response())
}

/// A generation as a job's ETag.
pub(super) fn etag(generation: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{generation}\"")).expect("digits in quotes are a header's value")
}

/// Deletes a job: retires all its versions first.
#[utoipa::path(delete, path = "/v1/jobs/{job}", tag = "jobs", params(("job" = String, Path)), request_body = Nothing,
    responses((status = 204, description = "deleted"), (status = 404, description = "no such job", body = Problem)))]
pub(super) async fn delete_job(
    State(app): State<App>,
    Path(job): Path<String>,
    command: Command<Nothing>,
) -> Result<StatusCode, Problem> {
    app.orchestrator().delete_job(&job, command.by()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where a rollback goes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rollback {
    /// The version; the one that served before when it is not said.
    to: Option<u32>,
}

/// Lets the alias serve what it served before.
#[utoipa::path(post, path = "/v1/jobs/{job}/rollback", tag = "jobs", params(("job" = String, Path)), request_body = Rollback,
    responses((status = 200, description = "`{job, serving, generation, swap_ms, stepped_back?}`", body = Object),
        (status = 409, description = "nothing to roll back to", body = Problem),
        (status = 412, description = "the job changed since that ETag", body = Problem)))]
pub(super) async fn rollback(
    State(app): State<App>,
    Path(job): Path<String>,
    command: Command<Rollback>,
) -> Result<Answer<impl Serialize>, Problem> {
    Ok(Answer(app.orchestrator().rollback(&job, command.body.to, command.by()).await?))
}

/// Until when.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Until {
    /// RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

/// Stops automatic promotion, clean-up and others' promotions of a job.
#[utoipa::path(post, path = "/v1/jobs/{job}/freeze", tag = "jobs", params(("job" = String, Path)), request_body = Until,
    responses((status = 200, description = "`{job, frozen_until}`", body = Object),
        (status = 409, description = "somebody else froze it", body = Problem)))]
pub(super) async fn freeze(
    State(app): State<App>,
    Path(job): Path<String>,
    command: Command<Until>,
) -> Result<Answer<impl Serialize>, Problem> {
    app.orchestrator().freeze(&job, command.body.until, command.by()).await?;
    Ok(Answer(json!({"job": job, "frozen_until": command.body.until})))
}

/// Sets until when the former versions are kept warm.
#[utoipa::path(post, path = "/v1/jobs/{job}/rollback-window", tag = "jobs", params(("job" = String, Path)), request_body = Until,
    responses((status = 200, description = "`{job, until}`", body = Object),
        (status = 422, description = "a time that is not to come", body = Problem)))]
pub(super) async fn rollback_window(
    State(app): State<App>,
    Path(job): Path<String>,
    command: Command<Until>,
) -> Result<Answer<impl Serialize>, Problem> {
    app.orchestrator().rollback_window(&job, command.body.until, command.by()).await?;
    Ok(Answer(json!({"job": job, "until": command.body.until})))
}
