//! What happened: a job's history, the same as a stream of events, and the audit log over all jobs.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use rekap_orchestrator::views::{EventView, EventsPage};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::access::Caller;
use super::extract::Query;
use super::list::page_size;
use crate::Problem;

/// Events read from the catalog at once.
const PAGE: usize = 256;
/// A comment is sent this often while nothing happens, so that proxies keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The paging of events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// At most this many events, 100 when it is not said.
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Which way to read: `oldest` first when it is not said, or `newest` first.
    #[serde(default)]
    #[param(inline)]
    first: First,
}

/// Which end a list begins with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum First {
    #[default]
    Oldest,
    Newest,
}

/// The seq in a cursor.
fn seq(query: &EventsQuery) -> Result<Option<u64>, Problem> {
    let seq = query.cursor.as_ref().map(|cursor| cursor.parse().map_err(|_| cursor)).transpose();
    seq.map_err(|cursor| {
        Problem::unprocessable(
            "INVALID_CURSOR",
            format!("`{cursor}` is no cursor of this list"),
            "pass on `next_cursor`",
        )
    })
}

/// What happened to a job.
#[utoipa::path(get, path = "/v1/jobs/{job}/history", tag = "history", params(("job" = String, Path), EventsQuery),
    responses((status = 200, description = "`{events: [{seq, at, actor, type, ...}], next_cursor?}`", body = Object), (status = 404, description = "no such job", body = Problem)))]
pub(super) async fn history(
    State(app): State<App>,
    Path(job): Path<String>,
    Query(query): Query<EventsQuery>,
) -> Result<Answer<EventsPage>, Problem> {
    let (seq, limit) = (seq(&query)?, page_size(query.limit)?);
    Ok(Answer(match query.first {
        First::Oldest => app.orchestrator().history(&job, seq.unwrap_or(0), limit).await?,
        First::Newest => app.orchestrator().latest(Some(&job), seq, limit).await?,
    }))
}

/// What happened and happens to a job, as server-sent events; `Last-Event-ID` goes on after that event.
#[utoipa::path(get, path = "/v1/jobs/{job}/events", tag = "history",
    params(("job" = String, Path), ("Last-Event-ID" = Option<u64>, Header, description = "go on after that seq")),
    responses((status = 200, description = "one event after another; `id` is its seq, `event` its type", content_type = "text/event-stream", body = String),
        (status = 404, description = "no such job", body = Problem)))]
pub(super) async fn events(
    State(app): State<App>,
    Path(job): Path<String>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let last = headers.get("last-event-id").map(|id| id.to_str().unwrap_or("").trim().parse());
    let last = last.transpose().map_err(|_| {
        Problem::unprocessable(
            "INVALID_LAST_EVENT_ID",
            "Last-Event-ID is no seq",
            "send the `id` of the last event seen",
        )
    })?;
    let last = last.unwrap_or(0);
    if let Err(unknown) = app.orchestrator().job(&job)
        && (last == 0 || app.orchestrator().happened_to(&job, last, 1).await?.events.is_empty())
    {
        return Err(unknown.into());
    }
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(follow(app, caller, job, last)).keep_alive(keep_alive))
}

/// Every event of a job after `seq`, for as long as the job is there (its deletion is the last), the server runs, the catalog can be read,
/// and the caller's token holds.
fn follow(app: App, caller: Caller, job: String, mut seq: u64) -> impl Stream<Item = Result<Event, Infallible>> {
    async_stream::stream! {
        let mut head = app.orchestrator().head();
        loop {
            head.mark_unchanged();
            if !caller.token().is_none_or(|id| app.orchestrator().token_holds(id)) {
                return;
            }
            let deleted = app.orchestrator().job(&job).is_err();
            let Ok(page) = app.orchestrator().happened_to(&job, seq, PAGE).await else { return };
            let more = page.next_cursor.is_some();
            for event in &page.events {
                seq = event.seq;
                yield Ok(sse(event));
            }
            if more {
                continue;
            }
            if deleted {
                return;
            }
            tokio::select! {
                changed = head.changed() => if changed.is_err() { return },
                () = app.stopping() => return,
            }
        }
    }
}

/// One event as it is sent.
fn sse(event: &EventView) -> Event {
    let data = serde_json::to_string(event).expect("an event is plain JSON");
    Event::default().id(event.seq.to_string()).event(&event.kind).data(data)
}

/// Who did what, over all jobs.
#[utoipa::path(get, path = "/v1/audit", tag = "history", params(EventsQuery),
    responses((status = 200, description = "`{events: [...], next_cursor?}`", body = Object)))]
pub(super) async fn audit(
    State(app): State<App>,
    Query(query): Query<EventsQuery>,
) -> Result<Answer<EventsPage>, Problem> {
    let (seq, limit) = (seq(&query)?, page_size(query.limit)?);
    Ok(Answer(match query.first {
        First::Oldest => app.orchestrator().audit(seq.unwrap_or(0), limit).await?,
        First::Newest => app.orchestrator().latest(None, seq, limit).await?,
    }))
}

/// Checks the hash chain of the catalog.
#[utoipa::path(get, path = "/v1/audit/verify", tag = "history",
    responses((status = 200, description = "the chain holds, or where it does not", body = Object)))]
pub(super) async fn audit_verify(State(app): State<App>) -> Result<Answer<impl Serialize>, Problem> {
    Ok(Answer(app.orchestrator().audit_verify().await?))
}
