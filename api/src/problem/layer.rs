//! The outermost layer of the router: what the framework rejects by itself becomes a [`Problem`], and so does a panic.

use std::panic::AssertUnwindSafe;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;

use super::{PROBLEM_JSON, Problem};

/// The longest text of a framework's rejection that is passed on as the detail.
const MAX_REASON: usize = 4096;

/// Runs the request; a rejection that is no [`Problem`] yet becomes one, with its headers (such as `Allow`) kept.
pub(crate) async fn problems_only(request: Request, next: Next) -> Response {
    let asked = format!("{} {}", request.method(), request.uri().path());
    let response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => return panicked(&asked).into_response(),
    };
    let rejected = response.status().is_client_error() || response.status().is_server_error();
    let media = response.headers().get(header::CONTENT_TYPE);
    if !rejected || media.is_some_and(|media| media == PROBLEM_JSON) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let reason = to_bytes(body, MAX_REASON).await.unwrap_or_default();
    let problem = of_framework(parts.status, &asked, &String::from_utf8_lossy(&reason));
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    (parts.headers, problem).into_response()
}

/// The problem behind a bare status of the framework.
fn of_framework(status: StatusCode, asked: &str, reason: &str) -> Problem {
    match status {
        StatusCode::NOT_FOUND => {
            Problem::not_found("NO_SUCH_ROUTE", format!("{asked} is no route"), "GET /openapi.json lists all routes")
        }
        StatusCode::METHOD_NOT_ALLOWED => Problem::new(
            status,
            "METHOD_NOT_ALLOWED",
            format!("{asked}: this path has other methods"),
            "use a method of the `Allow` header",
        ),
        _ => {
            let code = if status.is_client_error() { "BAD_REQUEST" } else { "INTERNAL" };
            Problem::new(status, code, format!("{asked}: {reason}"), "GET /openapi.json says what the route takes")
        }
    }
}

/// The problem behind a panic; its message and place are in the server's log only.
fn panicked(asked: &str) -> Problem {
    tracing::error!("{asked} panicked");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "INTERNAL",
        format!("{asked} failed inside the server"),
        "this is a bug: report it with the server's log; trying again is safe with the same Idempotency-Key",
    )
}
