//! `/v1/tables/{alias}`: reading what a job serves, in pages that each are one snapshot.
//!
//! A scan stays on one version: its cursor names the version, and a page of another one is refused with `ALIAS_MOVED`.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow::datatypes::DataType;
use axum::Json as Answer;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rekap_orchestrator::Rejection;
use rekap_tables::json::JsonRows;
use rekap_tables::{Cursor, RowsQuery, Table, TableId, TableSchema, TableSnapshot};
use rekap_tiered_storage::Positions;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::App;
use super::extract::{NoQuery, Query};
use super::list::page_size;
use crate::Problem;

/// The version that answered.
const REKAP_VERSION: HeaderName = HeaderName::from_static("rekap-version");
/// Where it stood.
const REKAP_POSITIONS: HeaderName = HeaderName::from_static("rekap-positions");
/// Instead of it, where it would be too long: where else to look.
const REKAP_POSITIONS_IN: HeaderName = HeaderName::from_static("rekap-positions-in");
/// The longest `Rekap-Positions`. Clients read headers of 64 KiB at most (Python's), proxies of 8 KiB or so in all; this is some six hundred
/// partitions, and those of more find the positions in the body.
const MAX_POSITIONS_BYTES: usize = 8 << 10;
/// How long a read waits for `min_positions`. Shorter than the time-outs of common clients and proxies.
const MAX_WAIT: Duration = Duration::from_secs(20);
/// How long one wait lasts before the alias is looked up again, since it may have moved to a version that is further.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Pages up to this size are read where the request is; larger ones would keep other requests of the thread waiting.
const READ_INLINE_ROWS: usize = 100;

/// `alias`, or `alias@n`.
struct Name {
    alias: String,
    version: Option<u32>,
}

impl Name {
    fn parse(text: &str) -> Result<Self, Problem> {
        match text.split_once('@') {
            None => Ok(Name { alias: text.to_owned(), version: None }),
            Some((alias, version)) => {
                let version = version.parse().map_err(|_| {
                    Problem::not_found(
                        "UNKNOWN_VERSION",
                        format!("`{text}` names no version"),
                        "write alias@n, as in bpi@2, or the alias alone",
                    )
                })?;
                Ok(Name { alias: alias.to_owned(), version: Some(version) })
            }
        }
    }

    /// The table that stands behind the name now.
    fn table(&self, app: &App) -> Result<(u32, Table), Rejection> {
        match self.version {
            None => app.orchestrator().serving(&self.alias),
            Some(version) => Ok((version, app.orchestrator().version_table(&self.alias, version)?)),
        }
    }
}

/// What a table is: its columns, key, and where it stands.
#[utoipa::path(get, path = "/v1/tables/{alias}", tag = "tables", params(("alias" = String, Path)),
    responses((status = 200, description = "`{table, version, key, columns: [{name, type, key}], rows, bytes, positions}`", body = Object),
        (status = 404, description = "no such alias or version", body = Problem)))]
pub(super) async fn get_table(
    State(app): State<App>,
    Path(name): Path<String>,
    _query: NoQuery,
) -> Result<Response, Problem> {
    let name = Name::parse(&name)?;
    let (version, table) = name.table(&app)?;
    let (schema, status) = (table.schema(), table.status());
    let column = |(i, field): (usize, &std::sync::Arc<arrow::datatypes::Field>)| json!({"name": field.name(), "type": sql_type(field.data_type()), "key": schema.key().contains(&i)});
    let key: Vec<Value> = schema.key_schema().fields().iter().map(|field| field.name().as_str().into()).collect();
    let body = json!({
        "table": name.alias, "version": version, "key": key,
        "columns": schema.columns().fields().iter().enumerate().map(column).collect::<Vec<_>>(),
        "rows": status.rows, "bytes": table.bytes(), "positions": status.positions,
    });
    Ok((told(version, &status.positions), Answer(body)).into_response())
}

/// A column's type by the name that job files and docs use.
fn sql_type(ty: &DataType) -> String {
    match ty {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Float32 | DataType::Float64 => "double".to_owned(),
        integer if integer.is_integer() => "bigint".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary".to_owned(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("decimal({precision}, {scale})")
        }
        DataType::Struct(_) => "struct".to_owned(),
        DataType::List(item) | DataType::LargeList(item) => format!("list({})", sql_type(item.data_type())),
        other => other.to_string(),
    }
}

