//! `/v1/session`: who one is here, and the console's login and logout.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::App;
use super::access::{Caller, authenticate};
use super::extract::{Json, NoQuery};
use crate::Problem;

/// Who wants to log in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    /// The token.
    token: String,
}

/// Who the caller is: `local` on a server without tokens.
#[utoipa::path(get, path = "/v1/session", tag = "access",
    responses((status = 200, description = "`{name, role, jobs, topics, expires_at?, tokens}`; `tokens` says whether this server wants any", body = Object),
        (status = 401, description = "a token is wanted, and none that holds came", body = Problem)))]
pub(super) async fn whoami(caller: Caller, _query: NoQuery) -> Answer<Value> {
    let scope = caller.scope();
    let issued = caller.issued();
    Answer(json!({
        "name": caller.actor(),
        "role": issued.map_or("admin", |issued| issued.token.role.name()),
        "jobs": scope.jobs,
        "topics": scope.topics,
        "expires_at": issued.and_then(|issued| issued.token.expires_at),
        "tokens": issued.is_some(),
    }))
}

/// Trades a token for a cookie that no script can read: a browser's login.
#[utoipa::path(post, path = "/v1/session", tag = "access", request_body = Login,
    responses((status = 204, description = "logged in, with `Set-Cookie`"), (status = 401, description = "no such token", body = Problem)))]
pub(super) async fn login(State(app): State<App>, Json(Login { token }): Json<Login>) -> Result<Response, Problem> {
    let issued = authenticate(&app, token.trim())?;
    let cookie = app.sessions().begin(&issued.token.id).map_err(|reason| {
        let remedy = "see that the system gives random numbers, and try again";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", reason.to_string(), remedy)
    })?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// Ends the browser's session.
#[utoipa::path(delete, path = "/v1/session", tag = "access",
    responses((status = 204, description = "logged out, whether one was logged in or not")))]
pub(super) async fn logout(State(app): State<App>, headers: HeaderMap, _query: NoQuery) -> Response {
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, app.sessions().end(&headers))]).into_response()
}
