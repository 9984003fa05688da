//! The console's files, as they were when this binary was built.
//!
//! Their paths hold a hash of all of them, so a browser keeps them for good and still never mixes the files of two builds.

use std::fmt::Write;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header;
use axum::response::IntoResponse;
use sha2::{Digest, Sha256};

use crate::Problem;

include!(concat!(env!("OUT_DIR"), "/console.rs"));

/// How many bytes of the hash are in a path: enough that two builds never share one.
const BUILD_BYTES: usize = 6;

/// The hash of all files, in hex.
pub(super) static BUILD: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for (path, content) in FILES {
        hash.update((path.len() as u64).to_le_bytes());
        hash.update(path);
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    hash.finalize().iter().take(BUILD_BYTES).fold(String::new(), |mut hex, byte| {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
});

/// The paths of all files with that ending, in order.
pub(super) fn ending_with(ending: &str) -> Vec<&'static str> {
    FILES.iter().map(|(path, _)| *path).filter(|path| path.ends_with(ending)).collect()
}

/// One file of this build. Another build's files are not here: the page that asks for them is out of date and loads again.
pub(super) async fn file(Path((build, file)): Path<(String, String)>) -> Result<impl IntoResponse, Problem> {
    let found = FILES.iter().find(|(path, _)| *path == file && build == *BUILD);
    let (path, content) = found.ok_or_else(|| {
        let detail = format!("this build's console has no file `{build}/{file}`");
        Problem::not_found("NO_SUCH_ROUTE", detail, "load the page again")
    })?;
    let kept = (header::CACHE_CONTROL, "public, max-age=31536000, immutable");
    Ok(([(header::CONTENT_TYPE, media_type(path)), kept], *content))
}

/// What a file is sent as.
fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
