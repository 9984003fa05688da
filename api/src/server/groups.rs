//! `/v1/groups`: jobs that are promoted and rolled back as one.

use std::collections::BTreeMap;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use rekap_orchestrator::GroupPromotion;
use rekap_orchestrator::views::GroupPromoted;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::extract::{Command, NoQuery, Nothing};
use super::jobs::etag;
use crate::Problem;

/// A group: its jobs, what each serves, and what a promotion would let serve. Its `ETag` changes with any of its jobs.
#[utoipa::path(get, path = "/v1/groups/{group}", tag = "groups", params(("group" = String, Path)),
    responses((status = 200, description = "`{group, generation, jobs: [{job, serving, candidate, ready, approved_by?}], why_no_rollback}`", body = Object),
        (status = 404, description = "no job says that it is in that group", body = Problem)))]
pub(super) async fn get_group(
    State(app): State<App>,
    Path(group): Path<String>,
    _query: NoQuery,
) -> Result<Response, Problem> {
    let group = app.orchestrator().group(&group)?;
    Ok(([(header::ETAG, etag(group.generation))], Answer(group)).into_response())
}

/// How a group is promoted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PromoteGroup {
    /// The version of each job; the newest candidate of those that are not named.
    #[serde(default)]
    versions: BTreeMap<String, u32>,
    /// Conditions that need not be met, of all of them: any but `caught_up`.
    #[serde(default)]
    force: Vec<String>,
}

/// Promotes the jobs of a group as one: readers see all of them moved, or none.
#[utoipa::path(post, path = "/v1/groups/{group}/promote", tag = "groups", params(("group" = String, Path)), request_body = PromoteGroup,
    responses((status = 200, description = "`{group, jobs: [{job, serving, generation}], swap_ms}`", body = Object),
        (status = 202, description = "one of the jobs takes two people: it is approved, and done once somebody else asks too", body = Object),
        (status = 409, description = "`NOT_READY` with the conditions by job: none of them moved", body = Problem),
        (status = 412, description = "one of its jobs changed since that ETag", body = Problem)))]
pub(super) async fn promote_group(
    State(app): State<App>,
    Path(group): Path<String>,
    command: Command<PromoteGroup>,
) -> Result<(StatusCode, Answer<GroupPromoted>), Problem> {
    let by = command.by();
    let PromoteGroup { versions, force } = command.body;
    let promoted = app.orchestrator().promote_group(&group, GroupPromotion { versions, force }, by).await?;
    let status = match promoted {
        GroupPromoted::Swapped(_) => StatusCode::OK,
        GroupPromoted::Approved(_) => StatusCode::ACCEPTED,
    };
    Ok((status, Answer(promoted)))
}

/// Takes the last promotion of a group back, as one.
#[utoipa::path(post, path = "/v1/groups/{group}/rollback", tag = "groups", params(("group" = String, Path)), request_body = Nothing,
    responses((status = 200, description = "`{group, jobs: [{job, serving, generation, stepped_back?}], swap_ms}`", body = Object),
        (status = 409, description = "one of its jobs cannot: none of them moved", body = Problem),
        (status = 412, description = "one of its jobs changed since that ETag", body = Problem)))]
pub(super) async fn roll_back_group(
    State(app): State<App>,
    Path(group): Path<String>,
    command: Command<Nothing>,
) -> Result<Answer<impl Serialize>, Problem> {
    Ok(Answer(app.orchestrator().roll_back_group(&group, command.by()).await?))
}
