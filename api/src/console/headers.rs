//! Under which rules a browser runs the console: nothing from outside, nothing written into the page, no frame around it.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;

/// Only this server's own files and answers; no inline script or style, no markup made from text, no plug-in, no frame.
const POLICY: &str = "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'";

/// All headers of the console's answers.
const STRICT: [(HeaderName, HeaderValue); 5] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
];

/// An answer of the console with these headers.
pub(super) async fn strict(mut response: Response) -> Response {
    response.headers_mut().extend(STRICT);
    response
}
