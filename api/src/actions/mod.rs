//! Sending what actions have to say: to webhooks and to topics.
//!
//! The messages wait in the tables of their versions; see `rekap_orchestrator`'s actions. Each lane (one action of one job) is sent by
//! a task of its own, in order, and a message is taken out once it was sent: if the process dies in between it is sent again, under
//! the same id. A topic keeps the id as the append's idempotency key, so there even that makes no second record.

mod lane;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use rekap_orchestrator::{Lane, Orchestrator};
use rekap_tiered_storage::{Clock, Log, Timestamp};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::outgoing::Outgoing;
use lane::Courier;

/// How often it is looked whether anything waits: what is looked at is in memory.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How one lane fares since the process started.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Fares {
    /// How many messages were sent.
    pub(crate) delivered: u64,
    /// How many attempts failed.
    pub(crate) failed_attempts: u64,
    /// When a message was last sent.
    pub(crate) last_delivery: Option<Timestamp>,
    /// The failure that stands in the way now.
    pub(crate) last_error: Option<LastError>,
}

/// The last failed attempt, until one succeeds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LastError {
    /// When it failed.
    pub(crate) at: Timestamp,
    /// The message.
    pub(crate) id: String,
    /// What went wrong.
    pub(crate) detail: String,
    /// How many attempts failed in a row.
    pub(crate) attempts: u32,
    /// When the next one is made.
    pub(crate) next_attempt_at: Timestamp,
}

/// How every lane fares. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board(Arc<Mutex<BTreeMap<Lane, Fares>>>);

impl Board {
    /// How a lane fares.
    pub(crate) fn of(&self, job: &str, action: &str) -> Fares {
        let lane = Lane { job: job.to_owned(), action: action.to_owned() };
        self.0.lock().expect("no holder of this lock panics").get(&lane).cloned().unwrap_or_default()
    }

    fn note(&self, lane: &Lane, with: impl FnOnce(&mut Fares)) {
        with(self.0.lock().expect("no holder of this lock panics").entry(lane.clone()).or_default());
    }
}

/// Starts a task for each lane that has something to send.
pub(crate) struct Dispatcher {
    orchestrator: Weak<Orchestrator>,
    log: Log,
    outgoing: Outgoing,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    board: Board,
    under_way: Arc<Mutex<BTreeSet<Lane>>>,
}

impl Dispatcher {
    /// Sends for as long as the server runs.
    pub(crate) fn spawn(
        orchestrator: &Arc<Orchestrator>,
        log: Log,
        outgoing: Outgoing,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
        board: Board,
    ) {
        let orchestrator = Arc::downgrade(orchestrator);
        let under_way = Arc::default();
        tokio::spawn(Dispatcher { orchestrator, log, outgoing, clock, stop, board, under_way }.run());
    }

    async fn run(self) {
        let mut again = tokio::time::interval(LOOK_EVERY);
        again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while self.stop.run_until_cancelled(again.tick()).await.is_some() {
            let Some(orchestrator) = self.orchestrator.upgrade() else { return };
            for lane in orchestrator.action_lanes() {
                if self.under_way.lock().expect("no holder of this lock panics").insert(lane.clone()) {
                    self.send(lane);
                }
            }
        }
    }

    fn send(&self, lane: Lane) {
        let under_way = UnderWay { all: self.under_way.clone(), lane: lane.clone() };
        let courier = Courier {
            lane,
            orchestrator: self.orchestrator.clone(),
            log: self.log.clone(),
            outgoing: self.outgoing.clone(),
            clock: self.clock.clone(),
            board: self.board.clone(),
        };
        let stop = self.stop.clone();
        tokio::spawn(async move {
            let _until_the_end = under_way;
            stop.run_until_cancelled(courier.run()).await;
        });
    }
}

/// Keeps a lane from being sent twice at a time, until it is dropped.
struct UnderWay {
    all: Arc<Mutex<BTreeSet<Lane>>>,
    lane: Lane,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.all.lock().expect("no holder of this lock panics").remove(&self.lane);
    }
}
