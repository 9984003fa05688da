//! The one page of the console: its frame, which is the same under every path.

use std::sync::LazyLock;

use askama::Template;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::files;

/// The frame: what is there before the first script runs.
#[derive(Template)]
#[template(path = "shell.html")]
struct Shell {
    /// Where this build's files are.
    root: String,
    /// Every style sheet.
    styles: Vec<&'static str>,
    /// Every module, so that the browser fetches all at once instead of one import after the other.
    modules: Vec<&'static str>,
    /// The server's version.
    version: &'static str,
}

/// The page as it is sent, with its ETag.
struct Rendered {
    html: String,
    etag: HeaderValue,
}

static PAGE: LazyLock<Rendered> = LazyLock::new(|| {
    let modules = files::ending_with(".js").into_iter().filter(|file| *file != "theme.js").collect();
    let shell = Shell {
        root: format!("/console/{}", *files::BUILD),
        styles: files::ending_with(".css"),
        modules,
        version: env!("CARGO_PKG_VERSION"),
    };
    let html = shell.render().expect("the template has no filter that fails");
    let hash = Sha256::digest(&html);
    let etag = format!("\"{}-{:02x}{:02x}{:02x}{:02x}\"", *files::BUILD, hash[0], hash[1], hash[2], hash[3]);
    Rendered { html, etag: HeaderValue::try_from(etag).expect("hex in quotes is a header's value") }
});

/// The page, or 304 where the browser has it already.
pub(super) async fn page(headers: HeaderMap) -> Response {
    let told = [(header::ETAG, PAGE.etag.clone()), (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| *known == PAGE.etag) {
        return (StatusCode::NOT_MODIFIED, told).into_response();
    }
    (told, Html(PAGE.html.as_str())).into_response()
}
