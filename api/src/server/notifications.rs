//! `/v1/notifications`: what is told to whom, and how that fares.

use axum::Json as Answer;
use axum::extract::State;
use serde_json::{Value, json};

use super::App;
use super::extract::NoQuery;
use crate::Problem;

/// Every notification: where it stands, what waits, and why it cannot be sent.
#[utoipa::path(get, path = "/v1/notifications", tag = "server", responses((status = 200, body = Object, description =
    "`{notifications: [{name, url, events, signed, cursor, pending, delivered, dropped, failed_attempts, last_delivery, last_dropped, last_error}]}`; of `url` no more than the host")))]
pub(super) async fn list_notifications(State(app): State<App>, _query: NoQuery) -> Result<Answer<Value>, Problem> {
    let notifications = app.notifications().views(app.orchestrator()).await?;
    Ok(Answer(json!({"notifications": notifications})))
}
