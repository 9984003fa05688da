//! How notifications fare.

use super::text::Text;
use crate::Problem;
use crate::notify::NotificationView;
use crate::server::App;

/// What waits, what was sent, what was given up.
pub(super) async fn notifications(app: &App, text: &mut Text) -> Result<(), Problem> {
    let views = app.notifications().views(app.orchestrator()).await?;
    let mut family = |name: &str, kind: &str, help: &str, value: &dyn Fn(&NotificationView) -> u64| {
        text.family(name, kind, help);
        for view in &views {
            text.sample(name, &[("notification", &view.name)], value(view) as f64);
        }
    };
    family("notification_pending", "gauge", "Events that wait to be sent; at most 10,000 are counted.", &|v| v.pending);
    family("notification_failing", "gauge", "1 while the target cannot be reached or refuses.", &|v| {
        u64::from(v.last_error.is_some())
    });
    family("notification_delivered_total", "counter", "Events that were delivered.", &|v| v.delivered);
    family("notification_failed_attempts_total", "counter", "Attempts that failed.", &|v| v.failed_attempts);
    family("notification_dropped_total", "counter", "Events given up after a day.", &|v| v.dropped);
    Ok(())
}
