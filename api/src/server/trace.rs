//! One id for each request, in its answer and in every line that the server logs while it answers.
//!
//! The id is the client's own: `X-Request-Id`, or the trace id of a W3C `traceparent`; else one is made. It comes back as
//! `X-Request-Id`.

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken from a client: enough for any identifier, too short to fill a log.
const MAX_ID: usize = 128;

/// Answers within a span that has the request's id, and says what came of it.
pub(super) async fn traced(request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let route = request.extensions().get::<MatchedPath>().map_or("none".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!("request", trace_id = %id, method = %request.method(), route);
    let began = Instant::now();
    let mut response = async {
        let response = next.run(request).await;
        let (status, ms) = (response.status(), began.elapsed().as_millis() as u64);
        match status {
            status if status.is_server_error() => tracing::warn!(status = status.as_u16(), ms, "failed"),
            status if status.is_client_error() => tracing::debug!(status = status.as_u16(), ms, "refused"),
            status => tracing::debug!(status = status.as_u16(), ms, "answered"),
        }
        response
    }
    .instrument(span)
    .await;
    let id = HeaderValue::try_from(id).expect("an id is visible ASCII");
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The client's id where it sends a usable one, or a new one.
fn request_id(headers: &HeaderMap) -> String {
    let said = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let usable = |id: &&str| (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    let parent = || headers.get("traceparent").and_then(|parent| trace_id(parent.to_str().ok()?));
    let id = said.filter(usable).or_else(parent);
    id.map_or_else(|| Uuid::new_v4().simple().to_string(), str::to_owned)
}

/// The trace id of a W3C `traceparent`: `00-<32 hex digits>-<16 hex digits>-<flags>`.
fn trace_id(parent: &str) -> Option<&str> {
    let id = parent.split('-').nth(1)?;
    let is_id =
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) && id.bytes().any(|byte| byte != b'0');
    is_id.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &'static str, value: &str) -> String {
        request_id(&HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())]))
    }

    #[test]
    fn a_client_that_has_an_id_keeps_it() {
        assert_eq!(id("x-request-id", "order-7"), "order-7");
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(id("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01")), trace);
    }

    #[test]
    fn an_unusable_id_is_replaced() {
        let long = "x".repeat(MAX_ID + 1);
        let zero = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        for (name, value) in
            [("x-request-id", ""), ("x-request-id", "a b"), ("x-request-id", &long), ("traceparent", &zero)]
        {
            let made = id(name, value);
            assert!(made.len() == 32 && made != value, "{made}");
        }
    }
}
