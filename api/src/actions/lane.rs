//! One lane: its messages, one after the other, each until it is sent or given up.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use rekap_jobs::{ActionSpec, ActionTarget};
use rekap_orchestrator::{Due, Lane, Orchestrator};
use rekap_tables::Outgoing as Waiting;
use rekap_tiered_storage::{AppendKey, Clock, Log, NewRecord, TopicName, TopicWriter};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Board, LastError};
use crate::outgoing::{GIVE_UP_AFTER, Message, NotSent, Outgoing, Secret, pause};

/// Messages read from a table at once: they are made durable before the first of them is sent.
const BATCH: usize = 100;

/// Sends one lane.
pub(super) struct Courier {
    pub(super) lane: Lane,
    pub(super) orchestrator: Weak<Orchestrator>,
    pub(super) log: Log,
    pub(super) outgoing: Outgoing,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) board: Board,
}

impl Courier {
    /// Sends until nothing is left.
    pub(super) async fn run(self) {
        while let Some(orchestrator) = self.orchestrator.upgrade() {
            let due = orchestrator.due(&self.lane, BATCH).await;
            drop(orchestrator);
            match due {
                Ok(Some(due)) => self.send_all(due).await,
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(lane = ?self.lane, %error, "what waits to be sent cannot be read; it is tried again");
                    return;
                }
            }
        }
    }

    async fn send_all(&self, due: Due) {
        let Due { version, spec, waiting } = due;
        for waiting in waiting {
            let sent = self.send(&spec, version, &waiting.message).await;
            let Some(orchestrator) = self.orchestrator.upgrade() else { return };
            let places = vec![waiting.place];
            let done = match sent {
                Sent::Yes => orchestrator.sent(&self.lane.job, version, places).await,
                Sent::GivenUp => orchestrator.give_up(&self.lane.job, version, places).await,
                Sent::Changed => return,
            };
            if let Err(error) = done {
                tracing::error!(lane = ?self.lane, %error, "a message that was sent cannot be taken out; it is sent again");
                return;
            }
        }
    }

    /// Sends one message until it is taken, or for a day.
    async fn send(&self, spec: &ActionSpec, version: u32, message: &Waiting) -> Sent {
        let mut failures = 0;
        loop {
            let Err(NotSent { reason, retry_after }) = self.attempt(spec, version, message).await else {
                let now = self.clock.now();
                self.board.note(&self.lane, |fares| {
                    fares.delivered += 1;
                    fares.last_delivery = Some(now);
                    fares.last_error = None;
                });
                return Sent::Yes;
            };
            failures += 1;
            let now = self.clock.now();
            let wait = pause(failures, retry_after, fastrand::f64());
            let Lane { job, action } = &self.lane;
            tracing::warn!(job, action, id = message.id, failures, reason, "not sent; it is tried again");
            let (id, attempts, next_attempt_at) = (message.id.clone(), failures, now.plus(wait));
            self.board.note(&self.lane, |fares| {
                fares.failed_attempts += 1;
                fares.last_error = Some(LastError { at: now, id, detail: reason, attempts, next_attempt_at });
            });
            if now.since(message.at) >= GIVE_UP_AFTER {
                return Sent::GivenUp;
            }
            tokio::time::sleep(wait).await;
            if !self.still_goes_there(spec, version) {
                return Sent::Changed;
            }
        }
    }

    /// True while the action has the target that is being tried.
    fn still_goes_there(&self, spec: &ActionSpec, version: u32) -> bool {
        let Some(orchestrator) = self.orchestrator.upgrade() else { return false };
        let actions = orchestrator.actions(&self.lane.job).unwrap_or_default();
        actions.iter().any(|view| view.version == version && view.spec == *spec)
    }

    async fn attempt(&self, spec: &ActionSpec, version: u32, message: &Waiting) -> Result<(), NotSent> {
        let failed = |reason: String| NotSent { reason, retry_after: None };
        match &spec.target {
            ActionTarget::Topic(topic) => self.append(topic, message).await.map_err(failed),
            ActionTarget::Webhook(url) => {
                let target = url.parse().map_err(|wrong: String| failed(format!("the URL {wrong}")))?;
                let secret = spec.secret_env.as_deref().map(Secret::from_env).transpose().map_err(failed)?;
                let body = json!({
                    "id": message.id, "job": self.lane.job, "version": version, "action": message.action,
                    "at": message.at, "positions": message.to, "row": message.row,
                });
                let body = serde_json::to_vec(&body).map_err(|e| failed(e.to_string()))?;
                let message = Message { id: message.id.clone(), body };
                self.outgoing.send(&target, secret.as_ref(), &message, self.clock.now()).await
            }
        }
    }

    /// Appends the row as an event of the topic, checked and keyed as any other.
    async fn append(&self, topic: &TopicName, message: &Waiting) -> Result<(), String> {
        let topic = self.log.hot.topic(topic).await.map_err(|e| e.to_string())?;
        let writer = TopicWriter::new(&topic).map_err(|e| e.to_string())?;
        let value = serde_json::to_vec(&message.row).map_err(|e| e.to_string())?;
        let body_digest = Sha256::digest(&value).into();
        let header = |name: &str, value: &str| (name.to_owned(), Some(Bytes::copy_from_slice(value.as_bytes())));
        let headers = vec![
            header("rekap-action-id", &message.id),
            header("rekap-action", &message.action),
            header("rekap-job", &self.lane.job),
        ];
        let record =
            NewRecord { partition: None, key: None, value: Some(Bytes::from(value)), headers, timestamp: None };
        let record = writer.raw(record).map_err(|e| e.to_string())?;
        let once = AppendKey { key: message.id.clone(), body_digest };
        self.log.hot.append(&topic.name, vec![record], Some(once)).await.map(drop).map_err(|e| e.to_string())
    }
}

/// What became of a message.
enum Sent {
    Yes,
    GivenUp,
    /// The action goes elsewhere by now.
    Changed,
}
