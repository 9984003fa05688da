//! How a runner is told what to do, and what is asked of it.
//!
//! Nothing here waits for the runner's task but [`Control::hold`], which waits for a commit under way. What is asked is kept before
//! the call returns, so a runner that is held sees every request before its next commit.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rekap_tables::TableSnapshot;
use rekap_tiered_storage::Positions;
use tokio::sync::{Mutex as Gate, Notify, OwnedMutexGuard, oneshot};

use super::throttle::Throttle;

/// Why there is no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The table is past the target in some partition.
    #[error("the table is at {at}, past the target {target}; ask again with a target that it has not passed")]
    PastTarget {
        /// Where the table is.
        at: Positions,
        /// Where the snapshot was to be taken.
        target: Positions,
    },
    /// The runner is paused, failed or stopped.
    #[error("the version is not running, it stays at {at}; resume it first")]
    NotRunning {
        /// Where the table is.
        at: Positions,
    },
}

/// The commit under way did not end in time. The runner goes on as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a commit under way took longer than {0:?}; try again")]
pub struct HoldTimedOut(pub Duration);

/// A snapshot that somebody waits for.
pub(super) struct Request {
    pub(super) target: Positions,
    pub(super) reply: oneshot::Sender<Result<TableSnapshot, SnapshotError>>,
}

/// What a runner and its handles share.
#[derive(Default)]
pub(super) struct Control {
    paused: AtomicBool,
    stopped: AtomicBool,
    /// Locked while a commit is written, and while the runner is held.
    gate: Arc<Gate<()>>,
    held: Mutex<Option<OwnedMutexGuard<()>>>,
    requests: Mutex<Requests>,
    throttle: Mutex<Option<Throttle>>,
    /// Where it stays.
    stay: Mutex<Option<Positions>>,
    changed: Notify,
}

#[derive(Default)]
struct Requests {
    waiting: Vec<Request>,
    /// Set when no commit will come, with where the table stays.
    closed: Option<Positions>,
}

impl Control {
    pub(super) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    pub(super) fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::SeqCst);
        self.changed.notify_one();
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.stay(None);
        self.release();
        self.changed.notify_one();
    }

    /// Sets the limit, or takes it away. One that is as it was wakes nobody.
    pub(super) fn throttle(&self, limit: Option<Throttle>) {
        let before = std::mem::replace(&mut *self.throttle_now(), limit);
        if before != limit {
            self.changed.notify_one();
        }
    }

    /// The limit as it is now.
    pub(super) fn limit(&self) -> Option<Throttle> {
        *self.throttle_now()
    }

    /// Waits until somebody tells or asks something.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Lets no commit begin until [`Self::release`].
    pub(super) async fn hold(&self, deadline: Duration) -> Result<(), HoldTimedOut> {
        if self.held().is_some() {
            return Ok(());
        }
        let guard = tokio::time::timeout(deadline, self.gate.clone().lock_owned());
        let guard = guard.await.map_err(|_| HoldTimedOut(deadline))?;
        *self.held() = Some(guard);
        Ok(())
    }

    pub(super) fn release(&self) {
        self.held().take();
    }

    /// The right to commit, once nobody holds the runner.
    pub(super) async fn gate(&self) -> OwnedMutexGuard<()> {
        self.gate.clone().lock_owned().await
    }

    /// Asks for a snapshot; it is known to the runner when this returns.
    pub(super) fn ask(&self, target: Positions) -> oneshot::Receiver<Result<TableSnapshot, SnapshotError>> {
        let (reply, answer) = oneshot::channel();
        let mut requests = self.requests();
        match &requests.closed {
            Some(at) => _ = reply.send(Err(SnapshotError::NotRunning { at: at.clone() })),
            None => requests.waiting.push(Request { target, reply }),
        }
        self.changed.notify_one();
        answer
    }

    /// Where snapshots are wanted, and where it is to stay.
    pub(super) fn targets(&self) -> Vec<Positions> {
        let stay = self.stay.lock().expect("no thread panics while it holds this lock").clone();
        self.requests().waiting.iter().map(|request| request.target.clone()).chain(stay).collect()
    }

    /// Lets it read no further than there, or on.
    pub(super) fn stay(&self, target: Option<Positions>) {
        *self.stay.lock().expect("no thread panics while it holds this lock") = target;
        self.changed.notify_one();
    }

    /// Takes out the requests that are decided at these positions: reached or passed. Nobody waits for one whose asker is gone.
    pub(super) fn decided(&self, at: &Positions) -> Vec<Request> {
        let mut requests = self.requests();
        requests.waiting.retain(|request| !request.reply.is_closed());
        let decided = |request: &mut Request| at.reached(&request.target) || passed(at, &request.target);
        requests.waiting.extract_if(.., decided).collect()
    }

    /// From now on no commit comes: whoever waits or asks learns so.
    pub(super) fn close(&self, at: &Positions) {
        let mut requests = self.requests();
        for request in requests.waiting.drain(..) {
            _ = request.reply.send(Err(SnapshotError::NotRunning { at: at.clone() }));
        }
        requests.closed = Some(at.clone());
    }

    /// Commits come again.
    pub(super) fn open(&self) {
        self.requests().closed = None;
    }

    fn held(&self) -> MutexGuard<'_, Option<OwnedMutexGuard<()>>> {
        self.held.lock().expect("no thread panics while it holds this lock")
    }

    fn throttle_now(&self) -> MutexGuard<'_, Option<Throttle>> {
        self.throttle.lock().expect("no thread panics while it holds this lock")
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().expect("no thread panics while it holds this lock")
    }
}

/// True when some partition is past the target.
pub(super) fn passed(at: &Positions, target: &Positions) -> bool {
    target.iter().any(|(topic, partition, target)| at.get(topic, partition).is_some_and(|at| at > target))
}