/// What is asked of a table's rows.
#[derive(Default)]
struct Asked {
    limit: Option<usize>,
    cursor: Option<String>,
    min_positions: Option<Positions>,
    filters: Vec<(String, String)>,
}

impl Asked {
    /// `limit`, `cursor` and `min_positions`; all else is a filter on a key column.
    fn parse(pairs: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut asked = Asked::default();
        for (name, value) in pairs {
            match name.as_str() {
                "limit" => asked.limit = Some(value.parse().map_err(|_| bad_limit(&value))?),
                "cursor" => asked.cursor = Some(value),
                "min_positions" => asked.min_positions = Some(value.parse()?),
                _ if asked.filters.iter().any(|(filter, _)| *filter == name) => {
                    return Err(Problem::unprocessable(
                        "UNUSABLE_FILTER",
                        format!("`{name}` is given twice"),
                        "filter by each key column once, or ask POST /v1/sql",
                    ));
                }
                _ => asked.filters.push((name, value)),
            }
        }
        Ok(asked)
    }

    /// What it asks of that table.
    fn query(&self, alias: &str, table: &TableId, schema: &TableSchema) -> Result<RowsQuery, Problem> {
        let after = self.cursor.as_deref().map(|cursor| go_on(cursor, alias, table)).transpose()?;
        let prefix = if self.filters.is_empty() { None } else { Some(schema.prefix(&self.filters)?) };
        Ok(RowsQuery { prefix, after, limit: page_size(self.limit)? })
    }
}

/// 400: a limit that is no number.
fn bad_limit(value: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "BAD_QUERY", format!("limit={value} is no count"), "write a whole number")
}

/// Rows in key order, a page at a time. Further parameters filter by key columns, from the left.
#[utoipa::path(get, path = "/v1/tables/{alias}/rows", tag = "tables",
    params(("alias" = String, Path), ("limit" = Option<usize>, Query, minimum = 1, maximum = 10_000, description = "at most this many rows, 100 when it is not said"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("min_positions" = Option<String>, Query, description = "wait until the table is there: `ticks/0=120,ticks/1=98`")),
    responses((status = 200, description = "`{rows: [...], next_cursor?, positions?}`; `positions` where they are too long for the header `Rekap-Positions`", body = Object),
        (status = 404, description = "no such alias or version", body = Problem),
        (status = 409, description = "`ALIAS_MOVED`: the scan's version no longer serves", body = Problem),
        (status = 422, description = "a filter that is not on key columns from the left", body = Problem),
        (status = 503, description = "the table did not come to `min_positions` in time", body = Problem)))]
pub(super) async fn rows(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let name = Name::parse(&name)?;
    let asked = Asked::parse(pairs)?;
    let (version, table) = name.table(&app)?;
    if name.version.is_none() {
        let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        app.orchestrator().saw_reader(&name.alias, agent.unwrap_or("unknown"));
    }
    let mut query = asked.query(&name.alias, table.id(), table.schema())?;
    let (version, snapshot) = match &asked.min_positions {
        None => (version, table.snapshot()),
        Some(target) => {
            reachable(&app, &table, target).await?;
            let (version, snapshot) = reach(&app, &name, target).await?;
            // It may be of another table than the one that was looked at first.
            query = asked.query(&name.alias, snapshot.id(), snapshot.schema())?;
            (version, snapshot)
        }
    };
    let inline = query.limit <= READ_INLINE_ROWS;
    let read = move || page(&snapshot, (&name.alias, version), &query);
    if inline { read() } else { super::blocking(read).await }
}

/// Where a scan goes on, if it is still on the version that it began on.
fn go_on(cursor: &str, alias: &str, table: &TableId) -> Result<Cursor, Problem> {
    // It is told which table it is of: the place in one table means nothing in another.
    let of_this = cursor.split_once('.').filter(|(of, _)| *of == alias).map(|(_, rest)| rest);
    let cursor = of_this.ok_or_else(|| rekap_tables::InvalidCursor(cursor.to_owned()))?;
    let parts = cursor.split_once('.').and_then(|(n, rest)| Some((n, rest.split_once('.')?)));
    let (began, attempt, place) = match parts {
        Some((n, (attempt, place))) => (n.parse::<u32>().ok(), attempt.parse::<u32>().ok(), place.parse()?),
        None => (None, None, cursor.parse()?),
    };
    match (began, attempt) {
        (Some(began), Some(attempt)) if (began, attempt) == (table.version, table.attempt) => Ok(place),
        (Some(began), Some(_)) => Err(Problem::new(
            StatusCode::CONFLICT,
            "ALIAS_MOVED",
            format!("the scan began on version {began}, and version {} answers now", table.version),
            "begin the scan again without a cursor, or scan alias@n",
        )),
        _ => Err(rekap_tables::InvalidCursor(cursor.to_owned()).into()),
    }
}

