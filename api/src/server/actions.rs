//! `/v1/jobs/{job}/actions`: what a job sends about the rows that change, and how that fares.

use axum::Json as Answer;
use axum::extract::{Path, State};
use rekap_jobs::{ActionSpec, ActionTarget, JobSpec};
use serde_json::{Value, json};

use super::App;
use super::extract::NoQuery;
use crate::Problem;
use crate::outgoing::{Secret, Target};

/// The actions of a job, version by version.
#[utoipa::path(get, path = "/v1/jobs/{job}/actions", tag = "jobs", params(("job" = String, Path)),
    responses((status = 200, body = Object, description =
        "`{actions: [{action, version, serving, target, pending, pending_bytes, dropped, failed, problem, delivered, failed_attempts, last_delivery, last_error}]}`; of a webhook no more than the host"),
        (status = 404, description = "no such job", body = Problem)))]
pub(super) async fn actions(
    State(app): State<App>,
    Path(job): Path<String>,
    _query: NoQuery,
) -> Result<Answer<Value>, Problem> {
    let mut actions = vec![];
    for view in app.orchestrator().actions(&job)? {
        let fares = app.actions().of(&job, &view.action);
        let mut shown = json!(view);
        shown["target"] = json!(target(&view.spec));
        if let (Value::Object(shown), Value::Object(fares)) = (&mut shown, json!(fares)) {
            shown.extend(fares);
        }
        actions.push(shown);
    }
    Ok(Answer(json!({"job": job, "actions": actions})))
}

/// Where an action goes, without what may be a token.
fn target(spec: &ActionSpec) -> String {
    match &spec.target {
        ActionTarget::Topic(topic) => format!("topic {topic}"),
        ActionTarget::Webhook(url) => url.parse::<Target>().map_or_else(|wrong| wrong, |target| target.to_string()),
    }
}

/// Refuses actions that could never be sent: to what is no URL, with a secret that is not there, or to a topic that is not there.
pub(super) async fn admit_targets(app: &App, spec: &JobSpec) -> Result<(), Problem> {
    for (i, action) in spec.actions.iter().enumerate() {
        let refused = |field: &str, wrong: String| {
            let remedy = "give it an http(s) URL or a topic that there is, and a variable that the server has";
            Problem::unprocessable("INVALID_ACTION", format!("`actions[{i}].{field}` {wrong}"), remedy)
        };
        match &action.target {
            ActionTarget::Webhook(url) => {
                url.parse::<Target>().map_err(|wrong| refused("webhook", wrong))?;
            }
            ActionTarget::Topic(topic) => {
                app.log()
                    .hot
                    .topic(topic)
                    .await
                    .map_err(|error| refused("topic", format!("cannot be used: {error}")))?;
            }
        }
        if let Some(variable) = &action.secret_env {
            Secret::from_env(variable).map_err(|wrong| refused("secret_env", format!("cannot be used: {wrong}")))?;
        }
    }
    Ok(())
}
