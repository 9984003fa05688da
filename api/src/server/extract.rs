//! What handlers take from a request. Every refusal is a [`Problem`]; a body is read to its end before it is refused for its size,
//! so that the client gets to see the answer.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use rekap_orchestrator::By;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout, timeout_at};
use utoipa::ToSchema;

use super::access::Caller;
use super::once::Once;
use super::strict::Strict;
use crate::Problem;

/// The largest body of a command. A job's spec and query are far smaller; more is a mistake.
const MAX_COMMAND_BYTES: usize = 2 << 20;
/// How much of a body that is too large is still read, so that the client sees the answer instead of a broken pipe.
const MAX_DRAINED_BYTES: usize = 256 << 20;
/// How long a body may take in all: the largest one at 1 Mbit/s.
const MAX_BODY_TIME: Duration = Duration::from_secs(10 * 60);
/// How long a body may pause. What it has taken so far is held for it, so a sender that stands still is let go.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Reads a body that will not be used, so that the client sees the answer.
pub(super) async fn drain(body: Body) {
    let (mut seen, mut chunks) = (0, body.into_data_stream());
    while let Ok(Some(Ok(chunk))) = timeout(MAX_PAUSE, chunks.next()).await {
        seen += chunk.len();
        if seen > MAX_DRAINED_BYTES {
            return;
        }
    }
}

/// The whole body, of at most `limit` bytes.
pub(super) async fn read_body(body: Body, limit: usize) -> Result<Bytes, Problem> {
    let (mut kept, mut seen) = (BytesMut::new(), 0_usize);
    let mut chunks = body.into_data_stream();
    let end = Instant::now() + MAX_BODY_TIME;
    while let Some(chunk) =
        timeout_at(end, timeout(MAX_PAUSE, chunks.next())).await.and_then(|in_time| in_time).map_err(|_| too_slow())?
    {
        let chunk = chunk.map_err(|e| bad_body(format!("the body broke off: {e}")))?;
        seen += chunk.len();
        match seen {
            fits if fits <= limit => kept.extend_from_slice(&chunk),
            drained if drained <= MAX_DRAINED_BYTES => kept.clear(),
            _ => break,
        }
    }
    if seen > limit { Err(too_large(limit)) } else { Ok(kept.freeze()) }
}

/// 408.
fn too_slow() -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "BODY_TOO_SLOW",
        format!(
            "nothing more of the body came for {} s, or all of it took more than {} s",
            MAX_PAUSE.as_secs(),
            MAX_BODY_TIME.as_secs()
        ),
        "send the request again; with the same Idempotency-Key nothing is done twice",
    )
}

/// 413.
pub(super) fn too_large(limit: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "BODY_TOO_LARGE",
        format!("the body is larger than {limit} bytes"),
        "send less at once",
    )
    .with("limit_bytes", limit)
}

/// 400: the bytes are not what they claim to be.
pub(super) fn bad_body(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "BAD_BODY", detail, "GET /openapi.json says what the route takes")
}

/// 400: a header whose value cannot be used.
pub(super) fn bad_header(name: &str, expected: &str) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "BAD_REQUEST",
        format!("the header `{name}` does not read"),
        format!("send {expected}"),
    )
}

/// 415 unless the request's media type is one of `accepted`; answers which.
pub(super) fn media_type(headers: &HeaderMap, accepted: &[&'static str]) -> Result<&'static str, Problem> {
    let unsupported = |detail: String, remedy: String| {
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail, remedy)
    };
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = said.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    accepted.iter().find(|media| **media == essence).copied().ok_or_else(|| {
        unsupported(format!("the body's Content-Type is `{said}`"), format!("send {}", accepted.join(" or ")))
    })
}

/// A route without query parameters refuses any, so that a misspelt or misplaced one is seen.
pub(super) struct NoQuery;

impl NoQuery {
    fn check(parts: &Parts) -> Result<Self, Problem> {
        match parts.uri.query() {
            None | Some("") => Ok(NoQuery),
            Some(query) => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "BAD_QUERY",
                format!("the query string `{query}`: this route takes no parameters there"),
                "GET /openapi.json lists the parameters of the route",
            )),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        NoQuery::check(parts)
    }
}

/// The query parameters, all of them known to `T`.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri).map(|axum::extract::Query(query)| Query(query)).map_err(|e| {
            let why = std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
            Problem::new(
                StatusCode::BAD_REQUEST,
                "BAD_QUERY",
                format!("the query string `{}`: {why}", parts.uri.query().unwrap_or("")),
                "GET /openapi.json lists the parameters of the route",
            )
        })
    }
}

