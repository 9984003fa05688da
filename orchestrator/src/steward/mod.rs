//! The steward: looks at the world, asks [`react`](crate::react::react) what to do, does it, and looks again.
//!
//! It looks every 100 ms, and at once after an event. It keeps nothing that matters: if the process dies between any two of its
//! lines, the first look of the next start finds what is left to do.

mod act;
mod after;
mod look;
mod persist;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use after::AfterSwap;
pub(crate) use look::run_of;
pub(crate) use persist::spawn_persist;

use crate::Orchestrator;
use crate::governor::Governor;
use crate::react::{Action, Key, react};
use crate::ready::{Readiness, Samples};

/// How often the ends of the log are sampled.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// What the steward has seen. In memory only.
#[derive(Default)]
pub(crate) struct Watch {
    /// The recent past of the log's ends.
    pub(crate) samples: Samples,
    /// What is known of each live version.
    pub(crate) readiness: BTreeMap<Key, Readiness>,
    /// The versions that are being compared, or whose comparison failed and rests until then.
    pub(crate) verifying: BTreeMap<Key, Option<Instant>>,
    /// The jobs whose alias is being moved, or whose promotion was called off and rests until then.
    pub(crate) moving: BTreeMap<String, Option<Instant>>,
    /// The promotions that are watched, by job.
    pub(crate) after: BTreeMap<String, AfterSwap>,
    /// How fast replays may read.
    pub(crate) governor: Governor,
    /// What was tried and failed, and rests until then.
    pub(crate) resting: Vec<(Action, Instant)>,
}

/// Sets the steward to work until the orchestrator stops or is dropped.
pub(crate) fn spawn(orchestrator: &Arc<Orchestrator>) -> JoinHandle<()> {
    let (weak, head) = (Arc::downgrade(orchestrator), orchestrator.book.head());
    let stopping = orchestrator.stopping.subscribe();
    tokio::spawn(tend(weak, head, stopping))
}

async fn tend(orchestrator: Weak<Orchestrator>, mut head: watch::Receiver<u64>, mut stopping: watch::Receiver<bool>) {
    let mut next = Instant::now();
    loop {
        let Some(orchestrator) = orchestrator.upgrade() else { return };
        head.mark_unchanged();
        if next <= Instant::now() {
            next = Instant::now() + SAMPLE_EVERY;
            orchestrator.sample().await;
            orchestrator.look_after_swaps();
            orchestrator.govern();
        }
        orchestrator.tell_all_actions();
        let facts = orchestrator.look().await;
        for action in react(&orchestrator.state(), &facts, orchestrator.clock.now()) {
            orchestrator.act(action).await;
        }
        drop(orchestrator);
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => return,
            changed = head.changed() => if changed.is_err() { return },
            () = tokio::time::sleep_until(next) => {}
        }
    }
}
