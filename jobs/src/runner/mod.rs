//! The runner of one version: takes it from range to range, from its first record to the newest, and stays there.
//!
//! ```text
//! cut ─► slices ─► read + run (per core) ─► combine ─► gather ─► apply ─► gate ─► commit
//!  ▲ positions, readable ends, snapshot targets                     ▲ held by `hold`  │
//!  └──────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A runner owns no state of its own: positions, rows and aggregate state are in its table and commit together. If the process dies
//! anywhere here, a new runner on the same table goes on. Who is served from the table, and when, is not its business.

mod control;
mod cut;
mod driver;
mod failure;
mod gaps;
mod histogram;
mod pace;
mod range;
mod status;
mod throttle;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::memory_pool::MemoryPool;
use rekap_tables::{Table, TableError, TableSnapshot};
use rekap_tiered_storage::{Clock, Log, Positions, ReadPlan, Topic};
use tokio::sync::watch;

pub use control::{HoldTimedOut, SnapshotError};
pub use failure::Failure;
pub use gaps::LostRange;
pub use histogram::{Histogram, RangeStats};
pub use pace::Pace;
pub use status::{PartitionStatus, Run, RunnerStatus};
pub use throttle::{Throttle, ThrottledBy};

use crate::actions::Trigger;
use crate::query::CompiledJob;
use control::Control;
use driver::{Driver, Rate};
use pace::Bound;
use range::Bench;
use throttle::Brake;

/// What a runner works with.
pub struct RunnerInit {
    /// What to run.
    pub job: Arc<CompiledJob>,
    /// The table to fill. The runner claims it: an earlier runner of the same table is fenced.
    pub table: Table,
    /// Where to read.
    pub log: Arc<Log>,
    /// Where the version started, for its progress. Where it goes on is the table's business.
    pub start: Positions,
    /// The lost ranges to read on behind; any other one fails the version.
    pub accepted_gaps: Vec<LostRange>,
    /// How large ranges are.
    pub pace: Pace,
    /// How fast it may read, until [`RunnerHandle::throttle`] says otherwise.
    pub throttle: Option<Throttle>,
    /// It waits for [`RunnerHandle::resume`] before it reads anything.
    pub paused: bool,
    /// The memory that all ranges of the process share; finite.
    pub memory: Arc<dyn MemoryPool>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// What its commits are to be asked for messages, and when.
    pub trigger: Arc<Trigger>,
}

/// Starts runners.
pub struct Runner;

impl Runner {
    /// Claims the table and starts the loop as a task of the current runtime.
    pub fn spawn(init: RunnerInit) -> Result<RunnerHandle, TableError> {
        let control = Arc::new(Control::default());
        control.throttle(init.throttle);
        control.pause(init.paused);
        let topics: Vec<Topic> = init.job.inputs().iter().map(|input| input.topic.clone()).collect();
        let bench = Bench {
            epoch: init.table.claim()?,
            reads: reads(&init.job, !init.accepted_gaps.is_empty()),
            job: init.job,
            table: init.table.clone(),
            log: init.log,
            memory: init.memory,
            control: control.clone(),
            trigger: init.trigger.clone(),
            clock: init.clock.clone(),
        };
        let (status, watch) = watch::channel(first_status(&init.table, init.clock.as_ref()));
        let driver = Driver {
            bench: Arc::new(bench),
            topics,
            start: init.start,
            accepted_gaps: init.accepted_gaps,
            bound: Bound::new(init.pace),
            clock: init.clock,
            status,
            goal: None,
            rate: Rate::new(),
            brake: Brake::default(),
        };
        tokio::spawn(driver.run());
        Ok(RunnerHandle { table: init.table, control, status: watch, trigger: init.trigger })
    }
}

/// A runner, for those who steer it. Clones steer the same one.
#[derive(Clone)]
pub struct RunnerHandle {
    table: Table,
    control: Arc<Control>,
    status: watch::Receiver<RunnerStatus>,
    trigger: Arc<Trigger>,
}

impl RunnerHandle {
    /// Where it stands.
    pub fn status(&self) -> RunnerStatus {
        self.status.borrow().clone()
    }

    /// Changes with every commit and every turn of its fate. Closed once the runner has ended.
    pub fn watch(&self) -> watch::Receiver<RunnerStatus> {
        self.status.clone()
    }

    /// What its commits are asked for messages, and when.
    pub fn trigger(&self) -> &Trigger {
        &self.trigger
    }

    /// Reads no further than `target` in its partitions until [`Self::go_on`]; where it is past it already, it waits there.
    pub fn stay_at(&self, target: Positions) {
        self.control.stay(Some(target));
    }

    /// Reads on after [`Self::stay_at`].
    pub fn go_on(&self) {
        self.control.stay(None);
    }

    /// The table that it fills.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Waits for a commit under way and lets no other begin until [`Self::release`]. Answers where the table is and stays. Holding
    /// what is held already is fine.
    pub async fn hold(&self, deadline: Duration) -> Result<Positions, HoldTimedOut> {
        self.control.hold(deadline).await?;
        Ok(self.table.status().positions.clone())
    }

    /// Lets commits go on.
    pub fn release(&self) {
        self.control.release();
    }

    /// The table as it is when each partition of `target` is exactly there; the runner waits in partitions that arrive early, then goes
    /// on. Registered when this is called, not when it is awaited: of a runner that is held it can be asked without a race.
    pub fn snapshot_at(&self, target: Positions) -> impl Future<Output = Result<TableSnapshot, SnapshotError>> + use<> {
        let (answer, table) = (self.control.ask(target), self.table.clone());
        async move {
            let gone = |_| Err(SnapshotError::NotRunning { at: table.status().positions.clone() });
            answer.await.unwrap_or_else(gone)
        }
    }

    /// Lets it read no faster than that from now on; `None` takes the limit away.
    pub fn throttle(&self, limit: Option<Throttle>) {
        self.control.throttle(limit);
    }

    /// Lets the range under way commit and begins no other until [`Self::resume`].
    pub fn pause(&self) {
        self.control.pause(true);
    }

    /// Goes on after a pause.
    pub fn resume(&self) {
        self.control.pause(false);
    }

    /// Ends the runner; a range under way is dropped. Answers once it has ended.
    pub async fn stop(&self) {
        self.control.stop();
        let mut status = self.status.clone();
        let ended = |status: &RunnerStatus| matches!(status.run, Run::Stopped | Run::Failed { .. });
        // An error says that the runner's task is gone, which is what is waited for.
        _ = status.wait_for(ended).await;
    }
}

fn reads(job: &CompiledJob, accept_gap: bool) -> Vec<Arc<ReadPlan>> {
    let read = job.inputs().iter().map(|input| ReadPlan {
        decoder: input.decoder.clone(),
        projection: input.columns.clone(),
        tombstones: input.tombstones,
        undecodable: false,
        accept_gap,
    });
    read.map(Arc::new).collect()
}

fn first_status(table: &Table, clock: &dyn Clock) -> RunnerStatus {
    let at = table.status();
    let unmet = || format!("{} rows cannot be computed", at.failed_rows);
    RunnerStatus {
        run: Run::Replaying,
        positions: at.positions.clone(),
        targets: Positions::new(),
        partitions: vec![],
        records_done: 0,
        records_total: 0,
        rate_per_s: 0.0,
        last_progress_at: clock.now(),
        dead_letters: at.dead_letters,
        problem: None,
        throttled: None,
        failed_rows: at.failed_rows,
        output_error: (at.failed_rows > 0).then(unmet),
        ranges: RangeStats::default(),
    }
}
