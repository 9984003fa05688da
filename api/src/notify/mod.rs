//! Notifications: events of the catalog, sent to webhooks.
//!
//! ```text
//! catalog   e1  e2  e3  e4  e5 …          the source; there is no queue beside it
//!                   ▲ cursor of `ops`     e3 was answered with 2xx, or dropped; e4 is next
//! ```
//!
//! Each notification has one durable cursor: where it stands in the catalog. An event is sent until it is answered with 2xx, then the
//! cursor moves, so each arrives at least once and in order, with the event's place as its id; if the process dies in between, the
//! event is sent again. One whose target fails for [a day](crate::outgoing::GIVE_UP_AFTER) is dropped, and counted where the cursor is.

mod cursor;
mod deliver;
mod pattern;
mod spec;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};

use rekap_orchestrator::views::EventView;
use rekap_orchestrator::{Orchestrator, Rejection};
use rekap_tiered_storage::{Clock, Timestamp};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::config::NotifyConfig;
use crate::outgoing::Outgoing;

use cursor::Cursor;
use deliver::Courier;
pub(crate) use spec::Notification;

/// So many events after a cursor are looked at when it is asked how many wait; past it the answer says "at least".
const PENDING_LOOKED_AT: usize = 10_000;

/// The last failed attempt, until one succeeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LastError {
    /// When it failed.
    pub(crate) at: Timestamp,
    /// The event that was to be sent.
    pub(crate) seq: u64,
    /// What went wrong.
    pub(crate) detail: String,
    /// How many attempts failed in a row.
    pub(crate) attempts: u32,
    /// When the next one is made.
    pub(crate) next_attempt_at: Timestamp,
}

/// What is known of one notification since the process started, beside its cursor.
#[derive(Debug, Clone, Default)]
struct Known {
    cursor: Cursor,
    failed_attempts: u64,
    last_error: Option<LastError>,
}

/// Every notification and how it fares.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notifications {
    all: Arc<Vec<Notification>>,
    known: Arc<Mutex<BTreeMap<String, Known>>>,
}

/// One notification as it is shown.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct NotificationView {
    /// Its name.
    pub(crate) name: String,
    /// Where it goes: scheme, host and port.
    pub(crate) url: String,
    /// The events that it sends.
    pub(crate) events: Vec<String>,
    /// Whether its calls are signed.
    pub(crate) signed: bool,
    /// The last event that was sent, dropped, or is none of its own.
    pub(crate) cursor: u64,
    /// How many events wait; at most 10,000 are counted.
    pub(crate) pending: u64,
    /// How many were delivered, ever.
    pub(crate) delivered: u64,
    /// How many were dropped, ever, because the target failed for too long.
    pub(crate) dropped: u64,
    /// How many attempts failed since the server started.
    pub(crate) failed_attempts: u64,
    /// When an event was last delivered.
    pub(crate) last_delivery: Option<Timestamp>,
    /// The last event that was dropped.
    pub(crate) last_dropped: Option<u64>,
    /// The failure that stands in the way now.
    pub(crate) last_error: Option<LastError>,
}

impl Notifications {
    /// Reads what is configured; a wrong entry is refused with its name.
    pub(crate) fn of(configured: &[NotifyConfig]) -> Result<Notifications, String> {
        let all = configured.iter().map(Notification::of).collect::<Result<Vec<_>, _>>()?;
        let mut names = std::collections::BTreeSet::new();
        if let Some(twice) = all.iter().find(|notification| !names.insert(&notification.name)) {
            return Err(format!("[[notify]] `{}`: there is another one of that name", twice.name));
        }
        Ok(Notifications { all: Arc::new(all), known: Arc::default() })
    }

    /// Opens every cursor and starts to send. A notification that is new begins with what happens from now on.
    pub(crate) fn start(
        &self,
        folder: &Path,
        orchestrator: &Arc<Orchestrator>,
        outgoing: &Outgoing,
        clock: &Arc<dyn Clock>,
        stop: &CancellationToken,
    ) -> std::io::Result<()> {
        for notification in self.all.iter() {
            let file = folder.join("notifications").join(format!("{}.json", notification.name));
            let cursor = Cursor::open(&file, *orchestrator.head().borrow())?;
            self.known(&notification.name, |known| known.cursor = cursor.clone());
            let courier = Courier {
                notification: notification.clone(),
                file,
                cursor,
                orchestrator: Arc::downgrade(orchestrator),
                outgoing: outgoing.clone(),
                clock: clock.clone(),
                stop: stop.clone(),
                board: self.clone(),
            };
            tokio::spawn(courier.run(orchestrator.head()));
        }
        Ok(())
    }

    /// Every notification as it is now.
    pub(crate) async fn views(&self, orchestrator: &Orchestrator) -> Result<Vec<NotificationView>, Rejection> {
        let mut views = vec![];
        for notification in self.all.iter() {
            let known = self.known(&notification.name, |known| known.clone());
            let Cursor { seq, delivered, dropped, last_delivery, last_dropped } = known.cursor;
            views.push(NotificationView {
                name: notification.name.clone(),
                url: notification.target.to_string(),
                events: notification.events.iter().map(ToString::to_string).collect(),
                signed: notification.secret.is_some(),
                cursor: seq,
                pending: pending(notification, orchestrator, seq).await?,
                delivered,
                dropped,
                failed_attempts: known.failed_attempts,
                last_delivery,
                last_dropped,
                last_error: known.last_error,
            });
        }
        Ok(views)
    }

    fn known<A>(&self, name: &str, with: impl FnOnce(&mut Known) -> A) -> A {
        with(self.known.lock().expect("no holder of this lock panics").entry(name.to_owned()).or_default())
    }
}

/// How many events of this notification stand after its cursor.
async fn pending(notification: &Notification, orchestrator: &Orchestrator, after: u64) -> Result<u64, Rejection> {
    if after >= *orchestrator.head().borrow() {
        return Ok(0);
    }
    let page = orchestrator.audit(after, PENDING_LOOKED_AT).await?;
    Ok(page.events.iter().filter(|event| notification.wants(event)).count() as u64)
}

/// The events after `after`, and whether there may be more; `None` once the server has gone.
async fn page(
    orchestrator: &Weak<Orchestrator>,
    after: u64,
    limit: usize,
) -> Option<Result<(Vec<EventView>, bool), Rejection>> {
    let orchestrator = orchestrator.upgrade()?;
    let page = orchestrator.audit(after, limit).await;
    Some(page.map(|page| (page.events, page.next_cursor.is_some())))
}
