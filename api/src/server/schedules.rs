//! `/v1/schedules`, and the drill of one job: what is done at its time, and now when somebody asks.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::App;
use super::extract::{Command, NoQuery, Nothing, Query};
use super::list::{ListQuery, listing, page};
use crate::Problem;

/// All schedules: what, when, when next, and what became of the last runs.
#[utoipa::path(get, path = "/v1/schedules", tag = "schedules", params(ListQuery),
    responses((status = 200, description = "`{schedules: [...], next_cursor?}`", body = Object)))]
pub(super) async fn list_schedules(
    State(app): State<App>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Value>, Problem> {
    let (schedules, next) = page(app.orchestrator().schedules(), &query, |schedule| &schedule.schedule)?;
    Ok(listing("schedules", schedules, next))
}

/// Runs a schedule now, beside its times.
#[utoipa::path(post, path = "/v1/schedules/{schedule}/run", tag = "schedules", params(("schedule" = String, Path)), request_body = Nothing,
    responses((status = 202, description = "it runs; `GET /v1/schedules` shows what becomes of it", body = Object),
        (status = 404, description = "no such schedule", body = Problem),
        (status = 409, description = "its last run goes on", body = Problem)))]
pub(super) async fn run_schedule(
    State(app): State<App>,
    Path(schedule): Path<String>,
    command: Command<Nothing>,
) -> Result<(StatusCode, Answer<Value>), Problem> {
    Ok((StatusCode::ACCEPTED, Answer(app.orchestrator().run_schedule(&schedule, command.by()).await?)))
}

/// Replays history through the version that serves, beside it, and compares with what it serves.
#[utoipa::path(post, path = "/v1/jobs/{job}/drill", tag = "jobs", params(("job" = String, Path)), request_body = Nothing,
    responses((status = 202, description = "it goes on; `GET` shows what it finds", body = Object),
        (status = 404, description = "nothing serves", body = Problem),
        (status = 409, description = "one goes on already", body = Problem)))]
pub(super) async fn drill(
    State(app): State<App>,
    Path(job): Path<String>,
    command: Command<Nothing>,
) -> Result<(StatusCode, Answer<Value>), Problem> {
    Ok((StatusCode::ACCEPTED, Answer(app.orchestrator().drill(&job, command.by()).await?)))
}

/// The last drill of a job, and whether one goes on.
#[utoipa::path(get, path = "/v1/jobs/{job}/drill", tag = "jobs", params(("job" = String, Path)),
    responses((status = 200, description = "`{state, version, at?, verdict?, counts?, positions?, samples?, ...}`", body = Object),
        (status = 404, description = "it was not drilled yet", body = Problem)))]
pub(super) async fn drilled(
    State(app): State<App>,
    Path(job): Path<String>,
    _query: NoQuery,
) -> Result<Answer<impl Serialize>, Problem> {
    Ok(Answer(app.orchestrator().drilled(&job)?))
}
