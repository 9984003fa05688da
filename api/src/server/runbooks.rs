//! `/docs/runbooks/{page}`: the pages that problems point to, as they were when this binary was built.

use axum::extract::Path;
use axum::http::header;
use axum::response::IntoResponse;

use crate::Problem;

include!(concat!(env!("OUT_DIR"), "/runbooks.rs"));

/// A runbook page, as Markdown.
#[utoipa::path(get, path = "/docs/runbooks/{page}", tag = "server", params(("page" = String, Path)),
    responses((status = 200, description = "the page", content_type = "text/markdown", body = String),
        (status = 404, description = "no such page", body = Problem)))]
pub(super) async fn runbook(Path(page): Path<String>) -> Result<impl IntoResponse, Problem> {
    let found = RUNBOOKS.iter().find(|(name, _)| *name == page);
    let (_, text) = found.ok_or_else(|| {
        let remedy = "the problem's own `remedy` says what to do";
        Problem::not_found("NO_SUCH_ROUTE", format!("there is no runbook page `{page}`"), remedy)
    })?;
    Ok(([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], *text))
}
