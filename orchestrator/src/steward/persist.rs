//! Making tables durable every second, and telling how far the log must be kept for them.
//!
//! A table's newest commits may be lost in a power cut, so the log keeps what lies above the positions that are known to be on disk.

use std::sync::Arc;
use std::time::Duration;

use rekap_tiered_storage::{Offset, Positions};
use tokio::task::JoinHandle;

use crate::Orchestrator;
use crate::orchestrator::blocking;

/// A power cut loses at most this much of the tables; it is read again from the log.
const PERSIST_EVERY: Duration = Duration::from_secs(1);

/// Makes the tables durable every second until the orchestrator stops or is dropped.
pub(crate) fn spawn_persist(orchestrator: &Arc<Orchestrator>) -> JoinHandle<()> {
    let (weak, mut stopping) = (Arc::downgrade(orchestrator), orchestrator.stopping.subscribe());
    tokio::spawn(async move {
        while let Some(orchestrator) = weak.upgrade() {
            orchestrator.persist().await;
            drop(orchestrator);
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => return,
                () = tokio::time::sleep(PERSIST_EVERY) => {}
            }
        }
    })
}

impl Orchestrator {
    /// Makes all that the tables hold now durable, and tells the lowest position that any live version may go on from.
    pub(crate) async fn persist(&self) {
        let slowest = self.slowest_now();
        let serving = self.serving_positions();
        let tables = self.tables.clone();
        match blocking(move || tables.persist()).await {
            Ok(()) => {
                self.slowest.send_replace(slowest);
                self.tidy_outboxes(&serving).await;
            }
            Err(error) => tracing::error!(%error, "the tables could not be made durable"),
        }
    }

    /// Per partition the lowest position of any live version. One that has no table yet, or no position, stands at its start.
    fn slowest_now(&self) -> Positions {
        let (state, members) = (self.state(), self.fleet.all());
        let watch = self.watch.lock().expect("no holder of this lock panics");
        let ends = watch.samples.latest().map(|sample| sample.ends.clone()).unwrap_or_default();
        drop(watch);
        let mut slowest = Positions::new();
        for (job, version) in state.live() {
            let member = members.get(&(job.name.clone(), version.number));
            let table = member.filter(|m| m.attempt == version.attempt).map(|m| m.positions()).unwrap_or_default();
            for (topic, partition, next) in version.positions_within(&table, &ends).iter() {
                let other = slowest.get(topic, partition).unwrap_or(Offset::new(i64::MAX as u64));
                slowest.set(topic, partition, next.min(other));
            }
        }
        slowest
    }
}
