//! How the actions of jobs fare.

use rekap_orchestrator::ActionView;

use super::text::Text;
use crate::actions::Fares;
use crate::server::App;

/// What waits, what was sent, what was given up.
pub(super) fn actions(app: &App, text: &mut Text) {
    let mut all: Vec<(String, ActionView, Fares)> = vec![];
    for job in app.orchestrator().jobs() {
        // A job may be deleted between the two looks.
        let views = app.orchestrator().actions(&job.job).unwrap_or_default();
        all.extend(views.into_iter().map(|view| {
            let fares = app.actions().of(&job.job, &view.action);
            (job.job.clone(), view, fares)
        }));
    }
    let mut by_version = |name: &str, kind: &str, help: &str, value: &dyn Fn(&ActionView) -> u64| {
        text.family(name, kind, help);
        for (job, view, _) in &all {
            let version = view.version.to_string();
            text.sample(name, &[("job", job), ("version", &version), ("action", &view.action)], value(view) as f64);
        }
    };
    by_version("action_pending", "gauge", "Messages of an action in the table of a version.", &|view| view.pending);
    by_version("action_unasked_total", "counter", "Commits over which an action could not be asked.", &|v| v.failed);
    by_version("action_dropped_total", "counter", "Messages of a version that were given up.", &|view| view.dropped);
    let mut by_action = |name: &str, kind: &str, help: &str, value: &dyn Fn(&Fares) -> u64| {
        text.family(name, kind, help);
        for (job, view, fares) in all.iter().filter(|(_, view, _)| view.serving) {
            text.sample(name, &[("job", job), ("action", &view.action)], value(fares) as f64);
        }
    };
    by_action("action_failing", "gauge", "1 while the target cannot be reached or refuses.", &|fares| {
        u64::from(fares.last_error.is_some())
    });
    by_action("action_delivered_total", "counter", "Messages that were sent.", &|fares| fares.delivered);
    by_action("action_failed_attempts_total", "counter", "Attempts that failed.", &|fares| fares.failed_attempts);
}
