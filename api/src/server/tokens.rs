//! `/v1/tokens`: making, listing and revoking tokens.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rekap_orchestrator::views::TokenView;
use rekap_orchestrator::{Scope, Token, TokenRole};
use rekap_tiered_storage::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::App;
use super::access::Fresh;
use super::describe::shapes;
use super::extract::{Command, Nothing, Query};
use super::list::{ListQuery, listing, page};
use crate::Problem;

/// A token that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// Who is to hold it: the actor of all that is done with it.
    name: String,
    /// What it may do.
    #[schema(schema_with = shapes::role)]
    role: TokenRole,
    /// Patterns of jobs, with `*` for any text; all of them when it is not said.
    jobs: Option<Vec<String>>,
    /// Patterns of topics, with `*` for any text; all of them when it is not said.
    topics: Option<Vec<String>>,
    /// When it ends; never when it is not said.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// A token that was made.
#[derive(Debug, Serialize)]
struct Made {
    #[serde(flatten)]
    view: TokenView,
    /// The token itself, this once.
    token: Option<String>,
}

/// Makes a token. It is shown in this answer and never again.
#[utoipa::path(post, path = "/v1/tokens", tag = "access", request_body = NewToken,
    responses((status = 201, description = "`{id, name, role, jobs, topics, expires_at, state, token}`", body = Object),
        (status = 200, description = "the same request was answered before; `token` is null, since it is shown once", body = Object),
        (status = 422, description = "a name or a scope that cannot be", body = Problem)))]
pub(super) async fn create_token(State(app): State<App>, command: Command<NewToken>) -> Result<Response, Problem> {
    let by = command.by();
    let NewToken { name, role, jobs, topics, expires_at } = command.body;
    let all = Scope::default();
    let scope = Scope { jobs: jobs.unwrap_or(all.jobs), topics: topics.unwrap_or(all.topics) };
    let Fresh { id, hash, text } = Fresh::new().map_err(|reason| no_chance(&reason))?;
    let token = Token { id: id.clone(), name, role, scope, hash, expires_at };
    let view = app.orchestrator().create_token(token, &by).await?;
    let first = view.id == id;
    let status = if first { StatusCode::CREATED } else { StatusCode::OK };
    let unkept = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((status, unkept, Answer(Made { view, token: first.then_some(text) })).into_response())
}

fn no_chance(reason: &std::io::Error) -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "INTERNAL",
        format!("no token can be made: {reason}"),
        "see that the system gives random numbers, and try again",
    )
}

/// All tokens there ever were, without what is secret of them.
#[utoipa::path(get, path = "/v1/tokens", tag = "access", params(ListQuery),
    responses((status = 200, description = "`{tokens: [...], next_cursor?}`", body = Object)))]
pub(super) async fn list_tokens(
    State(app): State<App>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Value>, Problem> {
    let (tokens, next) = page(app.orchestrator().tokens(), &query, |token| &token.id)?;
    Ok(listing("tokens", tokens, next))
}

/// Revokes a token: the next request with it is refused.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "access", params(("id" = String, Path)), request_body = Nothing,
    responses((status = 204, description = "revoked, now or before"), (status = 404, description = "no such token", body = Problem)))]
pub(super) async fn revoke_token(
    State(app): State<App>,
    Path(id): Path<String>,
    command: Command<Nothing>,
) -> Result<StatusCode, Problem> {
    app.orchestrator().revoke_token(&id, &command.by()).await?;
    Ok(StatusCode::NO_CONTENT)
}
