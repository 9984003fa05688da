//! Requests by method, route and status.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use rekap_jobs::Histogram;
use tokio::time::Instant;

use super::text::Text;
use crate::server::App;

/// The buckets of the durations of requests, in seconds: from a point read to a long replay's page.
const SECONDS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Requests by method, route and status. The routes are those of the router, so their number is bounded.
#[derive(Debug, Default)]
pub(in crate::server) struct HttpMetrics(Mutex<BTreeMap<(String, String, u16), Histogram>>);

impl HttpMetrics {
    /// Counts one request.
    fn add(&self, method: &str, route: &str, status: u16, took: Duration) {
        let mut all = self.0.lock().expect("no holder of this lock panics");
        let requests = all.entry((method.to_owned(), route.to_owned(), status));
        requests.or_insert_with(|| Histogram::new(&SECONDS)).add(took.as_secs_f64());
    }

    pub(super) fn write(&self, text: &mut Text) {
        let all = self.0.lock().expect("no holder of this lock panics");
        text.family("http_request_duration_seconds", "histogram", "Requests by method, route and status.");
        for ((method, route, status), requests) in all.iter() {
            let status = status.to_string();
            let labels = [("method", method.as_str()), ("route", route), ("status", &status)];
            text.histogram("http_request_duration_seconds", &labels, requests);
        }
    }
}

/// The methods that are told apart; a client can make up any other.
const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS];

/// Counts every request of a route.
pub(in crate::server) async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = METHODS.into_iter().find(|known| request.method() == known);
    let route = request.extensions().get::<MatchedPath>().map_or("none".to_owned(), |path| path.as_str().to_owned());
    let response = next.run(request).await;
    let method = method.as_ref().map_or("other", Method::as_str);
    app.http().add(method, &route, response.status().as_u16(), began.elapsed());
    response
}