/// 422 for positions that the table can never come to: of a partition that it does not read. Those past the log's end may come.
async fn reachable(app: &App, table: &Table, target: &Positions) -> Result<(), Problem> {
    let at = table.status().positions.clone();
    for (topic, partition, ..) in at.missing(target) {
        let ranges =
            if at.topics().any(|read| read == topic) { app.log().hot.ranges(topic).await? } else { BTreeMap::new() };
        if !ranges.contains_key(&partition) {
            return Err(Problem::unprocessable(
                "INVALID_POSITIONS",
                format!("the table does not read {topic}/{partition}"),
                "pass on what the append or `Rekap-Positions` said",
            ));
        }
    }
    Ok(())
}

/// A snapshot of whatever stands behind the name, once it is at `target`.
async fn reach(app: &App, name: &Name, target: &Positions) -> Result<(u32, TableSnapshot), Problem> {
    let deadline = Instant::now() + MAX_WAIT;
    loop {
        let (version, table) = name.table(app)?;
        let mut changed = table.changed();
        let snapshot = table.snapshot();
        if snapshot.positions().reached(target) {
            return Ok((version, snapshot));
        }
        if Instant::now() >= deadline {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "POSITIONS_NOT_REACHED",
                format!("version {version} of `{}` is at {}, not at {target}", name.alias, snapshot.positions()),
                "ask again; GET the version to see whether it makes progress",
            ));
        }
        let there = changed.wait_for(|status| status.positions.reached(target));
        // Neither outcome decides anything: the next round looks again.
        let _ = timeout_at(deadline.min(Instant::now() + LOOK_AGAIN), there).await;
    }
}

/// One page, as the answer that it is sent as.
fn page(snapshot: &TableSnapshot, (alias, version): (&str, u32), query: &RowsQuery) -> Result<Response, Problem> {
    let page = snapshot.rows(query)?;
    let told = told(version, snapshot.positions());
    let mut body = Vec::with_capacity(64 + page.rows.num_rows() * 64);
    body.extend_from_slice(b"{\"rows\":[");
    JsonRows::new(&page.rows)?.write_all(&mut body);
    body.push(b']');
    if let Some(next) = page.next {
        // The letters of an alias, digits, dots and base64url: nothing that JSON escapes.
        let cursor = format!("{alias}.{version}.{}.{next}", snapshot.id().attempt);
        body.extend_from_slice(format!(",\"next_cursor\":\"{cursor}\"").as_bytes());
    }
    if told[1].0 == REKAP_POSITIONS_IN {
        body.extend_from_slice(format!(",\"positions\":{}", json!(snapshot.positions())).as_bytes());
    }
    body.push(b'}');
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok((told, json, Body::from(body)).into_response())
}

/// The headers that say who answered, and where it stood: there, or in the body where a header has no room for it.
fn told(version: u32, positions: &Positions) -> [(HeaderName, HeaderValue); 2] {
    let text = positions.to_string();
    let positions = if text.len() > MAX_POSITIONS_BYTES {
        (REKAP_POSITIONS_IN, HeaderValue::from_static("body"))
    } else {
        let text = HeaderValue::try_from(text).expect("topic names and digits are a header's value");
        (REKAP_POSITIONS, text)
    };
    [(REKAP_VERSION, HeaderValue::from(version)), positions]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_of(partitions: u32) -> (HeaderName, usize) {
        let text: Vec<String> = (0..partitions).map(|partition| format!("ticks/{partition}=1234567")).collect();
        let [_, (name, value)] = told(3, &text.join(",").parse().unwrap());
        (name, value.len())
    }

    #[test]
    fn positions_are_told_in_a_header_while_it_is_short_and_in_the_body_past_that() {
        let bound = (1..1000).rev().find(|partitions| told_of(*partitions).0 == REKAP_POSITIONS).unwrap();
        assert!(told_of(bound).1 > MAX_POSITIONS_BYTES - 20 && told_of(bound).1 <= MAX_POSITIONS_BYTES);
        assert_eq!(told_of(bound + 1), (REKAP_POSITIONS_IN, "body".len()));
        assert_eq!(told_of(10_000), (REKAP_POSITIONS_IN, "body".len()));
    }
}
