//! The loop of one notification: the next event that it wants, sent until it is answered, then the cursor.
//!
//! If the process dies before the cursor is on disk the event is sent again, under the same id.

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use rekap_orchestrator::Orchestrator;
use rekap_orchestrator::views::EventView;
use rekap_tiered_storage::Clock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::cursor::Cursor;
use super::{LastError, Notification, Notifications, page};
use crate::outgoing::{GIVE_UP_AFTER, Message, NotSent, Outgoing, pause};

/// Events read from the catalog at once. A cursor that only passed over foreign events is written once a page.
const PAGE: usize = 256;

/// Sends one notification.
pub(super) struct Courier {
    pub(super) notification: Notification,
    pub(super) file: PathBuf,
    pub(super) cursor: Cursor,
    pub(super) orchestrator: Weak<Orchestrator>,
    pub(super) outgoing: Outgoing,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stop: CancellationToken,
    pub(super) board: Notifications,
}

impl Courier {
    /// Sends for as long as the server runs.
    pub(super) async fn run(mut self, mut head: watch::Receiver<u64>) {
        let stop = self.stop.clone();
        loop {
            head.mark_unchanged();
            let more = match page(&self.orchestrator, self.cursor.seq, PAGE).await {
                None => return,
                Some(Ok((events, more))) => {
                    if stop.run_until_cancelled(self.send_all(&events)).await.is_none() {
                        return;
                    }
                    more
                }
                Some(Err(error)) => {
                    tracing::error!(notification = self.notification.name, %error, "the events cannot be read");
                    false
                }
            };
            if !more && !matches!(stop.run_until_cancelled(head.changed()).await, Some(Ok(()))) {
                return;
            }
        }
    }

    async fn send_all(&mut self, events: &[EventView]) {
        let before = self.cursor.clone();
        for event in events {
            if self.notification.wants(event) {
                let delivered = self.send(event).await;
                let now = self.clock.now();
                self.cursor.seq = event.seq;
                if delivered {
                    self.cursor.delivered += 1;
                    self.cursor.last_delivery = Some(now);
                } else {
                    self.cursor.dropped += 1;
                    self.cursor.last_dropped = Some(event.seq);
                }
                self.keep().await;
            }
            self.cursor.seq = event.seq;
        }
        let passed_over = events.len() == PAGE && self.cursor.delivered == before.delivered;
        if passed_over {
            self.keep().await;
        }
        self.show();
    }

    /// Sends an event until it is answered with success; false when it is dropped.
    async fn send(&self, event: &EventView) -> bool {
        let body = serde_json::to_vec(event).expect("an event is plain JSON");
        let message = Message { id: format!("evt_{}", event.seq), body };
        let mut failures = 0;
        loop {
            let Notification { target, secret, name, .. } = &self.notification;
            let sent = self.outgoing.send(target, secret.as_ref(), &message, self.clock.now()).await;
            let Err(NotSent { reason, retry_after }) = sent else {
                self.board.known(name, |known| known.last_error = None);
                return true;
            };
            failures += 1;
            let now = self.clock.now();
            let wait = pause(failures, retry_after, fastrand::f64());
            tracing::warn!(notification = name, seq = event.seq, failures, reason, "not sent; it is tried again");
            let error = LastError {
                at: now,
                seq: event.seq,
                detail: reason,
                attempts: failures,
                next_attempt_at: now.plus(wait),
            };
            self.board.known(name, |known| {
                known.failed_attempts += 1;
                known.last_error = Some(error);
            });
            if now.since(event.at) >= GIVE_UP_AFTER {
                tracing::error!(notification = name, seq = event.seq, "not sent for a day; it is dropped");
                return false;
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Makes the cursor durable. A disk that refuses costs a repetition after a restart, and nothing else.
    async fn keep(&self) {
        self.show();
        let (cursor, file) = (self.cursor.clone(), self.file.clone());
        let written = tokio::task::spawn_blocking(move || cursor.write(&file)).await;
        if let Ok(Err(error)) = written {
            tracing::error!(notification = self.notification.name, %error, "its cursor cannot be written");
        }
    }

    fn show(&self) {
        self.board.known(&self.notification.name, |known| known.cursor = self.cursor.clone());
    }
}
