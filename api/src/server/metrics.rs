//! `/metrics`: the state of the product in Prometheus' text format, looked up when it is asked for.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rekap_orchestrator::views::VersionView;
use tokio::time::Instant;

use super::App;
use crate::Problem;

/// The buckets of the durations of requests, in seconds: from a point read to a long replay's page.
const BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Requests by method, route and status. The routes are those of the router, so their number is bounded.
#[derive(Debug, Default)]
pub(super) struct HttpMetrics(Mutex<BTreeMap<(String, String, u16), Requests>>);

/// Requests of one kind.
#[derive(Debug, Default)]
struct Requests {
    count: u64,
    seconds: f64,
    below: [u64; BUCKETS.len()],
}

impl HttpMetrics {
    /// Counts one request.
    fn add(&self, method: &str, route: &str, status: u16, took: Duration) {
        let mut all = self.0.lock().expect("no holder of this lock panics");
        let requests = all.entry((method.to_owned(), route.to_owned(), status)).or_default();
        let seconds = took.as_secs_f64();
        requests.count += 1;
        requests.seconds += seconds;
        for (below, bound) in requests.below.iter_mut().zip(BUCKETS) {
            *below += u64::from(seconds <= bound);
        }
    }

    fn write(&self, text: &mut Text) {
        let all = self.0.lock().expect("no holder of this lock panics");
        text.family("http_request_duration_seconds", "histogram", "Requests by method, route and status.");
        for ((method, route, status), requests) in all.iter() {
            let status = status.to_string();
            let labels = [("method", method.as_str()), ("route", route), ("status", &status)];
            for (bound, below) in BUCKETS.iter().zip(requests.below) {
                let bound = bound.to_string();
                let labels = [labels[0], labels[1], labels[2], ("le", &bound)];
                text.sample("http_request_duration_seconds_bucket", &labels, below as f64);
            }
            let all = [labels[0], labels[1], labels[2], ("le", "+Inf")];
            text.sample("http_request_duration_seconds_bucket", &all, requests.count as f64);
            text.sample("http_request_duration_seconds_sum", &labels, requests.seconds);
            text.sample("http_request_duration_seconds_count", &labels, requests.count as f64);
        }
    }
}

/// Counts every request of a route.
pub(super) async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().as_str().to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or("none".to_owned(), |path| path.as_str().to_owned());
    let response = next.run(request).await;
    app.http().add(&method, &route, response.status().as_u16(), began.elapsed());
    response
}

/// Text in the making.
#[derive(Default)]
struct Text(String);

impl Text {
    /// Begins a metric.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP rekap_{name} {help}\n# TYPE rekap_{name} {kind}");
    }

    /// One value of the metric that was begun last.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let escape = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
        let _ = writeln!(self.0, "rekap_{name}{{{}}} {value}", labels.join(","));
    }
}

/// The state of the product.
#[utoipa::path(get, path = "/metrics", tag = "server",
    responses((status = 200, content_type = "text/plain", body = String, description = "Prometheus' text format")))]
pub(super) async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let mut text = Text::default();
    versions(&app, &mut text)?;
    topics(&app, &mut text).await?;
    app.http().write(&mut text);
    let media = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, media)], text.0).into_response())
}

/// What there is of every live version.
fn versions(app: &App, text: &mut Text) -> Result<(), Problem> {
    let mut views = Vec::new();
    for job in app.orchestrator().jobs() {
        for n in &job.versions {
            views.push(app.orchestrator().version(&job.job, *n)?);
        }
    }
    let mut gauge = |name: &str, help: &str, value: &dyn Fn(&VersionView) -> Option<f64>| {
        text.family(name, "gauge", help);
        for view in &views {
            if let Some(value) = value(view) {
                text.sample(name, &[("job", &view.job), ("version", &view.version.to_string())], value);
            }
        }
    };
    gauge("lag_seconds", "How long the oldest record not passed has been there.", &|v| {
        v.lag_ms.map(|ms| ms as f64 / 1e3)
    });
    gauge("rows", "Rows of the table.", &|v| Some(v.rows as f64));
    gauge("table_bytes", "Bytes that the table takes.", &|v| Some(v.bytes as f64));
    gauge("dead_letters", "Records that could not be used.", &|v| Some(v.dead_letters as f64));
    gauge("records_done", "Records read.", &|v| Some(v.progress.records_done as f64));
    gauge("records_total", "Records that there are to read.", &|v| Some(v.progress.records_total as f64));
    gauge("records_per_second", "Records read a second, lately.", &|v| Some(v.progress.rate_per_s));
    text.family("version_phase", "gauge", "1 for the phase that a version is in.");
    for view in &views {
        let (version, phase) = (view.version.to_string(), view.phase.to_string());
        text.sample("version_phase", &[("job", &view.job), ("version", &version), ("phase", &phase)], 1.0);
    }
    text.family("position", "gauge", "The next offset that a version reads.");
    for view in &views {
        let version = view.version.to_string();
        for (topic, partition, next) in view.positions.iter() {
            let labels = [
                ("job", view.job.as_str()),
                ("version", &version),
                ("topic", topic.as_str()),
                ("partition", &partition.to_string()),
            ];
            text.sample("position", &labels, next.get() as f64);
        }
    }
    Ok(())
}

/// What both tiers hold of every partition.
async fn topics(app: &App, text: &mut Text) -> Result<(), Problem> {
    let mut all = Vec::new();
    for topic in app.log().hot.topics().await? {
        let headroom = app.mirror().headroom(&topic).await;
        for (partition, extent) in app.log().extent(&topic).await? {
            let headroom = headroom.get(&partition).map(Duration::as_secs_f64);
            all.push((topic.name.to_string(), partition.to_string(), extent, headroom));
        }
    }
    let mut gauge =
        |name: &str, help: &str, value: &dyn Fn(&rekap_tiered_storage::Extent, Option<f64>) -> Option<f64>| {
            text.family(name, "gauge", help);
            for (topic, partition, extent, headroom) in &all {
                if let Some(value) = value(extent, *headroom) {
                    text.sample(name, &[("topic", topic), ("partition", partition)], value);
                }
            }
        };
    gauge("log_end_offset", "The next offset to be written.", &|e, _| Some(e.hot.end.get() as f64));
    gauge("hot_records", "Offsets that the hot tier holds.", &|e, _| Some(e.hot.end.since(e.hot.earliest) as f64));
    gauge("cold_records", "Offsets that the cold tier covers.", &|e, _| e.mirrored.map(|range| range.len() as f64));
    gauge("gap_records", "Offsets lost before they were mirrored.", &|e, _| {
        Some(e.gaps.iter().map(|gap| gap.len()).sum::<u64>() as f64)
    });
    gauge("mirror_headroom_seconds", "Time until retention reaches what is not mirrored.", &|_, headroom| headroom);
    Ok(())
}
