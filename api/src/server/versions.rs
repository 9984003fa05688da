//! `/v1/jobs/{job}/versions/{n}`: one version, and what is done to it.

use std::num::NonZeroU64;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use rekap_orchestrator::views::Promotion;
use rekap_orchestrator::{PromotionRequest, ReplayStart};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::App;
use super::describe::shapes;
use super::extract::{Command, NoQuery, Nothing, Query};
use super::list::{ListQuery, listing, page, page_size};
use crate::Problem;

/// The job and the number in the path.
type Named = Path<(String, u32)>;

/// A job's versions.
#[utoipa::path(get, path = "/v1/jobs/{job}/versions", tag = "versions", params(("job" = String, Path), ListQuery),
    responses((status = 200, description = "`{versions: [...], next_cursor?}`", body = Object),
        (status = 404, description = "no such job", body = Problem)))]
pub(super) async fn list_versions(
    State(app): State<App>,
    Path(job): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Value>, Problem> {
    let numbers = app.orchestrator().job(&job)?.versions;
    // Of one width, so that the order of their texts is that of the numbers.
    let named: Vec<_> = numbers.into_iter().map(|n| (n, format!("{n:010}"))).collect();
    let (named, next) = page(named, &query, |(_, name)| name)?;
    let views = named.iter().map(|(n, _)| app.orchestrator().version(&job, *n)).collect::<Result<Vec<_>, _>>()?;
    Ok(listing("versions", views, next))
}

/// One version.
#[utoipa::path(get, path = "/v1/jobs/{job}/versions/{n}", tag = "versions", params(("job" = String, Path), ("n" = u32, Path)),
    responses((status = 200, description = "`{version, phase, role, run, reason?, digest, positions, progress, lag_ms, ready, verification?, rows, bytes, dead_letters, ...}`", body = Object),
        (status = 404, description = "no such job or version", body = Problem)))]
pub(super) async fn get_version(
    State(app): State<App>,
    Path((job, n)): Named,
    _query: NoQuery,
) -> Result<Answer<impl Serialize>, Problem> {
    Ok(Answer(app.orchestrator().version(&job, n)?))
}

/// What a version is made of: its `job.toml` as JSON and its SQL, in the form in which a deploy takes them.
#[utoipa::path(get, path = "/v1/jobs/{job}/versions/{n}/spec", tag = "versions", params(("job" = String, Path), ("n" = u32, Path)),
    responses((status = 200, description = "`{spec: {...}, query}`", body = Object), (status = 404, description = "no such job or version", body = Problem)))]
pub(super) async fn spec(
    State(app): State<App>,
    Path((job, n)): Named,
    _query: NoQuery,
) -> Result<Answer<Value>, Problem> {
    let mut spec = json!(app.orchestrator().spec(&job, n)?);
    let query = spec.as_object_mut().and_then(|fields| fields.remove("query"));
    Ok(Answer(json!({"spec": spec, "query": query})))
}

/// Where a replay begins.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Replay {
    /// Where; as the job says when it is not said.
    #[schema(schema_with = shapes::start)]
    start: Option<ReplayStart>,
    /// Do without the ranges that neither tier holds now. The version says what it left out, and needs `force: ["no_gap"]` to serve.
    #[serde(default)]
    accept_gap: bool,
    /// Read no more records a second than that; `[replay]` of the server when it is not said.
    #[schema(value_type = Option<u64>, minimum = 1)]
    max_records_per_s: Option<NonZeroU64>,
}

/// Replays a version into a fresh table.
#[utoipa::path(post, path = "/v1/jobs/{job}/versions/{n}/replay", tag = "versions", params(("job" = String, Path), ("n" = u32, Path)),
    request_body = Replay, responses((status = 200, description = "the version as it is after it", body = Object), (status = 409, description = "it is in use", body = Problem)))]
pub(super) async fn replay(
    State(app): State<App>,
    Path((job, n)): Named,
    command: Command<Replay>,
) -> Result<Answer<impl Serialize>, Problem> {
    let by = command.by();
    let Replay { start, accept_gap, max_records_per_s } = command.body;
    let limit = max_records_per_s.map(NonZeroU64::get);
    Ok(Answer(app.orchestrator().replay(&job, n, start, accept_gap, limit, by).await?))
}

/// Compares a version with the serving one.
#[utoipa::path(post, path = "/v1/jobs/{job}/versions/{n}/verify", tag = "versions", params(("job" = String, Path), ("n" = u32, Path)),
    request_body = Nothing, responses((status = 202, description = "the version; `verification` follows", body = Object),
        (status = 409, description = "nothing serves to compare with, or it is no candidate", body = Problem)))]
