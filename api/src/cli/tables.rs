//! `rekap rows`, `rekap sql` and `rekap dead-letters`.

use reqwest::Method;
use serde_json::{Value, json};

use super::Session;
use super::args::VersionRef;
use super::failure::Failure;
use super::out::{Out, cell};

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
    let page = s.client.json(request).await?;
    s.out.answer(&page, |out, page| {
        show_rows(out, &page["rows"], "")?;
        if page["next_cursor"].is_null() { Ok(()) } else { out.line("… there are more; ask for them with --limit") }
    })
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
    let answer = s.client.json(request).await?;
    s.out.answer(&answer, |out, answer| show_rows(out, &answer["rows"], ""))
}

/// `rekap dead-letters`.
pub(super) async fn dead_letters(s: &Session, version: &VersionRef, limit: usize) -> Result<(), Failure> {
    let path = format!("/v1/jobs/{}/versions/{}/dead-letters?limit={limit}", version.job, version.version);
    let page = s.client.get(&path).await?;
    s.out.answer(&page, |out, page| show_rows(out, &page["dead_letters"], ""))
}

/// JSON objects as a table; the first one names the columns.
pub(crate) fn show_rows(out: &Out, rows: &Value, indent: &str) -> Result<(), Failure> {
    let rows = rows.as_array().map_or(&[][..], Vec::as_slice);
    let Some(columns) = rows.first().and_then(Value::as_object) else { return out.line(format!("{indent}no rows")) };
    let head: Vec<&str> = columns.keys().map(String::as_str).collect();
    let cells: Vec<_> = rows.iter().map(|row| head.iter().map(|name| cell(&row[*name])).collect()).collect();
    out.table(&head, &cells, indent)
}
