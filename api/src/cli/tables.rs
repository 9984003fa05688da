//! `rekap rows`, `rekap sql` and `rekap dead-letters`.

use reqwest::{Method, RequestBuilder};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::Session;
use super::args::VersionRef;
use super::failure::Failure;
use super::rows::Page;

/// The most rows that the server gives at once.
const PAGE: usize = 10_000;

/// A page whose rows stay the bytes that they came as.
#[derive(Deserialize, Serialize)]
struct RawPage {
    rows: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// `rekap rows`: as many pages as it takes, of one version.
pub(super) async fn rows(s: &Session, table: &str, filters: &[String], limit: usize) -> Result<(), Failure> {
    let mut query = vec![];
    for filter in filters {
        let (column, value) = filter
            .split_once('=')
            .ok_or_else(|| Failure::Usage(format!("`{filter}` is no filter: write COLUMN=VALUE")))?;
        query.push((column.to_owned(), value.to_owned()));
    }
    let (mut all, mut left) = (Vec::new(), limit);
    loop {
        let page = [("limit".to_owned(), left.min(PAGE).to_string())];
        let request = s.client.request(Method::GET, &format!("/v1/tables/{table}/rows")).query(&query).query(&page);
        let text = s.client.text(request).await?;
        left -= left.min(PAGE);
        let read: RawPage =
            serde_json::from_str(&text).map_err(|e| Failure::Failed(format!("the server answered no rows: {e}")))?;
        match read.next_cursor {
            Some(cursor) if left > 0 => {
                all.extend(read.rows);
                query.retain(|(name, _)| name != "cursor");
                query.push(("cursor".to_owned(), cursor));
            }
            _ if all.is_empty() => return print(s, text),
            next_cursor => {
                all.extend(read.rows);
                let text = serde_json::to_string(&RawPage { rows: all, next_cursor });
                return print(s, text.map_err(|e| Failure::Failed(e.to_string()))?);
            }
        }
    }
}

/// `rekap sql`; `-` is the query on standard input.
pub(super) async fn sql(s: &Session, query: &str, format: Option<&str>) -> Result<(), Failure> {
    let read = (query == "-").then(|| std::io::read_to_string(std::io::stdin())).transpose();
    let read = read.map_err(|e| Failure::Usage(format!("the query on standard input cannot be read: {e}")))?;
    let query = read.as_deref().unwrap_or(query);
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
    print(s, text)
}

fn print(s: &Session, text: String) -> Result<(), Failure> {
    if s.out.is_json() { s.out.line(text) } else { Page::read(&text)?.show(&s.out, "") }
}
