//! `/metrics`: the state of the product in Prometheus' text format, looked up when it is asked for.
//!
//! Names end in their unit. What is counted here begins at 0 with the process; all else is what the rooms say.

mod actions;
mod http;
mod notifications;
mod schedules;
mod text;
mod topics;
mod versions;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use self::text::Text;
use super::App;
use crate::Problem;

pub(super) use http::{HttpMetrics, count};

/// The state of the product.
#[utoipa::path(get, path = "/metrics", tag = "server",
    responses((status = 200, content_type = "text/plain", body = String, description = "Prometheus' text format")))]
pub(super) async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let mut text = Text::default();
    text.family("build_info", "gauge", "1, with the version of the server.");
    text.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    versions::versions(&app, &mut text);
    versions::jobs(&app, &mut text);
    schedules::schedules(&app, &mut text);
    schedules::drills(&app, &mut text);
    topics::topics(&app, &mut text).await?;
    actions::actions(&app, &mut text);
    notifications::notifications(&app, &mut text).await?;
    text.family("sql_queries_running", "gauge", "Queries that run now.");
    text.sample("sql_queries_running", &[], app.orchestrator().queries_running() as f64);
    text.family("ingest_in_flight_bytes", "gauge", "Bytes of records that are being appended.");
    text.sample("ingest_in_flight_bytes", &[], app.ingest().bytes() as f64);
    app.http().write(&mut text);
    let media = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, media)], text.into_string()).into_response())
}