/// A JSON body, read as `T`. No body at all is the empty object, so a command without arguments needs none.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Command::from_request(request, state).await.map(|command| Json(command.body))
    }
}

/// A command: its arguments, and who wants it how.
pub(super) struct Command<T> {
    /// Who wants it.
    pub(super) caller: Caller,
    /// The arguments.
    pub(super) body: T,
    /// Why, in the words of whoever wants it.
    pub(super) note: Option<String>,
    /// Its `Idempotency-Key`.
    pub(super) once: Option<Once>,
    /// The generations of `If-Match`.
    pub(super) if_match: Vec<u64>,
}

impl<T> Command<T> {
    /// Who asks for it, and from where.
    pub(super) fn by(&self) -> By {
        let request = self.once.as_ref().map(Once::request);
        By {
            actor: self.caller.actor().to_owned(),
            address: self.caller.address(),
            note: self.note.clone(),
            request,
            if_match: self.if_match.clone(),
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Command<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        NoQuery::check(&parts)?;
        let caller = Caller::of(&parts);
        let bytes = read_body(body, MAX_COMMAND_BYTES).await?;
        if parts.method == Method::PUT && bytes.is_empty() {
            return Err(Problem::unprocessable(
                "EMPTY_BODY",
                "the body is empty",
                "send a JSON object; `{}` changes nothing",
            ));
        }
        let mut fields = fields(&parts.headers, &bytes)?;
        let note = match fields.remove("note") {
            None | Some(Value::Null) => None,
            Some(Value::String(note)) => Some(note),
            Some(other) => return Err(unfit(format!("`note` is {other}, not text"))),
        };
        let body = serde_path_to_error::deserialize(Value::Object(fields)).map_err(|e| misfit(&e))?;
        Ok(Command {
            caller,
            body,
            note,
            once: parts.extensions.get::<Once>().cloned(),
            if_match: if_match(&parts.headers)?,
        })
    }
}

/// The fields of a JSON object; none for an empty body.
fn fields(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, Problem> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    media_type(headers, &["application/json"])?;
    if let Some(coding) = headers.get(header::CONTENT_ENCODING).filter(|coding| *coding != "identity") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            format!("the body's Content-Encoding is {coding:?}"),
            "send it uncompressed",
        ));
    }
    match serde_json::from_slice(body).map(|Strict(value)| value) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(unfit("the body is no JSON object".to_owned())),
        Err(e) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "BAD_JSON",
            format!("the body is not JSON: {e}"),
            "send one JSON object",
        )),
    }
}

/// 422: a field that there is not, that is missing, or that is of another type.
fn misfit(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    // The names of Rust's types tell nobody anything.
    let whole = "expected a whole number, not negative";
    let reason = error.inner().to_string();
    let reason = ["u16", "u32", "u64", "usize"]
        .iter()
        .fold(reason, |reason, name| reason.replace(&format!("expected {name}"), whole));
    let path = match error.path().to_string() {
        whole if whole == "." => reason.split('`').nth(1).unwrap_or("").to_owned(),
        path => path,
    };
    unfit(format!("`{path}`: {reason}")).with("field", path)
}

/// 422: JSON of another shape than the route takes.
fn unfit(detail: String) -> Problem {
    Problem::unprocessable("INVALID_BODY", detail, "GET /openapi.json says what the route takes")
}

/// The generations in `If-Match`: a job's ETag as it was sent, or a list of them (RFC 9110, 13.1.1), one of which has to be the
/// present one. None for `*`. Tags that are no job's match nothing.
fn if_match(headers: &HeaderMap) -> Result<Vec<u64>, Problem> {
    let said: Vec<&str> = headers.get_all(header::IF_MATCH).iter().map(|said| said.to_str().unwrap_or("")).collect();
    if said.is_empty() || said.iter().all(|said| said.trim() == "*") {
        return Ok(Vec::new());
    }
    let tags = said.iter().flat_map(|said| said.split(',')).map(str::trim);
    let seen: Vec<u64> = tags.filter_map(|tag| tag.trim_matches('"').parse().ok()).collect();
    if seen.is_empty() {
        return Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "GENERATION_MOVED",
            format!("If-Match is `{}`, which is no ETag of a job", said.join(", ")),
            "send the ETag that GET /v1/jobs/{job} answered",
        ));
    }
    Ok(seen)
}

/// The arguments of a command that takes none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}