pub(super) async fn verify(
    State(app): State<App>,
    Path((job, n)): Named,
    command: Command<Nothing>,
) -> Result<(StatusCode, Answer<impl Serialize>), Problem> {
    Ok((StatusCode::ACCEPTED, Answer(app.orchestrator().verify(&job, n, command.by()).await?)))
}

/// The last verification.
#[utoipa::path(get, path = "/v1/jobs/{job}/versions/{n}/verification", tag = "versions", params(("job" = String, Path), ("n" = u32, Path)),
    responses((status = 200, description = "`{state, verdict?, positions?, counts?, columns?, checks, samples}`", body = Object),
        (status = 404, description = "not verified yet", body = Problem)))]
pub(super) async fn verification(
    State(app): State<App>,
    Path((job, n)): Named,
    _query: NoQuery,
) -> Result<Answer<impl Serialize>, Problem> {
    Ok(Answer(app.orchestrator().verification(&job, n)?))
}

/// How a version is promoted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Promote {
    /// Conditions that need not be met: any but `caught_up`.
    #[serde(default)]
    force: Vec<String>,
    /// As soon as it is ready, instead of now.
    #[serde(default)]
    when_ready: bool,
}

/// Lets the alias serve this version.
#[utoipa::path(post, path = "/v1/jobs/{job}/versions/{n}/promote", tag = "versions", params(("job" = String, Path), ("n" = u32, Path)),
    request_body = Promote, responses((status = 200, description = "it serves", body = Object),
        (status = 202, description = "it will, once it is ready (`armed`), or once somebody else asks too (`approved_by`)", body = Object),
        (status = 409, description = "`NOT_READY` or `PROMOTION_CALLED_OFF`, with the conditions", body = Problem),
        (status = 412, description = "the job changed since that ETag", body = Problem)))]
pub(super) async fn promote(
    State(app): State<App>,
    Path((job, n)): Named,
    command: Command<Promote>,
) -> Result<(StatusCode, Answer<Promotion>), Problem> {
    let by = command.by();
    let Promote { force, when_ready } = command.body;
    let request = PromotionRequest { force, when_ready };
    let promotion = app.orchestrator().promote(&job, n, request, by).await?;
    let status = match promotion {
        Promotion::Promoted(_) => StatusCode::OK,
        Promotion::Armed(_) | Promotion::Approved(_) => StatusCode::ACCEPTED,
    };
    Ok((status, Answer(promotion)))
}

/// A command that only names a version.
macro_rules! command {
    ($verb:ident, $path:literal, $doc:literal) => {
        #[doc = $doc]
        #[utoipa::path(post, path = $path, tag = "versions", params(("job" = String, Path), ("n" = u32, Path)), request_body = Nothing,
            responses((status = 200, description = "the version as it is after it", body = Object),
                (status = 409, description = "not in its phase", body = Problem),
                (status = 412, description = "the job changed since that ETag", body = Problem)))]
        pub(super) async fn $verb(
            State(app): State<App>,
            Path((job, n)): Named,
            command: Command<Nothing>,
        ) -> Result<Answer<impl Serialize>, Problem> {
            Ok(Answer(app.orchestrator().$verb(&job, n, command.by()).await?))
        }
    };
}

command!(abort, "/v1/jobs/{job}/versions/{n}/abort", "Gives a candidate up.");
command!(pause, "/v1/jobs/{job}/versions/{n}/pause", "Lets a version wait; its table stays readable.");
command!(resume, "/v1/jobs/{job}/versions/{n}/resume", "Lets a paused or failed version go on.");
command!(retire, "/v1/jobs/{job}/versions/{n}/retire", "Lets a version and its table go.");

/// The records that a version could not use.
#[utoipa::path(get, path = "/v1/jobs/{job}/versions/{n}/dead-letters", tag = "versions",
    params(("job" = String, Path), ("n" = u32, Path), ListQuery),
    responses((status = 200, description = "`{dead_letters: [...], next_cursor?}`", body = Object), (status = 404, description = "no such job or version", body = Problem)))]
pub(super) async fn dead_letters(
    State(app): State<App>,
    Path((job, n)): Named,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Value>, Problem> {
    let limit = page_size(query.limit)?;
    let after = query.cursor.as_deref().map(str::parse).transpose()?;
    let page = app.orchestrator().dead_letters(&job, n, after, limit).await?;
    Ok(listing("dead_letters", page.dead_letters, page.next.map(|cursor| cursor.to_string())))
}
