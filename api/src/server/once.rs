//! `Idempotency-Key`, for every command in one place.
//!
//! A key names one request for 24 hours. What a request does is kept from being done twice where it is done: an append in the batch of
//! its records, a command in the catalog entry of its event, so a crash leaves both or neither. This layer does what is left: it reads
//! the key and the body's digest, refuses a key that came with another request to *any* route, and keeps the key of a request that
//! succeeded and changed nothing (a query, a plan). A request that was refused leaves its key free. If the process dies between the
//! answer and the keeping of such a key, the same request is simply answered anew.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rekap_orchestrator::{Hash, RequestKey};
use rekap_tiered_storage::{AppendKey, LogError};
use sha2::{Digest, Sha256};

use super::App;
use super::access::Caller;
use super::extract::read_body;
use crate::Problem;

/// The largest body that comes with a key: that of a request of records. Routes have smaller bounds of their own.
const MAX_BYTES: usize = 64 << 20;

/// A request that is to be done once, however often it is sent.
#[derive(Debug, Clone)]
pub(super) struct Once {
    /// The client's `Idempotency-Key`.
    pub(super) key: String,
    /// What the request was: method, path, query and body.
    pub(super) digest: [u8; 32],
}

impl Once {
    /// From the request's `Idempotency-Key`.
    fn of(parts: &Parts, body: &[u8]) -> Result<Once, Problem> {
        let key = parts.headers.get("idempotency-key").and_then(|key| key.to_str().ok());
        let key = key.filter(|key| (1..=AppendKey::MAX_BYTES).contains(&key.len())).ok_or_else(|| {
            Problem::unprocessable(
                "INVALID_IDEMPOTENCY_KEY",
                "the Idempotency-Key is empty, too long, or not plain ASCII",
                format!("send 1 to {} visible ASCII characters, such as a UUID", AppendKey::MAX_BYTES),
            )
        })?;
        let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
        let mut hash = Sha256::new();
        // What one was answered is not for another to ask for.
        if let Some(id) = Caller::of(parts).token() {
            hash.update(id);
        }
        for part in [parts.method.as_str().as_bytes(), target.as_bytes(), body] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Ok(Once { key: key.to_owned(), digest: hash.finalize().into() })
    }

    /// As the catalog keeps it.
    pub(super) fn request(&self) -> RequestKey {
        RequestKey { key: self.key.clone(), digest: Hash::of(&self.digest) }
    }
}

/// Answers a command that carries a key; everything else passes. PUT and DELETE are the same done twice.
pub(super) async fn once(State(app): State<App>, request: Request, next: Next) -> Response {
    let changes = *request.method() == Method::POST;
    // A login is done anew each time, and nobody's body is held for them before they have said who they are.
    let stranger = request.extensions().get::<Caller>().is_none_or(Caller::is_stranger);
    if !changes || stranger || !request.headers().contains_key("idempotency-key") {
        return next.run(request).await;
    }
    match keyed(&app, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn keyed(app: &App, request: Request, next: Next) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let body = read_body(body, MAX_BYTES).await?;
    let once = Once::of(&parts, &body)?;
    app.orchestrator().refuse_other_request(&once.request())?;
    let appended = app.log().hot.body_of(&once.key).await?;
    if appended.is_some_and(|digest| digest != once.digest) {
        return Err(LogError::KeyReused(once.key).into());
    }
    parts.extensions.insert(once.clone());
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if response.status().is_success() && app.log().hot.body_of(&once.key).await?.is_none() {
        app.orchestrator().keep_request(once.request()).await?;
    }
    Ok(response)
}
