//! Is the server there, and is it any good: `/healthz` and `/readyz`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::App;
use crate::Problem;

/// The process is up.
#[utoipa::path(get, path = "/healthz", tag = "server", responses((status = 200, description = "the process is up")))]
pub(super) async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}

/// Reads and deploys work: the log answers, every alias is served, and the data folder can be written.
#[utoipa::path(get, path = "/readyz", tag = "server", responses(
    (status = 200, description = "reads and deploys work"),
    (status = 503, description = "they do not (yet); the detail says why", body = Problem),
))]
pub(super) async fn readyz(State(app): State<App>) -> Result<Json<Value>, Problem> {
    app.log().hot.topics().await?;
    if let Some(refused) = app.refused_by_disk().await {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "STORE_FAILED",
            format!("{refused}; reads go on, nothing is written"),
            format!(
                "make room in `{0}`, or make it writable; `rekap serve` starts anew by itself once it can write there",
                app.folder().display()
            ),
        ));
    }
    app.probe_disk().await.map_err(|reason| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "STORE_FAILED",
            format!("the data folder cannot be written: {reason}"),
            "look at the disk: is it full, or mounted read-only?",
        )
    })?;
    if !app.orchestrator().is_serving() {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "RECOVERING",
            "an alias cannot be read yet",
            "wait; GET /v1/jobs and its versions show how far they are",
        ));
    }
    Ok(Json(json!({"status": "ready"})))
}
