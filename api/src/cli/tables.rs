//! `rekap rows`, `rekap sql` and `rekap dead-letters`.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::Session;
use super::args::VersionRef;
use super::failure::Failure;
use super::rows::Page;

/// `rekap rows`.
pub(super) async fn rows(s: &Session, table: &str, filters: &[String], limit: usize) -> Result<(), Failure> {
    let mut query = vec![("limit".to_owned(), limit.to_string())];
    for filter in filters {
        let (column, value) = filter
            .split_once('=')
            .ok_or_else(|| Failure::Usage(format!("`{filter}` is no filter: write COLUMN=VALUE")))?;
        query.push((column.to_owned(), value.to_owned()));
    }
    let request = s.client.request(Method::GET, &format!("/v1/tables/{table}/rows")).query(&query);
    answer(s, request).await
}

/// `rekap sql`.
pub(super) async fn sql(s: &Session, query: &str, format: Option<&str>) -> Result<(), Failure> {
    let body = json!({"query": query, "format": format.unwrap_or("json")});
    let request = s.client.request(Method::POST, "/v1/sql").json(&body);
    if format.is_some() {
        let response = s.client.send(request).await?;
        let bytes = response.bytes().await.map_err(|e| s.client.unreachable(&e))?;
        return s.out.bytes(&bytes);
    }
    answer(s, request).await
}

/// `rekap dead-letters`.
pub(super) async fn dead_letters(s: &Session, version: &VersionRef, limit: usize) -> Result<(), Failure> {
    let path = format!("/v1/jobs/{}/versions/{}/dead-letters?limit={limit}", version.job, version.version);
    answer(s, s.client.request(Method::GET, &path)).await
}

/// Shows a page of rows; with `--json` the very bytes of the server.
async fn answer(s: &Session, request: RequestBuilder) -> Result<(), Failure> {
    let text = s.client.text(request).await?;
    if s.out.is_json() { s.out.line(text) } else { Page::read(&text)?.show(&s.out, "") }
}
