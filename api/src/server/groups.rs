//! `/v1/groups`: jobs that are promoted and rolled back as one.

use std::collections::BTreeMap;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use rekap_orchestrator::GroupPromotion;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::extract::{Command, NoQuery, Nothing};
use super::jobs::etag;
use crate::Problem;

/// A group: its jobs, what each serves, and what a promotion would let serve. Its `ETag` changes with any of its jobs.
#[utoipa::path(get, path = "/v1/groups/{group}", tag = "groups", params(("group" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = Problem)))]
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
        (status = 409, description = "`NOT_READY` with the conditions by job: none of them moved", body = Problem),
        (status = 412, body = Problem)))]
pub(super) async fn promote_group(
    State(app): State<App>,
    Path(group): Path<String>,
    command: Command<PromoteGroup>,
) -> Result<Answer<impl Serialize>, Problem> {
    let by = command.by();
    let PromoteGroup { versions, force } = command.body;
    Ok(Answer(app.orchestrator().promote_group(&group, GroupPromotion { versions, force }, by).await?))
}

/// Takes the last promotion of a group back, as one.
#[utoipa::path(post, path = "/v1/groups/{group}/rollback", tag = "groups", params(("group" = String, Path)),
    responses((status = 200, description = "`{group, jobs: [{job, serving, generation, stepped_back?}], swap_ms}`", body = Object),
        (status = 409, description = "one of its jobs cannot: none of them moved", body = Problem), (status = 412, body = Problem)))]
pub(super) async fn roll_back_group(
    State(app): State<App>,
    Path(group): Path<String>,
    command: Command<Nothing>,
) -> Result<Answer<impl Serialize>, Problem> {
    Ok(Answer(app.orchestrator().roll_back_group(&group, command.by()).await?))
}
